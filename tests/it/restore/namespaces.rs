//! Which namespaces a restore takes, and what they are called then.

use std::collections::BTreeSet;

use bytes::Bytes;
use mongoark::restore::RestoreOptions;
use mongoark::{ErrorKind, Filter, Scope};
use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};

use super::super::support::fingerprint::{Fingerprint, assert_same, fingerprint_of};
use super::super::support::mongoark::{archive as place, mongoark};
use super::super::support::mongod::{Mongod, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::super::support::testdata;
use super::made::Made;
use super::{count, heard, restored, with_drop};

const GOLDEN: &str = "archives/100.18.0/zoo-6.0.27.archive.gz";

/// Two databases, each with `x` and `y`, and the first with what is special.
fn archive() -> Bytes {
    let some = |number: i32| (0..number).map(|id| rawdoc! { "_id": id });
    Made::of("6.0.5")
        .with("one", "x", some(1))
        .with("one", "y.z", some(2))
        .with_options("one", "view", r#"{"viewOn":"x","pipeline":[]}"#, [])
        .with("one", "system.js", [rawdoc! { "_id": "f", "value": 1 }])
        .with("two", "x", some(3))
        .with("two", "y", some(4))
        .bytes()
}

fn filter(includes: &[&str], excludes: &[&str], renamings: &[(&str, &str)]) -> Filter {
    let mut filter = Filter::default();
    for pattern in includes {
        filter = filter.include(pattern).unwrap();
    }
    for pattern in excludes {
        filter = filter.exclude(pattern).unwrap();
    }
    for (from, to) in renamings {
        filter = filter.rename(from, to).unwrap();
    }
    filter
}

fn with(filter: Filter) -> RestoreOptions {
    RestoreOptions { filter, ..RestoreOptions::default() }
}

/// The databases that tests here write, gone.
async fn empty(client: &Client) {
    for db in ["one", "two", "three", "all"] {
        client.database(db).drop().await.unwrap();
    }
}

/// Every collection but the server's own, with its number of documents; views have none.
async fn held(client: &Client) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for db in ["one", "two", "three", "all"] {
        for name in client.database(db).list_collection_names().await.unwrap() {
            if name != "system.views" {
                held.insert(format!("{db}.{name} {}", count(client, db, &name).await));
            }
        }
    }
    held
}

#[tokio::test]
async fn b69_what_is_included_and_not_excluded_is_restored_under_its_new_name() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    for (filter, expected) in [
        (filter(&["one.*"], &["*.y*"], &[]), &["one.system.js 1", "one.view 1", "one.x 1"][..]),
        (filter(&["*.x"], &[], &[("one.*", "three.*")]), &["three.x 1", "two.x 3"]),
        // Tested by the old name, not the new one.
        (filter(&["*.x"], &["three.*"], &[("one.*", "three.*")]), &["three.x 1", "two.x 3"]),
        (filter(&["*.x"], &[], &[("one.*", "two.*"), ("two.*", "one.*")]), &["one.x 3", "two.x 1"]),
        (
            filter(&[], &["*.system.js"], &[("$d$.$c$", "all.$d$_$c$")]),
            // A view is renamed, and what it looks at is not, as with mongorestore.
            &["all.one_view 0", "all.one_x 1", "all.one_y.z 2", "all.two_x 3", "all.two_y 4"],
        ),
        (filter(&["one.system.js"], &[], &[("one.*", "three.*")]), &["three.system.js 1"]),
        (filter(&["none.*"], &[], &[]), &[]),
    ] {
        empty(&client).await;
        let (report, listener) = heard(&server.uri(), &archive(), &with(filter)).await;
        report.unwrap();
        assert_eq!(held(&client).await, expected.iter().map(ToString::to_string).collect());
        if expected.is_empty() {
            listener.was_warned_once("nothing is restored");
        }
    }
}

#[tokio::test]
async fn b52_drop_takes_only_what_is_restored_by_its_new_name() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    for (db, name) in [("one", "x"), ("two", "x"), ("three", "x"), ("three", "mine")] {
        let documents = (100..105).map(|id| doc! { "_id": id });
        client.database(db).collection::<Document>(name).insert_many(documents).await.unwrap();
    }
    let options = RestoreOptions { filter: filter(&["one.x"], &[], &[("one.*", "three.*")]), ..with_drop() };
    restored(&server.uri(), &archive(), &options).await.unwrap();
    let expected = ["one.x 5", "three.mine 5", "three.x 1", "two.x 5"].map(ToOwned::to_owned);
    assert_eq!(held(&client).await, expected.into());
}

#[tokio::test]
async fn b69_two_sources_of_one_destination_are_refused_before_anything_is_written() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    for renaming in [("one.*", "two.*"), ("$d$.x", "three.x"), ("one.y.z", "one.x")] {
        let options = with(filter(&[], &[], &[renaming]));
        let (result, listener) = heard(&server.uri(), &archive(), &options).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("conflicting namespace destinations"), "{error}");
        let warnings = listener.warnings.lock().unwrap().clone();
        assert_eq!(warnings.iter().filter(|text| text.contains("destination conflict")).count(), 2);
        assert!(held(&client).await.is_empty());
    }
    // What is left out takes no name.
    let options = with(filter(&[], &["two.x"], &[("one.*", "two.*")]));
    restored(&server.uri(), &archive(), &options).await.unwrap();
}

#[tokio::test]
async fn names_that_no_server_takes_and_those_of_accounts_are_refused() {
    let server = Mongod::shared(Version::V6_0_5).await;
    for (from, to) in [
        ("two.x", "x"),
        ("two.x", ".x"),
        ("two.x", "x."),
        ("two.x", "a b.x"),
        ("two.x", "admin.system.users"),
    ] {
        let error = restored(&server.uri(), &archive(), &with(filter(&["two.x"], &[], &[(from, to)])))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{to}");
        assert!(error.report().contains("two.x"), "{}", error.report());
    }
}

/// The archive's namespaces, of one database, as another is to hold them.
fn moved(expected: &Fingerprint, rename: impl Fn(&str) -> String) -> Fingerprint {
    expected.iter().map(|(name, collection)| (rename(name), collection.clone())).collect()
}

#[tokio::test]
async fn w5_b70_time_series_are_renamed_by_their_exact_name_and_by_wildcards() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let uri = format!("--uri={}", server.uri());
    let golden = format!("--archive={}", testdata(GOLDEN).display());
    mongoark(["restore", &uri, &golden]).await.success();
    let expected = fingerprint_of(&client.database("zoo")).await;
    assert!(expected["zoo.ts"].count > Some(0));

    mongoark(["restore", &uri, &golden, "--nsInclude=zoo.*", "--nsFrom=zoo.*", "--nsTo", "moved.*"])
        .await
        .success();
    let found = fingerprint_of(&client.database("moved")).await;
    assert_same(&moved(&expected, |name| name.replacen("zoo.", "moved.", 1)), &found);

    mongoark([
        "restore",
        &uri,
        &golden,
        "--nsInclude=zoo.ts",
        "--nsFrom=zoo.ts",
        "--nsTo=exactly.series.of mine",
        // Of buckets alone nothing is renamed.
        "--nsFrom=zoo.system.buckets.ts",
        "--nsTo=exactly.system.buckets.other",
    ])
    .await
    .success();
    let found = fingerprint_of(&client.database("exactly")).await;
    let found: Fingerprint = found.into_iter().filter(|(name, _)| !name.contains("system.")).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["exactly.series.of mine"]);
    assert_eq!(found["exactly.series.of mine"].count, expected["zoo.ts"].count);
    assert_eq!(found["exactly.series.of mine"].options, expected["zoo.ts"].options);
    assert_eq!(count(&client, "exactly", "system.buckets.other").await, 0);
}

#[tokio::test]
async fn w9_damage_in_what_is_left_out_is_an_error_all_the_same() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let mark = "the one document that is damaged";
    let whole = Made::of("6.0.5")
        .with("left_out", "c", [rawdoc! { "_id": mark }])
        .with("w9", "c", [rawdoc! { "_id": 1 }])
        .bytes();
    let at = whole.windows(mark.len()).position(|window| window == mark.as_bytes()).unwrap();
    let mut flipped = whole.to_vec();
    flipped[at] ^= 1;
    let options = with(filter(&[], &["left_out.*"], &[]));
    restored(&server.uri(), &whole, &options).await.unwrap();
    for dry_run in [false, true] {
        let options = RestoreOptions { dry_run, ..options.clone() };
        let error = restored(&server.uri(), &flipped.clone().into(), &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archive);
        assert!(error.report().contains("left_out.c"), "{}", error.report());
    }
    assert_eq!(count(&server.client().await, "left_out", "c").await, 0);
}

#[tokio::test]
async fn b49_the_oplog_and_the_accounts_of_a_database_are_left_out_unless_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let user = rawdoc! { "_id": "b49.ann", "user": "ann", "db": "b49", "roles": [] };
    let archive = Made::of("6.0.5")
        .with("b49", "$admin.system.users", [user])
        .with("b49", "$admin.system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 5 }])
        .with("b49", "c", [rawdoc! { "_id": 1 }])
        .with("", "oplog", [rawdoc! { "op": "i", "ns": "b49.c", "o": { "_id": 2 } }])
        .bytes();
    for scope in [Scope::Everything, Scope::database("b49").unwrap()] {
        let options = RestoreOptions { scope, ..with_drop() };
        let report = restored(&server.uri(), &archive, &options).await.unwrap();
        assert_eq!((report.documents, report.users), (1, 0));
        let names = client.database("b49").list_collection_names().await.unwrap();
        assert_eq!(names, ["c"]);
    }
}

#[tokio::test]
async fn b76_config_goes_into_a_router_only_by_its_name() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let mut hello = client.database("admin").run_command(doc! { "isMaster": 1 }).await.unwrap();
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    for field in ["setName", "hosts", "me", "primary", "setVersion", "electionId"] {
        hello.remove(field);
    }
    hello.insert("msg", "isdbgrid");
    let router = RawDocumentBuf::try_from(&hello).unwrap();
    // What the driver asks for itself is left as it is.
    let ours = |request: &super::super::support::proxy::Request<'_>| {
        request.command.get("lsid").ok().flatten().is_some()
    };
    proxy.inject(Rule::always("isMaster", Fault::Answer(router)).when(ours));
    let archive = Made::of("6.0.5")
        .with("config", "settings", [rawdoc! { "_id": "b76" }])
        .with("one", "x", [rawdoc! { "_id": 1 }])
        .bytes();
    let config = Scope::database("config").unwrap();
    let renamed = filter(&["one.*"], &[], &[("one.*", "config.*")]);
    for (options, refused) in [
        (RestoreOptions::default(), true),
        (with(filter(&["config.*"], &[], &[])), true),
        (with(renamed), true),
        (with(filter(&[], &["config.*"], &[])), false),
        (RestoreOptions { scope: Scope::database("one").unwrap(), ..with_drop() }, false),
        (RestoreOptions { scope: config, ..RestoreOptions::default() }, false),
    ] {
        let result = restored(&proxy.uri(), &archive, &options).await;
        match result {
            Err(error) if refused => {
                assert!(error.report().contains("sharded cluster"), "{}", error.report());
            }
            result => assert!(!refused && result.is_ok(), "{options:?}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn b78_a_dry_run_tells_the_new_names_and_writes_nothing() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    client.database("three").collection::<Document>("x").insert_one(doc! { "_id": 9 }).await.unwrap();
    let options = RestoreOptions {
        filter: filter(&["one.x", "two.x"], &["two.*"], &[("one.*", "three.*")]),
        dry_run: true,
        ..with_drop()
    };
    let report = restored(&server.uri(), &archive(), &options).await.unwrap();
    let actions: Vec<String> = report.actions.iter().map(ToString::to_string).collect();
    assert_eq!(actions, ["three.x: drop", "three.x: create", "three.x: insert 1 documents"]);
    assert_eq!(held(&client).await, ["three.x 1".to_owned()].into());
}

#[tokio::test]
async fn a_swap_takes_new_names_and_exact_takes_no_part_of_an_archive() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    client.database("two").collection::<Document>("x").insert_one(doc! { "_id": 9 }).await.unwrap();
    client.database("two").collection::<Document>("kept").insert_one(doc! { "_id": 9 }).await.unwrap();
    let filter = filter(&["one.x", "one.y*"], &[], &[("one.*", "two.*")]);
    let options = RestoreOptions { swap: true, ..with(filter) };
    restored(&server.uri(), &archive(), &options).await.unwrap();
    let expected = ["two.kept 1", "two.x 1", "two.y.z 2"].map(ToOwned::to_owned);
    assert_eq!(held(&client).await, expected.into());

    let options = RestoreOptions { exact: true, ..options };
    let error = restored(&server.uri(), &archive(), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(count(&client, "two", "kept").await, 1);
}

#[tokio::test]
async fn the_flags_are_mongorestores() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let (_folder, path) = place("a");
    std::fs::write(&path, archive()).unwrap();
    let uri = format!("--uri={}", server.uri());
    let archive = format!("--archive={}", path.display());
    let in_path = format!("--uri={}", server.uri().replacen("/?", "/two?", 1));
    let deprecated =
        "The --db and --collection flags are deprecated for this use-case; please use --nsInclude instead";
    for (arguments, expected, said) in [
        (&[&*uri, "-d", "one", "-c", "x"][..], &["one.x 1"][..], Some(deprecated)),
        (&[&*uri, "--db=two"], &["two.x 3", "two.y 4"], Some(deprecated)),
        (&[&*in_path], &["two.x 3", "two.y 4"], Some("restoring two only")),
        (&[&*in_path, "-cx"], &["two.x 3"], Some(deprecated)),
        (&[&*uri, "-done", "-c", "y*"], &["one.y.z 2"], Some(deprecated)),
        (&[&*in_path, "--nsFrom=two.*", "--nsTo=three.*"], &["three.x 3", "three.y 4"], None),
        (
            &[
                &*uri,
                "--excludeCollection",
                "x",
                "--excludeCollectionsWithPrefix=y",
                "--nsExclude=*.system.*",
            ],
            &["one.view 0"],
            Some("use --nsExclude instead"),
        ),
        (&[&*uri, "--nsInclude", "one.x", "--nsInclude=two.x", "--nsExclude", "one.*"], &["two.x 3"], None),
    ] {
        empty(&client).await;
        let finished = mongoark(["restore", &archive].iter().chain(arguments)).await.success();
        assert_eq!(held(&client).await, expected.iter().map(ToString::to_string).collect());
        assert!(said.is_none_or(|said| finished.stderr.contains(said)), "{}", finished.stderr);
    }
}
