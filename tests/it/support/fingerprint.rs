//! What a server holds, in a form that can be compared; `testdata/README.md` has the definition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::{Client, Database};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Per namespace (`database.collection`), what is there. Views of the server on itself (`admin`, `config`, `local`,
/// `system.views`, `system.profile`) are left out.
pub type Fingerprint = BTreeMap<String, Collection>;

/// One collection, view or time series.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Collection {
    /// `collection`, `view` or `timeseries`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many documents; not for views.
    pub count: Option<u64>,
    /// MD5 over the sorted MD5s of the raw documents; only for collections.
    pub md5: Option<String>,
    /// As `listCollections` gives them, without the UUID.
    pub options: Value,
    /// As `listIndexes` gives them, by name; not for views.
    pub indexes: Option<Vec<Value>>,
    /// Options and indexes with the types and the order of their values, which a stored fingerprint does not have.
    #[serde(skip)]
    pub exact: Option<BTreeMap<String, String>>,
}

/// The fingerprint of everything on a server.
pub async fn fingerprint(client: &Client) -> Fingerprint {
    let mut names = client.list_database_names().await.expect("database names");
    names.retain(|name| !["admin", "config", "local"].contains(&name.as_str()));
    let mut all = Fingerprint::new();
    for name in names {
        all.append(&mut fingerprint_of(&client.database(&name)).await);
    }
    all
}

/// The fingerprint of one database.
pub async fn fingerprint_of(database: &Database) -> Fingerprint {
    let mut all = Fingerprint::new();
    for listed in list(database, doc! { "listCollections": 1 }).await {
        let name = listed.get_str("name").expect("a name");
        if !["system.views", "system.profile"].contains(&name) {
            all.insert(format!("{}.{name}", database.name()), collection(database, name, &listed).await);
        }
    }
    all
}

async fn collection(database: &Database, name: &str, listed: &Document) -> Collection {
    let kind = listed.get_str("type").expect("a type").to_owned();
    let options = listed.get_document("options").expect("options").clone();
    let mut exact = BTreeMap::from([("options".to_owned(), exact_text(&options))]);
    let mut found = Collection { options: relaxed(options), ..Collection::default() };
    if kind != "view" {
        let mut indexes = list(database, doc! { "listIndexes": name }).await;
        indexes.sort_by_cached_key(|index| index.get_str("name").expect("a name").to_owned());
        exact.extend(indexes.iter().map(|index| (format!("index {}", index_name(index)), exact_text(index))));
        found.indexes = Some(indexes.into_iter().map(stored_index).collect());
    }
    match kind.as_str() {
        "collection" => {
            let (count, md5) = documents(database, name).await;
            (found.count, found.md5) = (Some(count), Some(md5));
        }
        "timeseries" => {
            let count = database.collection::<Document>(name).count_documents(doc! {}).await;
            found.count = Some(count.expect("a count"));
        }
        _ => {}
    }
    Collection { kind, exact: Some(exact), ..found }
}

async fn documents(database: &Database, name: &str) -> (u64, String) {
    let collection = database.collection::<RawDocumentBuf>(name);
    let mut cursor = collection.find(doc! {}).batch().await.expect("a cursor");
    let mut sums = Vec::new();
    while let Some(batch) = cursor.next().await {
        for document in batch.expect("a batch").doc_slices().expect("documents") {
            let document = document.expect("well-formed");
            sums.push(Md5::digest(document.as_document().expect("a document").as_bytes()));
        }
    }
    sums.sort_unstable();
    let mut all = Md5::new();
    for sum in &sums {
        all.update(sum);
    }
    (sums.len().try_into().expect("fits"), hex(&all.finalize()))
}

async fn list(database: &Database, command: Document) -> Vec<Document> {
    let cursor = database.run_cursor_command(command).await.expect("a cursor");
    cursor.try_collect().await.expect("all of it")
}

fn index_name(index: &Document) -> &str {
    index.get_str("name").expect("a name")
}

/// The stored form carries `"ns": null`, a left-over of servers before 4.4.
fn stored_index(mut index: Document) -> Value {
    index.insert("ns", Bson::Null);
    relaxed(index)
}

fn relaxed(document: Document) -> Value {
    Bson::Document(document).into_relaxed_extjson()
}

/// Canonical Extended JSON. The fields of the outermost level are sorted: mongorestore does not keep their order.
fn exact_text(document: &Document) -> String {
    let mut fields: Vec<_> = document.clone().into_iter().filter(|(name, _)| name != "ns").collect();
    fields.sort_by(|left, right| left.0.cmp(&right.0));
    Bson::Document(fields.into_iter().collect()).into_canonical_extjson().to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Reads a stored fingerprint.
pub fn load(path: impl AsRef<Path>) -> Fingerprint {
    let path = path.as_ref();
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Asserts that two fingerprints are equal, naming every difference otherwise.
#[track_caller]
pub fn assert_same(expected: &Fingerprint, found: &Fingerprint) {
    assert!(!expected.is_empty(), "an empty fingerprint proves nothing");
    let differences = differences(expected, found);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Every difference between two fingerprints, one line each.
pub fn differences(expected: &Fingerprint, found: &Fingerprint) -> Vec<String> {
    let mut lines = Vec::new();
    for name in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        match (expected.get(name), found.get(name)) {
            (Some(expected), Some(found)) => compare(name, expected, found, &mut lines),
            (Some(_), None) => lines.push(format!("{name}: missing")),
            _ => lines.push(format!("{name}: was not there before")),
        }
    }
    lines
}

fn compare(name: &str, expected: &Collection, found: &Collection, lines: &mut Vec<String>) {
    let mut field = |field: &str, expected: &Value, found: &Value| {
        if expected != found {
            lines.push(format!("{name}: {field}: expected {expected}\n    found {found}"));
        }
    };
    field("type", &expected.kind.as_str().into(), &found.kind.as_str().into());
    field("count", &expected.count.into(), &found.count.into());
    field("documents (md5)", &expected.md5.clone().into(), &found.md5.clone().into());
    field("options", &expected.options, &found.options);
    let (before, after) = (by_name(expected), by_name(found));
    for index in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let get = |indexes: &BTreeMap<String, Value>| indexes.get(index).cloned().unwrap_or_default();
        field(&format!("index {index}"), &get(&before), &get(&after));
    }
    if let (Some(before), Some(after)) = (&expected.exact, &found.exact) {
        for part in before.keys().filter(|part| after.contains_key(*part)) {
            field(&format!("{part}, exactly"), &before[part].as_str().into(), &after[part].as_str().into());
        }
    }
}

fn by_name(collection: &Collection) -> BTreeMap<String, Value> {
    let indexes = collection.indexes.iter().flatten();
    indexes.map(|index| (index["name"].as_str().expect("a name").to_owned(), index.clone())).collect()
}

#[test]
fn every_difference_is_named() {
    let index =
        |name: &str, extra: i32| serde_json::json!({ "name": name, "key": { name: 1 }, "extra": extra });
    let before = Collection {
        kind: "collection".into(),
        count: Some(2),
        md5: Some("aa".into()),
        options: serde_json::json!({ "capped": true }),
        indexes: Some(vec![index("kept", 1), index("changed", 1), index("lost", 1)]),
        exact: None,
    };
    let mut after = Collection { count: Some(1), md5: Some("bb".into()), ..before.clone() };
    after.indexes = Some(vec![index("kept", 1), index("changed", 2)]);
    let namespaces = |names: [&str; 2], second: &Collection| -> Fingerprint {
        [(names[0].to_owned(), before.clone()), (names[1].to_owned(), second.clone())].into()
    };
    let (left, right) = (namespaces(["d.gone", "d.c"], &before), namespaces(["d.new", "d.c"], &after));

    let found = differences(&left, &right);
    let names: Vec<_> =
        found.iter().map(|line| line.split(": expected").next().expect("never empty")).collect();
    let expected = [
        "d.c: count",
        "d.c: documents (md5)",
        "d.c: index changed",
        "d.c: index lost",
        "d.gone: missing",
        "d.new: was not there before",
    ];
    assert_eq!(names, expected);
    assert_eq!(differences(&left, &left), Vec::<String>::new());
}
