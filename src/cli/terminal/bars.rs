//! The picture at the foot of a terminal: a few lines that are drawn over and over.

use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The lines of progress; everything else is printed [above](Self::above) them.
#[derive(Debug, Default)]
pub(super) struct Bars {
    screen: MultiProgress,
    rows: Mutex<Vec<ProgressBar>>,
}

impl Bars {
    /// Shows these lines instead of those before, each cut to the width of the terminal.
    pub(super) fn show(&self, lines: &[String]) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        while rows.len() > lines.len() {
            let Some(row) = rows.pop() else { break };
            row.finish_and_clear();
            self.screen.remove(&row);
        }
        while rows.len() < lines.len() {
            let Ok(style) = ProgressStyle::with_template("{wide_msg}") else { return };
            rows.push(self.screen.add(ProgressBar::no_length().with_style(style)));
        }
        for (row, line) in rows.iter().zip(lines) {
            row.set_message(line.clone());
        }
    }

    /// Writes while the lines are off the screen.
    pub(super) fn above(&self, write: impl FnOnce()) {
        self.screen.suspend(write);
    }

    pub(super) fn clear(&self) {
        // Nobody is left to see them when the terminal is gone.
        let _ = self.screen.clear();
    }
}
