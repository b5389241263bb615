//! `--verifyFirst`: nothing is dropped before the archive is proven.

use std::io::Read;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use mongoark::progress::{Monitor, Silent};
use mongoark::restore::prove_first;
use mongoark::storage::{Location, Storage};
use mongoark::verify::verify;
use mongodb::bson::{Document, doc, rawdoc};
use tokio_util::sync::CancellationToken;

use super::super::chaos::rounds;
use super::super::support::fingerprint::{assert_same, fingerprint};
use super::super::support::mongoark::{archive as place, mongoark, mongoark_with};
use super::super::support::mongod::{Mongod, Version};
use super::super::support::testdata;
use super::count;
use super::made::Made;

#[tokio::test]
async fn a_damaged_archive_drops_nothing() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let orders = client.database("first").collection::<Document>("orders");
    orders.drop().await.unwrap();
    orders.insert_one(doc! { "_id": "before" }).await.unwrap();
    let whole = Made::of("6.0.5").with("first", "orders", (0..10).map(|id| rawdoc! { "_id": id })).bytes();
    let (_folder, path) = place("a");
    let uri = format!("--uri={}", server.uri());
    let archive = format!("--archive={}", path.display());
    for cut in [1, 30, whole.len() / 2] {
        std::fs::write(&path, whole.slice(..whole.len() - cut)).unwrap();
        let finished = mongoark(["restore", &uri, &archive, "--drop", "--verifyFirst"]).await;
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(
            orders.find_one(doc! { "_id": "before" }).await.unwrap().is_some(),
            "{cut}: {}",
            finished.stderr
        );
    }
    std::fs::write(&path, &whole).unwrap();
    mongoark(["restore", &uri, &archive, "--drop", "--verifyFirst"]).await.success();
    assert_eq!(count(&client, "first", "orders").await, 10);
}

#[tokio::test]
async fn what_cannot_be_read_twice_is_refused() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let whole = Made::of("6.0.5").with("first-pipe", "orders", [rawdoc! { "_id": 1 }]).bytes();
    let uri = format!("--uri={}", server.uri());
    for option in ["--verifyFirst", "--salvage"] {
        let finished = mongoark_with(["restore", &uri, "--archive", option], &whole).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("into a file"), "{}", finished.stderr);
    }
    let client = server.client().await;
    assert_eq!(count(&client, "first-pipe", "orders").await, 0);
    mongoark_with(["restore", &uri, "--archive", "--verifyFirst", "--swap"], &whole).await.success();
    assert_eq!(count(&client, "first-pipe", "orders").await, 1);
}

/// Bits that are flipped in an ordinary run, and in a long one; of these the command has every `BY_COMMAND`th.
const FLIPS: (u64, u64) = (30, 2000);
const BY_COMMAND: usize = 20;

#[tokio::test]
async fn no_flipped_bit_that_can_be_noticed_changes_the_target() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let uri = format!("--uri={}", server.uri());
    let zoo = testdata("archives").join("100.18.0/zoo-6.0.27.archive.gz");
    mongoark(["restore", &uri, &format!("--archive={}", zoo.display())]).await.success();
    let before = fingerprint(&client).await;

    let compressed = std::fs::read(zoo).unwrap();
    let mut plain = Vec::new();
    MultiGzDecoder::new(&compressed[..]).read_to_end(&mut plain).unwrap();
    let (_folder, path) = place("flipped");
    let location = Location::file(path.clone());
    let storage = Storage::for_location(&location).await.unwrap();
    let monitor: Arc<dyn Monitor> = Arc::new(Silent);
    for archive in [compressed, plain] {
        let mut unnoticed = 0;
        let rounds = rounds(FLIPS.0, FLIPS.1);
        let all = rounds.len();
        for (number, mut random) in rounds.into_iter().enumerate() {
            let at = usize::try_from(random.below(archive.len() as u64)).unwrap();
            let mut flipped = archive.clone();
            flipped[at] ^= 1 << random.below(8);
            std::fs::write(&path, &flipped).unwrap();
            let read =
                verify(storage.open(&location).await.unwrap(), &monitor, &CancellationToken::new()).await;
            let damaged = read.unwrap().damage.is_some();
            let proven = prove_first(&storage, &location, &monitor, &CancellationToken::new()).await;
            assert_eq!(proven.is_err(), damaged, "byte {at}");
            if !damaged {
                unnoticed += 1;
            } else if number % BY_COMMAND == 0 {
                let archive = format!("--archive={}", path.display());
                let finished = mongoark(["restore", &uri, &archive, "--drop", "--verifyFirst"]).await;
                assert_eq!(finished.code, Some(1), "byte {at}: {}", finished.stderr);
            }
        }
        // `verify::flipped` shows where these are, and that they change nothing that is restored.
        assert!(unnoticed * 2 < all, "{unnoticed} of {all} flips were not noticed");
    }
    assert_same(&before, &fingerprint(&client).await);
}
