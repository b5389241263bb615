//! What is wrong with the arguments, in one sentence that repeats no value: any of them may be a password.

use std::ffi::OsString;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Options of the official tools that cannot be had, each with what to do instead.
pub(super) const REFUSED: [(&str, &str); 9] = [
    ("--dir", FOLDERS),
    ("--failpoints", "there are no fail points"),
    ("--gssapiHostName", KERBEROS),
    ("--gssapiServiceName", KERBEROS),
    ("--internalOnlySourceWritesDoneBarrier", "it is the official tool's own tests'"),
    ("--out", FOLDERS),
    ("--sslCRLFile", "certificates cannot be held against a list of revoked ones"),
    ("--sslFIPSMode", "there is no FIPS mode"),
    ("-o", FOLDERS),
];
const FOLDERS: &str = "folders of BSON files are not supported: give --archive=PATH, or --archive for standard input and output";
const KERBEROS: &str = "Kerberos (GSSAPI) is not supported: log in with SCRAM, MONGODB-X509 or PLAIN (LDAP)";

/// The sentence for arguments that clap refused.
pub(super) fn sentence(error: &Error, arguments: &[OsString]) -> String {
    let argument = context(error, ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let option = name(argument);
            if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == option) {
                return format!("{option} cannot be honoured: {why}");
            }
            match error.get(ContextKind::SuggestedArg) {
                Some(ContextValue::String(similar)) => {
                    format!("unknown option {}; did you mean {}?", name(argument), name(similar))
                }
                _ => format!("unknown option {}", name(argument)),
            }
        }
        ErrorKind::UnknownArgument => stray(argument, arguments),
        ErrorKind::InvalidSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "give a command first: mongoark dump or mongoark restore".to_owned()
        }
        ErrorKind::MissingRequiredArgument => format!("{} is missing", listed(error)),
        ErrorKind::ArgumentConflict => format!("{argument} is given more than once"),
        ErrorKind::NoEquals | ErrorKind::TooManyValues => format!("{argument} takes no such value"),
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_owned(),
        _ if context(error, ContextKind::InvalidValue).is_empty() => format!("{argument} needs a value"),
        _ => format!("the value of {argument} cannot be used"),
    }
}

/// An argument that belongs to no option.
pub(super) fn stray(argument: &str, arguments: &[OsString]) -> String {
    let follows = |option: &str| {
        arguments
            .windows(2)
            .any(|pair| matches!(pair, [first, second] if first == option && second == argument))
    };
    if follows("--archive") {
        return "the value of --archive needs an equals sign: write --archive=PATH".to_owned();
    }
    if argument.contains("://") {
        return "a connection string begins with mongodb:// or mongodb+srv://".to_owned();
    }
    "an argument belongs to no option and is no connection string: an archive is given as --archive=PATH, and values with \
     spaces need quotes"
        .to_owned()
}

/// An option without the value that is written to it: `-pVALUE`, `--password=VALUE`.
fn name(option: &str) -> String {
    if option.starts_with("--") {
        return option.split('=').next().unwrap_or_default().to_owned();
    }
    option.chars().take(2).collect()
}

fn context(error: &Error, kind: ContextKind) -> &str {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text,
        _ => "",
    }
}

fn listed(error: &Error) -> String {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.join(", "),
        _ => "an option".to_owned(),
    }
}
