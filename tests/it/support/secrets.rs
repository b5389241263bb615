//! What must not be seen in any output of any test, and the one place that looks.
//!
//! Everything that the programs leave behind comes through here: standard output and standard error of the command
//! ([`finish`](super::mongoark::finish)), the function's answers and log ([`Function`](super::runtime_api::Function)), what it
//! tells `CodeDeploy` ([`CodeDeploy`](super::codedeploy::CodeDeploy)), and every object in a bucket with its labels: archives,
//! proof records, leases ([`S3Server`](super::s3::S3Server)).

use std::path::Path;

/// The user of a server with access control: its password has to be percent-encoded in a connection string.
pub const ROOT_PASSWORD: &str = "Tr0ub4dor&3/@:%";

/// Every other user, and every key. Long enough not to stand in a path by chance.
pub const PASSWORD: &str = "hunter2hunter2";

/// Of the S3 server.
pub const S3_SECRET_KEY: &str = "an-s3-secret-that-nobody-prints";

/// All of them, the first one also as it looks percent-encoded.
const SECRETS: [&str; 4] = [ROOT_PASSWORD, "Tr0ub4dor", PASSWORD, S3_SECRET_KEY];

/// Proves that there is no secret in an output.
#[track_caller]
pub fn assert_none_in(what: &str, output: impl AsRef<[u8]>) {
    let output = output.as_ref();
    if let Some(secret) = find(output) {
        let text = String::from_utf8_lossy(&output[..output.len().min(20_000)]);
        panic!("a secret was shown in {what}: {}", text.replace(secret, "<THE SECRET>"));
    }
}

/// Proves it of every file in a folder and below.
#[track_caller]
pub fn assert_none_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            assert_none_below(&path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            assert_none_in(&path.display().to_string(), bytes);
        }
    }
}

fn find(output: &[u8]) -> Option<&'static str> {
    SECRETS.into_iter().find(|secret| contains(output, secret.as_bytes()))
}

/// Looks at the rare bytes that may begin it: archives of hundreds of MiB come by.
fn contains(output: &[u8], wanted: &[u8]) -> bool {
    let mut rest = output;
    while let Some(at) = rest.iter().position(|byte| *byte == wanted[0]) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("locks")).expect("a folder");
    let lease = folder.path().join("locks/lease");
    for (text, shown) in [("mongodb://ann:hunter2hunter2@db", true), ("hunter2hunter", false), ("", false)] {
        std::fs::write(&lease, text).expect("a file");
        let looked = std::panic::catch_unwind(|| assert_none_below(folder.path()));
        assert_eq!(looked.is_err(), shown, "{text}");
    }
    assert_eq!(find(b"root:Tr0ub4dor%263@"), Some("Tr0ub4dor"));
}
