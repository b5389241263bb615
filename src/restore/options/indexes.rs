//! Which indexes are built, and how.

/// Which indexes are built, and how.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, and any may go with any")]
pub struct IndexOptions {
    /// None but the one on `_id`.
    pub none: bool,
    /// Indexes keep the version of their format, which otherwise is the server's own.
    pub keep_version: bool,
    /// What servers before 3.4 took for the order of a field (`true`, `0`, an empty text) becomes what it meant.
    pub convert_legacy: bool,
    /// A hashed index on a field of a nested document (`a.b`) becomes an ascending one: servers did not always refuse the
    /// arrays that it cannot hold.
    pub fix_dotted_hash: bool,
}
