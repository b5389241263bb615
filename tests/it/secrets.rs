//! Secrets are in no output: of the command, whatever fails, and of the library, wherever a password stands.
//!
//! The memory of the process and its `/proc/PID/environ` are readable by the same user and by root, and nobody can change that.

use std::fmt;

use mongoark::MongoUri;
use mongodb::bson::doc;

use crate::support::mongoark::{finish, start};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::testdata;
use crate::support::tls::{Certificates, Encryption};

/// Of every kind of letter that somebody may take for something else.
const PASSWORD: &str = "Gr3at+S3cr3t%41@:/?#[]&=;,.*^$(x)|\\\"'`{}<é名🦀";

/// A part of it that stands in it as it is, in every form but base64.
const PLAIN_PART: &str = "Gr3at";

/// A secret in all the forms in which a library may show it.
pub struct Forms(Vec<String>);

impl Forms {
    pub fn of(secret: &str) -> Self {
        let all = [
            secret.to_owned(),
            encoded(secret),
            encoded(secret).to_lowercase(),
            format!("{secret:?}").trim_matches('"').to_owned(),
            secret.escape_default().to_string(),
            base64(secret.as_bytes()),
            base64(format!("\0ann\0{secret}").as_bytes()),
            base64(format!("ann:{secret}").as_bytes()),
        ];
        Self(all.into_iter().filter(|form| form.len() >= 5).collect())
    }

    #[track_caller]
    pub fn assert_hidden(&self, output: impl fmt::Display, case: impl fmt::Display) {
        let output = output.to_string();
        for form in &self.0 {
            assert!(!output.contains(form), "{case}: {form} is in:\n{output}");
        }
    }
}

pub fn encoded(text: &str) -> String {
    let letters = text.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    letters.collect::<Vec<_>>().concat()
}

fn base64(bytes: &[u8]) -> String {
    aws_smithy_types::base64::encode(bytes)
}

/// Runs a verb with everything that makes programs talkative, and proves that nothing of these secrets is said.
async fn hides(arguments: &[&str], environment: &[(&str, &str)], secrets: &[&str]) -> String {
    let talkative = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full"), ("TERM", "dumb")];
    let environment: Vec<_> = talkative.iter().chain(environment).copied().collect();
    let finished = finish(start(arguments.iter().copied(), &environment)).await;
    let output = format!("{}{}", finished.stderr, String::from_utf8_lossy(&finished.stdout));
    assert_ne!(finished.code, Some(0), "{arguments:?} was to fail: {output}");
    for secret in secrets {
        Forms::of(secret).assert_hidden(&output, format_args!("{arguments:?}"));
    }
    assert!(!output.contains(PLAIN_PART), "{arguments:?}: {output}");
    assert!(!output.contains("panic"), "{arguments:?}: {output}");
    output
}

#[tokio::test]
async fn a_wrong_password_is_in_no_output_wherever_it_came_from() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let client = server.client().await;
    let user = doc! { "createUser": "ann", "pwd": "right", "roles": ["root"] };
    client.database("admin").run_command(user).await.unwrap();
    let uri = server.uri_for("ann", PASSWORD, "admin");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, format!("password: '{}'\n", PASSWORD.replace('\'', "''"))).unwrap();
    let config = format!("--config={}", config.display());
    let nameless = uri.replace(&format!(":{}@", encoded(PASSWORD)), "@");
    assert_ne!(nameless, uri, "the password was taken out");
    let (given, archive) = (format!("--uri={uri}"), "--archive=/dev/null");
    for mechanism in
        ["", "&authMechanism=SCRAM-SHA-1", "&authMechanism=SCRAM-SHA-256", "&authMechanism=PLAIN"]
    {
        let given = format!("{given}{mechanism}");
        hides(&["dump", &given, archive], &[], &[PASSWORD]).await;
    }
    let said = hides(&["dump", &given, archive], &[], &[PASSWORD]).await;
    assert!(said.contains("refused the credentials") && said.contains("others on this machine"), "{said}");
    for (arguments, variable) in
        [(vec!["dump", archive], uri.as_str()), (vec!["dump", archive, &config], &nameless)]
    {
        let said = hides(&arguments, &[("MONGODB_URI", variable)], &[PASSWORD]).await;
        assert!(said.contains("refused the credentials"), "{said}");
        assert!(!said.contains("others on this machine can see"), "{said}");
    }
}

#[tokio::test]
async fn secrets_of_a_connection_that_does_not_come_about_are_in_no_output() {
    let made = Certificates::new();
    let authority = made.authority("authority");
    let key = made.client("client", "authority", Encryption::Aes);
    let (key, authority) = (key.display(), authority.display());
    let secret = encoded(PASSWORD);
    let archive = format!("--archive={}", testdata("archives/100.18.0/one-document.archive").display());
    let short = "serverSelectionTimeoutMS=500&connectTimeoutMS=500";
    for uri in [
        format!("mongodb://ann:{secret}@127.0.0.1:1/?{short}"),
        format!("mongodb://ann:{secret}@nowhere.invalid/?{short}"),
        format!("mongodb+srv://ann:{secret}@nowhere.invalid/?{short}"),
        format!("mongodb://ann:{secret}@127.0.0.1:1/?{short}&tls=true&tlsCAFile=/nonexistent"),
        format!("mongodb://ann:{secret}@127.0.0.1:1/?{short}&tls=perhaps"),
        format!("mongodb://ann:{secret}@127.0.0.1:1/?{short}&authMechanism={secret}"),
        format!("mongodb://ann:{secret}@127.0.0.1:1/?{short}&authMechanism=MONGODB-X509"),
        format!("mongodb://ann:{secret}@127.0.0.1:1/?{short}&authMechanism=GSSAPI"),
        format!("mongodb://ann:{secret}@127.0.0.1:1/?{short}&readPreference={secret}"),
        format!(
            "mongodb://127.0.0.1:1/?{short}&proxyHost=127.0.0.1&proxyPort=1&proxyUsername=ann&proxyPassword={secret}"
        ),
        format!("mongodb://127.0.0.1:1/?{short}&proxyPassword={secret}"),
        format!(
            "mongodb://127.0.0.1:1/?{short}&proxyHost=h&proxyPort=x&proxyUsername=u&proxyPassword={secret}"
        ),
        format!(
            "mongodb://127.0.0.1:1/?{short}&tls=true&tlsCAFile={authority}&tlsCertificateKeyFile={key}&tlsCertificateKeyFilePassword={secret}"
        ),
        format!("mongodb://127.0.0.1:1/?{short}&tlsCertificateKeyFilePassword={secret}"),
        format!("mongodb://127.0.0.1:1/?{short}&tls=false&tlsCertificateKeyFilePassword={secret}"),
        format!(
            "mongodb://127.0.0.1:1/?{short}&tlsCertificateKeyFilePassword={secret}&sslPEMKeyPassword=other"
        ),
        format!(
            "mongodb://127.0.0.1:1/?{short}&authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:{secret}"
        ),
        format!("mongodb://127.0.0.1:1/?{short}&authMechanism=MONGODB-AWS&authMechanismProperties={secret}"),
        format!("mongodb://AKIA:{secret}@127.0.0.1:1/?{short}&authMechanism=MONGODB-AWS"),
    ] {
        for verb in ["dump", "restore"] {
            let archive = if verb == "dump" { "--archive=/dev/null" } else { &archive };
            hides(&[verb, archive], &[("MONGODB_URI", &uri)], &[PASSWORD]).await;
        }
    }
}

#[tokio::test]
async fn secrets_of_a_file_that_cannot_be_used_are_in_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let config = format!("--config={}", file.display());
    for text in [
        PASSWORD.to_owned(),
        format!("password: {PASSWORD}"),
        format!("password: \"{PASSWORD}"),
        format!("pass: '{PLAIN_PART}'"),
        format!("password: [{PLAIN_PART}]"),
        format!("{PLAIN_PART}: password"),
        format!("password: '{PLAIN_PART}'"),
        format!("uri: mongodb://ann:{PLAIN_PART}/x@127.0.0.1:1"),
        format!("uri: mongodb://ann:{PLAIN_PART}@127.0.0.1:1\npassword: {PLAIN_PART}x"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let said = hides(&["dump", "--archive=/dev/null", &config], &[], &[PASSWORD]).await;
        assert!(said.contains("--config"), "{text}: {said}");
    }
}

#[tokio::test]
async fn credentials_of_aws_are_in_no_output() {
    let secrets = ["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEBYaDHqa0AP/+token=="];
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", secrets[0]),
        ("AWS_SESSION_TOKEN", secrets[1]),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("MONGODB_URI", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500"),
    ];
    for endpoint in ["http://127.0.0.1:1", "no-endpoint", "http://[::1"] {
        let environment: Vec<_> = environment.into_iter().chain([("AWS_ENDPOINT_URL", endpoint)]).collect();
        hides(&["dump", "--archive=s3://bucket/key"], &environment, &secrets).await;
        hides(&["restore", "--archive=s3://bucket/key"], &environment, &secrets).await;
    }
}

/// Every character that divides connection strings, and some that break what reads them, at every place of each string.
#[test]
fn no_message_about_a_connection_string_repeats_its_password() {
    const HIDDEN: &str = "S3cr3tS3cr3t";
    let marks = [
        "", "@", ":", "/", "?", "&", "=", ";", ",", "%", "%4", "%é", "%aé", "[", "]", "#", " ", "\n", "\0",
        "é", "\u{202e}", "://",
    ];
    let strings = [
        format!("mongodb://ann:{HIDDEN}@h1:27017,h2/shop?authSource=admin&replicaSet=rs0"),
        format!(
            "mongodb+srv://ann:{HIDDEN}@cluster.example/?readPreference=secondary&readPreferenceTags=dc:a"
        ),
        format!("mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:{HIDDEN}"),
        format!("mongodb://h/?proxyHost=p&proxyPort=1&proxyUsername=u&proxyPassword={HIDDEN}&tls=true"),
        format!("mongodb://h/?tls=true&tlsCertificateKeyFile=/k&tlsCertificateKeyFilePassword={HIDDEN}"),
    ];
    let mut refused = 0;
    for string in &strings {
        for at in (0..=string.len()).filter(|at| string.is_char_boundary(*at)) {
            for (mark, skipped) in marks.iter().flat_map(|mark| [(mark, 0), (mark, 1)]) {
                let text =
                    format!("{}{mark}{}", &string[..at], string.get(at + skipped..).unwrap_or_default());
                if let Err(error) = MongoUri::parse(&text) {
                    refused += 1;
                    let shown = format!("{} {error:?} {error}", error.report());
                    for part in ["S3cr3t", "cr3tS3", &text] {
                        assert!(!shown.contains(part) || part.is_empty(), "{text:?}: {shown}");
                    }
                }
            }
        }
    }
    assert!(refused > 1000, "{refused} strings were refused");
}
