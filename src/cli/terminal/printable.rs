//! Text that cannot steer a terminal.

/// Characters that [`str::escape_debug`] escapes for Rust's sake and a terminal prints.
const HARMLESS: [char; 3] = ['\\', '\'', '"'];

/// `text` in one line, with everything that has no glyph escaped as in `\n`, `\u{1b}` or `\u{202e}`: control characters,
/// line separators, marks that change the direction of writing. Names of collections and servers' messages may hold any.
pub(in crate::cli) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for piece in text.split_inclusive(HARMLESS) {
        match piece.strip_suffix(HARMLESS) {
            Some(rest) => {
                line.extend(rest.escape_debug());
                line.extend(piece.chars().next_back());
            }
            None => line.extend(piece.escape_debug()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["", "shop.orders", r#"a "quoted" 'name' \n"#, "größe.名前.🦀", "e\u{301}te\u{301}"]
        {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        for (text, escaped) in [
            ("a\nFailed: b\r\t", r"a\nFailed: b\r\t"),
            ("\u{1b}[2J\u{7}\u{8}", r"\u{1b}[2J\u{7}\u{8}"),
            ("\u{9b}31m\u{7f}\u{0}", r"\u{9b}31m\u{7f}\0"),
            ("\u{202e}gpj\u{2066}\u{200f}\u{feff}", r"\u{202e}gpj\u{2066}\u{200f}\u{feff}"),
            ("a\u{2028}b\u{2029}\u{85}", r"a\u{2028}b\u{2029}\u{85}"),
        ] {
            assert_eq!(printable(text), escaped);
        }
    }
}
