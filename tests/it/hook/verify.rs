//! An archive read to its end by hand.

use mongodb::bson::rawdoc;
use serde_json::json;

use super::by_hand::{event, small_server};
use super::{Account, assert_says};
use crate::restore::made::Made;

const KEY: &str = "backups/shop/before.archive";
const RECORD: &str = "backups/shop/before.archive.proof.json";

#[tokio::test]
async fn a_whole_archive_is_told_with_what_it_holds() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let backup = function.invoke(&event("backup", "before")).await.result();
    let (archive, record) = (account.objects().await, account.record(RECORD).await);
    // No server is asked.
    drop(server);
    let result = function.invoke(&event("Verify ", "before")).await.result();
    assert_eq!((&result["action"], &result["key"]), (&json!("verify"), &json!(KEY)), "{result}");
    assert_eq!((&result["bytes"], &result["scope"]), (&backup["bytes"], &json!("everything")), "{result}");
    assert_eq!(result["documents"], backup["documents"], "{result}");
    // Three documents of 14 bytes, and what the server keeps in admin.
    assert!(result["data_bytes"].as_u64().is_some_and(|bytes| bytes >= 3 * 14), "{result}");
    assert!(result["namespaces"].as_u64().is_some_and(|namespaces| namespaces >= 1), "{result}");
    assert_eq!((account.objects().await, account.record(RECORD).await), (archive, record));
    assert_eq!(account.codedeploy.calls(), []);
}

#[tokio::test]
async fn a_damaged_archive_is_named_with_what_of_it_is_whole_and_stays() {
    let account = Account::with_store("mongodb://127.0.0.1:9").await;
    let of = |text: &str| (0..50).map(|id| rawdoc! { "_id": id, "of": text }).collect::<Vec<_>>();
    let archive = Made::of("6.0.5")
        .with("crm", "people", of("people"))
        .with("shop", "orders", of("the orders"))
        .with("shop", "paid", of("paid"));
    let whole = archive.bytes();
    let at = whole.windows(10).position(|bytes| bytes == b"the orders").expect("a document");
    let mut damaged = whole.to_vec();
    damaged[at] ^= 1;
    let function = account.function().await;
    account.overwrite(KEY, damaged.clone()).await;
    let message = function.invoke(&event("verify", "before")).await.error("Archive");
    assert_says(
        &message,
        &[KEY, "damaged", "whole of it: crm.people, shop.paid", "lost: shop.orders", "--salvage"],
    );
    assert_eq!(account.store().object(KEY), Some(damaged));
    assert_eq!(account.record(RECORD).await, None, "there is no proof of it");

    account.overwrite(KEY, &whole[..at]).await;
    let message = function.invoke(&event("verify", "before")).await.error("Archive");
    assert_says(&message, &[KEY, "whole of it: crm.people", "lost: shop.orders, shop.paid"]);
}

#[tokio::test]
async fn an_archive_that_is_missing_or_none_is_told() {
    let account = Account::with_database("mongodb://127.0.0.1:9").await;
    let function = account.function().await;
    for action in ["verify", "restore", "drill"] {
        let message = function.invoke(&event(action, "before")).await.error("NotFound");
        assert_says(&message, &[KEY, "no such archive", "ApplicationName, DeploymentId and BUCKET_NAME"]);
    }
    account.put(KEY, &[]).await;
    let message = function.invoke(&event("verify", "before")).await.error("Archive");
    assert_says(&message, &[KEY, "whole of it: nothing"]);
}

#[tokio::test]
async fn a_record_that_is_missing_or_damaged_is_made_anew() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    function.invoke(&event("backup", "before")).await.result();
    let first = account.record(RECORD).await.expect("a record");
    for damaged in [None, Some(&b"{}"[..]), Some(b"no record"), Some(b"")] {
        match damaged {
            Some(bytes) => account.overwrite(RECORD, bytes).await,
            None => account.remove(RECORD).await,
        }
        function.invoke(&event("verify", "before")).await.result();
        let record = account.record(RECORD).await.expect("a record");
        assert_eq!(record["checked"], "reading", "{record}");
        for field in ["bytes", "crc64", "etag", "totals", "namespaces"] {
            assert_eq!(record[field], first[field], "{field}");
        }
    }
}
