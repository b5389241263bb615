use super::*;

/// A time; deadlines lie after it.
const NOW: u64 = 1_785_579_630_040;
const DEADLINE: u64 = NOW + 60_000;
const LATER: u64 = DEADLINE + GRACE_MILLIS;

fn writer(attempt: &str) -> Writer {
    Writer { request: "r-1".to_owned(), attempt: attempt.to_owned(), until: DEADLINE }
}

/// A record in which this attempt is at work.
fn with(attempt: &str) -> Record {
    let mut record = Record::default();
    assert_eq!(record.take(&writer(attempt), None, NOW), None);
    record
}

fn error() -> Error {
    Error::new(ErrorKind::Connection, "the database is gone")
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, words: &[&str]) {
    let error = result.unwrap_err();
    let message = error.report();
    assert_eq!(error.kind(), kind, "{message}");
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[test]
fn one_of_many_takes_the_key_and_nobody_else_while_it_is_at_work() {
    let mut record = with("one");
    let before = record.clone();
    for now in [NOW, LATER - 1] {
        let busy = record.take(&writer("other"), None, now).expect("the first one");
        assert_eq!((busy.request.as_str(), busy.attempt.as_str()), ("r-1", "one"));
    }
    assert_eq!(record, before);
}

#[test]
fn a_writer_that_was_killed_is_followed_after_its_deadline_or_its_silence() {
    assert_eq!(with("one").take(&writer("other"), None, LATER), None);
    let mut record = with("one");
    let seen = record.busy(&writer("other"), NOW).unwrap().revision;
    record.beat("one").unwrap();
    assert!(record.take(&writer("other"), Some(seen), NOW).is_some(), "it has given a sign of life since");
    let seen = record.busy(&writer("other"), NOW).unwrap().revision;
    assert_eq!(record.take(&writer("other"), Some(seen), NOW), None);
    assert!(record.take(&writer("third"), Some(seen), NOW).is_some(), "only one of those that waited");
    refusal(record.beat("one"), ErrorKind::AlreadyExists, &["another invocation has taken this backup over"]);
}

#[test]
fn a_key_that_was_given_back_is_free() {
    let mut record = with("one");
    assert!(!record.release("other"));
    assert!(record.release("one"));
    assert_eq!(record.take(&writer("other"), None, NOW), None);
}

#[test]
fn after_failed_nothing_is_written_any_more() {
    let mut record = with("one");
    assert_eq!(record.fail(&writer("one"), &error(), NOW), Decided::Failed);
    assert!(!record.holds("one"), "the key is given back");
    let words = ["the database is gone", "answered the first time", "start a new deployment"];
    refusal(record.refuse_failed(), ErrorKind::Connection, &words);
    refusal(record.beat("one"), ErrorKind::Connection, &words);
    refusal(record.refuse_lost("one"), ErrorKind::Connection, &words);
    refusal(record.succeed("one"), ErrorKind::Connection, &words);
    assert_eq!(
        record.fail(&writer("other"), &error(), NOW),
        Decided::Failed,
        "each delivery gives the same answer"
    );
}

#[test]
fn after_succeeded_nobody_answers_failed() {
    let mut record = with("one");
    record.succeed("one").unwrap();
    assert!(record.has_succeeded() && !record.holds("one"));
    assert_eq!(record.fail(&writer("other"), &error(), NOW), Decided::Succeeded);
    assert!(record.refuse_failed().is_ok());
}

#[test]
fn who_fails_while_another_is_at_work_leaves_the_answer_to_that_one() {
    let mut record = with("one");
    let before = record.clone();
    assert_eq!(record.fail(&writer("other"), &error(), NOW), Decided::Elsewhere);
    assert_eq!(record, before);
    assert_eq!(record.fail(&writer("other"), &error(), LATER), Decided::Failed, "the other one was killed");
    refusal(record.refuse_lost("one"), ErrorKind::Connection, &["the database is gone"]);
}

#[test]
fn every_change_makes_another_version() {
    let mut record = with("one");
    let mut revisions = vec![record.revision];
    record.beat("one").unwrap();
    revisions.push(record.revision);
    record.release("one");
    revisions.push(record.revision);
    record.succeed("one").unwrap();
    revisions.push(record.revision);
    assert!(revisions.is_sorted_by(|one, other| one < other), "{revisions:?}");
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let mut failed = with("one");
    failed.fail(&writer("one"), &error(), NOW);
    let mut succeeded = with("one");
    succeeded.succeed("one").unwrap();
    for record in [Record::default(), with("one"), failed, succeeded] {
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record, "{text}");
    }
}
