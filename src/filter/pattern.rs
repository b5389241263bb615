//! A pattern of namespaces: text with gaps that any run of characters fills, dots and line breaks too.

use crate::{Error, ErrorKind, Result};

/// Opens and closes the name of a gap: `$name$`.
const MARK: char = '$';

/// What the whole of a namespace is held against. There is no way back in it: every gap takes as little as it can, so that a
/// match costs one walk along the name whatever the pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pattern {
    head: String,
    /// What comes behind each gap.
    behind: Vec<String>,
}

/// A part of a pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Text(String),
    /// A gap, by its name.
    Gap(String),
}

impl Pattern {
    /// Of text in which an asterisk is a gap, unless it stands behind a backslash.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a dollar sign.
    pub(super) fn of_wildcards(text: &str) -> Result<Self> {
        if text.contains(MARK) {
            return Err(invalid("'$' is not allowed in include/exclude patterns".to_owned()));
        }
        Ok(Self::of_parts(&parts(&with_named_gaps(text))?))
    }

    pub(super) fn of_parts(parts: &[Part]) -> Self {
        let mut pattern = Self { head: String::new(), behind: Vec::new() };
        for part in parts {
            match part {
                Part::Text(text) => pattern.behind.last_mut().unwrap_or(&mut pattern.head).push_str(text),
                Part::Gap(_) => pattern.behind.push(String::new()),
            }
        }
        pattern
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.walk(text, |_| ())
    }

    /// What fills the gaps.
    pub(super) fn captures<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let mut captures = Vec::with_capacity(self.behind.len());
        self.walk(text, |filled| captures.push(filled)).then_some(captures)
    }

    /// The first place of a text leaves most to what follows: if any place will do, that does.
    fn walk<'t>(&self, text: &'t str, mut filled: impl FnMut(&'t str)) -> bool {
        let Some(mut left) = text.strip_prefix(&self.head) else { return false };
        let Some((last, others)) = self.behind.split_last() else { return left.is_empty() };
        for other in others {
            let Some((before, after)) = left.split_once(other.as_str()) else { return false };
            filled(before);
            left = after;
        }
        match left.strip_suffix(last) {
            Some(before) => {
                filled(before);
                true
            }
            None => false,
        }
    }
}

/// The parts of text in which gaps are named.
pub(super) fn parts(mut text: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    while let Some((before, from)) = text.split_once(MARK) {
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let (name, after) = from.split_once(MARK).ok_or_else(|| invalid("extraneous '$'".to_owned()))?;
        parts.push(Part::Gap(name.to_owned()));
        text = after;
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(parts)
}

/// The same text with its asterisks as gaps, named by their number from the end on, and without the backslashes that are not
/// meant.
pub(super) fn with_named_gaps(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    let (mut number, mut begin, mut before) = (wildcards(text), 0, None);
    for (position, character) in text.char_indices() {
        // As mongorestore has it: behind a backslash it is plain, even where that is a plain backslash itself.
        if character == '*' && before != Some('\\') {
            named.push_str(&unescaped(text.get(begin..position).unwrap_or_default()));
            named.extend([MARK.to_string(), number.to_string(), MARK.to_string()]);
            (number, begin) = (number - 1, position + 1);
        }
        before = Some(character);
    }
    named.push_str(&unescaped(text.get(begin..).unwrap_or_default()));
    named
}

/// How many asterisks are gaps.
pub(super) fn wildcards(text: &str) -> usize {
    text.matches('*').count() - text.matches("\\*").count()
}

/// The pattern that only this text matches.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('*', "\\*")
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
        } else if let Some(meant) = characters.next_if(|next| matches!(next, '\\' | '*')) {
            plain.push(meant);
        }
    }
    plain
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
        Pattern::of_parts(&parts(&with_named_gaps(pattern)).unwrap()).captures(text)
    }

    #[test]
    fn the_whole_name_matches_or_none_of_it() {
        for (pattern, text, expected) in [
            ("d.c", "d.c", Some(vec![])),
            ("d.c", "d.cc", None),
            ("d.c", "dd.c", None),
            ("*", "", Some(vec![""])),
            ("*", "d.a\n.b", Some(vec!["d.a\n.b"])),
            ("d.*", "d.", Some(vec![""])),
            ("d.*", "dxc", None),
            ("*.c", "d.a.c", Some(vec!["d.a"])),
            ("*.*", "d.a.c", Some(vec!["d", "a.c"])),
            ("*.*", "stuff", None),
            ("**", "d.c", Some(vec!["", "d.c"])),
            ("a*a", "a", None),
            ("a*a", "aa", Some(vec![""])),
            ("*ab*ab", "ababab", Some(vec!["", "ab"])),
            ("*ab*ab", "ab", None),
            ("é*名", "éx名", Some(vec!["x"])),
            ("d.(a|b)[c]{1}?+^", "d.(a|b)[c]{1}?+^", Some(vec![])),
        ] {
            assert_eq!(captures(pattern, text), expected, "{pattern} {text}");
            assert_eq!(Pattern::of_wildcards(pattern).unwrap().matches(text), expected.is_some());
        }
    }

    #[test]
    fn a_backslash_makes_asterisks_and_backslashes_plain_and_goes_otherwise() {
        for (pattern, text) in [
            (r"pr\*d.a", "pr*d.a"),
            (r"pr\*d\.a", "pr*d.a"),
            (r"a\\b.c", r"a\b.c"),
            (r"a.b\", "a.b"),
            // The quirk: a wildcard cannot follow a backslash.
            (r"a.b\\*", r"a.b\*"),
        ] {
            assert_eq!(captures(pattern, text), Some(vec![]), "{pattern}");
        }
        assert_eq!(captures(r"pr\*d.a", "prod.a"), None);
        assert_eq!(captures(r"\**.a", "*x.a"), Some(vec!["x"]));
    }

    #[test]
    fn escaped_text_matches_itself_alone() {
        for text in ["a.b", "a.*", r"a.\", r"a.\*", "a.**", r"a.\\b*c"] {
            assert_eq!(captures(&escaped(text), text), Some(vec![]), "{text}");
        }
        assert_eq!(captures(&escaped("a.*"), "a.b"), None);
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = Pattern::of_wildcards(&"*a".repeat(200)).unwrap();
        let near = "a".repeat(1000) + "b";
        assert!((0..2000).all(|_| !pattern.matches(&near)));
    }
}
