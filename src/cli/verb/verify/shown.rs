//! What a verification has found, for people and for programs.

use std::fmt::Write;

use serde_json::json;

use crate::cli::terminal::printable;
use crate::verify::VerifyReport;
use crate::{Error, Result};

/// One line for each namespace that is whole.
pub(super) fn table(report: &VerifyReport) -> String {
    let mut text = String::new();
    let width = |digits: fn(&archive_format::End) -> u64| {
        report.whole.iter().map(|whole| digits(&whole.end).to_string().len()).max().unwrap_or_default()
    };
    let (documents, bytes) = (width(|end| end.documents).max(9), width(|end| end.bytes).max(5));
    // A string takes every line.
    let _ = writeln!(text, "{:>documents$}  {:>bytes$}  {:16}  namespace", "documents", "bytes", "checksum");
    for end in report.whole.iter().map(|whole| &whole.end) {
        let name = printable(&end.namespace.to_string());
        let _ = writeln!(
            text,
            "{:>documents$}  {:>bytes$}  {:016x}  {name}",
            end.documents, end.bytes, end.checksum
        );
    }
    text
}

/// One object in ASCII, so that no name in it steers a terminal.
pub(super) fn json(report: &VerifyReport, proof: Option<&Result<()>>) -> String {
    let hex = |number: u64| format!("{number:016x}");
    let namespaces: Vec<_> = report
        .whole
        .iter()
        .map(|whole| {
            json!({
                "namespace": whole.end.namespace.to_string(),
                "documents": whole.end.documents,
                "bytes": whole.end.bytes,
                "checksum": hex(whole.end.checksum),
                "digest": hex(whole.digest),
            })
        })
        .collect();
    let damages: Vec<_> = report
        .damages
        .iter()
        .map(|damage| {
            json!({
                "kind": damage.kind.as_str(),
                "offset": damage.offset,
                "storedOffset": damage.stored_offset,
                "namespace": damage.namespace.as_ref().map(ToString::to_string),
                "message": damage.sentence,
            })
        })
        .collect();
    let object = json!({
        "whole": report.damage.is_none(),
        "serverVersion": report.server_version,
        "toolVersion": report.tool_version,
        "bytes": report.bytes,
        "crc64nvme": report.crc64.map(hex),
        "namespaces": namespaces,
        "lost": report.lost,
        "damages": damages,
        "proof": proof.map(|compared| compared.as_ref().map_or_else(Error::report, |()| "agrees".to_owned())),
    });
    let mut text = String::new();
    for character in object.to_string().chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text.push('\n');
    text
}
