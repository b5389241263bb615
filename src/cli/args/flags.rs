//! Every option of the official tools is an option here or refused by its name, and the table in the documentation says which.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Command, CommandFactory};

use super::refusal::REFUSED;
use super::{Args, tool};
use crate::cli::manner::Manner;

const TABLE: &str = include_str!("../../../docs/flags.md");
const HELP: [(Manner, &str); 2] = [
    (Manner::Mongodump, include_str!("../../../testdata/help/mongodump-100.18.0.txt")),
    (Manner::Mongorestore, include_str!("../../../testdata/help/mongorestore-100.18.0.txt")),
];
const HIDDEN: &str = include_str!("../../../testdata/help/hidden-100.18.0.txt");

/// An option of a tool: its letter, where it has one, and its name.
type Flag = (Option<char>, String);

/// What stands where the help texts and the list of hidden options have the names.
fn flags(manner: Manner) -> Vec<Flag> {
    let (_, help) = HELP.iter().find(|(tool, _)| *tool == manner).expect("a tool");
    let listed = help.lines().filter_map(|line| {
        // Descriptions, which name options, too, stand far to the right.
        let option = line.trim_start();
        let name = option.split(", ").find_map(|word| word.strip_prefix("--"))?;
        let name = name.split(['=', ' ']).next()?;
        let letter =
            option.strip_prefix('-').and_then(|rest| rest.chars().next()).filter(|letter| *letter != '-');
        (line.len() - option.len() <= 6).then(|| (letter, format!("--{name}")))
    });
    let hidden = HIDDEN.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (tools, name) = line.split_once(' ')?;
        ["both", manner.name()].contains(&tools).then(|| (None, name.to_owned()))
    });
    listed.chain(hidden).collect()
}

fn has(parser: &Command, (letter, name): &Flag) -> bool {
    let named = |option: &&clap::Arg| {
        let long = name.trim_start_matches("--");
        option.get_long() == Some(long) || option.get_all_aliases().is_some_and(|all| all.contains(&long))
    };
    let option = parser.get_arguments().find(named);
    option.is_some_and(|option| letter.is_none() || option.get_short() == *letter)
}

fn is_refused(name: &str) -> bool {
    REFUSED.iter().any(|(refused, _)| *refused == name)
}

/// The rows of the table: the options in the first cell, the tools that have them, what this program does.
fn rows() -> Vec<(Vec<&'static str>, &'static str, &'static str)> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| `-"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [names, tools, ours] = cells.as_slice() else { panic!("three cells: {row}") };
        (names.split('`').filter(|name| name.starts_with('-')).collect(), *tools, *ours)
    })
    .collect()
}

#[test]
fn the_help_texts_are_understood() {
    let (dump, restore) = (flags(Manner::Mongodump), flags(Manner::Mongorestore));
    assert_eq!((dump.len(), restore.len()), (48, 65), "{dump:?}\n{restore:?}");
    for flag in [(Some('h'), "--host"), (Some('q'), "--query"), (None, "--awsSessionToken")] {
        assert!(dump.contains(&(flag.0, flag.1.to_owned())), "{flag:?}");
    }
}

#[test]
fn every_option_of_the_tools_is_one_here_or_refused_by_its_name() {
    let mut missing = BTreeSet::new();
    let all: Vec<_> = HELP.iter().map(|(manner, _)| (*manner, flags(*manner))).collect();
    for (manner, flags) in &all {
        let parser = tool::parser(*manner);
        for flag in flags {
            let there = has(&parser, flag);
            if !there && !is_refused(&flag.1) {
                missing.insert((manner.name(), flag.1.as_str()));
            }
        }
    }
    assert!(missing.is_empty(), "neither there nor refused: {missing:?}");
}

#[test]
fn the_table_has_every_option_and_says_what_is_refused() {
    let mut tools: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (manner, _) in HELP {
        for (_, name) in flags(manner) {
            tools.entry(name).or_default().push(manner.name());
        }
    }
    let rows = rows();
    for (name, tools) in &tools {
        let mut of_option = rows.iter().filter(|(names, ..)| names.contains(&name.as_str()));
        let (Some((_, in_table, ours)), None) = (of_option.next(), of_option.next()) else {
            panic!("docs/flags.md has no row, or more than one, for {name}")
        };
        let expected = if let [one] = tools.as_slice() { *one } else { "both" };
        assert_eq!(*in_table, expected, "{name}");
        assert_eq!(ours.starts_with("refused"), is_refused(name), "{name}: {ours}");
    }
    for (names, in_table, _) in &rows {
        let known = names.iter().any(|name| tools.contains_key(*name));
        assert_eq!(known, *in_table != "-", "{names:?}");
    }
}

#[test]
fn the_table_has_every_option_that_is_only_here() {
    let rows = rows();
    let mut missing = BTreeSet::new();
    for verb in Args::command().get_subcommands() {
        for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
            let name = format!("--{option}");
            if !rows.iter().any(|(names, ..)| names.contains(&name.as_str())) {
                missing.insert(name);
            }
        }
    }
    assert!(missing.is_empty(), "docs/flags.md lacks {missing:?}");
}
