//! The same archive and the same flags of namespaces, by mongorestore and by us: the same exit code and the same server after.

use std::path::Path;

use mongodb::Client;
use mongodb::bson::{Document, doc, rawdoc};

use crate::restore::made::Made;
use crate::support::fingerprint::{differences, fingerprint};
use crate::support::mongoark::{archive, mongoark};
use crate::support::mongod::{Mongod, Version};
use crate::support::tools::mongorestore;

/// How many combinations are tried.
const CASES: usize = 72;

const INCLUDES: [&[&str]; 7] = [
    &[],
    &[],
    &["--nsInclude=one.*"],
    &["--nsInclude", "*.x"],
    &["--nsInclude=one.x", "--nsInclude=two.*"],
    &["--db=one"],
    &["-d", "one", "-c", "y*"],
];

const EXCLUDES: [&[&str]; 6] = [
    &[],
    &[],
    &["--nsExclude=*.y*"],
    &["--nsExclude", "two.*", "--nsExclude=one.view"],
    &["--excludeCollection=x"],
    &["--excludeCollectionsWithPrefix", "y"],
];

const RENAMINGS: [&[&str]; 9] = [
    &[],
    &["--nsFrom=one.*", "--nsTo=three.*"],
    &["--nsFrom", "one.x", "--nsTo", "two.z"],
    &["--nsFrom=one.*", "--nsTo=two.*", "--nsFrom=two.*", "--nsTo=one.*"],
    &["--nsFrom=$d$.$c$", "--nsTo=all.$d$_$c$"],
    // Two sources of one destination, unless one is left out.
    &["--nsFrom=two.*", "--nsTo=one.*"],
    &["--nsFrom=one.*", "--nsTo=two.*", "--nsFrom=one.x", "--nsTo=three.w"],
    &["--nsFrom=*.*", "--nsTo=*"],
    &["--nsFrom=$d$.y$c$", "--nsTo=$d$.n$c$"],
];

const WRITING: [&[&str]; 2] = [&[], &["--drop"]];

fn made(path: &Path) {
    let some = |number: i32| (0..number).map(|id| rawdoc! { "_id": id, "n": id });
    let index = r#"{"options":{},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"},{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    let bytes = Made::of("6.0.27")
        .with_metadata("one", "x", index, some(3))
        .with("one", "y.z", some(4))
        .with("one", "odd (name)*", some(1))
        .with_options("one", "view", r#"{"viewOn":"x","pipeline":[]}"#, [])
        .with_metadata("two", "x", index, some(5))
        .with("two", "yy", some(6))
        .bytes();
    std::fs::write(path, bytes).unwrap();
}

/// What is on the server before each.
async fn prepare(client: &Client, with_data: bool) {
    for name in client.list_database_names().await.unwrap() {
        if !["admin", "config", "local"].contains(&name.as_str()) {
            client.database(&name).drop().await.unwrap();
        }
    }
    if with_data {
        for (db, name) in [("one", "x"), ("two", "x"), ("two", "z"), ("three", "x"), ("three", "mine")] {
            let documents = (2..8).map(|id| doc! { "_id": id, "before": true });
            client.database(db).collection::<Document>(name).insert_many(documents).await.unwrap();
        }
    }
}

/// Every axis is walked at a pace of its own, so that each of its values meets most of the others'.
fn case(number: usize) -> (Vec<String>, bool) {
    let flags = [
        INCLUDES[number % INCLUDES.len()],
        EXCLUDES[number / 2 % EXCLUDES.len()],
        RENAMINGS[number / 3 % RENAMINGS.len()],
        WRITING[number / 5 % WRITING.len()],
    ];
    (flags.concat().into_iter().map(ToOwned::to_owned).collect(), !number.is_multiple_of(3))
}

#[tokio::test]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn every_combination_of_filters_and_renames_ends_as_with_mongorestore() {
    let (theirs, ours) = (Mongod::start(Version::V6_0_27).await, Mongod::start(Version::V6_0_27).await);
    let (_folder, path) = archive("a");
    made(&path);
    let place = format!("--archive={}", path.display());
    let (mut problems, mut refused) = (Vec::new(), 0);
    for number in 0..CASES {
        let (flags, with_data) = case(number);
        let mut outcomes = Vec::new();
        for (server, is_ours) in [(&theirs, false), (&ours, true)] {
            let client = server.client().await;
            prepare(&client, with_data).await;
            let arguments =
                [format!("--uri={}", server.uri()), place.clone()].into_iter().chain(flags.clone());
            let finished = if is_ours {
                mongoark(["restore".to_owned()].into_iter().chain(arguments)).await
            } else {
                mongorestore(arguments).await
            };
            outcomes.push((finished, fingerprint(&client).await));
        }
        let [(their, before), (our, after)] = &outcomes[..] else { panic!("two") };
        refused += usize::from(our.code != Some(0));
        let mut differ = differences(before, after);
        if their.code != our.code {
            differ.push(format!(
                "exit {:?}, not {:?}:\n{}\n{}",
                our.code, their.code, our.stderr, their.stderr
            ));
        }
        if !differ.is_empty() {
            problems.push(format!("{number}: {flags:?}, with data: {with_data}\n{}", differ.join("\n")));
        }
    }
    assert!(problems.is_empty(), "{} of {CASES}:\n{}", problems.len(), problems.join("\n\n"));
    assert!((1..CASES / 2).contains(&refused), "{refused} of {CASES} were refused");
}
