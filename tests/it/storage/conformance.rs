//! What every sink and source does, whatever is behind it.

use super::{PART, assert_same, keep, noise, pieces, read, store, write};
use crate::support::s3::{Operation, S3Server, location};
use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::storage::{CreateOptions, Location, Sink, Source, Storage};
use tempfile::TempDir;

/// A place for an archive, and a look behind the scenes.
struct Rig {
    storage: Storage,
    at: Location,
    behind: Behind,
}

enum Behind {
    File(TempDir),
    S3(S3Server),
}

fn file() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    Rig {
        storage: Storage::local(),
        at: Location::file(folder.path().join("a.archive")),
        behind: Behind::File(folder),
    }
}

fn s3() -> Rig {
    let server = S3Server::start();
    Rig { storage: server.storage(), at: location("folder/a.archive"), behind: Behind::S3(server) }
}

impl Rig {
    /// Everything that an unfinished archive would leave.
    fn leftovers(&self) -> Vec<String> {
        match &self.behind {
            Behind::File(folder) => {
                let entries = std::fs::read_dir(folder.path()).unwrap();
                let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
                names.filter(|name| name != "a.archive").collect()
            }
            Behind::S3(server) => server.open_uploads(),
        }
    }

    async fn wait_for_the_background(&self) {
        if let Behind::S3(server) = &self.behind {
            server.answered(Operation::AbortUpload, 1).await;
        }
    }

    async fn assert_holds(&self, expected: &Bytes) {
        assert_eq!(
            self.storage.stat(&self.at).await.unwrap().map(|stored| stored.bytes),
            Some(expected.len() as u64)
        );
        let mut source = self.storage.open(&self.at).await.unwrap();
        assert_eq!(source.size(), Some(expected.len() as u64));
        assert_same(&read(&mut source).await.unwrap(), expected);
        assert!(source.next().await.unwrap().is_none(), "the end stays the end");
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    async fn assert_holds_nothing(&self) {
        assert_eq!(self.storage.stat(&self.at).await.unwrap(), None);
        assert_eq!(self.storage.open(&self.at).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }
}

/// Every case, once for every kind of place.
macro_rules! conformance {
    ($($case:ident),+ $(,)?) => {
        mod a_file { $(#[tokio::test] async fn $case() { super::$case(super::file()).await; })+ }
        mod an_s3_object { $(#[tokio::test] async fn $case() { super::$case(super::s3()).await; })+ }
    };
}

conformance!(
    gives_back_what_it_took_at_every_size_around_a_part,
    gives_back_what_it_took_in_any_pieces,
    shows_nothing_before_it_is_complete,
    holds_nothing_after_an_abort,
    holds_nothing_after_a_drop,
    is_not_replaced_without_permission,
    is_not_replaced_by_a_slower_writer_without_permission,
    keeps_the_old_archive_until_the_new_one_is_complete,
    keeps_the_old_archive_when_the_new_one_is_aborted,
    is_listed_when_it_is_complete_and_gone_when_it_is_removed,
    says_the_checksum_of_all_its_bytes,
    begins_anew_and_keeps_nothing_of_before,
);

async fn says_the_checksum_of_all_its_bytes(rig: Rig) {
    for length in [0, 9, PART + 1] {
        let bytes = noise(length, 30);
        let stored = write(&rig.storage, &rig.at, &CreateOptions::default(), &bytes).await.unwrap();
        assert_eq!(stored.crc64, Some(crc_fast::crc64_nvme(&bytes)));
    }
}

async fn begins_anew_and_keeps_nothing_of_before(rig: Rig) {
    let new = noise(PART + 1, 31);
    for before in [0, 10, 2 * PART + 1] {
        let mut sink = rig.storage.create(&rig.at, &CreateOptions::default()).await.unwrap();
        store(&mut sink, &noise(before, 32)).await.unwrap();
        let mut sink = sink.restart().await.unwrap();
        assert_eq!(
            rig.leftovers().len(),
            usize::from(matches!(rig.behind, Behind::File(_))),
            "the new one's own"
        );
        store(&mut sink, &new).await.unwrap();
        assert_eq!(sink.complete().await.unwrap().crc64, Some(crc_fast::crc64_nvme(&new)));
        rig.assert_holds(&new).await;
    }
}

async fn gives_back_what_it_took_at_every_size_around_a_part(rig: Rig) {
    for length in [0, 1, PART - 1, PART, PART + 1, 3 * PART + 5] {
        let bytes = noise(length, 1);
        let stored = write(&rig.storage, &rig.at, &CreateOptions::default(), &bytes).await.unwrap();
        assert_eq!(stored.bytes, length as u64);
        rig.assert_holds(&bytes).await;
    }
}

async fn gives_back_what_it_took_in_any_pieces(rig: Rig) {
    let bytes = noise(PART + 4321, 2);
    for (seed, longest) in [(1, 10 * PART), (2, 1 << 20), (3, 40_000)] {
        let mut sink = rig.storage.create(&rig.at, &CreateOptions::default()).await.unwrap();
        for piece in pieces(bytes.clone(), longest, seed) {
            sink.store(piece).await.unwrap();
        }
        sink.complete().await.unwrap();
        rig.assert_holds(&bytes).await;
    }
}

async fn shows_nothing_before_it_is_complete(rig: Rig) {
    let bytes = noise(2 * PART + 1, 3);
    let mut sink = rig.storage.create(&rig.at, &keep()).await.unwrap();
    store(&mut sink, &bytes).await.unwrap();
    assert_eq!(rig.storage.stat(&rig.at).await.unwrap(), None);
    assert_eq!(rig.storage.open(&rig.at).await.unwrap_err().kind(), ErrorKind::NotFound);
    sink.complete().await.unwrap();
    rig.assert_holds(&bytes).await;
}

async fn holds_nothing_after_an_abort(rig: Rig) {
    for length in [0, 5, 2 * PART + 1] {
        let mut sink = rig.storage.create(&rig.at, &CreateOptions::default()).await.unwrap();
        store(&mut sink, &noise(length, 4)).await.unwrap();
        sink.abort().await.unwrap();
        rig.assert_holds_nothing().await;
    }
}

async fn holds_nothing_after_a_drop(rig: Rig) {
    let mut sink = rig.storage.create(&rig.at, &CreateOptions::default()).await.unwrap();
    store(&mut sink, &noise(2 * PART + 1, 5)).await.unwrap();
    drop(sink);
    rig.wait_for_the_background().await;
    rig.assert_holds_nothing().await;
}

async fn is_not_replaced_without_permission(rig: Rig) {
    let old = noise(1000, 6);
    write(&rig.storage, &rig.at, &keep(), &old).await.unwrap();
    let error = rig.storage.create(&rig.at, &keep()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().starts_with(&rig.at.to_string()), "{error}");
    rig.assert_holds(&old).await;
}

async fn is_not_replaced_by_a_slower_writer_without_permission(rig: Rig) {
    for (length, seed) in [(1000, 7), (PART + 1, 8)] {
        let (quick, slow) = (noise(500, seed), noise(length, seed));
        let mut sink = rig.storage.create(&rig.at, &keep()).await.unwrap();
        store(&mut sink, &slow).await.unwrap();
        write(&rig.storage, &rig.at, &CreateOptions::default(), &quick).await.unwrap();
        assert_eq!(sink.complete().await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        rig.assert_holds(&quick).await;
        match (&rig.behind, &rig.at) {
            (Behind::File(_), at) => std::fs::remove_file(at.path().unwrap()).unwrap(),
            (Behind::S3(server), _) => {
                std::fs::remove_file(server.bucket_dir().join("folder/a.archive")).unwrap();
            }
        }
    }
}

async fn keeps_the_old_archive_until_the_new_one_is_complete(rig: Rig) {
    let (old, new) = (noise(1000, 9), noise(PART + 1, 10));
    write(&rig.storage, &rig.at, &CreateOptions::default(), &old).await.unwrap();
    let mut sink = rig.storage.create(&rig.at, &CreateOptions::default()).await.unwrap();
    store(&mut sink, &new).await.unwrap();
    let mut source = rig.storage.open(&rig.at).await.unwrap();
    assert_same(&read(&mut source).await.unwrap(), &old);
    sink.complete().await.unwrap();
    rig.assert_holds(&new).await;
}

async fn keeps_the_old_archive_when_the_new_one_is_aborted(rig: Rig) {
    let old = noise(1000, 11);
    write(&rig.storage, &rig.at, &CreateOptions::default(), &old).await.unwrap();
    let mut sink = rig.storage.create(&rig.at, &CreateOptions::default()).await.unwrap();
    store(&mut sink, &noise(PART + 1, 12)).await.unwrap();
    sink.abort().await.unwrap();
    rig.assert_holds(&old).await;
}

async fn is_listed_when_it_is_complete_and_gone_when_it_is_removed(rig: Rig) {
    let (under, beside) = match &rig.behind {
        Behind::File(folder) => {
            std::fs::create_dir(folder.path().join("deeper")).unwrap();
            (Location::file(folder.path()), Location::file(folder.path().join("b.archive")))
        }
        Behind::S3(_) => (location("folder/"), location("folder/b.archive")),
    };
    write(&rig.storage, &rig.at, &CreateOptions::default(), &noise(10, 16)).await.unwrap();
    let mut unfinished = rig.storage.create(&beside, &CreateOptions::default()).await.unwrap();
    store(&mut unfinished, &noise(2 * PART, 17)).await.unwrap();
    let mut listing = rig.storage.list(&under).await.unwrap();
    let [listed] = listing.next().await.unwrap().unwrap().try_into().unwrap();
    assert_eq!((listed.at, listed.bytes), (rig.at.clone(), 10));
    assert!(listed.modified.unwrap().elapsed().unwrap() < std::time::Duration::from_mins(10));
    assert_eq!(listing.next().await.unwrap(), None);
    unfinished.abort().await.unwrap();
    for _ in 0..2 {
        assert!(rig.storage.remove(&rig.at, None).await.unwrap(), "nothing there is fine, too");
        assert_eq!(rig.storage.stat(&rig.at).await.unwrap(), None);
    }
}

#[tokio::test]
async fn many_objects_are_listed_page_by_page_and_once() {
    let server = S3Server::start();
    std::fs::create_dir_all(server.bucket_dir().join("backups/shop")).unwrap();
    for number in 0..1_100 {
        std::fs::write(server.bucket_dir().join(format!("backups/shop/{number:04}.archive")), "a").unwrap();
    }
    std::fs::write(server.bucket_dir().join("backups/shopping.archive"), "a").unwrap();
    let storage = server.storage();
    let mut listing = storage.list(&location("backups/shop/")).await.unwrap();
    let mut pages = Vec::new();
    while let Some(page) = listing.next().await.unwrap() {
        pages.push(page);
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 100]);
    let found: Vec<String> = pages.concat().iter().map(|listed| listed.at.to_string()).collect();
    let expected: Vec<String> =
        (0..1_100).map(|number| format!("s3://backups/backups/shop/{number:04}.archive")).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn another_version_than_the_one_to_be_removed_stays() {
    let server = S3Server::start();
    let (storage, at) = (server.storage(), location("a"));
    let old = write(&storage, &at, &CreateOptions::default(), &noise(10, 18)).await.unwrap();
    let new = write(&storage, &at, &CreateOptions::default(), &noise(10, 19)).await.unwrap();
    assert!(!storage.remove(&at, old.etag.as_deref()).await.unwrap());
    assert_eq!(storage.stat(&at).await.unwrap().as_ref(), Some(&new));
    assert!(storage.remove(&at, new.etag.as_deref()).await.unwrap());
    assert_eq!(storage.stat(&at).await.unwrap(), None);
    let [remove] = server.seen(Operation::DeleteObject).try_into().unwrap();
    assert_eq!(remove.header("if-match"), new.etag.as_deref(), "the store compares once more");
}

#[tokio::test]
async fn what_cannot_be_listed_or_removed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::local();
    let missing = Location::file(folder.path().join("none"));
    assert_eq!(storage.list(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    std::fs::write(folder.path().join("a"), "a").unwrap();
    let file = Location::file(folder.path().join("a"));
    assert_eq!(storage.list(&file).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(storage.remove(&file, Some("\"a\"")).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    for at in [Location::file(folder.path()), Location::file("/dev/null"), Location::standard()] {
        assert_eq!(storage.remove(&at, None).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{at}");
    }
}

#[tokio::test]
async fn memory_gives_back_what_it_took_once_it_is_complete() {
    let bytes = noise(100_000, 13);
    let (mut sink, memory) = Sink::memory();
    store(&mut sink, &bytes).await.unwrap();
    assert_eq!(memory.bytes(), None);
    assert_eq!(sink.complete().await.unwrap().bytes, 100_000);
    assert_same(&memory.bytes().unwrap(), &bytes);

    let mut source = Source::memory(pieces(bytes.clone(), 1000, 1));
    assert_eq!(source.size(), Some(100_000));
    assert_same(&read(&mut source).await.unwrap(), &bytes);
}

#[tokio::test]
async fn memory_holds_nothing_after_an_abort_or_a_drop() {
    let (mut sink, memory) = Sink::memory();
    store(&mut sink, &noise(10, 14)).await.unwrap();
    sink.abort().await.unwrap();
    assert_eq!(memory.bytes(), None);
    let (mut sink, memory) = Sink::memory();
    store(&mut sink, &noise(10, 15)).await.unwrap();
    drop(sink);
    assert_eq!(memory.bytes(), None);
}
