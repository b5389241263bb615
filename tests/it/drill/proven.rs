//! Archives in S3 with their proof records.

use super::super::support::mongoark::{finish, start};
use super::super::support::mongod::Version;
use super::super::support::moto::Moto;
use super::super::support::tools::Finished;
use super::{assert_nothing_left, with_a_shop};

const BUCKET: &str = "drilled";

async fn mongoark(moto: &Moto, arguments: &[&str]) -> Finished {
    let environment = moto.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    finish(start(arguments.iter().copied(), &environment)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_archive_of_a_bucket_is_held_against_its_proof_and_tagged() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let moto = Moto::start().await;
    moto.create_bucket(BUCKET).await;
    let uri = format!("--uri={}", server.uri());
    for key in ["shop/old.archive", "shop/new.archive"] {
        mongoark(&moto, &["dump", &uri, "--db=shop", &format!("--archive=s3://{BUCKET}/{key}")])
            .await
            .success();
        // The store tells the time of completion in whole seconds.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    }
    let place = format!("--archive=s3://{BUCKET}/shop/");
    let drilled = mongoark(&moto, &["drill", &uri, &place]).await.success();
    for words in ["shop/new.archive", "restored 50 document(s)", "and its proof", "as restored-ok"] {
        assert!(drilled.stderr.contains(words), "{words}: {}", drilled.stderr);
    }
    assert_nothing_left(&client).await;
    let tags = async |key: &str| {
        let asked = moto.s3().get_object_tagging().bucket(BUCKET).key(key).send().await.expect("tags");
        asked.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect::<Vec<_>>()
    };
    let tagged = tags("shop/new.archive").await;
    assert_eq!(tagged.len(), 1, "{tagged:?}");
    assert!(tagged[0].0 == "restored-ok" && tagged[0].1.len() == "2026-01-01".len(), "{tagged:?}");
    assert!(tags("shop/old.archive").await.is_empty());
}

/// The record says what is right of the stored bytes and something else of what is in them.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_not_what_its_proof_says_is_refused_and_nothing_is_touched() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let moto = Moto::start().await;
    moto.create_bucket(BUCKET).await;
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive=s3://{BUCKET}/a.archive"));
    mongoark(&moto, &["dump", &uri, "--db=shop", &place]).await.success();
    let key = "a.archive.proof.json";
    let record = moto.s3().get_object().bucket(BUCKET).key(key).send().await.expect("a record");
    let record = record.body.collect().await.expect("its bytes").into_bytes();
    let text = String::from_utf8(record.to_vec()).expect("JSON");
    let forged = text.replace("\"shop.orders\"", "\"shop.others\"");
    assert_ne!(text, forged);
    moto.s3()
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .body(forged.into_bytes().into())
        .send()
        .await
        .expect("put");
    let refused = mongoark(&moto, &["drill", &uri, &place]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.lines().last().unwrap_or_default().contains("a.archive"), "{}", refused.stderr);
    assert_nothing_left(&client).await;
}
