//! The same archive, target and arguments through both tools: exit code and everything that is there afterwards.
//!
//! The table is made of archives, states of the target and arguments. Where the tools are to differ, the reason stands in
//! [`reason`].

use std::fmt;
use std::path::{Path, PathBuf};

use mongodb::Database;
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};

use super::super::restore::made::Made;
use super::super::support::fingerprint::{Fingerprint, differences, fingerprint_of};
use super::super::support::mongoark::mongoark;
use super::super::support::mongod::{Mongod, Version};
use super::super::support::tools::mongorestore;

const DB: &str = "interop";

/// What an archive is made to show, and the metadata of its one collection `c`.
const ARCHIVES: [(&str, &str); 11] = [
    (
        "plain",
        r#"{"options":{},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"},{"v":2,"key":{"m":1},"name":"m_1"}]}"#,
    ),
    ("no metadata", ""),
    (
        "validator",
        r#"{"options":{"validator":{"m":{"$gte":{"$numberInt":"5"}}}},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"}]}"#,
    ),
    ("duplicates", r#"{"options":{},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"}]}"#),
    (
        "capped",
        r#"{"options":{"capped":true,"size":{"$numberInt":"65536"},"max":{"$numberInt":"7"}},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"}]}"#,
    ),
    (
        "collated",
        r#"{"options":{"collation":{"locale":"fr"}},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_","collation":{"locale":"fr"}},{"v":2,"key":{"m":1},"name":"m_1"}]}"#,
    ),
    (
        "clustered",
        r#"{"options":{"clusteredIndex":{"key":{"_id":1},"unique":true,"name":"_id_"}},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_","unique":true,"clustered":true}]}"#,
    ),
    (
        "legacy indexes",
        r#"{"options":{},"indexes":[{"v":1,"key":{"_id":1},"name":"_id_","ns":"x.c"},{"v":1,"key":{"m":true},"name":"m_true","dropDups":true},{"v":1,"key":{"x.y":"hashed"},"name":"hashed"},{"v":2,"key":{"n":-1e-10},"name":"tiny"}]}"#,
    ),
    (
        "kinds of indexes",
        r#"{"options":{},"indexes":[{"v":1,"key":{"_id":1},"name":"_id_"},{"v":2,"key":{"_id":"hashed"},"name":"_id_hashed"},{"v":2,"key":{"x.y":"hashed"},"name":"hashed"},{"v":2,"key":{"p":"2dsphere"},"name":"sphere"},{"v":2,"key":{"w":1},"name":"w_1","partialFilterExpression":{},"safe":true},{"v":2,"key":{"_fts":"text","_ftsx":1},"name":"text","weights":{"t":1},"textIndexVersion":3}]}"#,
    ),
    (
        "an index that fails",
        r#"{"options":{},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"},{"v":2,"key":{"one":1},"name":"one","unique":true},{"v":2,"key":{"m":1},"name":"m_1"}]}"#,
    ),
    ("view", r#"{"options":{"viewOn":"other","pipeline":[{"$match":{"m":{"$numberInt":"1"}}}]}}"#),
];

/// What is there before.
const STATES: [&str; 4] = ["nothing", "some of the documents", "a collection with a validator", "a view"];

const ARGUMENTS: [&[&str]; 17] = [
    &[],
    &["--drop"],
    &["--stopOnError"],
    &["--maintainInsertionOrder"],
    &["--noIndexRestore"],
    &["--noOptionsRestore"],
    &["--keepIndexVersion", "--drop"],
    &["--convertLegacyIndexes", "--drop"],
    &["--fixDottedHashIndex", "--convertLegacyIndexes", "--drop"],
    &["--bypassDocumentValidation"],
    &["--preserveUUID", "--drop"],
    &["--preserveUUID"],
    &["--writeConcern={w: 1, j: true}", "--objcheck"],
    &["--writeConcern={w: 'majority', wtimeout: 60000}", "--drop", "-j", "1"],
    &["--numInsertionWorkersPerCollection=3", "--numParallelCollections=2", "--batchSize=3"],
    &["--numInsertionWorkersPerCollection=-1"],
    &["--noOptionsRestore", "--noIndexRestore", "--drop", "--stopOnError"],
];

/// One line of the table.
struct Case {
    archive: &'static str,
    state: &'static str,
    arguments: &'static [&'static str],
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} into {}, {:?}", self.archive, self.state, self.arguments)
    }
}

/// Whether this combination shows what no other does.
fn is_telling(case: &Case) -> bool {
    let is_dropped = case.arguments.contains(&"--drop");
    match case.state {
        "nothing" => !is_dropped || case.archive == "plain",
        "some of the documents" => true,
        _ => ["plain", "view"].contains(&case.archive),
    }
}

/// Why the tools are to leave different things behind; they never end differently.
fn reason(case: &Case) -> Option<&'static str> {
    let has = |argument: &str| case.arguments.contains(&argument);
    let fails = match case.archive {
        "an index that fails" => true,
        "legacy indexes" => !has("--convertLegacyIndexes"),
        _ => false,
    };
    if case.archive == "capped" && has("--stopOnError") {
        return Some(
            "a capped collection is written in order, and stops at the first document that is refused",
        );
    }
    (fails && !has("--noIndexRestore"))
        .then_some("mongorestore builds none of a collection's indexes where one cannot be built (w20)")
}

fn documents(archive: &str) -> Vec<RawDocumentBuf> {
    let document = |id: i32| rawdoc! { "_id": id, "m": id, "one": 1, "x": { "y": id }, "t": "some words" };
    match archive {
        "view" => Vec::new(),
        "duplicates" => (0..10).chain([3]).chain(10..20).map(document).collect(),
        _ => (0..10).map(document).collect(),
    }
}

async fn prepare(db: &Database, state: &str) {
    db.drop().await.unwrap();
    let things = db.collection::<Document>("c");
    match state {
        "some of the documents" => {
            things.insert_many((3..6).map(|id| doc! { "_id": id, "old": true })).await.unwrap();
            db.run_command(
                doc! { "createIndexes": "c", "indexes": [{ "key": { "old": 1 }, "name": "old" }] },
            )
            .await
            .unwrap();
        }
        "a collection with a validator" => {
            let validator = doc! { "m": { "$lt": 8 } };
            db.run_command(doc! { "create": "c", "validator": validator }).await.unwrap();
        }
        "a view" => {
            db.collection::<Document>("other").insert_one(doc! { "_id": 1, "m": 1 }).await.unwrap();
            db.run_command(doc! { "create": "c", "viewOn": "other", "pipeline": [] }).await.unwrap();
        }
        _ => {}
    }
}

fn arguments(server: &Mongod, archive: &Path, case: &Case) -> Vec<String> {
    let mut all = vec![format!("--uri={}", server.uri()), format!("--archive={}", archive.display())];
    all.extend(case.arguments.iter().map(|&argument| argument.to_owned()));
    all
}

#[tokio::test]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn what_is_written_is_mongorestores_but_for_the_reasons_given() {
    let server = Mongod::start(Version::V6_0_5).await;
    let db = server.client().await.database(DB);
    let folder = tempfile::tempdir().unwrap();
    let (mut compared, mut differ, mut wrong) = (0, 0, Vec::new());
    for (archive, metadata) in ARCHIVES {
        let path: PathBuf = folder.path().join(archive);
        let made = Made::of("6.0.5").with_metadata(DB, "c", metadata, documents(archive));
        std::fs::write(&path, made.bytes()).unwrap();
        for state in STATES {
            for flags in ARGUMENTS {
                let case = Case { archive, state, arguments: flags };
                if !is_telling(&case) {
                    continue;
                }
                let mut outcomes: Vec<(Option<i32>, Fingerprint, String)> = Vec::new();
                for theirs in [true, false] {
                    prepare(&db, state).await;
                    let all = arguments(&server, &path, &case);
                    let finished = if theirs {
                        mongorestore(all).await
                    } else {
                        mongoark(["restore".to_owned()].into_iter().chain(all)).await
                    };
                    outcomes.push((finished.code, fingerprint_of(&db).await, finished.stderr));
                }
                let (ours, theirs) = (outcomes.pop().unwrap(), outcomes.pop().unwrap());
                compared += 1;
                let mut lines = differences(&theirs.1, &ours.1);
                if !lines.is_empty() && reason(&case).is_some() {
                    differ += 1;
                    lines.clear();
                }
                if theirs.0 != ours.0 {
                    lines.push(format!("exit code: expected {:?}, found {:?}", theirs.0, ours.0));
                }
                if !lines.is_empty() {
                    lines.push(format!("theirs:\n{}\nours:\n{}", theirs.2, ours.2));
                    wrong.push(format!("{case}\n  {}", lines.join("\n  ")));
                }
            }
        }
    }
    assert!(compared >= 200 && differ < compared / 4, "{differ} of {compared} differ for a reason");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}
