//! Collections of every kind and name, views, `GridFS`.

use futures::AsyncWriteExt;
use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Decimal128, RawBson, RawDocumentBuf, Regex, doc, rawdoc};

use super::super::mongod::Version;
use super::{insert, run};

/// 2026-01-01, and about thirty years: nothing expires while the tests run.
const START_MILLIS: i64 = 1_767_225_600_000;
const EXPIRE_SECONDS: i32 = 1_000_000_000;

const NAMES: [&str; 10] = [
    "with space",
    "dotted.name.x",
    "%24escaped",
    "perc%ent",
    "quote'\"s",
    "semi;colon",
    "sla/sh",
    "back\\slash",
    "new\nline",
    "ümläut-日本",
];

pub(super) async fn fill(zoo: &Database, version: Version) {
    for name in NAMES.into_iter().map(str::to_owned).chain(["x".repeat(120)]) {
        insert(zoo, &name, [rawdoc! { "_id": 1, "name": name.as_str() }]).await;
    }
    run(zoo, doc! { "create": "empty" }).await;
    run(zoo, doc! { "create": "capped", "capped": true, "size": 65536, "max": 50 }).await;
    insert(zoo, "capped", numbers(80)).await;
    validated(zoo).await;
    let french = doc! { "locale": "fr", "strength": 2, "caseLevel": true };
    run(zoo, doc! { "create": "collated", "collation": french }).await;
    insert(zoo, "collated", ["côte", "Côté", "coté"].map(|word| rawdoc! { "_id": word, "w": word })).await;
    views(zoo).await;
    if version.has_time_series() {
        time_series(zoo).await;
    }
    if version.has_clustered_collections() {
        let index = doc! { "key": { "_id": 1 }, "unique": true, "name": "by id" };
        run(zoo, doc! { "create": "clustered", "clusteredIndex": index }).await;
        insert(zoo, "clustered", numbers(20)).await;
    }
}

fn numbers(count: i32) -> impl Iterator<Item = RawDocumentBuf> {
    (0..count).map(|n| rawdoc! { "_id": n, "n": n })
}

async fn validated(zoo: &Database) {
    let schema = doc! { "required": ["name"], "properties": { "name": { "bsonType": "string" } } };
    let lenient = doc! {
        "create": "validated",
        "validator": { "$jsonSchema": schema },
        "validationLevel": "moderate",
        "validationAction": "warn",
    };
    run(zoo, lenient).await;
    insert(zoo, "validated", [rawdoc! { "_id": 1, "name": "valid" }, rawdoc! { "_id": 2, "name": 2 }]).await;
    let strict = doc! { "create": "validated_strictly", "validator": { "n": { "$gte": 0, "$type": ["int", "long"] } } };
    run(zoo, strict).await;
    insert(zoo, "validated_strictly", numbers(3)).await;
}

async fn views(zoo: &Database) {
    let ids = doc! { "$match": { "_id": { "$in": ["int", "long"] } } };
    run(zoo, doc! { "create": "view", "viewOn": "types", "pipeline": [ids, { "$project": { "v": 1 } }] })
        .await;
    run(zoo, doc! { "create": "view_on_view", "viewOn": "view", "pipeline": [] }).await;
    run(zoo, doc! { "create": "view_on_nothing", "viewOn": "no such collection", "pipeline": [] }).await;
    let pattern =
        Regex { pattern: "^a.b$".try_into().expect("no NUL"), options: "i".try_into().expect("no NUL") };
    let literals = doc! { "$match": { "$or": [
        { "v": { "$gt": DateTime::from_millis(START_MILLIS) } },
        { "v": pattern },
        { "v": "0.10".parse::<Decimal128>().expect("a decimal") },
        { "v": { "$lt": 5_000_000_000_i64 } },
        { "v": Bson::Null },
        { "v": 1.0 },
    ] } };
    let german = doc! { "locale": "de", "strength": 1 };
    run(zoo, doc! { "create": "view_with_literals", "viewOn": "mixed", "pipeline": [literals], "collation": german })
        .await;
}

async fn time_series(zoo: &Database) {
    let times = doc! { "timeField": "t", "metaField": "m", "granularity": "minutes" };
    run(zoo, doc! { "create": "ts", "timeseries": times, "expireAfterSeconds": EXPIRE_SECONDS }).await;
    let index = doc! { "key": { "m.s": 1, "t": -1 }, "name": "m.s_1_t_-1" };
    run(zoo, doc! { "createIndexes": "ts", "indexes": [index] }).await;
    let measurements = (0..200_i32).map(|n| {
        let t = DateTime::from_millis(START_MILLIS + i64::from(n) * 61_000);
        rawdoc! { "_id": n, "t": t, "m": { "s": n % 3 }, "v": f64::from(n) / 3.0 }
    });
    insert(zoo, "ts", measurements).await;
    run(zoo, doc! { "create": "ts_bare", "timeseries": { "timeField": "when" } }).await;
    insert(zoo, "ts_bare", [rawdoc! { "_id": 1, "when": DateTime::from_millis(START_MILLIS) }]).await;
}

pub(super) async fn fill_second(two: &Database) {
    insert(two, "types", numbers(1200)).await;
    let function = RawBson::JavaScriptCode("function(x) { return 2 * x }".into());
    insert(two, "system.js", [rawdoc! { "_id": "double", "value": function }]).await;
    let mut upload = two.gridfs_bucket(None).open_upload_stream("zebra.txt").await.expect("an upload");
    upload.write_all(&b"black, white, ".repeat(40_000)).await.expect("written");
    upload.close().await.expect("stored");
}
