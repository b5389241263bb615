//! What `mongoark dump` is told of the oplog.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use super::invalid;
use crate::{Result, Scope};

#[derive(clap::Args, Debug)]
pub(super) struct Oplog {
    /// Capture the oplog of the time of reading, so that a restore with --oplogReplay has everything as it was at the end; of
    /// one database or collection, what concerns it.
    #[arg(long)]
    oplog: bool,
}

impl Oplog {
    /// Whether the oplog is captured. mongodump, in whose manner a link works, takes no part of a deployment with it.
    pub(super) fn check(&self, scope: &Scope, takes_parts: bool) -> Result<bool> {
        if self.oplog && !takes_parts && *scope != Scope::Everything {
            return Err(invalid("bad option: --oplog mode only supported on full dumps"));
        }
        Ok(self.oplog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b37_a_part_of_the_deployment_is_taken_with_its_oplog_and_refused_in_the_manner_of_mongodump() {
        let (all, part) = (Scope::Everything, Scope::database("shop").unwrap());
        let asked = Oplog { oplog: true };
        assert!(
            asked.check(&all, false).unwrap()
                && asked.check(&all, true).unwrap()
                && asked.check(&part, true).unwrap()
        );
        let refused = asked.check(&part, false).unwrap_err().report();
        assert_eq!(refused, "bad option: --oplog mode only supported on full dumps");
        assert!(!Oplog { oplog: false }.check(&part, false).unwrap());
    }
}
