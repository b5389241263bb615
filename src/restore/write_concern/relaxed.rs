//! Documents as people write them in the shell: names without quotation marks, text in single ones, and numbers in their
//! wrappers.

/// The same document as JSON; `None` for what is not written like this.
pub(super) fn strict(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' | '\'' => quoted(rest, first, &mut out)?,
            first if is_of_a_name(first) && !first.is_ascii_digit() => word(rest, &mut out)?,
            first => {
                out.push(first);
                rest.get(first.len_utf8()..)?
            }
        };
    }
    Some(out)
}

/// Takes a text and returns what follows.
fn quoted<'a>(text: &'a str, mark: char, out: &mut String) -> Option<&'a str> {
    out.push('"');
    let mut characters = text.char_indices().skip(1);
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => match characters.next()?.1 {
                '\'' => out.push('\''),
                escaped => out.extend(['\\', escaped]),
            },
            '"' if mark == '\'' => out.push_str("\\\""),
            character if character == mark => {
                out.push('"');
                return text.get(position + 1..);
            }
            character => out.push(character),
        }
    }
    None
}

/// Takes a name, a literal or a wrapped number and returns what follows.
fn word<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    let end = text.find(|character| !is_of_a_name(character)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let after = rest.trim_start();
    if after.starts_with(':') {
        out.extend(["\"", word, "\""]);
        return Some(rest);
    }
    match word {
        "true" | "false" | "null" => out.push_str(word),
        "NumberInt" | "NumberLong" => {
            let (number, after) = after.strip_prefix('(')?.split_once(')')?;
            out.push_str(number.trim().trim_matches(['"', '\'']));
            return Some(after);
        }
        _ => return None,
    }
    Some(rest)
}

fn is_of_a_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shell_takes_becomes_json() {
        for (text, json) in [
            ("{w: 3}", r#"{"w": 3}"#),
            (r#"{ w : 'it\'s "x"', "j":true}"#, r#"{ "w" : "it's \"x\"", "j":true}"#),
            ("{w: NumberLong( '5' )}", r#"{"w": 5}"#),
            (r#"{"a:b": -1.5}"#, r#"{"a:b": -1.5}"#),
        ] {
            assert_eq!(strict(text).as_deref(), Some(json));
        }
        for text in ["{w: x}", "{w: 'x", "{w: NumberInt(}"] {
            assert_eq!(strict(text), None, "{text}");
        }
    }
}
