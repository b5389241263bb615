//! What the driver says of a connection string, without any part of it.

/// Letters from which on a part of the connection string is recognised in a message. Shorter ones tell nobody anything, and
/// stand in every sentence.
const SHORTEST: usize = 3;

/// `message`, unless it repeats a part of the connection string: the driver quotes what it cannot understand, as it stands or
/// decoded. Then where that part stands. `text` has a scheme, and only options whose names are known.
pub(super) fn unquoted(text: &str, message: &str) -> String {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let (_, place) = place.split_once("://").unwrap_or(("", place));
    let quotes = |part: &str| pieces(part).any(|piece| message.contains(&piece));
    if let Some((user_info, _)) = place.rsplit_once('@')
        && quotes(user_info)
    {
        return "its user name or password cannot be parsed".to_owned();
    }
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if quotes(value) {
            return format!("the value of {name} cannot be used");
        }
    }
    if quotes(place) {
        return "its hosts or database cannot be parsed".to_owned();
    }
    message.to_owned()
}

/// The words of a part, as they stand and decoded: whatever is quoted of it holds one of them whole, or is too short to matter.
fn pieces(part: &str) -> impl Iterator<Item = String> {
    let decoded = decoded(part);
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| !letter.is_alphanumeric()).map(str::to_owned).collect()
    };
    let all = words(part).into_iter().chain(words(&decoded));
    all.filter(|word| word.chars().count() >= SHORTEST)
}

/// With every `%XX` as the byte that it stands for.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = match (first, after) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::unquoted;

    #[test]
    fn what_repeats_a_part_is_replaced_by_where_it_stands() {
        let text = "mongodb://ann:s3c%72et@db.example/shop?readpreference=bog%75s&tls=true";
        for (message, said) in [
            ("got s3c%72et", "user name or password"),
            ("got s3cret", "user name or password"),
            ("'bogus' is no read preference", "value of readpreference"),
            ("no such host: db.example", "hosts or database"),
            ("tls is not there", "tls is not there"),
        ] {
            assert!(unquoted(text, message).contains(said), "{message}");
        }
    }
}
