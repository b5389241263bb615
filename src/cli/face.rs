//! What a verb sees of the person who called: in whose manner, and one terminal, as itself and as the monitor of the work.

use std::sync::Arc;

use super::manner::Manner;
use super::terminal::Terminal;
use crate::progress::Monitor;

/// The terminal under its two names, and the manner.
#[derive(Debug)]
pub(super) struct Face {
    terminal: Arc<Terminal>,
    monitor: Arc<dyn Monitor>,
    manner: Manner,
}

impl Face {
    pub(super) fn new(terminal: Arc<Terminal>, manner: Manner) -> Self {
        let monitor = Arc::clone(&terminal) as Arc<dyn Monitor>;
        Self { terminal, monitor, manner }
    }

    pub(super) fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    pub(super) fn monitor(&self) -> &Arc<dyn Monitor> {
        &self.monitor
    }

    pub(super) fn manner(&self) -> Manner {
        self.manner
    }
}
