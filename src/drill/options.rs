//! How to drill.

/// How to drill.
#[derive(Clone, Debug)]
pub struct DrillOptions {
    /// What the names of the scratch databases begin with, before the archive's own.
    pub prefix: String,
}

impl Default for DrillOptions {
    fn default() -> Self {
        Self { prefix: "mongoark_drill_".to_owned() }
    }
}
