//! The arguments of the program when it is called by the name of one of the official tools.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Args as _, Command as Parser, Error, FromArgMatches};

use super::{Args, Command, Dump, General, Restore};
use crate::cli::manner::Manner;

/// Reads the arguments of a tool, which has no verbs.
///
/// # Errors
/// As the parser's own.
pub(super) fn parse(manner: Manner, arguments: &[OsString]) -> Result<Args, Error> {
    let mut parser = parser(manner);
    let matches = parser.try_get_matches_from_mut(without_nothing(&parser, arguments))?;
    let command = match manner {
        Manner::Mongorestore => Command::Restore(Restore::from_arg_matches(&matches)?),
        Manner::Mongodump | Manner::Own => Command::Dump(Dump::from_arg_matches(&matches)?),
    };
    let version = matches.get_flag(VERSION).then_some(true);
    Ok(Args { command, general: General::from_arg_matches(&matches)?, version })
}

const VERSION: &str = "version";

/// What the tool takes, and what the verb in its place takes besides.
pub(super) fn parser(manner: Manner) -> Parser {
    let parser = Parser::new(manner.name())
        .about(match manner {
            Manner::Mongorestore => {
                "Restores an archive, in the place of the official tool: mongoark restore"
            }
            Manner::Mongodump | Manner::Own => {
                "Dumps into an archive, in the place of the official tool: mongoark dump"
            }
        })
        .override_usage(format!("{} <options> <connection-string>", manner.name()))
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new(VERSION).long(VERSION).action(ArgAction::SetTrue).help("Print the version"));
    let parser = match manner {
        Manner::Mongorestore => Restore::augment_args(parser),
        Manner::Mongodump | Manner::Own => Dump::augment_args(parser),
    };
    General::augment_args(parser)
}

/// Without options whose value is empty: to the tools they are as if they were not there, and scripts pass variables that are
/// not set.
fn without_nothing(parser: &Parser, arguments: &[OsString]) -> Vec<OsString> {
    let takes_one = |name: &str, short: bool| {
        parser.get_arguments().any(|option| {
            let named = if short {
                option.get_short().is_some_and(|letter| name.strip_prefix(letter) == Some(""))
            } else {
                option.get_long() == Some(name)
                    || option.get_all_aliases().is_some_and(|all| all.contains(&name))
            };
            named && matches!(option.get_action(), ArgAction::Set)
        })
    };
    let is_option = |argument: &OsStr| {
        let text = argument.to_str().unwrap_or_default();
        match text.strip_prefix("--") {
            Some(name) => takes_one(name, false),
            None => text.strip_prefix('-').is_some_and(|name| takes_one(name, true)),
        }
    };
    let mut kept: Vec<OsString> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let text = argument.to_str().unwrap_or("-");
        if text.is_empty() {
            kept.pop_if(|option| is_option(option));
        } else if !text.strip_suffix('=').is_some_and(|option| is_option(OsStr::new(option))) {
            kept.push(argument.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Rejected;

    fn read(manner: Manner, arguments: &[&str]) -> Result<Args, Rejected> {
        Args::read([manner.name()].iter().chain(arguments).map(OsString::from), manner)
    }

    #[test]
    fn the_arguments_agree_with_each_other() {
        parser(Manner::Mongodump).debug_assert();
        parser(Manner::Mongorestore).debug_assert();
    }

    #[test]
    fn what_is_empty_is_as_if_it_were_not_there() {
        let arguments = ["--db=", "--username", "", "-p", "", "-c", "", "", "--archive=x", "--port="];
        let Ok(Args { command: Command::Dump(dump), .. }) = read(Manner::Mongodump, &arguments) else {
            panic!()
        };
        let (uri, options, _) = dump.check(Manner::Mongodump).unwrap();
        assert_eq!((uri.to_string().as_str(), options.scope.db()), ("localhost:27017", None));
    }

    #[test]
    fn every_way_to_write_a_value_is_understood() {
        for arguments in [
            &["-dshop", "-c=orders", "--archive=x", "-vvv"][..],
            &["-d", "shop", "--collection", "orders", "--archive=x", "-v=3", "--verbose"],
            &["--db=shop", "-corders", "--archive=x", "--verbose=5", "mongodb://h"],
            &["mongodb://h/shop", "-c", "orders", "--archive=x", "--gzip"],
        ] {
            let Ok(Args { command: Command::Dump(dump), .. }) = read(Manner::Mongodump, arguments) else {
                panic!()
            };
            assert_eq!(dump.check(Manner::Mongodump).unwrap().1.scope.to_string(), "shop.orders");
        }
    }

    #[test]
    fn help_and_version_are_the_tools() {
        for manner in [Manner::Mongodump, Manner::Mongorestore] {
            let Err(Rejected::Answered(help)) = read(manner, &["--help"]) else { panic!() };
            assert!(help.contains(&format!("{} <options> <connection-string>", manner.name())), "{help}");
            let Err(Rejected::Answered(version)) = read(manner, &["--version"]) else { panic!() };
            assert!(
                version.starts_with(&format!("{} version: 100.18.0\ngit version: ", manner.name())),
                "{version}"
            );
        }
    }
}
