//! Secrets Manager: the secret that holds the connection string.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use serde_json::Value;

use crate::{Error, ErrorKind, MongoUri, Result};

use super::refusal::refusal;

/// Reads the current version of the secret that this variable of the environment names.
pub(super) async fn mongo_uri(client: &Client, id: &str, variable: &str) -> Result<MongoUri> {
    let answer = client.get_secret_value().secret_id(id).send().await.map_err(|error| {
        let missing =
            error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception);
        if missing {
            let message = format!(
                "there is no such secret in this region and account; create it, or correct {variable}"
            );
            return Error::new(ErrorKind::NotFound, message).at(place(id));
        }
        let action = format!("give the secret {id}");
        refusal("Secrets Manager", &action, "secretsmanager:GetSecretValue", &error)
    })?;
    parse(id, answer.secret_string())
}

/// Finds the connection string in the secret's text. No message repeats any of that text.
fn parse(id: &str, secret: Option<&str>) -> Result<MongoUri> {
    let unusable = |problem: &str| {
        let message = format!("{problem}; store {{\"mongo_uri\": \"mongodb://..\"}} in it");
        Error::new(ErrorKind::InvalidInput, message).at(place(id))
    };
    let secret = secret.ok_or_else(|| unusable("the secret is binary and not text"))?;
    let secret: Value =
        serde_json::from_str(secret).map_err(|_| unusable("the secret's text is not JSON"))?;
    let Value::Object(fields) = secret else {
        return Err(unusable("the secret's JSON is not an object"));
    };
    match fields.get("mongo_uri") {
        None => Err(unusable("the secret has no mongo_uri")),
        Some(Value::String(uri)) => MongoUri::parse(uri).map_err(|error| {
            let message = format!("the secret's mongo_uri cannot be used: {}", error.report());
            Error::new(error.kind(), message).at(place(id))
        }),
        Some(_) => Err(unusable("the secret's mongo_uri is not a string")),
    }
}

fn place(id: &str) -> String {
    format!("secret {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_string_is_found_among_other_fields() {
        let secret = r#"{"username": "ann", "mongo_uri": "mongodb://ann:s3cret@db.example:27017"}"#;
        assert!(parse("prod/mongo", Some(secret)).is_ok());
    }

    #[test]
    fn every_unusable_secret_is_named_and_never_quoted() {
        for (secret, problem) in [
            (None, "binary"),
            (Some("mongodb://ann:s3cret@db"), "not JSON"),
            (Some(r#"{"mongo_uri": "mongodb://ann:s3cret@db""#), "not JSON"),
            (Some(r#""mongodb://ann:s3cret@db""#), "not an object"),
            (Some(r#"["s3cret"]"#), "not an object"),
            (Some("{}"), "has no mongo_uri"),
            (Some(r#"{"uri": "mongodb://ann:s3cret@db"}"#), "has no mongo_uri"),
            (Some(r#"{"mongo_uri": null}"#), "not a string"),
            (Some(r#"{"mongo_uri": ["s3cret"]}"#), "not a string"),
            (Some(r#"{"mongo_uri": ""}"#), "cannot be used"),
            (Some(r#"{"mongo_uri": "postgres://ann:s3cret@db"}"#), "cannot be used"),
        ] {
            let error = parse("prod/mongo", secret).unwrap_err();
            let message = error.report();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{message}");
            assert!(message.starts_with("secret prod/mongo: ") && message.contains(problem), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }
}
