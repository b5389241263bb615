//! Indexes of every kind.

use mongodb::Database;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, cstr, doc, rawdoc};

use super::{insert, run};

pub(super) async fn fill(zoo: &Database) {
    insert(zoo, "indexed", (0..500).map(indexed)).await;
    run(zoo, doc! { "createIndexes": "indexed", "indexes": indexes() }).await;
    // A `b: 1` with a collation and one without, both told apart by their names only.
    run(zoo, doc! { "createIndexes": "indexed", "indexes": [{ "key": { "b": 1 }, "name": "b_1" }] }).await;

    let everything =
        doc! { "key": { "$**": 1 }, "name": "$**_1", "wildcardProjection": { "a": 1, "b.c": 1 } };
    run(zoo, doc! { "createIndexes": "wild", "indexes": [everything] }).await;
    insert(zoo, "wild", [rawdoc! { "_id": 1, "a": { "x": 1 }, "b": { "c": [1, 2] } }]).await;

    let simple = doc! { "key": { "w": -1 }, "name": "simple", "collation": { "locale": "simple" } };
    let inherited = doc! { "key": { "w": 1 }, "name": "w_1" };
    run(zoo, doc! { "createIndexes": "collated", "indexes": [inherited, simple] }).await;

    run(zoo, doc! { "createIndexes": "empty_indexed", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] })
        .await;
}

fn indexed(n: i32) -> RawDocumentBuf {
    let degrees = f64::from(n % 90);
    let at = DateTime::from_millis(1_767_225_600_000 + i64::from(n));
    let mut document = rawdoc! {
        "_id": n,
        "a": n,
        "b": format!("b{n}"),
        "at": at,
        "loc": { "type": "Point", "coordinates": [degrees, -degrees] },
        "legacy": [degrees, degrees],
        "txt": format!("le zèbre numéro {n}"),
        "h": { "x": n },
        "arr": [n, n + 1],
        "w": { "deep": { "er": n } },
    };
    if n % 2 == 0 {
        document.append(cstr!("u"), n);
    }
    document
}

fn indexes() -> Vec<Document> {
    let german = doc! { "locale": "de", "strength": 1 };
    let text = doc! { "txt": 5, "b": 1 };
    vec![
        doc! { "key": { "a": 1 }, "name": "a_1" },
        doc! { "key": { "b": 1, "a": -1 }, "name": "custom ü name" },
        doc! { "key": { "a": -1 }, "name": "a_unique", "unique": true },
        doc! { "key": { "u": 1 }, "name": "u_1", "sparse": true },
        doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 1_000_000_000 },
        doc! { "key": { "a": 1, "b": 1 }, "name": "partial",
        "partialFilterExpression": { "b": { "$exists": true }, "a": { "$gt": 100 } } },
        doc! { "key": { "loc": "2dsphere" }, "name": "loc_2dsphere" },
        doc! { "key": { "legacy": "2d" }, "name": "legacy_2d", "min": -200, "max": 200, "bits": 20 },
        doc! { "key": { "txt": "text", "b": "text" }, "name": "text", "weights": text,
        "default_language": "french", "language_override": "lang" },
        doc! { "key": { "h.x": "hashed" }, "name": "h.x_hashed" },
        doc! { "key": { "_id": "hashed" }, "name": "_id_hashed" },
        doc! { "key": { "a": 1, "b": "hashed" }, "name": "compound_hashed" },
        doc! { "key": { "w.$**": 1 }, "name": "w.$**_1" },
        doc! { "key": { "b": 1 }, "name": "collated", "collation": german },
        doc! { "key": { "arr": 1 }, "name": "arr_1" },
        doc! { "key": { "arr": 1, "a": 1 }, "name": "hidden_ix", "hidden": true },
        doc! { "key": { "z": 1, "y": -1, "x": 1 }, "name": "order matters" },
        doc! { "key": { "long": 1_i64 }, "name": "long key" },
        doc! { "key": { "double": 1.0 }, "name": "double key" },
    ]
}
