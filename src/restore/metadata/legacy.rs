//! Keys of indexes as servers before 3.4 took them: anything that was no text and not negative meant "ascending".

use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::restore::IndexOptions;

/// What is as good as nothing, for the official tools.
const EPSILON: f64 = 1e-9;

/// The key of this index as today's servers take it; `None` where nothing has to be changed.
pub(super) fn converted(index: &RawDocument, rules: IndexOptions) -> Option<RawDocumentBuf> {
    let key = index.get_document("key").ok()?;
    let mut changed = false;
    let made = super::fields(key)
        .map(|(name, order)| {
            let put_right = if rules.convert_legacy { converted_order(order) } else { None };
            let dotted = name.as_str().contains('.') && order.as_str() == Some("hashed");
            let put_right = put_right.or((rules.fix_dotted_hash && dotted).then_some(1));
            changed |= put_right.is_some();
            let order = match put_right {
                Some(order) => RawBson::Int32(order),
                None => RawBson::from(order),
            };
            (name.to_owned(), order)
        })
        .collect();
    changed.then_some(made)
}

/// What the order of an indexed field becomes; `None` where it stays.
fn converted_order(order: RawBsonRef<'_>) -> Option<i32> {
    match order {
        RawBsonRef::String(text) => text.is_empty().then_some(1),
        order => match as_number(order) {
            Some(number) if number.abs() < EPSILON => Some(if number >= 0.0 { 1 } else { -1 }),
            Some(_) => None,
            None => Some(1),
        },
    }
}

/// The order that an old server read; `None` for the name of a kind.
pub(super) fn meant(order: RawBsonRef<'_>) -> Option<f64> {
    match (converted_order(order), order) {
        (Some(order), _) => Some(order.into()),
        (None, order) => as_number(order),
    }
}

/// Whether two keys are the same index to a server.
pub(super) fn same_key(left: &RawDocument, right: &RawDocument) -> bool {
    let mut others = super::fields(right);
    let all = super::fields(left).all(|(name, order)| {
        others.next().is_some_and(|(other_name, other)| {
            let orders = match (order.as_str(), other.as_str()) {
                (None, None) => as_number(order)
                    .zip(as_number(other))
                    .is_some_and(|(order, other)| (order - other).abs() < EPSILON),
                (order, other) => order == other,
            };
            name == other_name && orders
        })
    });
    all && others.next().is_none()
}

/// A number of any type.
pub(super) fn as_number(value: RawBsonRef<'_>) -> Option<f64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => number.to_string().parse().ok(),
        RawBsonRef::Double(number) => Some(number),
        RawBsonRef::Decimal128(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn key_of(key: RawDocumentBuf, rules: IndexOptions) -> Option<RawDocumentBuf> {
        converted(&rawdoc! { "key": key }, rules)
    }

    #[test]
    fn b66_what_old_servers_took_for_ascending_becomes_1_and_tiny_negative_numbers_minus_1() {
        let rules = IndexOptions { convert_legacy: true, ..IndexOptions::default() };
        let old = rawdoc! {
            "zero": 0, "long": 0_i64, "double": 0.0, "tiny": 1e-10, "negative": -1e-10, "empty": "", "yes": true,
            "no": false, "null": null, "document": { "x": 1 }, "decimal": "0".parse::<bson::Decimal128>().unwrap(),
            "kept": 2, "text": "text", "down": -1, "half": -0.5,
        };
        let new = rawdoc! {
            "zero": 1, "long": 1, "double": 1, "tiny": 1, "negative": -1, "empty": 1, "yes": 1, "no": 1, "null": 1,
            "document": 1, "decimal": 1, "kept": 2, "text": "text", "down": -1, "half": -0.5,
        };
        assert_eq!(key_of(old.clone(), rules), Some(new));
        assert_eq!(key_of(old, IndexOptions::default()), None);
        assert_eq!(key_of(rawdoc! { "a": 1, "b": "2d" }, rules), None);
    }

    #[test]
    fn b66_only_a_hashed_field_of_a_nested_document_becomes_ascending() {
        let rules = IndexOptions { fix_dotted_hash: true, ..IndexOptions::default() };
        let old = rawdoc! { "a": "hashed", "a.b": "hashed", "c.d": "text", "e": "" };
        let new = rawdoc! { "a": "hashed", "a.b": 1, "c.d": "text", "e": "" };
        assert_eq!(key_of(old, rules), Some(new));
        assert_eq!(key_of(rawdoc! { "a": "hashed" }, rules), None);
    }

    #[test]
    fn keys_are_compared_by_what_they_mean() {
        assert!(same_key(&rawdoc! { "a": 1, "b": "text" }, &rawdoc! { "a": 1.0, "b": "text" }));
        for other in [rawdoc! { "a": -1 }, rawdoc! { "b": 1 }, rawdoc! { "a": 1, "b": 1 }, rawdoc! {}] {
            assert!(!same_key(&rawdoc! { "a": 1 }, &other), "{other:?}");
            assert!(!same_key(&other, &rawdoc! { "a": 1 }), "{other:?}");
        }
    }
}
