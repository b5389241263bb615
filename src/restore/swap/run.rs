//! The names of one restore's hidden collections.

/// What the names of all hidden collections begin with. The restore's own number comes after it, then the collection's, or
/// the word for its record: `mongoark_swap_<24 hexadecimal digits>_<number>`. The original's name is not in it, so that it is
/// never too long for the server.
const PREFIX: &str = "mongoark_swap_";

/// The end of the name of the collection that says whose the others are, and what is to be done with them.
const RECORD: &str = "record";

/// Hexadecimal digits of a restore's number.
const DIGITS: usize = 24;

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
        format!("{PREFIX}{}_{number}", self.id)
    }

    /// The name of the record, the same in every database.
    pub(super) fn record(&self) -> String {
        format!("{PREFIX}{}_{RECORD}", self.id)
    }

    /// Whether a name is one of this restore's, its record aside.
    pub(super) fn hides(&self, name: &str) -> bool {
        split(name).is_some_and(|(id, end)| id == self.id && end != RECORD)
    }
}

/// The number of the restore whose record this is by its name.
pub(in crate::restore) fn run_of_record(name: &str) -> Option<&str> {
    split(name).filter(|(_, end)| *end == RECORD).map(|(id, _)| id)
}

/// The number of the restore that would give this name, to a hidden collection or its record.
pub(in crate::restore) fn run_of(name: &str) -> Option<&str> {
    split(name).map(|(id, _)| id)
}

fn split(name: &str) -> Option<(&str, &str)> {
    let (id, end) = name.strip_prefix(PREFIX)?.split_once('_')?;
    let is_number = !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = id.len() == DIGITS && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_id && (is_number || end == RECORD)).then_some((id, end))
}

#[cfg(test)]
mod tests {
    use super::*;

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
