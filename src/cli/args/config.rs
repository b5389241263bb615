//! The file with what is for nobody else's eyes, as mongodump's `--config` reads it.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::invalid;
use crate::{Error, Result};

/// The name that the file has in messages.
const OPTION: &str = "--config";

/// What the file says.
#[derive(Default)]
pub(super) struct Config {
    pub(super) uri: Option<String>,
    pub(super) password: Option<String>,
    pub(super) key_password: Option<String>,
    pub(super) warnings: Vec<String>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            invalid("the file cannot be read")
                .at(format_args!("{OPTION} {}", path.display()))
                .with_source(error)
        };
        let text = std::fs::read(path).map_err(failed)?;
        let text = String::from_utf8(text).map_err(|_| invalid("it is not valid UTF-8").at(OPTION))?;
        let mut config: Self = text.parse()?;
        if is_open_to_others(path).map_err(failed)? {
            let path = path.display();
            config
                .warnings
                .push(format!("others on this machine may read {path}: chmod 600 takes that away"));
        }
        Ok(config)
    }

    fn set(&mut self, line: usize, name: &str, value: Option<String>) -> Result<()> {
        let setting = match name {
            "uri" => &mut self.uri,
            "password" => &mut self.password,
            "sslPEMKeyPassword" => &mut self.key_password,
            // Of a tool that shares the file and not the work.
            "destinationPassword" => return Ok(()),
            // It may be anything, even a password.
            _ => return Err(malformed(line, "a key that is none of uri, password and sslPEMKeyPassword")),
        };
        *setting = value;
        Ok(())
    }
}

impl FromStr for Config {
    type Err = Error;

    /// Reads the file's text; no message repeats any of it.
    fn from_str(text: &str) -> Result<Self> {
        let mut config = Self::default();
        let mut events = Parser::new_from_str(text).map(|event| {
            let (event, span) =
                event.map_err(|error| malformed(error.marker().line(), "something that is no YAML"))?;
            Ok::<_, Error>((event, span.start.line()))
        });
        let mut next = || events.next().unwrap_or(Ok((Event::StreamEnd, 0)));
        let mut names = Vec::new();
        let mut documents = 0;
        loop {
            match next()? {
                (Event::StreamEnd, _) => return Ok(config),
                (Event::DocumentStart(_), line) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(malformed(line, "a second document"));
                    }
                }
                // Nothing but comments.
                (Event::Scalar(value, style, 0, None), _) if is_null(&value, style) && names.is_empty() => {}
                (Event::MappingStart(0, None), _) => loop {
                    let (name, line) = match next()? {
                        (Event::MappingEnd, _) => break,
                        (Event::Scalar(name, _, 0, None), line) => (name.into_owned(), line),
                        (_, line) => return Err(malformed(line, "something that is no key with one value")),
                    };
                    let (Event::Scalar(value, style, 0, None), _) = next()? else {
                        return Err(malformed(line, "a value that is no text"));
                    };
                    if names.contains(&name) {
                        return Err(malformed(line, "a key for the second time"));
                    }
                    config.set(line, &name, text_of(value, style))?;
                    names.push(name);
                },
                (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => {}
                (_, line) => return Err(malformed(line, "something that is no key with one value")),
            }
        }
    }
}

/// What is nothing is as if it were not there; numbers and switches are taken as they are written.
fn text_of(value: Cow<'_, str>, style: ScalarStyle) -> Option<String> {
    (!is_null(&value, style) && !value.is_empty()).then(|| value.into_owned())
}

fn is_null(value: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && ["", "~", "null", "Null", "NULL"].contains(&value)
}

fn malformed(line: usize, what: &str) -> Error {
    let message = format!(
        "line {line} has {what}; write `password: 'PASSWORD'` or `uri: 'mongodb://..'`, each on a line of its own, with a \
         single quote within quotes doubled"
    );
    invalid(&message).at(OPTION)
}

/// Whether anybody but the owner may read it.
#[cfg(unix)]
fn is_open_to_others(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    const READ_BY_GROUP_OR_OTHERS: u32 = 0o044;
    let metadata = std::fs::metadata(path)?;
    Ok(metadata.is_file() && metadata.permissions().mode() & READ_BY_GROUP_OR_OTHERS != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> std::io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::Config;

    fn read(text: &str) -> (Option<String>, Option<String>, Option<String>) {
        let config: Config = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        (config.uri, config.password, config.key_password)
    }

    #[test]
    fn what_mongodump_reads_is_read() {
        for (text, password) in [
            ("password: secret", "secret"),
            ("# a comment\n---\npassword: \"se\\u0063ret\"  # another\n...\n", "secret"),
            ("password: 'it''s: #1'\n", "it's: #1"),
            ("password: 012345", "012345"),
            ("password: true", "true"),
            ("{\"password\": \"secret\"}", "secret"),
            ("password: >-\n  secret\n", "secret"),
            ("password: 'null'", "null"),
            ("password: p%40ss名", "p%40ss名"),
        ] {
            assert_eq!(read(text), (None, Some(password.to_owned()), None), "{text}");
        }
        let text = "uri: mongodb://h:1/?tls=true\npassword: a\nsslPEMKeyPassword: b\n";
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(text), (some("mongodb://h:1/?tls=true"), some("a"), some("b")));
        for text in [
            "",
            "destinationPassword: x",
            "# nothing\n",
            "---\n",
            "password:\n",
            "password: ~\nuri: ''\n",
            "{}",
            "~",
        ] {
            assert_eq!(read(text), (None, None, None), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_and_never_repeated() {
        for text in [
            "hunter2",
            "hunter2: x",
            "- hunter2",
            "password: [hunter2]",
            "password: {hunter2: 1}",
            "password: hunter2\npassword: hunter2",
            "password: hunter2\n---\npassword: hunter2",
            "password: !!binary hunter2",
            "password: &hunter2 x",
            "uri: &a hunter2\npassword: *a",
            "password: \"hunter2",
            "password: 'hunter2' hunter2",
            "password: @hunter2",
            "password: %hunter2",
            "password: a: hunter2",
            "Password: hunter2",
            "pass:\n\thunter2",
            "? [hunter2]\n: hunter2",
        ] {
            let Err(error) = text.parse::<Config>() else { panic!("{text}") };
            let message = error.report();
            assert!(message.starts_with("--config: line ") && !message.contains("hunter2"), "{message}");
        }
        assert!(!format!("{:?}", "password: hunter2".parse::<Config>()).contains("hunter2"));
    }
}
