use clap::{Args, FromArgMatches};
use mongodb::options::{AuthMechanism, ClientOptions, Tls};

use super::*;

const ODD: &str = "p@:/?#%&é名 \"'$1\\";

fn connection(uri: Option<&str>, host: Option<&str>, port: Option<u16>) -> Connection {
    let words = uri.map(|uri| format!("--uri={uri}")).into_iter();
    let words = words.chain(host.map(|host| format!("--host={host}")));
    let words = words.chain(port.map(|port| format!("--port={port}")));
    given(&words.collect::<Vec<_>>())
}

/// What these arguments come to.
fn given(arguments: &[impl AsRef<str>]) -> Connection {
    let command =
        Connection::augment_args(clap::Command::new("x").no_binary_name(true).disable_help_flag(true));
    let matches = command.get_matches_from(arguments.iter().map(AsRef::as_ref));
    Connection::from_arg_matches(&matches).unwrap()
}

fn config(text: &str) -> Config {
    text.parse().unwrap()
}

fn unasked(_: Wanted) -> Result<String> {
    Err(invalid("nobody is there to be asked"))
}

fn merge(uri: Option<&str>, host: Option<&str>, port: Option<u16>) -> Result<MongoUri> {
    connection(uri, host, port).merge(Config::default(), None, None, Manner::Own, unasked)
}

/// What the driver is told when a connection string, the file and a person say this.
async fn told(uri: &str, text: &str, typed: Option<&str>) -> Result<ClientOptions> {
    let ask = |wanted| typed.map_or_else(|| unasked(wanted), |typed| Ok(typed.to_owned()));
    connection(Some(uri), None, None)
        .merge(config(text), None, None, Manner::Own, ask)?
        .client_options()
        .await
}

#[tokio::test]
async fn a_password_comes_from_the_string_the_file_or_a_person() {
    let in_file = "password: 'p@:/?#%&é名 \"''$1\\'";
    for (uri, text, typed, password) in [
        ("mongodb://ann:pw@h", "", None, Some("pw")),
        ("mongodb://ann@h", in_file, None, Some(ODD)),
        ("mongodb://ann@h/?tls=true", "", Some(ODD), Some(ODD)),
        ("mongodb://h", "", None, None),
    ] {
        let told = told(uri, text, typed).await.unwrap();
        assert_eq!(told.credential.and_then(|known| known.password).as_deref(), password, "{uri}");
    }
    let uri = "mongodb://ann@h/?tls=true&tlsCertificateKeyFile=/k";
    let told = told(uri, "sslPEMKeyPassword: 'a b&'", Some("pw")).await.unwrap();
    let Some(Tls::Enabled(tls)) = told.tls else { panic!("TLS") };
    assert_eq!(tls.tls_certificate_key_file_password.as_deref(), Some(&b"a b&"[..]));
    assert_eq!(told.credential.unwrap().password.as_deref(), Some("pw"));
}

#[tokio::test]
async fn a_password_that_has_no_place_is_refused() {
    for (uri, text, words) in [
        ("mongodb://h", "password: hunter2", "no user name"),
        ("mongodb://ann:hunter2@h", "password: hunter3", "leave one of the two out"),
        ("mongodb://ann@h", "", "nobody is there"),
    ] {
        let error = told(uri, text, None).await.expect_err(uri).report();
        assert!(error.contains(words) && !error.contains("hunter"), "{error}");
    }
}

#[test]
fn the_argument_goes_before_the_file_and_the_file_before_the_variable() {
    let file = "uri: mongodb://file";
    let hosts = |uri, text| {
        let variable = Some("mongodb://variable".into());
        connection(uri, None, None)
            .merge(config(text), variable, None, Manner::Own, unasked)
            .unwrap()
            .to_string()
    };
    assert_eq!(hosts(Some("mongodb://argument"), file), "argument:27017");
    assert_eq!(hosts(None, file), "file:27017");
    assert_eq!(hosts(None, ""), "variable:27017");
}

#[test]
fn a_password_among_the_arguments_is_warned_of() {
    let warnings = |uri: Option<&str>, text: &str, variable: Option<&str>| {
        let variable = variable.map(Into::into);
        let merged = connection(uri, None, None).merge(config(text), variable, None, Manner::Own, unasked);
        merged.unwrap().warnings().join("; ")
    };
    let uri = "mongodb://ann:hunter2@h";
    let warning = warnings(Some(uri), "", None);
    assert!(warning.contains("can see the password") && !warning.contains("hunter2"), "{warning}");
    assert_eq!(warnings(Some("mongodb://ann@h"), "password: hunter2", None), "");
    assert_eq!(warnings(None, &format!("uri: {uri}"), None), "");
    assert_eq!(warnings(None, "", Some(uri)), "");
}

#[test]
fn host_and_port_become_a_connection_string() {
    assert_eq!(merge(None, None, None).unwrap().to_string(), "localhost:27017");
    assert_eq!(merge(None, None, Some(27018)).unwrap().to_string(), "localhost:27018");
    assert_eq!(merge(None, Some("db"), None).unwrap().to_string(), "db:27017");
}

#[test]
fn what_is_no_host_is_refused_and_never_repeated() {
    for host in [
        "::1",
        "a,",
        ",",
        "a:",
        "a:x",
        "a:0",
        "a:99999",
        "rs0/",
        "/tmp/mongodb-27017.sock",
        "a b/c/d",
        "mongodb://ann:hunter2@h",
        "ann:hunter2@h",
        "h?password=hunter2",
        "[::1",
        "[::1]x",
    ] {
        let error = merge(None, Some(host), None).expect_err(host).report();
        assert!(error.contains("--host") && !error.contains("hunter2"), "{error}");
    }
    assert!(merge(None, Some("a:1"), Some(2)).is_err());
}

#[test]
fn a_connection_string_and_host_and_port_have_to_agree() {
    for (uri, host, port) in [
        ("mongodb://ann:pw@a:1/shop", Some("a:1"), None),
        ("mongodb://a:1", Some("A"), Some(1)),
        ("mongodb://a:1", None, Some(1)),
        ("mongodb://a", None, Some(2)),
        ("mongodb://a", Some("a"), Some(2)),
        ("mongodb://a", Some("a:27017"), None),
        ("mongodb://a:1,b:2/?replicaSet=rs0", Some("rs0/b:2,a:1"), None),
        ("mongodb://[::1]:1", Some("[::1]"), Some(1)),
    ] {
        assert!(merge(Some(uri), host, port).is_ok(), "{uri} {host:?} {port:?}");
    }
    for (uri, host, port) in [
        ("mongodb://a:1", Some("b:1"), None),
        ("mongodb://a:1", Some("a"), None),
        ("mongodb://a:1", None, Some(2)),
        ("mongodb://a:1,b:2", Some("a:1"), None),
        ("mongodb://a:1/?replicaSet=rs0", Some("rs1/a:1"), None),
        ("mongodb://a:1", Some("rs0/a:1"), None),
        ("mongodb+srv://cluster.example", Some("cluster.example"), None),
        ("mongodb+srv://cluster.example", None, Some(27017)),
    ] {
        assert!(merge(Some(uri), host, port).is_err(), "{uri} {host:?} {port:?}");
    }
}

#[test]
fn the_variable_is_held_against_the_options_and_named_when_it_is_wrong() {
    let merge = |host: Option<&str>, variable: OsString| {
        connection(None, host, None).merge(Config::default(), Some(variable), None, Manner::Own, unasked)
    };
    assert_eq!(merge(None, "mongodb://a:1".into()).unwrap().to_string(), "a:1");
    for (host, variable) in [(Some("b"), "mongodb://a:1"), (None, ""), (None, "a:1")] {
        let error = merge(host, variable.into()).unwrap_err().report();
        assert!(error.contains(VARIABLE), "{error}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        assert!(merge(None, OsString::from_vec(vec![0xff])).unwrap_err().report().contains(VARIABLE));
    }
}

/// What the driver is told when these are the arguments.
async fn driven(arguments: &[&str], db: Option<&str>, manner: Manner) -> Result<ClientOptions> {
    given(arguments).merge(Config::default(), None, db, manner, unasked)?.client_options().await
}

#[tokio::test]
async fn the_options_of_the_tools_are_those_of_a_connection_string() {
    let all = [
        "-hdb:1",
        "-u",
        "a@b",
        "-p",
        ODD,
        "--authenticationDatabase=crm",
        "--authenticationMechanism=SCRAM-SHA-1",
        "--ssl",
        "--sslCAFile",
        "/a b.pem",
        "--sslPEMKeyFile=/k",
        "--sslPEMKeyPassword=k&",
        "--compressors=zstd,snappy",
        "--dialTimeout=7",
        "--serverSelectionTimeout=9",
        "--TCPKeepAliveSeconds=1",
    ];
    let told = driven(&all, None, Manner::Own).await.unwrap();
    let credential = told.credential.unwrap();
    assert_eq!(credential.username.as_deref(), Some("a@b"));
    assert_eq!(credential.password.as_deref(), Some(ODD));
    assert_eq!(credential.source.as_deref(), Some("crm"));
    assert_eq!(credential.mechanism, Some(AuthMechanism::ScramSha1));
    let Some(Tls::Enabled(tls)) = told.tls else { panic!("TLS") };
    assert_eq!(tls.ca_file_path.unwrap().to_str(), Some("/a b.pem"));
    assert_eq!(tls.cert_key_file_path.unwrap().to_str(), Some("/k"));
    assert_eq!(tls.tls_certificate_key_file_password.as_deref(), Some(&b"k&"[..]));
    assert_eq!(told.compressors.unwrap().len(), 2);
    assert_eq!(told.connect_timeout.unwrap().as_secs(), 7);
    assert_eq!(told.server_selection_timeout.unwrap().as_secs(), 9);
    assert_eq!(told.direct_connection, Some(true));
    let told = driven(&["--ssl", "--tlsInsecure", "-h", "rs0/a,b"], None, Manner::Own).await.unwrap();
    let Some(Tls::Enabled(tls)) = told.tls else { panic!("TLS") };
    assert_eq!(tls.allow_invalid_certificates, Some(true));
    assert_eq!((told.repl_set_name.as_deref(), told.direct_connection), (Some("rs0"), None));
    let aws = ["-uKEY", "-p=x", "--authenticationMechanism=MONGODB-AWS", "--awsSessionToken=a/b+c="];
    let told = driven(&aws, Some("shop"), Manner::Mongodump).await.unwrap().credential.unwrap();
    assert_eq!(told.source.as_deref(), Some("$external"));
    assert_eq!(told.mechanism_properties.unwrap().get_str("AWS_SESSION_TOKEN").unwrap(), "a/b+c=");
}

#[tokio::test]
async fn a_user_is_looked_for_where_the_tools_look() {
    let login = ["-u", "ann", "-p", "pw"];
    let in_uri = ["mongodb://ann:pw@h"];
    let (own, tool) = (Manner::Own, Manner::Mongorestore);
    for (arguments, more, manner, source) in [
        (&login[..], "--port=1", own, "shop"),
        (&login, "--authenticationDatabase=crm", own, "crm"),
        (&login, "mongodb://h/crm", own, "crm"),
        (&login, "mongodb://h/crm?authSource=admin", own, "admin"),
        (&login, "--authenticationMechanism=PLAIN", own, "$external"),
        (&in_uri, "--port=27017", own, "admin"),
        (&in_uri, "--port=27017", tool, "shop"),
    ] {
        let arguments = [arguments, &[more]].concat();
        let credential = driven(&arguments, Some("shop"), manner).await.unwrap().credential.unwrap();
        assert_eq!(credential.source.as_deref(), Some(source), "{arguments:?}");
    }
    let told = driven(&login, None, own).await.unwrap().credential.unwrap();
    assert_eq!(told.source.as_deref(), Some("admin"));
}

#[tokio::test]
async fn options_and_a_connection_string_that_differ_are_refused_and_never_repeated() {
    for (uri, option) in [
        ("mongodb://bob:pw@h", "--username=hunter2"),
        ("mongodb://bob:pw@h", "--password=hunter2"),
        ("mongodb://bob:pw@h/?authSource=admin", "--authenticationDatabase=hunter2"),
        ("mongodb://bob:pw@h/?authMechanism=SCRAM-SHA-1", "--authenticationMechanism=SCRAM-SHA-256"),
        ("mongodb://h/?tls=false", "--ssl"),
        ("mongodb://h/?tlsCAFile=/a", "--sslCAFile=/hunter2"),
        ("mongodb://h/?tlsCertificateKeyFile=/a", "--sslPEMKeyFile=/hunter2"),
        ("mongodb://h/?tls=true&tlsInsecure=false", "--tlsInsecure"),
        ("mongodb://h/?compressors=zlib", "--compressors=zstd"),
        ("mongodb://h/?connectTimeoutMS=1", "--dialTimeout=1"),
        ("mongodb://h/?serverSelectionTimeoutMS=1", "--serverSelectionTimeout=1"),
    ] {
        let error = driven(&[uri, option], None, Manner::Own).await.expect_err(option).report();
        let name = option.split('=').next().unwrap();
        assert!(error.contains(name) && !error.contains("hunter2"), "{option}: {error}");
    }
    for arguments in [
        &["--compressors=hunter2"][..],
        &["-p", "hunter2"],
        &["-u", "ann", "-p", "hunter2", "--awsSessionToken=hunter2"],
        &["-u", "ann", "--authenticationMechanism=GSSAPI"],
        &["mongodb://h", "--uri=mongodb://ann:hunter2@h"],
        &["mongodb://h", "mongodb://ann:hunter2@h"],
    ] {
        let error = driven(arguments, None, Manner::Own).await.expect_err("refused").report();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn w31_what_stands_alone_and_is_no_connection_string_is_noticed() {
    assert_eq!(given(&["", "mongodb://h"]).stray(), None);
    assert_eq!(given(&["mongodb+srv://h", "dump/"]).stray(), Some("dump/"));
}
