//! Which members a dump may read from, as mongodump's `--readPreference` says it.

use std::collections::HashMap;
use std::time::Duration;

use mongodb::options::{ReadPreference, ReadPreferenceOptions, TagSet};
use serde::Deserialize;

use super::invalid;
use crate::Result;

/// The object that may stand in place of a mode. Names are taken in any case.
#[derive(Debug, Default)]
struct Asked {
    mode: Option<String>,
    tag_sets: Option<Vec<TagSet>>,
    max_staleness: Option<i64>,
}

/// Reads a mode, or an object that holds one: in JSON, or as people write it (`{mode: 'nearest'}`).
pub(super) fn read_preference(text: &str) -> Result<ReadPreference> {
    let asked = if text.starts_with('{') {
        object(text)?
    } else {
        Asked { mode: Some(text.to_owned()), ..Asked::default() }
    };
    let Some(mode) = asked.mode else { return Err(invalid("the object has no mode")) };
    let is_plain = asked.tag_sets.is_none() && asked.max_staleness.is_none();
    let max_staleness = match asked.max_staleness {
        // The driver's word for none.
        None | Some(-1) => None,
        Some(seconds) => {
            let seconds =
                u64::try_from(seconds).map_err(|_| invalid("maxStalenessSeconds is less than nothing"))?;
            Some(Duration::from_secs(seconds))
        }
    };
    let mut options = ReadPreferenceOptions::default();
    options.tag_sets = asked.tag_sets;
    options.max_staleness = max_staleness;
    let options = (!is_plain).then_some(options);
    Ok(match mode.to_ascii_lowercase().as_str() {
        "primary" if is_plain => ReadPreference::Primary,
        "primary" => {
            return Err(invalid(
                "the primary is one member: tagSets and maxStalenessSeconds do not go with it",
            ));
        }
        "primarypreferred" => ReadPreference::PrimaryPreferred { options },
        "secondary" => ReadPreference::Secondary { options },
        "secondarypreferred" => ReadPreference::SecondaryPreferred { options },
        "nearest" => ReadPreference::Nearest { options },
        _ => {
            return Err(invalid(
                "the mode is none of primary, primaryPreferred, secondary, secondaryPreferred and nearest",
            ));
        }
    })
}

fn object(text: &str) -> Result<Asked> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Text(String),
        Number(i64),
        Sets(Vec<TagSet>),
        Other(serde::de::IgnoredAny),
    }
    let fields: HashMap<String, Option<Value>> = json5::from_str(text).map_err(|_| {
        invalid("it is no mode and no object like {mode: \"secondary\", tagSets: [{dc: \"east\"}]}")
    })?;
    let mut asked = Asked::default();
    // A value that is null is none.
    for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        match (name.to_ascii_lowercase().as_str(), value) {
            ("mode", Value::Text(mode)) => asked.mode = Some(mode),
            ("tagsets", Value::Sets(sets)) => asked.tag_sets = Some(sets),
            ("maxstalenessseconds", Value::Number(seconds)) => asked.max_staleness = Some(seconds),
            ("mode", _) => return Err(invalid("mode is no text")),
            ("tagsets", _) => return Err(invalid("tagSets is no list of objects of texts")),
            ("maxstalenessseconds", _) => return Err(invalid("maxStalenessSeconds is no whole number")),
            // mongodump takes no notice of others, `hedge` for one.
            _ => {}
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_or_an_object_of_mongodumps_help_is_read() {
        assert_eq!(read_preference("primary").unwrap(), ReadPreference::Primary);
        assert_eq!(read_preference("NEAREST").unwrap(), ReadPreference::Nearest { options: None });
        assert_eq!(
            read_preference("secondaryPreferred").unwrap(),
            ReadPreference::SecondaryPreferred { options: None }
        );
        for text in [
            "{mode: \"nearest\", tagSets: [{a: \"b\"}], maxStalenessSeconds: 123}",
            "{\"mode\":\"nearest\",\"tagSets\":[{\"a\":\"b\"}],\"maxStalenessSeconds\":123}",
            "{Mode: 'nearest', TagSets: [{a: 'b'}], MaxStalenessSeconds: 123, hedge: {enabled: true}}",
        ] {
            let ReadPreference::Nearest { options: Some(options) } = read_preference(text).unwrap() else {
                panic!("{text}");
            };
            assert_eq!(options.tag_sets.unwrap(), [TagSet::from([("a".to_owned(), "b".to_owned())])]);
            assert_eq!(options.max_staleness, Some(Duration::from_secs(123)));
        }
    }

    #[test]
    fn what_is_no_read_preference_is_refused() {
        for text in [
            "both",
            "secondary ",
            "{}",
            "{mode: 'nearest'",
            "{mode: 1}",
            "{mode: null}",
            "{mode: 'primary', tagSets: []}",
            "{mode: 'primary', maxStalenessSeconds: 90}",
            "{mode: 'nearest', tagSets: {a: 'b'}}",
            "{mode: 'nearest', maxStalenessSeconds: -5}",
        ] {
            read_preference(text).expect_err(text);
        }
    }
}
