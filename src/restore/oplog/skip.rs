//! Entries that are not replayed: they say nothing, or what the target makes by itself.

use super::entry::Entry;
use crate::Result;

/// Nothing happened, or something that has to do with record ids or routers, and with no other deployment.
const KINDS: [&str; 5] = ["n", "cd", "ci", "cu", "km"];

/// What the target's own replication does, or what names files of the source.
const COMMANDS: [&str; 4] = ["startIndexBuild", "abortIndexBuild", "setMultikeyMetadata", "dropIdent"];

/// Databases of the server's own begin with this.
const INTERNAL: &str = "__mdb_internal";

/// The collections of `config` that say how a cluster is set up; the others hold what a server is just doing.
const CONFIG: [&str; 7] = ["chunks", "collections", "databases", "settings", "shards", "tags", "version"];

/// Whether an entry is left out, whatever its time.
pub(super) fn is_skipped(entry: &Entry<'_>) -> Result<bool> {
    if is_of_the_server(entry.namespace) || KINDS.contains(&entry.kind) {
        return Ok(true);
    }
    if entry.kind != "c" {
        return Ok(false);
    }
    let command = entry.command()?;
    Ok(command.is_some_and(|command| COMMANDS.iter().any(|name| name.as_bytes() == command.name)))
}

fn is_of_the_server(namespace: &str) -> bool {
    let of_config = |name| !CONFIG.contains(&name);
    namespace.starts_with(INTERNAL) || namespace.strip_prefix("config.").is_some_and(of_config)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn b73_what_a_server_keeps_for_itself_is_skipped() {
        for (namespace, skipped) in [
            ("test.system", false),
            ("test.system.nonsense", false),
            ("config.system.sessions", true),
            ("config.system.indexBuilds", true),
            ("config.system.preimages", true),
            ("config.transactions", true),
            ("config.transaction_coordinators", true),
            ("config.image_collection", true),
            ("config.mongos", true),
            ("config.cache.any", true),
            ("config.$cmd", true),
            ("config.chunks", false),
            ("__mdb_internal_search.x", true),
            ("test.system.js", false),
            ("test.test", false),
        ] {
            assert_eq!(is_of_the_server(namespace), skipped, "{namespace}");
        }
    }

    #[test]
    fn b73_what_says_nothing_is_skipped() {
        let skipped = |kind: &str, object| {
            let document = rawdoc! { "op": kind, "ns": "d.$cmd", "o": object };
            is_skipped(&Entry::read(document.as_bytes()).unwrap()).unwrap()
        };
        for kind in ["n", "cd", "ci", "cu", "km"] {
            assert!(skipped(kind, rawdoc! { "msg": "x" }), "{kind}");
        }
        for command in ["startIndexBuild", "abortIndexBuild", "setMultikeyMetadata", "dropIdent"] {
            let mut object = bson::RawDocumentBuf::new();
            object.append(bson::raw::CString::try_from(command).unwrap(), "x");
            assert!(skipped("c", object), "{command}");
        }
        assert!(
            !skipped("c", rawdoc! { "drop": "x", "dropIdent": 1 })
                && !skipped("i", rawdoc! { "startIndexBuild": 1 })
        );
    }
}
