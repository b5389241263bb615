//! In whose manner the program behaves: by its own name, or through a link named as one of the official tools.

use std::ffi::OsStr;
use std::path::Path;

/// The release of the official tools whose manner is taken.
pub(super) const TOOLS_VERSION: &str = "100.18.0";

/// Whose manner it is. The tools' is kept where a script may depend on it, even where the own way is better.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manner {
    Own,
    Mongodump,
    Mongorestore,
}

impl Manner {
    /// By the name that the program was called by, with or without folders and `.exe`.
    pub(super) fn of(program: Option<&OsStr>) -> Self {
        match program.and_then(|program| Path::new(program).file_stem()).and_then(OsStr::to_str) {
            Some("mongodump") => Self::Mongodump,
            Some("mongorestore") => Self::Mongorestore,
            _ => Self::Own,
        }
    }

    /// Whether the better way may be taken that no script of the tools knows.
    pub(super) fn is_own(self) -> bool {
        self == Self::Own
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Own => "mongoark",
            Self::Mongodump => "mongodump",
            Self::Mongorestore => "mongorestore",
        }
    }

    /// What `--version` prints: the lines of the tools, whose first scripts parse, and one that says what is really here.
    pub(super) fn version(self) -> String {
        let (name, os, arch) = (self.name(), std::env::consts::OS, std::env::consts::ARCH);
        let own = env!("CARGO_PKG_VERSION");
        if self.is_own() {
            return format!("{name} {own}\n");
        }
        format!(
            "{name} version: {TOOLS_VERSION}\ngit version: mongoark-{own}\nGo version: none\n   os: {os}\n   arch: {arch}\n   \
             compiler: rustc\nmongoark version: {own}, in the place of {name}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_and_neither_its_folder_nor_its_ending() {
        for (program, manner) in [
            (Some("mongodump"), Manner::Mongodump),
            (Some("/usr/bin/mongorestore"), Manner::Mongorestore),
            (Some("./mongodump.exe"), Manner::Mongodump),
            (Some("/opt/mongodump/mongoark"), Manner::Own),
            (Some("my-mongodump"), Manner::Own),
            (Some(""), Manner::Own),
            (None, Manner::Own),
        ] {
            assert_eq!(Manner::of(program.map(OsStr::new)), manner, "{program:?}");
        }
    }
}
