use super::*;

/// A time; deadlines lie after it.
const NOW: u64 = 1_785_579_630_040;
const DEADLINE: u64 = NOW + 60_000;
const LATER: u64 = DEADLINE + GRACE_MILLIS;

fn restore(request: &str, database: Option<&str>) -> Restore {
    let archive = "s3://vault/backups/shop/d-1.archive".to_owned();
    Restore::new(request, format!("attempt of {request}"), archive, database, DEADLINE)
}

/// A record in which this restore is at work.
fn with(request: &str, database: Option<&str>) -> Record {
    let mut record = Record::default();
    assert!(matches!(record.begin(restore(request, database), NOW), Ok(Begun::Now)));
    record
}

fn end(record: &mut Record, request: &str, result: Result<(), &Error>) {
    record.end(&format!("attempt of {request}"), result).unwrap();
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let error = result.unwrap_err();
    let message = error.report();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{message}");
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[test]
fn restores_of_the_same_data_exclude_each_other() {
    for (one, other) in
        [(None, None), (None, Some("shop")), (Some("shop"), None), (Some("shop"), Some("shop"))]
    {
        let mut record = with("r-1", one);
        let before = record.clone();
        refusal(record.begin(restore("r-2", other), NOW), &["the request r-1 is restoring", "65 seconds"]);
        refusal(record.refuse_at_work(other, NOW, "and so on"), &["r-1", one.unwrap_or("everything")]);
        assert_eq!(record, before);
    }
}

#[test]
fn restores_of_different_databases_do_not_mind_each_other() {
    let mut record = with("r-1", Some("shop"));
    assert!(matches!(record.begin(restore("r-2", Some("crm")), NOW), Ok(Begun::Now)));
    assert!(record.refuse_at_work(Some("blog"), NOW, "").is_ok());
}

#[test]
fn a_restore_that_was_given_back_or_killed_is_in_nobodys_way() {
    let mut record = with("r-1", None);
    end(&mut record, "r-1", Ok(()));
    assert!(matches!(record.begin(restore("r-2", None), NOW), Ok(Begun::Now)));
    refusal(record.clone().begin(restore("r-3", None), LATER - 1), &["r-2", "1 seconds"]);
    assert!(matches!(record.begin(restore("r-3", None), LATER), Ok(Begun::Now)));
}

#[test]
fn a_request_that_comes_again_gets_the_answer_of_the_first_time() {
    let mut record = with("r-1", None);
    let before = record.clone();
    let mut delivered_again = restore("r-1", None);
    delivered_again.attempt = "the other delivery's".to_owned();
    refusal(record.begin(delivered_again.clone(), NOW), &["another delivery of the request r-1", "wait"]);
    // The attempt itself writes again where the answer to its first writing was lost.
    assert!(matches!(record.begin(restore("r-1", None), NOW), Ok(Begun::Now)));
    assert_eq!(record, before);

    let mut restored = record.clone();
    end(&mut restored, "r-1", Ok(()));
    assert!(matches!(restored.begin(restore("r-1", None), LATER), Ok(Begun::Before(Ok(())))));

    let error = Error::new(ErrorKind::Archive, "the archive cannot be read");
    let mut failed = record.clone();
    end(&mut failed, "r-1", Err(&error));
    let Ok(Begun::Before(Err(again))) = failed.begin(restore("r-1", None), NOW) else {
        panic!("begun again")
    };
    assert_eq!(again.kind(), ErrorKind::Archive);
    assert!(
        again.report().starts_with("the archive cannot be read (") && again.report().contains("new request")
    );

    let Ok(Begun::Before(Err(killed))) = record.begin(delivered_again, LATER) else { panic!("begun again") };
    assert_eq!(killed.kind(), ErrorKind::Cancelled);
    assert!(killed.report().contains("was ended from outside"), "{}", killed.report());
}

#[test]
fn a_backup_finds_every_restore_that_has_begun_since_it_looked() {
    let mut record = with("r-1", Some("shop"));
    end(&mut record, "r-1", Ok(()));
    let looked = record.revision();
    assert!(record.refuse_begun_since(looked, Some("shop")).is_ok());

    record.begin(restore("r-2", Some("shop")), NOW).unwrap();
    refusal(
        record.refuse_begun_since(looked, Some("shop")),
        &["a restore was at work", "r-2", "nothing was kept"],
    );
    end(&mut record, "r-2", Ok(()));
    refusal(record.refuse_begun_since(looked, Some("shop")), &["r-2"]);
    refusal(record.refuse_begun_since(looked, None), &["r-2"]);
    assert!(record.refuse_begun_since(looked, Some("crm")).is_ok());
    refusal(Record::default().refuse_begun_since(looked, Some("shop")), &["the lease was removed"]);
}

#[test]
fn what_is_forgotten_is_not_taken_for_nothing() {
    let mut record = Record::default();
    for number in 0..=MAX_RESTORES {
        let request = format!("r-{number}");
        record.begin(restore(&request, Some("crm")), NOW).unwrap();
        end(&mut record, &request, Ok(()));
    }
    assert_eq!(record.restores.len(), MAX_RESTORES);
    refusal(record.refuse_begun_since(0, Some("shop")), &["the lease was removed or rewritten"]);
    assert!(record.refuse_begun_since(record.revision(), Some("shop")).is_ok());
}

#[test]
fn a_lease_is_small_whatever_is_in_it() {
    let mut record = Record::default();
    for number in 0..MAX_RESTORES {
        let name = format!("{number:02}{}", "ä".repeat(126));
        let archive = format!("s3://{}/backups/{name}/{name}.archive", "b".repeat(63));
        let restore = Restore::new(&name, name.clone(), archive, Some(&"d".repeat(63)[..]), DEADLINE);
        let restore = Restore { database: Some(format!("{number}")), ..restore };
        record.begin(restore, NOW).unwrap();
        let error = Error::new(ErrorKind::Server, "\u{1F600}".repeat(10_000));
        record.end(&name, Err(&error)).unwrap();
    }
    assert!(serde_json::to_vec_pretty(&record).unwrap().len() < 64 << 10);
    let mut busy = Record::default();
    for number in 0..MAX_RESTORES {
        busy.begin(restore(&format!("r-{number}"), Some(&number.to_string())), NOW).unwrap();
    }
    refusal(busy.begin(restore("r-x", Some("shop")), NOW), &["24 restores are at work"]);
}

#[test]
fn a_restore_without_a_good_end_is_told_to_a_backup_after_it() {
    let mut record = with("r-1", Some("shop"));
    assert!(record.unfinished(None).unwrap().contains("r-1 on shop) was ended from outside"));
    assert_eq!(record.unfinished(Some("crm")), None);
    end(&mut record, "r-1", Err(&Error::cancelled()));
    assert!(record.unfinished(Some("shop")).unwrap().contains("failed"));
    record.begin(restore("r-2", None), NOW).unwrap();
    end(&mut record, "r-2", Ok(()));
    assert_eq!(record.unfinished(Some("shop")), None);
}
