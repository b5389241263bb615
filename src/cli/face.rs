//! What a verb sees of the person who called: one terminal, as itself and as the monitor of the work.

use std::sync::Arc;

use super::terminal::Terminal;
use crate::progress::Monitor;

/// The terminal under its two names.
#[derive(Debug)]
pub(super) struct Face {
    terminal: Arc<Terminal>,
    monitor: Arc<dyn Monitor>,
}

impl Face {
    pub(super) fn new(terminal: Arc<Terminal>) -> Self {
        let monitor = Arc::clone(&terminal) as Arc<dyn Monitor>;
        Self { terminal, monitor }
    }

    pub(super) fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    pub(super) fn monitor(&self) -> &Arc<dyn Monitor> {
        &self.monitor
    }
}
