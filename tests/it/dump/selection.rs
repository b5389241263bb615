//! What of the scope is taken: queries, exclusions, views, users.

use std::collections::BTreeMap;
use std::path::Path;

use archive_format::{Decoder, Event, Prelude};
use bytes_crate::BytesMut;
use mongodb::bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use mongodb::{Client, Database};

use super::super::support::fingerprint::fingerprint_of;
use super::super::support::mongoark::{archive, left_beside, mongoark};
use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::Proxy;
use super::super::support::replica_set::ReplicaSet;
use super::{Dump, bytes_crate, insert, numbers};

/// What the archive says before its data.
fn prelude(path: &Path) -> Prelude {
    let mut buffer = BytesMut::from(std::fs::read(path).unwrap().as_slice());
    match Decoder::new().decode(&mut buffer).unwrap() {
        Some(Event::Prelude(prelude)) => prelude,
        other => panic!("no prelude: {other:?}"),
    }
}

fn names(prelude: &Prelude) -> Vec<String> {
    prelude.collections.iter().map(|entry| entry.namespace.to_string()).collect()
}

/// Dumps and finds these namespaces in the archive, with so many documents.
async fn dumps(uri: &str, arguments: &[&str], expected: &[(&str, usize)]) -> BTreeMap<String, Vec<Vec<u8>>> {
    let dump = Dump::start(uri, arguments);
    let path = dump.path.clone();
    let folder = dump.succeeds_and_keeps().await;
    let found = super::contents(&path);
    let prelude = prelude(&path);
    let count = |name: &str| found.get(name).map_or(0, Vec::len);
    let mut listed: Vec<(String, usize)> = prelude
        .collections
        .iter()
        .map(|entry| {
            let data = entry.data_namespace(&prelude.server_version.parse().unwrap()).to_string();
            let documents = count(&data);
            (data, documents)
        })
        .collect();
    listed.sort();
    let mut expected: Vec<_> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    expected.sort();
    assert_eq!(listed, expected, "{arguments:?}");
    drop(folder);
    found
}

/// A database with a collection, a view and, where there are any, a time series with three buckets.
async fn fill(database: &Database, version: Version) {
    insert(database, "orders", 0..100, 10).await;
    insert(database, "tmp_1", 0..5, 10).await;
    insert(database, "tmp_2", 0..5, 10).await;
    let few =
        doc! { "create": "few", "viewOn": "orders", "pipeline": [{ "$match": { "n": { "$lt": 10 } } }] };
    database.run_command(few).await.unwrap();
    if version.has_time_series() {
        let series = doc! { "create": "ts", "timeseries": { "timeField": "t", "metaField": "m" } };
        database.run_command(series).await.unwrap();
        let measurements = (0..30_i32).map(|number| {
            let t = DateTime::from_millis(1_767_225_600_000 + i64::from(number));
            doc! { "t": t, "m": { "device": number % 3 }, "v": number }
        });
        database.collection::<Document>("ts").insert_many(measurements).await.unwrap();
    }
}

async fn filled(version: Version, database: &str) -> (&'static Mongod, Client, String) {
    let server = Mongod::shared(version).await;
    let client = server.client().await;
    fill(&client.database(database), version).await;
    (server, client, format!("--db={database}"))
}

#[tokio::test]
async fn b31_a_query_takes_what_matches_in_the_order_of_its_fields() {
    let (server, client, db) = filled(Version::V6_0_5, "asked").await;
    let places = client.database("asked").collection::<Document>("places");
    for (n, coords) in [(1, doc! { "x": 0, "y": 1 }), (2, doc! { "y": 1, "x": 0 })] {
        places
            .insert_one(doc! { "n": n, "coords": coords, "at": DateTime::from_millis(i64::from(n)) })
            .await
            .unwrap();
    }
    for (collection, query, expected) in [
        ("orders", r#"{"n":{"$gte":90}}"#, (90..100).collect::<Vec<_>>()),
        ("orders", r#"{"n":{"$gte":90},"n":{"$lt":92}}"#, vec![90, 91]),
        ("orders", r#"{"n":{"$numberInt":"7"}}"#, vec![7]),
        ("orders", "{}", (0..100).collect()),
        ("orders", "", (0..100).collect()),
        ("orders", r#"{"n":-1}"#, Vec::new()),
        ("places", r#"{"coords":{"x":0,"y":1}}"#, vec![1]),
        ("places", r#"{"at":{"$date":{"$numberLong":"2"}}}"#, vec![2]),
        ("places", r#"{"at":{"$date":"1970-01-01T00:00:00.001Z"}}"#, vec![1]),
    ] {
        let arguments = [db.as_str(), "-c", collection, "-q", query];
        let name = format!("asked.{collection}");
        let found = dumps(&server.uri(), &arguments, &[(&name, expected.len())]).await;
        assert_eq!(found.get(&name).map_or(Vec::new(), |found| numbers(found)), expected, "{query}");
    }
}

#[tokio::test]
async fn b31_a_query_comes_from_a_file_too_and_never_from_both() {
    let (server, _, db) = filled(Version::V6_0_5, "filed").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("query.json");
    std::fs::write(&file, "{\"n\": {\"$lt\": 3}}\n").unwrap();
    let from = format!("--queryFile={}", file.display());
    dumps(&server.uri(), &[&db, "-c=orders", &from], &[("filed.orders", 3)]).await;
    dumps(&server.uri(), &[&db, "-c=orders", &from, "--forceTableScan"], &[("filed.orders", 3)]).await;
    let query = r#"--query={"n":1}"#;
    for (arguments, words) in [
        (&[db.as_str(), "-c=orders", &from, query][..], "give one of them"),
        (&[&db, "-c=orders", query, "--forceTableScan"], "--forceTableScan"),
        (&[&db, "-c=orders", "-q", "{n:1}"], "Extended JSON v2"),
        (&[&db, "-c=orders", "--queryFile=/nonexistent"], "cannot be read"),
        (&[&db, query], "--collection"),
        (&[&db, &from], "--collection"),
        (&[&db, "-c=orders", "-q", r#"{"n":{"$nonsense":1}}"#], "the server refuses the query"),
    ] {
        Dump::start(&server.uri(), arguments).fails(&[words]).await;
    }
    let dump = Dump::start(&server.uri(), &[&db, "-c=orders", "-q", r#"{"n":{"$nonsense":1}}"#]);
    let said = dump.running.await.unwrap().stderr;
    assert!(!said.contains("begins once more"), "{said}");
}

async fn a_time_series_is_asked_for_its_metadata(version: Version) {
    let (server, _, db) = filled(version, "metadata").await;
    for (query, buckets) in
        [(r#"{"m.device":1}"#, 1), (r#"{"m":{"device":2}}"#, 1), (r#"{"m.device":{"$gt":0}}"#, 2)]
    {
        let found =
            dumps(&server.uri(), &[&db, "-c=ts", "-q", query], &[("metadata.system.buckets.ts", buckets)])
                .await;
        for bucket in &found["metadata.system.buckets.ts"] {
            let bucket = Document::from_reader(bucket.as_slice()).unwrap();
            assert!(bucket.get_document("meta").unwrap().get_i32("device").unwrap() > 0);
        }
    }
    for query in [r#"{"v":1}"#, r#"{"m.device":1,"t":2}"#, r#"{"meta":1}"#] {
        Dump::start(&server.uri(), &[&db, "-c=ts", "-q", query])
            .fails(&["metadata.ts", "the field of its metadata, m"])
            .await;
    }
}

#[tokio::test]
async fn b31_a_time_series_is_asked_for_its_metadata_on_5_0() {
    a_time_series_is_asked_for_its_metadata(Version::V5_0_4).await;
}

#[tokio::test]
async fn b31_a_time_series_is_asked_for_its_metadata_on_6_0() {
    a_time_series_is_asked_for_its_metadata(Version::V6_0_27).await;
}

#[tokio::test]
async fn b29_collections_are_excluded_by_their_logical_names() {
    let (server, _, db) = filled(Version::V6_0_5, "less").await;
    let buckets = "less.system.buckets.ts";
    let all = [("less.few", 0), ("less.orders", 100), (buckets, 3), ("less.tmp_1", 5), ("less.tmp_2", 5)];
    for (arguments, missing) in [
        (&["--excludeCollection=orders"][..], &["less.orders"][..]),
        (&["--excludeCollection=orders", "--excludeCollection", "few"], &["less.orders", "less.few"]),
        (&["--excludeCollectionsWithPrefix=tmp_"], &["less.tmp_1", "less.tmp_2"]),
        (
            &[
                "--excludeCollectionsWithPrefix=tmp_1",
                "--excludeCollectionsWithPrefix=f",
                "--excludeCollection=ts",
            ],
            &["less.tmp_1", "less.few", buckets],
        ),
        (&["--excludeCollection=ts"], &[buckets]),
        // A time series has one name.
        (&["--excludeCollection=system.buckets.ts", "--excludeCollectionsWithPrefix=system.buckets."], &[]),
        (&["--excludeCollection=nothing"], &[]),
    ] {
        let arguments: Vec<&str> = [db.as_str()].into_iter().chain(arguments.iter().copied()).collect();
        let expected: Vec<_> = all.into_iter().filter(|(name, _)| !missing.contains(name)).collect();
        dumps(&server.uri(), &arguments, &expected).await;
    }
    for arguments in [&["--excludeCollection=x"][..], &[&db, "-c=orders", "--excludeCollectionsWithPrefix=x"]]
    {
        Dump::start(&server.uri(), arguments).fails(&["--db", "--excludeCollection"]).await;
    }
}

#[tokio::test]
async fn b28_views_are_views_and_only_by_option_collections() {
    let (server, client, db) = filled(Version::V6_0_5, "viewed").await;
    let found = dumps(&server.uri(), &[&db, "--viewsAsCollections"], &[("viewed.few", 10)]).await;
    assert_eq!(numbers(&found["viewed.few"]), (0..10).collect::<Vec<_>>());
    let query = r#"{"n":{"$gt":6}}"#;
    let one = ["-c=few", "--viewsAsCollections", "-q", query];
    dumps(&server.uri(), &[&[db.as_str()][..], &one].concat(), &[("viewed.few", 3)]).await;
    dumps(&server.uri(), &[&db, "-c=few", "-q", query], &[("viewed.few", 0)]).await;

    // What it shows is restored as a collection.
    let (_folder, path) = archive("a");
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive={}", path.display()));
    mongoark(["dump", &uri, &db, "--viewsAsCollections", &place]).await.success();
    let target = Mongod::start(Version::V6_0_5).await;
    mongoark(["restore", &format!("--uri={}", target.uri()), &place]).await.success();
    let restored = fingerprint_of(&target.client().await.database("viewed")).await;
    assert_eq!(restored["viewed.few"].kind, "collection");
    assert_eq!(restored["viewed.few"].count, Some(10));
    drop(client);
}

#[tokio::test]
async fn b32_b41_what_is_read_whole_is_read_as_it_lies_and_a_query_as_the_server_likes() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let d = client.database("d");
    fill(&d, Version::V6_0_5).await;
    d.run_command(doc! { "profile": 2 }).await.unwrap();
    dumps(&server.uri(), &["-d=d", "-c=orders"], &[("d.orders", 100)]).await;
    dumps(&server.uri(), &["-d=d", "-c=orders", r#"-q={"n":{"$gt":90}}"#], &[("d.orders", 9)]).await;
    d.run_command(doc! { "profile": 0 }).await.unwrap();
    let reads = doc! { "op": "query", "ns": "d.orders", "command.limit": { "$exists": false } };
    let mut found =
        d.collection::<Document>("system.profile").find(reads).sort(doc! { "$natural": 1 }).await.unwrap();
    let mut asked = Vec::new();
    while found.advance().await.unwrap() {
        asked.push(found.deserialize_current().unwrap().get_document("command").unwrap().clone());
    }
    let [whole, filtered] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(whole.get_document("hint").unwrap(), &doc! { "$natural": 1 });
    assert!(!filtered.contains_key("hint"), "{filtered}");
    assert_eq!(filtered.get_document("filter").unwrap(), &doc! { "n": { "$gt": 90 } });
    for command in asked {
        assert_eq!(command.get_document("readConcern").unwrap().get_str("level").unwrap(), "snapshot");
    }
}

#[tokio::test]
async fn b38_users_and_roles_of_one_database_come_with_it() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let (shop, crm) = (client.database("shop"), client.database("crm"));
    insert(&shop, "orders", 0..3, 10).await;
    let dump = Dump::start(&server.uri(), &["-d=shop", "--dumpDbUsersAndRoles"]);
    dump.fails(&["never had a user or a role", "--dumpDbUsersAndRoles"]).await;
    for database in [&shop, &crm] {
        let user = doc! { "createUser": "ann", "pwd": "hunter2hunter2", "roles": ["read"] };
        database.run_command(user).await.unwrap();
    }
    // No role was ever made: the server has no such collection, and mongodump's archive an entry for it.
    let expected = |roles: usize| {
        [
            ("shop.$admin.system.users", 1),
            ("shop.$admin.system.roles", roles),
            ("shop.$admin.system.version", 2),
            ("shop.orders", 3),
        ]
    };
    let arguments = ["-d=shop", "--dumpDbUsersAndRoles"];
    dumps(&server.uri(), &arguments, &expected(0)).await;
    let role = doc! { "createRole": "clerk", "privileges": [], "roles": ["read"] };
    shop.run_command(role.clone()).await.unwrap();
    crm.run_command(role).await.unwrap();
    let found = dumps(&server.uri(), &arguments, &expected(1)).await;
    for name in ["shop.$admin.system.users", "shop.$admin.system.roles"] {
        let document = Document::from_reader(found[name][0].as_slice()).unwrap();
        assert_eq!(document.get_str("db").unwrap(), "shop");
    }
    let (_folder, path) = archive("a");
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive={}", path.display()));
    mongoark(["dump", &uri, "-d=shop", "--dumpDbUsersAndRoles", &place]).await.success();
    let prelude = prelude(&path);
    assert_eq!(
        names(&prelude),
        ["shop.$admin.system.users", "shop.$admin.system.roles", "shop.$admin.system.version", "shop.orders"],
        "b12: first, and in this order"
    );
    for entry in &prelude.collections[..3] {
        assert_eq!((entry.metadata.as_str(), entry.kind.as_str()), ("", ""));
    }
    let whole = ["admin.system.users", "admin.system.roles", "admin.system.version"];
    let dumped = mongoark(["dump", &uri, "-d=admin", "--dumpDbUsersAndRoles", &place]).await.success();
    assert!(dumped.stderr.contains("admin holds all users and roles"), "{}", dumped.stderr);
    assert_eq!(names(&self::prelude(&path)), whole);
    Dump::start(&server.uri(), &["--dumpDbUsersAndRoles"]).fails(&["--db"]).await;
    Dump::start(&server.uri(), &["-d=shop", "-c=orders", "--dumpDbUsersAndRoles"])
        .fails(&["--collection"])
        .await;
}

#[tokio::test]
async fn b23_the_database_local_is_dumped_only_by_its_name() {
    let server = Mongod::start(Version::V6_0_5).await;
    insert(&server.client().await.database("d"), "things", 0..3, 10).await;
    dumps(&server.uri(), &[], &[("d.things", 3), ("admin.system.version", 1)]).await;
    let (_, found) = Dump::start(&server.uri(), &["-d=local"]).succeeds().await;
    assert!(found.keys().all(|name| name.starts_with("local.")), "{found:?}");
    assert!(found.contains_key("local.oplog.rs") && found.contains_key("local.startup_log"));
}

#[tokio::test]
async fn what_a_killed_drill_or_swap_has_left_stays_out_and_is_told() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let run = "0123456789abcdef01234567";
    let other = "76543210fedcba9876543210";
    for (db, collection) in [
        ("shop", "orders".to_owned()),
        ("shop", format!("mongoark_swap_{run}_0")),
        ("shop", format!("mongoark_swap_{run}_record")),
        // Nobody's record says that this is hidden.
        ("shop", format!("mongoark_swap_{other}_0")),
        ("mongoark_drill_shop", "mongoark_drill.mongoark_drill_shop".to_owned()),
        ("mongoark_drill_shop", "orders".to_owned()),
        ("other_prefix_shop", "mongoark_drill.other_prefix_shop".to_owned()),
        ("other_prefix_shop", "orders".to_owned()),
        ("mongoark_drill", "lease".to_owned()),
        // No drill has made it.
        ("mongoark_drill_notes", "notes".to_owned()),
    ] {
        insert(&client.database(db), &collection, 0..1, 10).await;
    }
    let (said, found) = Dump::start(&server.uri(), &[]).succeeds().await;
    let visible = format!("shop.mongoark_swap_{other}_0");
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        ["admin.system.version", "mongoark_drill_notes.notes", &visible, "shop.orders"]
    );
    for name in [
        format!("shop.mongoark_swap_{run}_0"),
        "mongoark_drill_shop.orders".to_owned(),
        "other_prefix_shop.orders".to_owned(),
        "mongoark_drill.lease".to_owned(),
    ] {
        assert!(said.contains(&name), "{name}: {said}");
    }
    // Who names it gets it.
    dumps(
        &server.uri(),
        &["-d=mongoark_drill_shop"],
        &[("mongoark_drill_shop.mongoark_drill.mongoark_drill_shop", 1), ("mongoark_drill_shop.orders", 1)],
    )
    .await;
}

#[tokio::test]
async fn w41_two_dumps_of_what_is_small_are_the_same_to_the_byte() {
    let (server, client, db) = filled(Version::V6_0_5, "again").await;
    for number in 0..60 {
        insert(&client.database("again"), &format!("c{number}"), 0..20, 500).await;
    }
    let uri = format!("--uri={}", server.uri());
    for gzip in [None, Some("--gzip")] {
        let mut first = None;
        for _ in 0..5 {
            let (_folder, path) = archive("a");
            let place = format!("--archive={}", path.display());
            mongoark(["dump", &uri, &db, "-j8", &place].into_iter().chain(gzip)).await.success();
            let bytes = std::fs::read(&path).unwrap();
            let expected = first.get_or_insert_with(|| bytes.clone());
            assert!(*expected == bytes, "another archive of the same");
        }
    }
}

#[tokio::test]
async fn w24_the_largest_come_first_by_bytes_and_time_series_among_them() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let database = server.client().await.database("sorted");
    // Few and long against many and short.
    insert(&database, "long", 0..30, 200_000).await;
    insert(&database, "short", 0..40_000, 40).await;
    insert(&database, "small", 0..10, 10).await;
    let series = doc! { "create": "ts", "timeseries": { "timeField": "t", "metaField": "m" } };
    database.run_command(series).await.unwrap();
    for number in 0..40_i32 {
        let t = DateTime::from_millis(1_767_225_600_000);
        let measurement = doc! { "t": t, "m": number, "v": "x".repeat(100_000) };
        database.collection::<Document>("ts").insert_one(measurement).await.unwrap();
    }
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    mongoark(["dump", &format!("--uri={}", server.uri()), "-d=sorted", &place]).await.success();
    assert_eq!(names(&prelude(&path)), ["sorted.small", "sorted.ts", "sorted.long", "sorted.short"]);
}

#[tokio::test]
async fn w25_the_indexes_of_many_collections_come_with_one_reply() {
    let server = Mongod::start(Version::V6_0_27).await;
    let database = server.client().await.database("many");
    for number in 0..100 {
        database.run_command(doc! { "create": format!("c{number}") }).await.unwrap();
    }
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let (_, found) = Dump::start(&proxy.uri(), &["-d=many"]).succeeds().await;
    assert!(found.is_empty(), "they are empty");
    assert_eq!(proxy.requests("listIndexes"), 0);
    assert!(proxy.requests("listCollections") < 10, "{}", proxy.requests("listCollections"));
}

/// A view whose literal Extended JSON cannot tell, and one that no reader could read.
async fn with_odd_literals(database: &Database) {
    insert(database, "orders", 0..3, 10).await;
    for (name, id) in [("readable", "507f1f77bcf86cd799439011"), ("unreadable", "no id")] {
        let literal = doc! { "$addFields": { "x": { "$literal": { "$oid": id } } } };
        let view = doc! { "create": name, "viewOn": "orders", "pipeline": [literal] };
        database.run_command(view).await.unwrap();
    }
    let validator = doc! { "$expr": { "$ne": ["$x", { "$literal": { "$date": "yesterday" } }] } };
    database
        .run_command(doc! { "create": "strict", "capped": true, "size": 4096, "validator": validator })
        .await
        .unwrap();
}

/// The options of every collection, as the server's bytes: as documents, the driver would take literals for types itself.
async fn options(database: &Database) -> BTreeMap<String, Vec<u8>> {
    let listed = database.run_cursor_command(doc! { "listCollections": 1 }).await.unwrap();
    let mut listed = listed.with_type::<RawDocumentBuf>();
    let mut options = BTreeMap::new();
    while listed.advance().await.unwrap() {
        let info = listed.current();
        let bytes = info.get_document("options").unwrap().as_bytes().to_vec();
        options.insert(info.get_str("name").unwrap().to_owned(), bytes);
    }
    options
}

#[tokio::test]
async fn w8_literals_that_look_like_types_are_dumped_and_restored_exactly() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let database = server.client().await.database("literal");
    with_odd_literals(&database).await;
    let expected = options(&database).await;
    assert_eq!(expected.len(), 5, "and the server's list of views");
    let (_folder, path) = archive("a");
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive={}", path.display()));
    let said = mongoark(["dump", &uri, "-d=literal", &place]).await.success().stderr;
    let told = "literal.readable, literal.strict, literal.unreadable exactly to this program only";
    assert!(said.contains(told), "{said}");
    let target = Mongod::start(Version::V6_0_5).await;
    mongoark(["restore", &format!("--uri={}", target.uri()), &place]).await.success();
    assert_eq!(options(&target.client().await.database("literal")).await, expected);
}

mod interop {
    use super::super::super::support::tools::mongorestore;
    use super::*;

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn w8_mongorestore_restores_what_it_can_read_of_such_an_archive() {
        let server = Mongod::start(Version::V6_0_5).await;
        let database = server.client().await.database("literal");
        with_odd_literals(&database).await;
        let (_folder, path) = archive("a");
        let place = format!("--archive={}", path.display());
        mongoark(["dump", &format!("--uri={}", server.uri()), "-d=literal", &place]).await.success();
        let target = Mongod::start(Version::V6_0_5).await;
        mongorestore([format!("--uri={}", target.uri()), place]).await.success();
        let restored = fingerprint_of(&target.client().await.database("literal")).await;
        assert_eq!(restored["literal.orders"].count, Some(3));
        assert_eq!(restored["literal.readable"].kind, "view");
        assert_eq!(restored["literal.unreadable"].kind, "collection");
        assert_eq!(restored["literal.strict"].options["capped"], serde_json::json!(true));
    }
}

#[tokio::test]
async fn a_read_preference_is_the_flags_where_the_connection_string_has_none() {
    let set = ReplicaSet::start(Version::V4_4_2).await;
    insert(&set.client().await.database("d"), "things", 0..10, 10).await;
    set.caught_up().await;
    set.without_primary().await;
    let soon = set.uri_with("serverSelectionTimeoutMS=2000");
    for preference in
        ["secondary", "Nearest", "{mode: 'secondaryPreferred', tagSets: [{}], maxStalenessSeconds: 120}"]
    {
        dumps(&soon, &["-d=d", "--readPreference", preference], &[("d.things", 10)]).await;
    }
    Dump::start(&soon, &["-d=d"]).fails(&["read preference"]).await;
    let tagged = "{\"mode\":\"secondary\",\"tagSets\":[{\"dc\":\"nowhere\"}]}";
    Dump::start(&soon, &["-d=d", "--readPreference", tagged]).fails(&["read preference"]).await;
    let primary = set.uri_with("serverSelectionTimeoutMS=2000&readPreference=primary");
    Dump::start(&primary, &["-d=d", "--readPreference=secondary"]).fails(&["read preference"]).await;
    for nonsense in ["both", "{mode: 'primary', tagSets: [{a: 'b'}]}"] {
        Dump::start(&soon, &["--readPreference", nonsense]).fails(&["--readPreference"]).await;
    }
}

#[tokio::test]
async fn an_account_that_may_read_one_database_takes_a_query_of_it() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let client = server.client().await;
    insert(&client.database("shop"), "orders", 0..10, 10).await;
    let role = doc! { "role": "read", "db": "shop" };
    let user = doc! { "createUser": "ann", "pwd": "hunter2hunter2", "roles": [Bson::Document(role)] };
    client.database("admin").run_command(user).await.unwrap();
    let uri = server.uri_for("ann", "hunter2hunter2", "admin");
    dumps(&uri, &["-d=shop", "-c=orders", r#"-q={"n":{"$lt":4}}"#], &[("shop.orders", 4)]).await;
    let dump = Dump::start(&uri, &["-d=shop", "--dumpDbUsersAndRoles"]);
    let path = dump.path.clone();
    let finished = dump.running.await.unwrap();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("--dumpDbUsersAndRoles"), "{}", finished.stderr);
    assert!(!path.exists() || left_beside(&path).is_empty());
}
