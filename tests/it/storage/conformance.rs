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
);

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
