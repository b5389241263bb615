//! `mongoark verify`.

use std::io::Write;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::or_cancelled;
use crate::cli::args::Verify;
use crate::cli::face::Face;
use crate::cli::terminal::Terminal;
use crate::proof::Proof;
use crate::storage::Storage;
use crate::verify::{DamageKind, VerifyReport, verify};
use crate::{Error, ErrorKind, Result};

mod shown;

/// The proof record beside the archive is of another one.
const NOT_THE_PROVEN_ONE: u8 = 9;

/// Names that are listed in a sentence.
const NAMES: usize = 20;

pub(in crate::cli) async fn run(args: Verify, face: &Face, cancel: &CancellationToken) -> Result<ExitCode> {
    let terminal = face.terminal();
    let json = args.json();
    let s3 = args.s3_options()?;
    let location = args.check()?;
    let open = async {
        let storage = Storage::for_location(&location).await?.with_options(s3);
        let source = storage.open(&location).await?;
        Ok((storage, source))
    };
    let (storage, source) = or_cancelled(open, cancel).await?;
    let report = Box::pin(verify(source, face.monitor(), cancel)).await?;
    let proof = match report.damage {
        None => or_cancelled(Proof::find(&storage, &location), cancel).await?,
        Some(_) => None,
    };
    let compared = proof.map(|proof| proof.compare(&report));
    terminal.clear();
    let shown = if json { shown::json(&report, compared.as_ref()) } else { shown::table(&report) };
    print(&shown)?;
    tell(terminal, &report);
    let (damage, code) = match (report.damage, compared) {
        (Some(damage), _) => (damage, report.damages.first().map_or(1, |damage| exit_code(damage.kind))),
        (None, Some(Err(other))) => (other, NOT_THE_PROVEN_ONE),
        (None, Some(Ok(()))) => {
            terminal.say("it is the archive that the proof record beside it was made of");
            return Ok(ExitCode::SUCCESS);
        }
        (None, None) => return Ok(ExitCode::SUCCESS),
    };
    terminal.failed(&damage.at(&location));
    Ok(ExitCode::from(code))
}

fn exit_code(kind: DamageKind) -> u8 {
    match kind {
        DamageKind::Truncated => 3,
        DamageKind::Checksum => 4,
        DamageKind::Malformed => 5,
        DamageKind::NotAnArchive => 6,
        DamageKind::Contradiction => 7,
        DamageKind::Gzip => 8,
    }
}

/// What is whole and what is not. The first damage, which is told last, is not among it.
fn tell(terminal: &Terminal, report: &VerifyReport) {
    let documents: u64 = report.whole.iter().map(|whole| whole.end.documents).sum();
    if report.damage.is_none() {
        let (namespaces, bytes) = (report.whole.len(), report.bytes);
        terminal.say(&format!(
            "the archive is whole: {documents} document(s) of {namespaces} namespace(s), {bytes} bytes"
        ));
        return;
    }
    for damage in report.damages.iter().skip(1).take(NAMES) {
        terminal.warn(&format!("found after the first damage: {}", damage.sentence));
    }
    let whole: Vec<String> = report.whole.iter().map(|whole| whole.end.namespace.to_string()).collect();
    terminal.warn(&format!("still whole: {}", listed(&whole)));
    terminal.warn(&format!("not whole: {}", listed(&report.lost)));
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let mut text =
        format!("{} ({}", names.len(), names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", "));
    if names.len() > NAMES {
        text.push_str(", ...");
    }
    text.push(')');
    text
}

/// The result of the command, which goes to standard output.
fn print(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| {
        Error::new(ErrorKind::Storage, "the result cannot be written to standard output").with_source(error)
    })
}
