use super::*;

const MIB: u64 = 1024 * 1024;

fn namespace(name: &str) -> Namespace {
    Namespace::new("shop", name).unwrap()
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn a_collection_that_is_done_is_told_in_the_words_of_the_official_tools() {
    let now = Instant::now();
    let orders = namespace("orders");
    let done = |verb, documents, refused| {
        let mut progress = Progress::new(verb, now);
        progress.started(&orders, None, now);
        progress.refused(&orders, refused);
        progress.finished(&orders, documents, now)
    };
    assert_eq!(done(Verb::Dump, 2, 0).text, "done dumping `shop.orders` (2 documents)");
    assert_eq!(done(Verb::Dump, 1, 0).text, "done dumping `shop.orders` (1 document)");
    assert_eq!(
        done(Verb::Restore, 10, 0).text,
        "finished restoring `shop.orders` (10 documents, 0 failures)"
    );
    let failed = done(Verb::Restore, 0, 1);
    assert_eq!(failed.text, "finished restoring `shop.orders` (0 documents, 1 failure)");
    assert!(failed.incomplete && !done(Verb::Restore, 1, 0).incomplete);
}

#[test]
fn only_long_or_large_collections_are_notable() {
    let now = Instant::now();
    let mut progress = Progress::new(Verb::Dump, now);
    for (name, bytes, time, notable) in
        [("small", 10, 0, false), ("slow", 10, 1, true), ("large", NOTABLE_BYTES, 0, true)]
    {
        let name = namespace(name);
        progress.started(&name, None, now);
        progress.advanced(&name, 1, bytes);
        assert_eq!(progress.finished(&name, 1, now + seconds(time)).notable, notable, "{name}");
    }
}

#[test]
fn a_dump_shows_documents_rate_and_time_left() {
    let now = Instant::now();
    let mut progress = Progress::new(Verb::Dump, now);
    progress.planned(2, Some(1000));
    let orders = namespace("orders");
    progress.started(&orders, Some(800), now);
    progress.advanced(&orders, 200, 30 * MIB);
    assert_eq!(
        progress.lines(now + seconds(10)),
        [
            "[######..................]  shop.orders  200/800  (25.0%)",
            "[####....................]  20.0%  3.00 MiB/s, 00:00:40 left, 200 of about 1000 documents, 0 of 2 collections",
        ]
    );
}

#[test]
fn w23_a_restore_shows_how_much_of_the_archive_is_read_and_the_time_left() {
    let now = Instant::now();
    let mut progress = Progress::new(Verb::Restore, now);
    progress.planned(1, None);
    progress.archive(MIB, Some(4 * MIB));
    progress.started(&namespace("orders"), None, now);
    progress.advanced(&namespace("orders"), 7, 10 * MIB);
    assert_eq!(
        progress.lines(now + seconds(10)),
        [
            "shop.orders  7",
            "[######..................]  25.0%  1.00 MiB/s, 00:00:30 left, 1.00 MiB of 4.00 MiB read, 7 documents, \
             0 of 1 collections",
        ]
    );
    // A pipe has no size.
    progress.archive(2 * MIB, None);
    assert_eq!(progress.lines(now + seconds(10))[1], "1.00 MiB/s, 7 documents, 0 of 1 collections");
}

#[test]
fn the_rate_is_that_of_the_last_seconds() {
    let now = Instant::now();
    let mut progress = Progress::new(Verb::Dump, now);
    for second in 1..=30 {
        progress.advanced(&namespace("orders"), 1, if second <= 15 { 100 } else { 0 });
        let rate = progress.rate(now + seconds(second));
        match second {
            1..=15 => assert_eq!(rate, 100, "{second}"),
            27.. => assert_eq!(rate, 0, "{second}"),
            _ => {}
        }
    }
    assert!(progress.rate.len() <= 12, "bounded");
}

#[test]
fn no_more_collections_are_shown_than_fit() {
    let now = Instant::now();
    let mut progress = Progress::new(Verb::Restore, now);
    assert!(progress.lines(now + seconds(2)).is_empty(), "nothing is known yet");
    progress.planned(500, None);
    for number in 0..500 {
        let name = namespace(&format!("c{number}"));
        progress.started(&name, None, now);
        progress.advanced(&name, 1, 1);
    }
    let lines = progress.lines(now + seconds(2));
    assert_eq!(lines.len(), ROWS + 1);
    assert_eq!(lines[0], "shop.c0  1");
}

#[test]
fn users_roles_and_their_schema_are_counted_apart() {
    let now = Instant::now();
    let mut progress = Progress::new(Verb::Dump, now);
    for (db, name) in
        [("admin", "system.users"), ("admin", "system.version"), ("admin", "c"), ("shop", "orders")]
    {
        let name = Namespace::new(db, name).unwrap();
        progress.started(&name, None, now);
        progress.finished(&name, 2, now);
    }
    assert_eq!(progress.accounts(), 4);
}
