//! Any event: no panic, and what it names is one object within the application's folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|event: &[u8]| {
    for (application, key) in mongoark::fuzzing::archives(event) {
        assert!(!application.is_empty() && !application.contains('/'), "{application:?}");
        let within = key.strip_prefix("backups/").and_then(|rest| rest.strip_prefix(&application));
        let name = within.and_then(|rest| rest.strip_prefix('/')).expect("it is in the application's folder");
        let name = name.strip_suffix(".archive").expect("it is an archive");
        assert!(!name.is_empty() && !name.contains('/'), "{key:?}");
        for component in key.split('/') {
            assert!(!component.is_empty() && ![".", ".."].contains(&component), "{key:?}");
        }
        assert!(key.len() <= 1024 && !key.chars().any(char::is_control), "{key:?}");
    }
});
