//! What servers are asked of which there is no binary, command by command.

use archive_format::{Decoder, Event, Kind};
use bytes_crate::BytesMut;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};

use super::super::support::mongoark::{archive, mongoark};
use super::super::support::scripted_server::{ScriptedServer, batch, refused};
use super::bytes_crate;
use crate::support::tools::Finished;

/// Servers from 7.0 on; the flag says whether they keep the buckets of a time series apart.
const VERSIONS: [(&str, bool); 5] =
    [("7.0.13", true), ("8.0.0", true), ("8.2.1", true), ("8.3.0", false), ("9.0.0-rc1", false)];

fn uuid(byte: u8) -> Binary {
    Binary { subtype: BinarySubtype::Uuid, bytes: vec![byte; 16] }
}

/// What `listCollections` says of the database `shop`: a collection, a view and a time series.
fn collections(keeps_buckets_apart: bool) -> Vec<Document> {
    let collection = |name: &str, kind: &str, options: Document, byte: Option<u8>| {
        let mut info = doc! { "readOnly": false };
        info.extend(byte.map(|byte| ("uuid".to_owned(), uuid(byte).into())));
        doc! { "name": name, "type": kind, "options": options, "info": info }
    };
    let series = doc! { "timeseries": { "timeField": "t", "metaField": "m" } };
    let view = doc! { "viewOn": "orders", "pipeline": [] };
    let mut all = vec![
        collection("orders", "collection", doc! {}, Some(1)),
        collection("few", "view", view, None),
        collection("ts", "timeseries", series.clone(), (!keeps_buckets_apart).then_some(2)),
    ];
    if keeps_buckets_apart {
        all.push(collection("system.buckets.ts", "collection", series, Some(3)));
        all.push(collection("system.views", "collection", doc! {}, Some(4)));
    }
    all
}

fn documents(collection: &str) -> Vec<Document> {
    match collection {
        "orders" => vec![doc! { "_id": 1 }, doc! { "_id": 2 }],
        "ts" | "system.buckets.ts" => {
            vec![doc! { "_id": 1, "control": { "version": 2 }, "meta": 7, "data": {} }]
        }
        _ => Vec::new(),
    }
}

/// A database `shop` in a server of this version.
async fn shop(version: &str, keeps_buckets_apart: bool) -> ScriptedServer {
    ScriptedServer::start(version, move |db, command| {
        let (name, value) = command.iter().next()?;
        let collection = value.as_str().unwrap_or_default();
        let namespace = format!("{db}.{collection}");
        Some(match name.as_str() {
            "listDatabases" => doc! {
                "databases": [{ "name": "shop" }, { "name": "local" }, { "name": "__mdb_internal_search" }],
                "ok": 1,
            },
            "listCollections" => batch(&namespace, listed(command, collections(keeps_buckets_apart))),
            "listIndexes" => batch(&namespace, [doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }]),
            "dataSize" => doc! { "size": 100, "numObjects": 2, "ok": 1 },
            "aggregate" => batch(&namespace, [doc! { "count": 1_i64, "size": 100_i64 }]),
            "find" => batch(&namespace, documents(collection)),
            _ => return None,
        })
    })
    .await
}

/// The server filters by names.
fn listed(command: &Document, all: Vec<Document>) -> Vec<Document> {
    let names = command.get_document("filter").and_then(|filter| filter.get_document("name"));
    let Ok(names) = names.and_then(|name| name.get_array("$in")) else { return all };
    all.into_iter().filter(|info| names.contains(info.get("name").unwrap())).collect()
}

async fn dump(server: &ScriptedServer, arguments: &[&str]) -> (Finished, Vec<u8>) {
    let (_folder, path) = archive("a");
    let place = [format!("--uri={}", server.uri()), format!("--archive={}", path.display())];
    let all = ["dump", "--snapshot=off"].into_iter().chain(arguments.iter().copied()).map(ToOwned::to_owned);
    let finished = mongoark(all.chain(place)).await;
    let bytes = std::fs::read(&path).unwrap_or_default();
    (finished, bytes)
}

/// The finds of a dump, without those that look for the edges of a large collection.
fn finds(server: &ScriptedServer) -> Vec<Document> {
    server.asked("find").into_iter().filter(|find| !find.contains_key("limit")).collect()
}

#[tokio::test]
async fn b33_from_8_3_on_everything_is_read_raw_and_time_series_under_their_own_name() {
    for (version, keeps_buckets_apart) in VERSIONS {
        let server = shop(version, keeps_buckets_apart).await;
        let (finished, bytes) = dump(&server, &[]).await;
        assert_eq!(finished.code, Some(0), "{version}: {}", finished.stderr);
        let finds = finds(&server);
        let mut read: Vec<&str> = finds.iter().map(|find| find.get_str("find").unwrap()).collect();
        read.sort_unstable();
        let data = if keeps_buckets_apart { "system.buckets.ts" } else { "ts" };
        let mut expected = ["orders", data];
        expected.sort_unstable();
        assert_eq!(read, expected, "{version}");
        for find in &finds {
            assert_eq!(
                find.get_bool("rawData").ok(),
                (!keeps_buckets_apart).then_some(true),
                "{version}: {find}"
            );
            assert_eq!(find.get_document("hint").unwrap(), &doc! { "$natural": 1 }, "{version}: {find}");
        }

        let mut buffer = BytesMut::from(bytes.as_slice());
        let Some(Event::Prelude(prelude)) = Decoder::new().decode(&mut buffer).unwrap() else {
            panic!("a prelude")
        };
        assert_eq!(prelude.server_version, version, "b03: as the server says it");
        let kinds: Vec<_> =
            prelude.collections.iter().map(|entry| (entry.namespace.to_string(), entry.kind)).collect();
        assert!(kinds.contains(&("shop.ts".to_owned(), Kind::Timeseries)), "b06, {version}: {kinds:?}");
        assert!(kinds.contains(&("shop.few".to_owned(), Kind::View)), "b07, {version}: {kinds:?}");
        assert_eq!(kinds.len(), 3, "{version}: {kinds:?}");
        let held = super::archived(&bytes);
        assert_eq!(
            held.get(&format!("shop.{data}")).map(Vec::len),
            Some(1),
            "b06, {version}: {:?}",
            held.keys()
        );
        let series = prelude.collections.iter().find(|entry| entry.kind == Kind::Timeseries).unwrap();
        assert_eq!(
            series.metadata.contains("\"uuid\""),
            !keeps_buckets_apart,
            "{version}: {}",
            series.metadata
        );
    }
}

#[tokio::test]
async fn b31_a_query_of_a_time_series_asks_for_meta_whatever_the_version() {
    for (version, keeps_buckets_apart) in VERSIONS {
        let server = shop(version, keeps_buckets_apart).await;
        let (finished, _) = dump(&server, &["-d=shop", "-c=ts", r#"-q={"m.device":1}"#]).await;
        assert_eq!(finished.code, Some(0), "{version}: {}", finished.stderr);
        let [find] = &finds(&server)[..] else { panic!("one find") };
        assert_eq!(find.get_document("filter").unwrap(), &doc! { "meta.device": 1 }, "{version}");
        assert!(
            !find.contains_key("hint") && !find.contains_key("$_requestResumeToken"),
            "b32, {version}: {find}"
        );
        assert_eq!(find.contains_key("rawData"), !keeps_buckets_apart, "{version}");
    }
}

#[tokio::test]
async fn b33_an_account_that_may_not_read_raw_is_told_which_right_it_lacks() {
    let server = ScriptedServer::start("8.3.0", |db, command| {
        let (name, value) = command.iter().next()?;
        let namespace = format!("{db}.{}", value.as_str().unwrap_or_default());
        Some(match name.as_str() {
            "listCollections" => batch(&namespace, listed(command, collections(false))),
            "listIndexes" => batch(&namespace, []),
            "find" => {
                refused(13, "Unauthorized", "not authorized on shop to execute command { find: \"orders\" }")
            }
            _ => return None,
        })
    })
    .await;
    let (finished, bytes) = dump(&server, &["-d=shop"]).await;
    assert_eq!((finished.code, bytes.len()), (Some(1), 0), "{}", finished.stderr);
    assert!(finished.stderr.contains("performRawDataOperations"), "{}", finished.stderr);
}

#[tokio::test]
async fn secondaries_behind_a_router_are_warned_of() {
    let server = ScriptedServer::start("8.0.0", |db, command| {
        let (name, value) = command.iter().next()?;
        let namespace = format!("{db}.{}", value.as_str().unwrap_or_default());
        Some(match name.as_str() {
            "hello" | "ismaster" | "isMaster" => doc! { "msg": "isdbgrid" },
            "listCollections" | "listIndexes" => batch(&namespace, []),
            _ => return None,
        })
    })
    .await;
    for (preference, is_warned) in [("secondary", true), ("nearest", true), ("primary", false)] {
        let (finished, _) = dump(&server, &["-d=shop", "--readPreference", preference]).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_eq!(
            finished.stderr.contains("through a router"),
            is_warned,
            "{preference}: {}",
            finished.stderr
        );
    }
}

#[tokio::test]
async fn b23_internal_databases_are_left_out_and_told() {
    let server = shop("8.0.0", true).await;
    let (finished, _) = dump(&server, &[]).await;
    assert!(finished.stderr.contains("internal to MongoDB: __mdb_internal_search"), "{}", finished.stderr);
    let asked = server.asked("listCollections");
    assert!(!asked.is_empty() && finished.code == Some(0));
}

#[tokio::test]
async fn b16_a_database_whose_name_no_archive_may_hold_ends_the_dump() {
    let server = ScriptedServer::start("8.0.0", |db, command| {
        Some(match command.keys().next()?.as_str() {
            "listDatabases" => doc! { "databases": [{ "name": "../../etc" }], "ok": 1 },
            "listCollections" => batch(&format!("{db}."), listed(command, collections(true))),
            _ => return None,
        })
    })
    .await;
    let (finished, bytes) = dump(&server, &[]).await;
    assert_eq!((finished.code, bytes.len()), (Some(1), 0), "{}", finished.stderr);
    assert!(finished.stderr.contains("../../etc"), "{}", finished.stderr);
}

/// A shared cluster of Atlas: it knows one more command and refuses `admin`.
async fn shared_atlas() -> ScriptedServer {
    ScriptedServer::start("8.0.0", |db, command| {
        let (name, value) = command.iter().next()?;
        let collection = value.as_str().unwrap_or_default();
        let namespace = format!("{db}.{collection}");
        Some(match (name.as_str(), db) {
            ("hello" | "ismaster" | "isMaster", _) => return None,
            ("atlasVersion", _) => doc! { "atlasVersion": "1", "ok": 1 },
            ("listDatabases", _) => doc! { "databases": [{ "name": "admin" }, { "name": "shop" }], "ok": 1 },
            (_, "admin") => refused(8000, "AtlasError", "not allowed"),
            ("listCollections", _) => batch(&namespace, listed(command, collections(true))),
            ("listIndexes", _) => batch(&namespace, []),
            ("find", _) => batch(&namespace, documents(collection)),
            _ => return None,
        })
    })
    .await
}

#[tokio::test]
async fn b39_a_shared_cluster_of_atlas_is_dumped_without_admin_and_users() {
    let server = shared_atlas().await;
    let (finished, bytes) = dump(&server, &[]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(super::archived(&bytes).keys().all(|name| name.starts_with("shop.")));
    assert!(finished.stderr.contains("a shared cluster of Atlas"), "{}", finished.stderr);
    for arguments in
        [&["-d=admin"][..], &["-d=admin", "-c=system.users"], &["-d=shop", "--dumpDbUsersAndRoles"]]
    {
        let (finished, bytes) = dump(&server, arguments).await;
        assert_eq!((finished.code, bytes.len()), (Some(1), 0), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains("a shared cluster of Atlas"), "{arguments:?}: {}", finished.stderr);
    }
    let (finished, _) = dump(&server, &["-d=shop"]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

/// A server with these users, and with a document that says which schema they have, or without.
async fn with_users(version: &str, users: Vec<Document>, schema: Option<i32>) -> ScriptedServer {
    ScriptedServer::start(version, move |db, command| {
        let (name, value) = command.iter().next()?;
        let collection = value.as_str().unwrap_or_default();
        let namespace = format!("{db}.{collection}");
        let kept = ["system.users", "system.roles", "system.version"];
        let info = |name: &str| doc! { "name": name, "type": "collection", "options": {}, "info": { "uuid": uuid(9) } };
        Some(match (name.as_str(), collection) {
            ("getParameter", _) => doc! { "authSchemaVersion": schema?, "ok": 1 },
            ("listCollections", _) if db == "admin" => batch(&namespace, listed(command, kept.map(info).to_vec())),
            ("find", "system.users") => batch(&namespace, users.clone()),
            ("find", "system.version") => {
                batch(&namespace, schema.map(|version| doc! { "_id": "authSchema", "currentVersion": version }))
            }
            ("listCollections" | "find", _) => batch(&namespace, []),
            _ => return None,
        })
    })
    .await
}

#[tokio::test]
async fn b38_users_of_a_database_need_a_schema_up_to_8_0_and_a_user_or_role_from_8_1_on() {
    let ann = doc! { "_id": "shop.ann", "user": "ann", "db": "shop" };
    for (version, users, schema, words) in [
        ("8.0.0", vec![ann.clone()], Some(5), None),
        ("8.0.0", vec![ann.clone()], Some(1), Some("from schema 3 on")),
        ("8.0.0", vec![], None, Some("schema of users and roles")),
        ("8.1.0", vec![ann.clone()], None, None),
        ("9.0.0", vec![ann], None, None),
        ("8.1.0", vec![], None, Some("never had a user or a role")),
    ] {
        let server = with_users(version, users, schema).await;
        let (finished, bytes) = dump(&server, &["-d=shop", "--dumpDbUsersAndRoles"]).await;
        let Some(words) = words else {
            assert_eq!(finished.code, Some(0), "{version}: {}", finished.stderr);
            let held = super::archived(&bytes);
            assert_eq!(held["shop.$admin.system.users"].len(), 1);
            let asked: Vec<Document> = finds(&server);
            let of = |name: &str| {
                let find = asked.iter().find(|find| find.get_str("find").unwrap() == name).unwrap();
                find.get_document("filter").unwrap().clone()
            };
            assert_eq!(of("system.users"), doc! { "db": "shop" }, "{version}");
            assert_eq!(of("system.roles"), doc! { "db": "shop" }, "{version}");
            assert_eq!(of("system.version"), doc! {}, "{version}: unfiltered");
            continue;
        };
        assert_eq!((finished.code, bytes.len()), (Some(1), 0), "{version}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{version}: {}", finished.stderr);
    }
}

#[tokio::test]
async fn b03_a_server_that_tells_no_version_is_not_dumped() {
    let server = ScriptedServer::start("of its own", |_, _| None).await;
    let (finished, bytes) = dump(&server, &[]).await;
    assert_eq!((finished.code, bytes.len()), (Some(1), 0), "{}", finished.stderr);
    assert!(finished.stderr.contains("version"), "{}", finished.stderr);
}
