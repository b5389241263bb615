//! Any connection string with a password anywhere in it: no panic, and no message that repeats the password.
//!
//! A byte of 1 stands for the password as it is, one of 2 for the password percent-encoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mongoark::MongoUri;

const PASSWORD: &str = "S3cr3tS3cr3t";
const ENCODED: &str = "S3cr%33t%533cr3t";

fuzz_target!(|text: &str| {
    let text = text.replace('\u{1}', PASSWORD).replace('\u{2}', ENCODED);
    match MongoUri::parse(&text) {
        Err(error) => {
            let report = error.report();
            for secret in [PASSWORD, ENCODED, "S3cr3t", "S3cr%33t"] {
                assert!(!report.contains(secret), "{text:?}: {report}");
            }
        }
        // A host or the name of an unknown option may be the word; what stands behind a colon before an @ is not.
        Ok(uri) => {
            let password = text.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
            let shown = format!("{uri} {uri:?} {:?}", uri.warnings());
            if password.is_some_and(|(info, rest)| info.contains(':') && !rest.contains("S3cr")) {
                assert!(!shown.contains("S3cr"), "{text:?}: {shown}");
            }
        }
    }
});
