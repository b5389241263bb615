//! The newest archive of a folder.

use std::path::Path;
use std::time::{Duration, SystemTime};

use mongoark::ErrorKind;
use mongoark::drill::newest;
use mongoark::storage::{Location, Storage};

use super::Listener;
use super::shop;

/// A file that was written so long ago.
fn file(folder: &Path, name: &str, bytes: &[u8], seconds_ago: u64) {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    let then = SystemTime::now() - Duration::from_secs(seconds_ago);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

async fn found(folder: &Path) -> (mongoark::Result<Location>, Vec<String>) {
    let listener = Listener::default();
    let newest = newest(&Storage::local(), &Location::file(folder), &listener).await;
    (newest, listener.warnings.into_inner().unwrap())
}

#[tokio::test]
async fn the_newest_archive_is_the_one_that_was_completed_last() {
    let folder = tempfile::tempdir().unwrap();
    let (at, whole) = (folder.path(), shop().bytes());
    let (error, _) = found(at).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    file(at, "z-old", &whole, 500);
    file(at, "a-new", &whole, 300);
    file(at, "a-new.proof.json", b"{}", 200);
    file(at, "notes.txt", b"not an archive", 100);
    let (newest, warnings) = found(at).await;
    assert_eq!(newest.unwrap(), Location::file(at.join("a-new")));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("notes.txt"), "{warnings:?}");
}

#[tokio::test]
async fn a_damaged_archive_is_not_passed_over_for_an_older_one() {
    for name in ["shop.archive.gz", "shop"] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        file(at, "old.archive", &shop().bytes(), 500);
        file(at, name, b"", 300);
        if name == "shop" {
            file(at, "shop.proof.json", b"{}", 300);
        }
        let (newest, _) = found(at).await;
        assert_eq!(newest.unwrap(), Location::file(at.join(name)));
    }
}
