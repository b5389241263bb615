//! The options of a connection string: what the driver is to see of them, and what has no effect.
//!
//! The driver refuses every option that it does not know. The specification of connection strings asks for a warning
//! instead, and users keep the options of old guides and other drivers. What decides who is trusted, who
//! logs in, whose data is read or what a write waits for is never left out: it is honoured or it is an error.

use std::collections::HashMap;
use std::time::Duration;

use super::{SPECIAL_CHARACTER, unusable};
use crate::{Error, ErrorKind, Result};

/// Honoured as they stand, or the driver's error.
const EXACT: [&str; 17] = [
    "authmechanism",
    "authmechanismproperties",
    "authsource",
    "maxstalenessseconds",
    "proxyhost",
    "proxypassword",
    "proxyport",
    "proxyusername",
    "readconcernlevel",
    "readpreference",
    "readpreferencetags",
    "replicaset",
    "srvmaxhosts",
    "srvservicename",
    "tlscafile",
    "tlscertificatekeyfile",
    "tlscertificatekeyfilepassword",
];

/// True or false, or an error.
const SWITCHES: [&str; 6] =
    ["directconnection", "journal", "loadbalanced", "tls", "tlsallowinvalidcertificates", "tlsinsecure"];

/// True or false; anything else has no effect.
const HINTS: [&str; 2] = ["retryreads", "retrywrites"];

/// Numbers that only say how fast and how patiently, and the least of each; anything else has no effect.
const NUMBERS: [(&str, u32); 10] = [
    ("connecttimeoutms", 0),
    ("heartbeatfrequencyms", 500),
    ("localthresholdms", 0),
    ("maxconnecting", 1),
    ("maxidletimems", 0),
    ("maxpoolsize", 0),
    ("minpoolsize", 0),
    ("serverselectiontimeoutms", 1),
    ("waitqueuetimeoutms", 0),
    ("wtimeoutms", 0),
];

/// Names of old servers, shells and other drivers, with the option that means exactly the same.
const ALIASES: [(&str, &str); 14] = [
    ("j", "journal"),
    ("ssl", "tls"),
    ("ssl_ca_certs", "tlscafile"),
    ("ssl_pem_passphrase", "tlscertificatekeyfilepassword"),
    ("sslallowinvalidcertificates", "tlsallowinvalidcertificates"),
    ("sslcafile", "tlscafile"),
    ("sslcertificateauthorityfile", "tlscafile"),
    ("sslclientcertificatekeyfile", "tlscertificatekeyfile"),
    ("sslclientcertificatekeypassword", "tlscertificatekeyfilepassword"),
    ("sslinsecure", "tlsinsecure"),
    ("sslpemkeyfile", "tlscertificatekeyfile"),
    ("sslpemkeypassword", "tlscertificatekeyfilepassword"),
    ("tlscertificateauthorityfile", "tlscafile"),
    ("wtimeout", "wtimeoutms"),
];

/// They ask for a check or a log-in that would be missing without them.
const REFUSED: [(&str, &str); 7] = [
    ("ssl_certfile", CERTIFICATE_AND_KEY),
    ("ssl_crlfile", REVOCATION),
    ("ssl_keyfile", CERTIFICATE_AND_KEY),
    ("sslcrlfile", REVOCATION),
    ("tlscertificatefile", CERTIFICATE_AND_KEY),
    ("tlscrlfile", REVOCATION),
    ("tlsprivatekeyfile", CERTIFICATE_AND_KEY),
];
const CERTIFICATE_AND_KEY: &str =
    "put the certificate and its key into one file and name that as tlsCertificateKeyFile";
const REVOCATION: &str = "certificates cannot be held against a list of revoked ones";

/// True of this program already: documents are bytes to it, and it asks nobody whether a certificate was revoked.
const WITHOUT_MEANING: [&str; 3] =
    ["tlsdisablecertificaterevocationcheck", "tlsdisableocspendpointcheck", "uuidrepresentation"];

/// The longest name that a warning repeats: what is longer is no option but something that was not percent-encoded.
const LONGEST_NAME: usize = 48;

/// The options of one connection string.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// What the driver is to see, with `&` between the options.
    pub(super) query: String,
    /// `socketTimeoutMS`, which the driver does not have; 0 is the default and means no limit of its own.
    pub(super) socket_timeout: Option<Duration>,
    /// What has no effect: names, never values.
    pub(super) warnings: Vec<String>,
}

/// What stands in a connection string behind the question mark, while it is read.
#[derive(Default)]
struct Reader<'a> {
    pairs: Vec<(&'static str, String)>,
    seen: HashMap<&'static str, String>,
    old_slave_ok: bool,
    socket_timeout: Option<Duration>,
    unknown: Vec<&'a str>,
    unusable: Vec<&'a str>,
}

impl Options {
    /// Reads what stands behind the question mark.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an option that must be honoured and cannot be.
    pub(super) fn read(query: &str) -> Result<Self> {
        let mut reader = Reader::default();
        // Like mongodump, which takes the separator of old connection strings, too.
        for pair in query.split(['&', ';']).filter(|pair| !pair.is_empty()) {
            let (name, value) =
                pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
            // No name has one: a password does that was not percent-encoded.
            if name.contains('@') {
                return Err(unusable(SPECIAL_CHARACTER));
            }
            reader.option(name, value)?;
        }
        reader.finish()
    }
}

impl<'a> Reader<'a> {
    fn option(&mut self, given: &'a str, value: Option<&str>) -> Result<()> {
        let lower = given.to_lowercase();
        let lower = lower.as_str();
        let name = canonical(lower);
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            return Err(refused(given, why));
        }
        if let Some(name) = one_of(&EXACT, name) {
            let value = value.ok_or_else(|| refused(given, "it has no value"))?;
            return self.exact(given, name, value.to_owned());
        }
        if let Some(name) = one_of(&SWITCHES, name) {
            let value = switch(value.unwrap_or_default())
                .ok_or_else(|| refused(given, "its value is neither true nor false"))?;
            return self.exact(given, name, value.to_string());
        }
        let value = value.unwrap_or_default();
        if let Some(name) = one_of(&HINTS, name) {
            self.hint(given, name, switch(value).map(|value| value.to_string()));
        } else if let Some((name, least)) = NUMBERS.iter().find(|(number, _)| *number == name) {
            self.hint(given, name, number(name, *least, value));
        } else if !WITHOUT_MEANING.contains(&name) {
            return self.special(given, name, value);
        }
        Ok(())
    }

    /// Options that are neither switch nor number nor text.
    fn special(&mut self, given: &'a str, name: &str, value: &str) -> Result<()> {
        match name {
            // A number or the name of a mode: what a write waits for.
            "w" if value.is_empty() => return Err(refused(given, "it has no value")),
            "w" => return self.exact(given, "w", value.to_owned()),
            "slaveok" => {
                self.old_slave_ok =
                    switch(value).ok_or_else(|| refused(given, "its value is neither true nor false"))?;
            }
            "connect" => match value.to_lowercase().as_str() {
                "direct" => return self.exact(given, "directconnection", "true".to_owned()),
                "automatic" => {}
                _ => self.unusable.push(given),
            },
            "appname" => self.hint(given, "appname", Some(value.to_owned())),
            "compressors" => self.compressors(given, value),
            "servermonitoringmode" => {
                let mode = value.to_lowercase();
                let known = ["auto", "poll", "stream"].contains(&mode.as_str());
                self.hint(given, "servermonitoringmode", known.then_some(mode));
            }
            "sockettimeoutms" => match value.parse() {
                Ok(limit) => self.socket_timeout = Some(Duration::from_millis(limit)),
                Err(_) => self.unusable.push(given),
            },
            "zlibcompressionlevel" => {
                let level = value.parse().ok().filter(|level| (-1..=9).contains(level));
                self.hint(given, "zlibcompressionlevel", level.map(|level: i8| level.to_string()));
            }
            // A password that was not percent-encoded, more likely than a value that nobody knows.
            _ if value.contains('@') => return Err(unusable(SPECIAL_CHARACTER)),
            _ => self.unknown.push(given),
        }
        Ok(())
    }

    fn exact(&mut self, given: &str, name: &'static str, value: String) -> Result<()> {
        // A list, in the order of preference.
        if name == "readpreferencetags" {
            self.pairs.push((name, value));
            return Ok(());
        }
        match self.seen.get(name) {
            Some(before) if *before == value => Ok(()),
            Some(_) => Err(refused(given, "it is given twice, with different values")),
            None => {
                self.keep(name, value);
                Ok(())
            }
        }
    }

    fn hint(&mut self, given: &'a str, name: &'static str, value: Option<String>) {
        match value {
            Some(value) if !self.seen.contains_key(name) => self.keep(name, value),
            Some(value) if self.seen.get(name) == Some(&value) => {}
            _ => self.unusable.push(given),
        }
    }

    fn compressors(&mut self, given: &'a str, value: &str) {
        let value = value.replace("%2C", ",").replace("%2c", ",");
        let mut kept = Vec::new();
        for name in value.split(',').map(str::trim) {
            match name {
                "snappy" | "zlib" | "zstd" => kept.push(name),
                // Exactly what happens without the option.
                "" | "disabled" | "none" => {}
                _ => self.unusable.push(given),
            }
        }
        if !kept.is_empty() {
            self.hint(given, "compressors", Some(kept.join(",")));
        }
    }

    fn keep(&mut self, name: &'static str, value: String) {
        self.seen.insert(name, value.clone());
        self.pairs.push((name, value));
    }

    fn finish(mut self) -> Result<Options> {
        if self.old_slave_ok && !self.seen.contains_key("readpreference") {
            self.keep("readpreference", "secondaryPreferred".to_owned());
        }
        if self.seen.get("tls").is_some_and(|tls| tls == "false")
            && let Some((name, _)) =
                self.pairs.iter().find(|(name, _)| name.starts_with("tls") && *name != "tls")
        {
            return Err(refused(name, "TLS is switched off by another option"));
        }
        let pairs: Vec<_> = self.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let warnings = [
            warning(&self.unknown, "unknown"),
            warning(&self.unusable, "given with values that cannot be used"),
        ];
        Ok(Options {
            query: pairs.join("&"),
            socket_timeout: self.socket_timeout,
            warnings: warnings.into_iter().flatten().collect(),
        })
    }
}

fn one_of(names: &[&'static str], name: &str) -> Option<&'static str> {
    names.iter().find(|known| **known == name).copied()
}

/// The name of an option by whichever of its names, in lower case.
pub(super) fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| *name)
}

/// The spellings that drivers have ever taken.
pub(super) fn switch(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" | "-1" => Some(false),
        _ => None,
    }
}

fn number(name: &str, least: u32, value: &str) -> Option<String> {
    let number = value.parse::<u32>().ok().filter(|number| *number >= least)?;
    // No limit, which the driver cannot be told.
    let number = if name == "maxpoolsize" && number == 0 { u32::MAX } else { number };
    Some(number.to_string())
}

/// One line about options that have no effect.
fn warning(names: &[&str], what: &str) -> Option<String> {
    let looks_like_a_name = |name: &&str| {
        name.len() <= LONGEST_NAME
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    let mut shown: Vec<_> = names.iter().copied().filter(looks_like_a_name).collect();
    if shown.len() < names.len() {
        shown.push("one that is no name");
    }
    shown.sort_unstable();
    shown.dedup();
    match shown.as_slice() {
        [] => None,
        [name] => Some(format!("the connection string's option {name} is {what}: it has no effect")),
        names => Some(format!(
            "the connection string's options {} are {what}: they have no effect",
            names.join(", ")
        )),
    }
}

fn refused(name: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("the option {name} of the MongoDB connection string cannot be honoured: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the driver is shown, and what is warned about.
    fn read(query: &str) -> (String, String) {
        let options = Options::read(query).unwrap_or_else(|error| panic!("{query}: {}", error.report()));
        (options.query, options.warnings.join("; "))
    }

    #[test]
    fn what_the_driver_knows_passes_and_what_nobody_knows_is_named() {
        assert_eq!(read("w=majority&authSource=admin").0, "w=majority&authsource=admin");
        let (query, warnings) = read("useNewUrlParser=true&poolSize=5&&retryWrites=true&family=4&keepAlive");
        assert_eq!(query, "retrywrites=true");
        assert_eq!(
            warnings,
            "the connection string's options family, keepAlive, poolSize, useNewUrlParser are unknown: they have no effect"
        );
        assert_eq!(read("uuidRepresentation=standard&tlsDisableOCSPEndpointCheck=true"), Default::default());
    }

    #[test]
    fn other_spellings_of_the_same_are_understood() {
        for (query, seen) in [
            ("ssl=TRUE", "tls=true"),
            ("tls=1;retryWrites=no", "tls=true&retrywrites=false"),
            ("tls=true&ssl=true", "tls=true"),
            ("j=true&wtimeout=5000", "journal=true&wtimeoutms=5000"),
            ("slaveOk=true", "readpreference=secondaryPreferred"),
            ("slaveOk=true&readPreference=primary", "readpreference=primary"),
            ("slaveOk=false", ""),
            ("connect=direct", "directconnection=true"),
            ("connect=automatic", ""),
            ("ssl_ca_certs=/ca.pem", "tlscafile=/ca.pem"),
            (
                "sslClientCertificateKeyFile=/c&sslPEMKeyPassword=x",
                "tlscertificatekeyfile=/c&tlscertificatekeyfilepassword=x",
            ),
            ("compressors=disabled", ""),
            ("compressors=none,zstd%2Csnappy", "compressors=zstd,snappy"),
            ("maxPoolSize=0", "maxpoolsize=4294967295"),
            (
                "readPreference=nearest&readPreferenceTags=dc:a&readPreferenceTags=",
                "readpreference=nearest&readpreferencetags=dc:a&readpreferencetags=",
            ),
        ] {
            assert_eq!(read(query), (seen.to_owned(), String::new()), "{query}");
        }
    }

    #[test]
    fn a_value_that_changes_nothing_of_weight_is_left_out_with_a_warning() {
        for query in [
            "connectTimeoutMS=abc",
            "minPoolSize=-1",
            "maxPoolSize=1e3",
            "heartbeatFrequencyMS=10",
            "retryWrites=maybe",
            "retryReads",
            "socketTimeoutMS=",
            "zlibCompressionLevel=11",
            "serverMonitoringMode=often",
            "compressors=lz4",
            "connect=somehow",
        ] {
            let (seen, warnings) = read(query);
            assert_eq!(seen, "", "{query}");
            let name = query.split('=').next().unwrap();
            assert_eq!(
                warnings,
                format!(
                    "the connection string's option {name} is given with values that cannot be used: it has no effect"
                )
            );
        }
    }

    #[test]
    fn what_decides_about_trust_or_whose_data_is_read_is_never_left_out() {
        for query in [
            "tls=maybe",
            "ssl",
            "tls=true&ssl=false",
            "tls=false&tlsCAFile=/ca.pem",
            "tlsCAFile",
            "tlsCAFile=/a&sslCertificateAuthorityFile=/b",
            "tlsInsecure=perhaps",
            "tlsAllowInvalidCertificates",
            "tlsCRLFile=/crl",
            "tlsCertificateFile=/c",
            "authSource=a&authSource=b",
            "replicaSet",
            "readPreference=primary&readPreference=secondary",
            "directConnection=2",
            "slaveOk=perhaps",
            "j=perhaps",
            "w",
        ] {
            let error = Options::read(query).expect_err(query);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{query}");
            assert!(error.report().contains("cannot be honoured"), "{}", error.report());
        }
    }

    #[test]
    fn no_warning_repeats_what_is_no_name() {
        let (_, warnings) = read("hunter2/hunter2=1&h%75nter2&other=hunter2");
        assert_eq!(
            warnings,
            "the connection string's options one that is no name, other are unknown: they have no effect"
        );
    }
}
