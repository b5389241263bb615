//! The hosts of --host, as mongodump's scripts write them.

use mongodb::options::ServerAddress;

use super::invalid;
use crate::Result;

/// What --host and --port name.
#[derive(Debug)]
pub(super) struct Seeds {
    pub(super) set: Option<String>,
    pub(super) hosts: Vec<ServerAddress>,
}

impl Seeds {
    pub(super) fn parse(host: &str, port: Option<u16>) -> Result<Self> {
        if host.contains("://") {
            return Err(invalid("it takes no connection string: write --uri=URI").at("--host"));
        }
        // What has a meaning in a connection string never stands in a host's name, and could hold a password.
        if host.contains(['@', '?', '%', '#', '&']) || host.starts_with('/') {
            return Err(invalid(
                "it takes HOST, HOST:PORT or SET/HOST1,HOST2:PORT; write everything else as --uri=URI",
            )
            .at("--host"));
        }
        let (set, list) = match host.split_once('/') {
            Some((set, list)) => (Some(set.to_owned()), list),
            None => (None, host),
        };
        let hosts = list.split(',').map(|host| seed(host, port)).collect::<Result<_>>()?;
        Ok(Self { set, hosts })
    }

    pub(super) fn connection_string(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(written).collect();
        let set = self.set.as_ref().map(|set| format!("?replicaSet={set}")).unwrap_or_default();
        format!("mongodb://{}/{set}", hosts.join(","))
    }
}

/// One host, with --port where it has none of its own.
fn seed(host: &str, port: Option<u16>) -> Result<ServerAddress> {
    let reject = || {
        invalid("a host is written HOST or HOST:PORT, an IPv6 address in brackets: [::1]:27017").at("--host")
    };
    if host.contains('/') || (!host.starts_with('[') && host.matches(':').count() > 1) {
        return Err(reject());
    }
    let ServerAddress::Tcp { host, port: own } = ServerAddress::parse(host).map_err(|_| reject())? else {
        return Err(reject());
    };
    if let (Some(own), Some(port)) = (own, port)
        && own != port
    {
        return Err(invalid("--host and --port name different ports: give one of them"));
    }
    Ok(ServerAddress::Tcp { host, port: own.or(port) })
}

/// As it stands in a connection string, with its port; host names have no case.
pub(super) fn written(address: &ServerAddress) -> String {
    let text = address.to_string().to_lowercase();
    match text.rsplit_once(':') {
        Some((host, port)) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::Seeds;
    use crate::MongoUri;

    fn built(host: &str, port: Option<u16>) -> String {
        Seeds::parse(host, port).unwrap().connection_string()
    }

    #[test]
    fn a_set_and_hosts_with_and_without_a_port_become_a_connection_string() {
        assert_eq!(built("db:1", Some(1)), "mongodb://db:1/");
        assert_eq!(built("rs0/a:1,b", Some(1)), "mongodb://a:1,b:1/?replicaSet=rs0");
        assert_eq!(built("[::1]", Some(2)), "mongodb://[::1]:2/");
        assert_eq!(built("[fe80::1]:3", None), "mongodb://[fe80::1]:3/");
        assert!(MongoUri::parse(&built("[::1]:2", None)).is_ok());
    }
}
