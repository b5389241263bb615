//! Names of databases and collections that this program makes for itself, by which a dump knows what is nobody's data.

/// What the marking collection's name begins with; the rest is the name of its database, so that an archive which was dumped
/// during a drill holds no collection of this name for the same database.
const DRILL_MARK: &str = "mongoark_drill.";

/// The database of the drill's lease, and the collection in it.
pub(crate) const DRILL_LEASE: (&str, &str) = ("mongoark_drill", "lease");

/// The name of the collection by which a database is known to be a drill's.
pub(crate) fn drill_mark(database: &str) -> String {
    format!("{DRILL_MARK}{database}")
}

/// What the names of all collections begin with that a restore with `--swap` hides. The restore's own number comes after it,
/// then the collection's, or the word for its record: `mongoark_swap_<24 hexadecimal digits>_<number>`. The original's name is
/// not in it, so that it is never too long for the server.
const HIDDEN: &str = "mongoark_swap_";

/// The end of the name of the collection that says whose the others are, and what is to be done with them.
const RECORD: &str = "record";

/// Hexadecimal digits of a restore's number.
const DIGITS: usize = 24;

/// The name of a collection that a restore hides.
pub(crate) fn hidden_name(run: &str, number: usize) -> String {
    format!("{HIDDEN}{run}_{number}")
}

/// The name of a restore's record, the same in every database.
pub(crate) fn hidden_record(run: &str) -> String {
    format!("{HIDDEN}{run}_{RECORD}")
}

/// Whether a name is one of this restore's, its record aside.
pub(crate) fn is_hidden_of(name: &str, run: &str) -> bool {
    split(name).is_some_and(|(id, end)| id == run && end != RECORD)
}

/// The number of the restore whose record this is by its name.
pub(crate) fn run_of_record(name: &str) -> Option<&str> {
    split(name).filter(|(_, end)| *end == RECORD).map(|(id, _)| id)
}

/// The number of the restore that would give this name, to a hidden collection or its record.
pub(crate) fn run_of(name: &str) -> Option<&str> {
    split(name).map(|(id, _)| id)
}

fn split(name: &str) -> Option<(&str, &str)> {
    let (id, end) = name.strip_prefix(HIDDEN)?.split_once('_')?;
    let is_number = !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = id.len() == DIGITS && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_id && (is_number || end == RECORD)).then_some((id, end))
}
