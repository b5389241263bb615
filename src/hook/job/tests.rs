use super::*;

fn name(text: &str) -> Name {
    Name::new("a test", text).unwrap()
}

#[test]
fn codedeploy_knows_the_application_best() {
    let known = Deployment { application: Some("shop".to_owned()), ended: None };
    assert_eq!(application(&name("d-1"), Ok(&known), Some(name("other"))).unwrap(), name("shop"));
}

#[test]
fn the_events_name_stands_in_for_codedeploys() {
    let refused = Error::new(ErrorKind::Service, "refused");
    assert_eq!(application(&name("d-1"), Err(&refused), Some(name("other"))).unwrap(), name("other"));
    assert_eq!(
        application(&name("d-1"), Ok(&Deployment::default()), Some(name("other"))).unwrap(),
        name("other")
    );
}

#[test]
fn without_any_name_the_reason_is_given() {
    let refused = Error::new(ErrorKind::Service, "CodeDeploy refused");
    let error = application(&name("d-1"), Err(&refused), None).unwrap_err().report();
    assert!(error.contains("CodeDeploy refused") && error.contains("send ApplicationName"), "{error}");
}

#[test]
fn codedeploys_name_is_checked_too() {
    let known = Deployment { application: Some("a/b".to_owned()), ended: None };
    let error = application(&name("d-1"), Ok(&known), None).unwrap_err().report();
    assert!(error.contains("CodeDeploy's application name contains a slash"), "{error}");
}
