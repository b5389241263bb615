//! Any text as a collection's metadata: no panic, no stack that overflows, and whatever can be read is written and read again
//! as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| mongoark::fuzzing::metadata(text));
