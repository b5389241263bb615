//! One pair of `--nsFrom` and `--nsTo`.

use super::pattern::{Part, Pattern, invalid, parts, wildcards, with_named_gaps};
use crate::Result;

/// From the names that match a pattern to others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Renaming {
    from: Pattern,
    to: Vec<Piece>,
}

/// A piece of the new name.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Text(String),
    /// What fills the gap at this position.
    Captured(usize),
}

impl Renaming {
    /// Reads a pair: with asterisks, of which the first is the first and so on, or with gaps by name, `$name$`, where an
    /// asterisk is an asterisk.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where the two do not fit each other.
    pub(super) fn read(from: &str, to: &str) -> Result<Self> {
        let named = from.contains('$');
        if named {
            for (option, text) in [("from", from), ("to", to)] {
                if !text.matches('$').count().is_multiple_of(2) {
                    return Err(invalid(format!("odd number of dollar signs in {option}: `{text}`")));
                }
            }
        } else if wildcards(from) != wildcards(to) {
            let message = format!("different number of asterisks in from: `{from}` and to: `{to}`");
            return Err(invalid(message));
        }
        let read = |text: &str| if named { parts(text) } else { parts(&with_named_gaps(text)) };
        let fitted = read(from).and_then(|from| Self::fit(&from, read(to)?));
        fitted.map_err(|why| invalid(format!("invalid replacement from `{from}` to `{to}`: {why}")))
    }

    fn fit(from: &[Part], to: Vec<Part>) -> Result<Self> {
        let mut gaps: Vec<&str> = Vec::new();
        for part in from {
            if let Part::Gap(name) = part {
                if gaps.contains(&name.as_str()) {
                    return Err(invalid(format!("variable name `{name}` used more than once")));
                }
                gaps.push(name);
            }
        }
        let piece = |part| match part {
            Part::Text(text) => Ok(Piece::Text(text)),
            Part::Gap(name) => match gaps.iter().position(|gap| *gap == name) {
                Some(position) => Ok(Piece::Captured(position)),
                None => Err(invalid(format!("unknown variable `{name}`"))),
            },
        };
        let to = to.into_iter().map(piece).collect::<Result<_>>()?;
        Ok(Self { from: Pattern::of_parts(from), to })
    }

    /// The new name of one that matches.
    pub(super) fn apply(&self, name: &str) -> Option<String> {
        let captured = self.from.captures(name)?;
        let pieces = self.to.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Captured(position) => captured.get(*position).copied().unwrap_or_default(),
        });
        Some(pieces.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(from: &str, to: &str, name: &str) -> Option<String> {
        Renaming::read(from, to).unwrap_or_else(|error| panic!("{error}")).apply(name)
    }

    #[test]
    fn gaps_go_from_the_old_name_into_the_new_one() {
        for (from, to, name, expected) in [
            ("$db$.user$$", "test.user$$_$db$", "stuff.user", Some("test.user_stuff")),
            ("$db$.user$$", "test.user$$_$db$", "stuff.users", Some("test.users_stuff")),
            ("$db$.$c$", "all.$db$_$c$_$db$", "a.b.c", Some("all.a_b.c_a")),
            ("$a$.x", "b.y", "a.x", Some("b.y")),
            (
                "$:)*$.us(?:2)er$?$",
                "test.us(?:2)er$?$_$:)*$",
                "stuff.us(?:2)ers",
                Some("test.us(?:2)ers_stuff"),
            ),
            (r"$d$.a*\", r"$d$.b*\", r"x.a*\", Some(r"x.b*\")),
            ("*.*", "*_test.*", "prod.turbo.encabulators", Some("prod_test.turbo.encabulators")),
            (r"pr\*d\\.*", r"st\*g\\ing.*", r"pr*d\.a.b", Some(r"st*g\ing.a.b")),
            (r"pr\*d\\.*", r"st\*g\\ing.*", r"prod\.a.b", None),
            ("restaurants.cafés", "ÿœp.tāx", "restaurants.cafés", Some("ÿœp.tāx")),
            ("a.*b*", "c.*-*", "a.xbyb", Some("c.x-yb")),
            ("a.b", "c.d", "a.bb", None),
            // The asterisks' own names, which the original lets through.
            ("a.*", "b.*$1$", "a.x", Some("b.xx")),
        ] {
            assert_eq!(renamed(from, to, name).as_deref(), expected, "{from} {to} {name}");
        }
    }

    #[test]
    fn pairs_that_do_not_fit_are_refused() {
        for (from, to, why) in [
            ("$db$.user$db$", "test.user-$db$", "used more than once"),
            ("$db$.us$er$table$", "test.user$table$_$db$", "odd number of dollar signs in from"),
            ("$db$.x", "$db$.$x", "odd number of dollar signs in to"),
            ("$db$.x", "$d$.x", "unknown variable `d`"),
            ("a.*", "b.c", "different number of asterisks"),
            ("a.b", "b.*", "different number of asterisks"),
            (r"a.\*", "b.*", "different number of asterisks"),
            ("a.*", "b.*$x$", "unknown variable `x`"),
            ("a.*", "b.*$", "extraneous '$'"),
        ] {
            let error = Renaming::read(from, to).expect_err(from).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
