//! Selections by the table, side by side with mongodump: the same namespaces, documents and metadata, the same exit code.

use std::collections::BTreeMap;
use std::path::Path;

use archive_format::{Decoder, Event};
use bytes_crate::BytesMut;
use mongodb::bson::doc;

use super::super::support::mongoark::{archive, mongoark};
use super::super::support::mongod::{Mongod, Version};
use super::super::support::tools::mongodump;
use super::super::support::zoo;
use super::{bytes_crate, insert};

/// What a dump covers.
const SCOPES: [&[&str]; 17] = [
    &[],
    &["--db=zoo"],
    &["--db=zoo-two"],
    &["-d", "admin"],
    &["-d", "config"],
    &["--db=nothing"],
    &["-d=zoo", "-c=things"],
    &["-d=zoo", "-c=capped"],
    &["-d=zoo", "-c=clustered"],
    &["-d=zoo", "-c=empty"],
    &["-d=zoo", "-c=view"],
    &["-d=zoo", "-c=ts"],
    &["-d=zoo", "-c=ts_bare"],
    &["-d=zoo", "-c=sla/sh"],
    &["-d=zoo", "-c=missing"],
    &["-d=zoo", "-c=system.buckets.ts"],
    &["-d=zoo", "-c=system.views"],
];

/// How it is made.
const WAYS: [&[&str]; 17] = [
    &[],
    &["-j=1"],
    &["--forceTableScan"],
    &["--query={\"n\":{\"$gte\":10}}"],
    &["-q", "{\"n\":{\"$lt\":5},\"_id\":{\"$gt\":1}}"],
    &["-q={}"],
    &["-q={\"m.s\":1}"],
    &["-q={\"m\":{\"s\":2}}"],
    &["-q={n:1}"],
    &["-q={\"n\":1}", "--forceTableScan"],
    &["--excludeCollection=things", "--excludeCollection=ts"],
    &["--excludeCollectionsWithPrefix=t", "--excludeCollectionsWithPrefix=system."],
    &["--excludeCollection=system.buckets.ts", "--excludeCollectionsWithPrefix=system.buckets."],
    &["--viewsAsCollections"],
    &["--viewsAsCollections", "-q={\"n\":{\"$gt\":1}}"],
    &["--dumpDbUsersAndRoles"],
    &["--readPreference=primaryPreferred", "--numParallelCollections=8"],
];

/// Where ours is another, and why.
fn is_another(scope: &[&str], way: &[&str], theirs: Option<i32>, ours: Option<i32>) -> Option<&'static str> {
    let is_missing = scope.contains(&"-c=missing");
    if is_missing && theirs == Some(0) && ours == Some(1) && way == ["-q={n:1}"] {
        return Some(
            "a query that is none is an error before anybody is asked whether the collection is there",
        );
    }
    None
}

/// Every namespace's kind, metadata and documents, sorted.
type Contents = BTreeMap<String, (String, String, Vec<Vec<u8>>)>;

fn contents(path: &Path) -> Option<Contents> {
    let bytes = std::fs::read(path).ok()?;
    let mut decoder = Decoder::new();
    let mut buffer = BytesMut::from(bytes.as_slice());
    let Some(Event::Prelude(prelude)) = decoder.decode(&mut buffer).unwrap() else { panic!("no prelude") };
    let server = prelude.server_version.parse().unwrap();
    let documents = super::archived(&bytes);
    let entries = prelude.collections.iter().map(|entry| {
        let data = entry.data_namespace(&server).to_string();
        let mut held = documents.get(&data).cloned().unwrap_or_default();
        held.sort_unstable();
        // The server's own records of its sessions change while it is asked.
        let is_moving = data.starts_with("config.");
        (
            data,
            (
                entry.kind.as_str().to_owned(),
                entry.metadata.clone(),
                if is_moving { Vec::new() } else { held },
            ),
        )
    });
    Some(entries.collect())
}

/// What is another in two archives, in a few words.
fn difference(theirs: Option<&Contents>, ours: Option<&Contents>) -> Option<String> {
    let (theirs, ours) = match (theirs, ours) {
        (None, None) => return None,
        (Some(theirs), Some(ours)) => (theirs, ours),
        (theirs, _) => {
            return Some(format!(
                "an archive was made only by {}",
                if theirs.is_some() { "mongodump" } else { "ours" }
            ));
        }
    };
    let names = |contents: &Contents| contents.keys().cloned().collect::<Vec<_>>();
    if names(theirs) != names(ours) {
        return Some(format!("namespaces: {:?}\n    ours: {:?}", names(theirs), names(ours)));
    }
    theirs.iter().zip(ours).find_map(|((name, theirs), (_, ours))| {
        if theirs.2 != ours.2 {
            return Some(format!("{name}: {} documents, ours {}", theirs.2.len(), ours.2.len()));
        }
        (theirs != ours)
            .then(|| format!("{name}: {} {}\n    ours: {} {}", theirs.0, theirs.1, ours.0, ours.1))
    })
}

mod interop {
    use super::*;

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn every_selection_is_mongodumps() {
        let server = Mongod::start(Version::V6_0_5).await;
        let client = server.client().await;
        zoo::fill_without_bulk(&client, Version::V6_0_5).await;
        insert(&client.database("zoo"), "things", 0..30, 10).await;
        let seen = doc! { "create": "view_on_things", "viewOn": "things", "pipeline": [{ "$match": { "n": { "$lt": 9 } } }] };
        client.database("zoo").run_command(seen).await.unwrap();
        let uri = format!("--uri={}", server.uri());
        let (mut tried, mut compared) = (0, 0);
        let (mut differences, mut explained) = (Vec::new(), BTreeMap::new());
        for scope in SCOPES {
            for way in WAYS {
                let (_theirs, at) = archive("theirs");
                let (_ours, beside) = archive("ours");
                let to = |path: &Path| format!("--archive={}", path.display());
                let asked = || scope.iter().chain(way).map(|argument| (*argument).to_owned());
                let theirs = mongodump([uri.clone(), to(&at)].into_iter().chain(asked())).await;
                let start = ["dump".to_owned(), uri.clone(), to(&beside), "--allowMissing".to_owned()];
                let ours = mongoark(start.into_iter().chain(asked())).await;
                tried += 1;
                if let Some(reason) = is_another(scope, way, theirs.code, ours.code) {
                    *explained.entry(reason).or_insert(0) += 1;
                    continue;
                }
                let text = format!("{scope:?} {way:?}");
                if theirs.code != ours.code {
                    differences.push(format!(
                        "{text}: exit {:?}, ours {:?}: {}",
                        theirs.code, ours.code, ours.stderr
                    ));
                } else if theirs.code == Some(0) {
                    let (theirs, ours) = (contents(&at), contents(&beside));
                    compared += usize::from(theirs.is_some());
                    if let Some(difference) = difference(theirs.as_ref(), ours.as_ref()) {
                        differences.push(format!("{text}: {difference}"));
                    }
                }
            }
        }
        assert!(compared >= 100, "{compared} archives of {tried}");
        assert!(explained.len() <= 1, "{explained:?}");
        assert!(differences.is_empty(), "{} of {tried}:\n{}", differences.len(), differences.join("\n"));
    }
}
