//! Tags are added to those an object has.

use super::{noise, write};
use crate::support::moto::Moto;
use mongoark::storage::{CreateOptions, Location, Storage};

#[tokio::test]
async fn a_tag_is_added_and_replaces_only_its_own_name() {
    let moto = Moto::start().await;
    moto.create_bucket("archives").await;
    let storage = Storage::with_s3(moto.s3());
    let at = Location::s3("archives", "a").unwrap();
    write(&storage, &at, &CreateOptions::default(), &noise(1000, 1)).await.unwrap();
    storage.tag(&at, &[("team", "shop"), ("state", "new")]).await.unwrap();
    storage.tag(&at, &[("state", "restored-ok")]).await.unwrap();
    let told = moto.s3().get_object_tagging().bucket("archives").key("a").send().await.unwrap();
    let mut tags: Vec<_> = told.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
    tags.sort_unstable();
    assert_eq!(tags, [("state", "restored-ok"), ("team", "shop")]);
}
