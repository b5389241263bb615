//! How large a collection is, by the server's counters.

use archive_format::{Kind, Namespace};
use bson::{Document, doc};

use super::source::Source;

/// Number of documents and bytes by the server's counters; the number alone where they are refused. `raw_data` asks for a time
/// series' buckets, as they are stored.
pub(super) async fn size(
    source: &Source,
    data: &Namespace,
    kind: Kind,
    raw_data: bool,
) -> Option<(u64, u64)> {
    let number = |document: &Document, key: &str| -> Option<u64> {
        let value = document.get(key)?;
        let number = value.as_i64().or_else(|| value.as_i32().map(i64::from));
        number.and_then(|number| u64::try_from(number).ok())
    };
    if kind == Kind::View {
        return Some((0, 0));
    }
    // A tenth of the cost of `$collStats`.
    let data_size = doc! { "dataSize": data.to_string(), "estimate": true };
    if kind == Kind::Collection
        && let Ok(size) = source.command(data.db(), data_size).await
        && let (Some(documents), Some(bytes)) = (number(&size, "numObjects"), number(&size, "size"))
    {
        return Some((documents, bytes));
    }
    let mut statistics = doc! {
        "aggregate": data.collection(),
        "pipeline": [
            { "$collStats": { "storageStats": {} } },
            { "$group": {
                "_id": null,
                "count": { "$sum": { "$toLong": "$storageStats.count" } },
                "size": { "$sum": { "$toLong": "$storageStats.size" } },
            } },
        ],
        "cursor": {},
    };
    if raw_data && kind == Kind::Timeseries {
        statistics.insert("rawData", true);
    }
    if let Ok(found) = source.documents(data.db(), statistics).await {
        let first = found.first().and_then(|found| Document::try_from(found.as_ref()).ok())?;
        return Some((number(&first, "count")?, number(&first, "size")?));
    }
    let counted = source.command(data.db(), doc! { "count": data.collection() }).await.ok()?;
    Some((number(&counted, "n")?, 0))
}
