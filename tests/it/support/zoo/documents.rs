//! Documents: every type, every kind of `_id`, field names and sizes at their limits.

use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, DateTime, Decimal128, RawArrayBuf, RawBson, RawDocumentBuf, RawJavaScriptCodeWithScope, Regex,
    Timestamp, cstr, doc, rawdoc,
};

use super::super::mongod::Version;
use super::{Words, insert, run};

/// The largest document that a server takes, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

pub(super) async fn fill(zoo: &Database, version: Version) {
    let types = values().into_iter().map(|(name, value)| rawdoc! { "_id": name, "v": value });
    insert(zoo, "types", types).await;
    insert(zoo, "odd_ids", ids().into_iter().map(|id| rawdoc! { "_id": id, "n": 1 })).await;
    insert(zoo, "fields", fields(version)).await;
    insert(zoo, "deep", [deep(90)]).await;
    insert(zoo, "mixed", (0..1200).map(mixed)).await;
    // One at a time: a command is no larger than a document.
    for (id, fill) in (0..).zip(["", "x"]) {
        insert(zoo, "largest", [largest(id, fill.to_owned())]).await;
    }
    insert(zoo, "largest", [largest(2, Words(7).text(LARGEST - 100))]).await;
    zero_timestamps(zoo).await;
}

/// A server replaces Timestamp(0, 0) in the outermost level of an inserted document by its clock; only an update with
/// a pipeline puts one there.
async fn zero_timestamps(zoo: &Database) {
    let zero = Timestamp { time: 0, increment: 0 };
    insert(zoo, "zero_timestamps", (0..5).map(|id| rawdoc! { "_id": id, "inner": { "t": zero } })).await;
    let set = doc! { "$set": { "first": { "$literal": zero }, "second": { "$literal": zero } } };
    let update = doc! { "q": { "_id": { "$lt": 4 } }, "u": [set], "multi": true };
    run(zoo, doc! { "update": "zero_timestamps", "updates": [update] }).await;
}

/// One value of every type, deprecated ones too, and those that conversions tend to lose.
fn values() -> Vec<(&'static str, RawBson)> {
    let binary = |subtype, bytes: &[u8]| RawBson::Binary(Binary { subtype, bytes: bytes.to_vec() });
    let regex = |pattern, options| RawBson::RegularExpression(Regex { pattern, options });
    let decimal = |text: &str| RawBson::Decimal128(text.parse::<Decimal128>().expect("a decimal"));
    let scope = RawJavaScriptCodeWithScope { code: "return x".into(), scope: rawdoc! { "x": 1 } };
    vec![
        ("double", 1.5.into()),
        ("double that is whole", 2.0.into()),
        ("double, negative zero", (-0.0).into()),
        ("double, infinite", f64::NEG_INFINITY.into()),
        ("double, not a number", f64::NAN.into()),
        ("double, not a number, with a payload", f64::from_bits(0xfff8_0000_dead_beef).into()),
        ("string", "ümläut 日本 🦓".into()),
        ("string, empty", "".into()),
        ("string with NUL", "a\0b".into()),
        ("document", rawdoc! { "a": 1 }.into()),
        ("document, empty", RawDocumentBuf::new().into()),
        (
            "array",
            vec![RawBson::from(1), "two".into(), RawBson::Null].into_iter().collect::<RawArrayBuf>().into(),
        ),
        ("array, empty", RawArrayBuf::new().into()),
        ("binary", binary(BinarySubtype::Generic, b"\0\x01\xff")),
        ("binary, empty", binary(BinarySubtype::Generic, b"")),
        ("binary, function", binary(BinarySubtype::Function, b"f")),
        ("binary, old", binary(BinarySubtype::BinaryOld, b"old")),
        ("binary, old UUID", binary(BinarySubtype::UuidOld, &[3; 16])),
        ("binary, UUID", binary(BinarySubtype::Uuid, &[4; 16])),
        ("binary, MD5", binary(BinarySubtype::Md5, &[5; 16])),
        ("binary, column", binary(BinarySubtype::Column, b"\0")),
        ("binary, user defined", binary(BinarySubtype::UserDefined(0x80), b"mine")),
        ("undefined", RawBson::Undefined),
        ("object id", ObjectId::from_bytes([0xab; 12]).into()),
        ("boolean", true.into()),
        ("date", DateTime::from_millis(1_700_000_000_123).into()),
        ("date before 1970", DateTime::from_millis(-1).into()),
        ("date, last", DateTime::MAX.into()),
        ("null", RawBson::Null),
        (
            "regular expression",
            regex("^a/\"b".try_into().expect("no NUL"), "imsx".try_into().expect("no NUL")),
        ),
        ("code", RawBson::JavaScriptCode("function() { return 1 }".into())),
        ("symbol", RawBson::Symbol("sym".into())),
        ("code with scope", RawBson::JavaScriptCodeWithScope(scope)),
        ("int", i32::MIN.into()),
        ("timestamp", Timestamp { time: u32::MAX, increment: u32::MAX }.into()),
        ("long", i64::MAX.into()),
        ("long that is small", 1_i64.into()),
        ("decimal", decimal("0.1")),
        ("decimal with a trailing zero", decimal("1.10")),
        ("decimal, smallest", decimal("-1E-6176")),
        ("decimal, not a number", decimal("NaN")),
        ("smallest key", RawBson::MinKey),
        ("largest key", RawBson::MaxKey),
    ]
}

/// Every type that an `_id` may have; no two are equal to the server.
fn ids() -> Vec<RawBson> {
    let no_id = ["array", "array, empty", "regular expression", "undefined"];
    let twins = ["double, not a number, with a payload", "decimal, not a number"];
    let mut ids: Vec<_> =
        values().into_iter().filter(|(name, _)| !no_id.contains(name) && !twins.contains(name)).collect();
    ids.push(("zero timestamp", Timestamp { time: 0, increment: 0 }.into()));
    ids.push(("duplicate fields", twice(rawdoc! {}).into()));
    ids.into_iter().map(|(_, id)| id).collect()
}

fn twice(mut document: RawDocumentBuf) -> RawDocumentBuf {
    document.append(cstr!("twice"), 1);
    document.append(cstr!("twice"), "again");
    document
}

/// Odd field names, and bytes that no driver writes.
fn fields(version: Version) -> Vec<RawDocumentBuf> {
    let mut all = vec![
        twice(rawdoc! { "_id": "duplicate" }),
        rawdoc! { "_id": "empty", "": 1, "inner": { "": { "": 2 } } },
        rawdoc! { "_id": "dotted", "a.b": 1, ".": 2, "c..d": { "e.f": 3 } },
        rawdoc! { "_id": "dollar inside", "inner": { "$x": 1, "$ref": "c", "$id": 1 }, "a$b": 2 },
        rawdoc! { "_id": "unicode", "ключ 鍵 🔑": 1, "new\nline": 2, "\"quoted\"": 3 },
        rawdoc! { "first": "the server moves an _id to the front", "_id": "not first" },
        rawdoc! { "_id": "numbers", "0": 1, "-1": 2, "00": 3 },
        invalid_utf8(),
    ];
    if version != Version::V4_4_2 {
        all.push(rawdoc! { "_id": "dollar first", "$x": 1, "$where": "true" });
    }
    all
}

fn invalid_utf8() -> RawDocumentBuf {
    let mut bytes = rawdoc! { "_id": "invalid UTF-8", "v": "~~~~" }.into_bytes();
    bytes.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xff);
    RawDocumentBuf::from_bytes(bytes).expect("only the text is wrong")
}

fn deep(levels: u32) -> RawDocumentBuf {
    let inner = (0..levels).fold(rawdoc! { "bottom": true }, |inner, _| rawdoc! { "down": inner });
    rawdoc! { "_id": "deep", "v": inner }
}

fn mixed(n: i32) -> RawDocumentBuf {
    rawdoc! { "_id": n, "half": f64::from(n) / 2.0, "text": format!("number {n}"), "tags": [n % 7, n % 11] }
}

/// A document as large as they get; the rest of `text` is filled with its own last character.
fn largest(id: i32, text: String) -> RawDocumentBuf {
    let empty = rawdoc! { "_id": id, "v": "" }.as_bytes().len();
    let filler = text.chars().next_back().unwrap_or('\0');
    let missing = LARGEST - empty - text.len();
    let document = rawdoc! { "_id": id, "v": text + &String::from(filler).repeat(missing) };
    assert_eq!(document.as_bytes().len(), LARGEST);
    document
}
