//! The names of one restore's hidden collections.

use crate::own_names::{hidden_name, hidden_record, is_hidden_of};

/// One restore with `--swap`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::restore) struct Run {
    id: String,
    /// Where it has hidden collections; the record of the first says what is to be done.
    pub(super) databases: Vec<String>,
}

impl Run {
    /// A restore that begins.
    pub(super) fn new(databases: Vec<String>) -> Self {
        Self { id: bson::oid::ObjectId::new().to_hex(), databases }
    }

    /// A restore that has begun before.
    pub(super) fn known(id: &str, databases: Vec<String>) -> Self {
        Self { id: id.to_owned(), databases }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The database whose record says what is to be done.
    pub(super) fn main(&self) -> &str {
        self.databases.first().map_or("", String::as_str)
    }

    /// The name of a hidden collection.
    pub(super) fn hidden(&self, number: usize) -> String {
        hidden_name(&self.id, number)
    }

    /// The name of the record, the same in every database.
    pub(super) fn record(&self) -> String {
        hidden_record(&self.id)
    }

    /// Whether a name is one of this restore's, its record aside.
    pub(super) fn hides(&self, name: &str) -> bool {
        is_hidden_of(name, &self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_names::{run_of, run_of_record};

    #[test]
    fn only_names_that_a_restore_gives_are_taken_for_one() {
        let run = Run::new(vec!["shop".to_owned()]);
        assert_eq!(run_of(&run.hidden(17)), Some(run.id()));
        assert_eq!(run_of_record(&run.record()), Some(run.id()));
        assert!(run.hides(&run.hidden(0)) && !run.hides(&run.record()));
        assert!(!run.hides(&Run::new(Vec::new()).hidden(0)));
        for name in [
            "orders",
            "mongoark_swap_",
            "mongoark_swap_1_orders",
            "mongoark_swap_0123456789abcdef01234567_",
            "mongoark_swap_0123456789abcdef01234567_1x",
            "mongoark_swap_0123456789ABCDEF01234567_1",
            "mongoark_swap_0123456789abcdef0123456_1",
        ] {
            assert_eq!(run_of(name), None, "{name}");
        }
    }
}
