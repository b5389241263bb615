//! What cannot be replayed is refused: before anything is written, where that can be known.

use mongoark::Filter;

use super::*;

async fn is_untouched(server: &Mongod) {
    let names = server.client().await.list_database_names().await.unwrap();
    assert!(!names.contains(&"d".to_owned()), "{names:?}");
}

#[tokio::test]
async fn b75_a_part_of_an_archive_other_names_and_what_is_hidden_are_refused() {
    let server = Mongod::start(Version::V6_0_27).await;
    let archive = with_oplog(collection("6.0.27"), Oplog::default().insert("d.c", doc! { "_id": 10 }));
    for (options, part) in [
        (RestoreOptions { scope: Scope::database("d").unwrap(), ..replay() }, "includes"),
        (RestoreOptions { only: Some(["d.c".to_owned()].into()), ..replay() }, "includes"),
        (RestoreOptions { filter: Filter::default().include("d.*").unwrap(), ..replay() }, "includes"),
        (RestoreOptions { filter: Filter::default().exclude("e.*").unwrap(), ..replay() }, "excludes"),
        (RestoreOptions { filter: Filter::default().rename("d.*", "e.*").unwrap(), ..replay() }, "renames"),
        (RestoreOptions { prefix: "x_".to_owned(), ..replay() }, "renames"),
        (RestoreOptions { swap: true, ..replay() }, "--swap"),
        (RestoreOptions { exact: true, ..replay() }, "--exact"),
    ] {
        let error = restored(&server.uri(), &archive, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(part), "{error}");
    }
    is_untouched(&server).await;
}

#[tokio::test]
async fn b73_an_archive_without_an_oplog_is_refused_before_anything_is_written() {
    let server = Mongod::start(Version::V6_0_27).await;
    for dry_run in [false, true] {
        let options = RestoreOptions { dry_run, ..replay() };
        let error = restored(&server.uri(), &collection("6.0.27").bytes(), &options).await.unwrap_err();
        assert!(error.to_string().contains("no oplog file to replay"), "{error}");
    }
    is_untouched(&server).await;
}

#[tokio::test]
async fn b74_options_that_make_no_sense_are_refused() {
    let archive = "--archive=nowhere";
    for (arguments, part) in [
        (&["--oplogLimit=5"][..], "without --oplogReplay"),
        (&["--oplogFile=x"], "without --oplogReplay"),
        (&["--oplogReplay", "--oplogFile=x"], "--oplogFile with --archive"),
        (&["--oplogReplay", "--oplogLimit=cats"], "timestamp"),
        (&["--oplogReplay", "--oplogLimit=1:1:1"], "timestamp"),
        (&["--oplogReplay", "--oplogLimit", "-5"], "timestamp"),
    ] {
        let arguments: Vec<&str> = ["restore", archive].iter().chain(arguments).copied().collect();
        let finished = mongoark(arguments).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains(part), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn b73_what_nobody_knows_ends_the_replay() {
    let server = Mongod::start(Version::V6_0_27).await;
    for (oplog, part) in [
        (Oplog::default().command("d", doc! { "frobnicate": "c" }), "unknown oplog command name frobnicate"),
        (Oplog::default().command("d", doc! {}), "empty"),
        (Oplog::default().with(doc! { "op": "x", "ns": "d.c", "o": {} }), "`x`"),
        (Oplog::default().command("d", doc! { "upgradeDowngradeViewlessTimeseries": "c" }), "--oplogLimit"),
        (Oplog::default().command("d", doc! { "createIndexes": "c", "name": "x" }), "`key`"),
        (
            Oplog::default().command("d", doc! { "collMod": "c", "index": { "name": "x", "hidden": true } }),
            "collMod",
        ),
        (Oplog::default().insert("d.nowhere", doc! { "_id": 1 }), "d.nowhere"),
    ] {
        let error =
            restored(&server.uri(), &with_oplog(collection("6.0.27"), oplog), &replay()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archive);
        assert!(error.report().contains(part), "{}", error.report());
    }
}

#[tokio::test]
async fn b13_an_oplog_before_the_end_of_the_collections_is_not_replayed() {
    let server = Mongod::start(Version::V6_0_27).await;
    let oplog = Oplog::default().insert("d.c", doc! { "_id": 10 });
    let archive = with_oplog(collection("6.0.27"), oplog);
    // What follows the prelude is moved: the oplog's two blocks come first.
    let header = |archive: &[u8], name: &str| {
        let field = [
            b"collection\0".as_slice(),
            &u32::try_from(name.len() + 1).unwrap().to_le_bytes(),
            name.as_bytes(),
            b"\0\x08EOF\0",
        ]
        .concat();
        archive.windows(field.len()).position(|window| window == field).unwrap()
    };
    // A header begins with its length, the database and the type of the next field.
    let (first, second) = (header(&archive, "c") - 14 - 1, header(&archive, "oplog") - 14);
    let moved = [
        &archive[..first],
        &archive[second..archive.len() - 4],
        &archive[first..second],
        &archive[archive.len() - 4..],
    ]
    .concat();
    let result = restored(&server.uri(), &moved.into(), &replay()).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Archive);
    assert!(error.to_string().contains("before the end of its collections"), "{}", error.report());
}
