//! One fault, what it befalls, and how that ended.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::lane::Lane;
use crate::support::secrets::assert_none_in;

type Run = dyn Fn(Arc<Lane>) -> Pin<Box<dyn Future<Output = Ending> + Send>> + Send + Sync;

/// A fault at a certain place of a certain piece of work.
pub(super) struct Case {
    pub(super) name: String,
    /// Whether it is in the quick selection.
    pub(super) quick: bool,
    run: Box<Run>,
}

impl Case {
    pub(super) fn new<F: Future<Output = Ending> + Send + 'static>(
        name: impl Into<String>,
        run: impl Fn(Arc<Lane>) -> F + Send + Sync + 'static,
    ) -> Self {
        let run: Box<Run> = Box::new(move |lane| Box::pin(run(lane)));
        Self { name: name.into(), quick: false, run }
    }

    /// Takes it into the quick selection.
    pub(super) fn quick(self, quick: bool) -> Self {
        Self { quick, ..self }
    }

    pub(super) async fn run(&self, lane: Arc<Lane>) -> Ending {
        (self.run)(lane).await
    }
}

/// What the work said of itself.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) succeeded: bool,
    /// Why not.
    pub(super) said: String,
}

impl Claim {
    #[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
    pub(super) fn of<T>(result: mongoark::Result<T>) -> Self {
        let said = result.as_ref().err().map(mongoark::Error::report).unwrap_or_default();
        assert_none_in("an error", &said);
        Self { succeeded: result.is_ok(), said }
    }

    pub(super) fn exit(finished: &crate::support::tools::Finished) -> Self {
        let said = finished.stderr.lines().last().unwrap_or_default().to_owned();
        Self { succeeded: finished.code == Some(0), said }
    }
}

/// What must not be, in the words of the summary.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Wrong {
    FalseSuccess,
    OverwrittenArchive,
    OpenUpload,
    ChangedTarget,
    ChangedSource,
    /// Something else is left, or visible that should not be.
    Left,
    /// The work did not end, or the test could not see its end.
    NoEnd,
}

impl Wrong {
    pub(super) const ALL: [Self; 7] = [
        Self::FalseSuccess,
        Self::OverwrittenArchive,
        Self::OpenUpload,
        Self::ChangedTarget,
        Self::ChangedSource,
        Self::Left,
        Self::NoEnd,
    ];

    fn plural(self) -> &'static str {
        match self {
            Self::FalseSuccess => "false successes",
            Self::OverwrittenArchive => "overwritten archives",
            Self::OpenUpload => "open uploads",
            Self::ChangedTarget => "changed targets",
            Self::ChangedSource => "changed sources",
            Self::Left => "leftovers",
            Self::NoEnd => "without an end",
        }
    }
}

/// How a case ended.
#[derive(Debug)]
pub(super) struct Ending {
    claim: Claim,
    wrong: Vec<(Wrong, String)>,
}

impl Ending {
    pub(super) fn of(claim: Claim) -> Self {
        Self { claim, wrong: Vec::new() }
    }

    /// An ending that is wrong by itself.
    pub(super) fn wrong(what: Wrong, text: impl Into<String>) -> Self {
        let claim = Claim { succeeded: false, said: String::new() };
        Self { claim, wrong: vec![(what, text.into())] }
    }

    pub(super) fn add(&mut self, what: Wrong, text: impl Into<String>) {
        self.wrong.push((what, text.into()));
    }

    /// Notes what is wrong unless this holds.
    pub(super) fn ensure(&mut self, holds: bool, what: Wrong, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push((what, otherwise()));
        }
    }

    pub(super) fn is_wrong(&self) -> bool {
        !self.wrong.is_empty()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_wrong() {
            let wrong: Vec<_> = self.wrong.iter().map(|(what, text)| format!("{what:?}: {text}")).collect();
            write!(formatter, "WRONG: {} (it said: {:.300})", wrong.join("; "), self.said())
        } else if self.claim.succeeded {
            formatter.write_str("survived")
        } else {
            write!(formatter, "refused cleanly: {:.300}", self.said())
        }
    }
}

impl Ending {
    fn said(&self) -> &str {
        if self.claim.succeeded { "success" } else { &self.claim.said }
    }
}

/// How all cases ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    cases: usize,
    survived: usize,
    refused: usize,
    wrong: BTreeMap<Wrong, Vec<String>>,
}

impl Tally {
    /// Counts a case and returns its line.
    pub(super) fn count(&mut self, case: &Case, ending: &Ending) -> String {
        self.cases += 1;
        let line = format!("{}: {ending}", case.name);
        if !ending.is_wrong() {
            let counter = if ending.claim.succeeded { &mut self.survived } else { &mut self.refused };
            *counter += 1;
        }
        for (what, _) in &ending.wrong {
            self.wrong.entry(*what).or_default().push(line.clone());
        }
        line
    }

    pub(super) fn of(&self, what: Wrong) -> usize {
        self.wrong.get(&what).map_or(0, Vec::len)
    }

    /// The cases that ended wrong.
    pub(super) fn failures(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.wrong.values().flatten().map(String::as_str).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, survived, refused, .. } = self;
        write!(formatter, "{cases} cases: {survived} survived, {refused} refused cleanly")?;
        for what in Wrong::ALL {
            write!(formatter, ", {} {}", self.of(what), what.plural())?;
        }
        Ok(())
    }
}
