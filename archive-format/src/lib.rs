//! The archive format of `mongodump --archive` and `mongorestore --archive`, sans-io.
//!
//! Bytes go in and events come out, segments go in and bytes come out: this crate opens nothing, waits for
//! nothing and logs nothing. Documents are opaque; they are framed and summed, never parsed, and not copied where
//! that can be helped.
//!
//! - [`Decoder`] takes [`Event`]s out of a buffer that the caller fills.
//! - [`SegmentBuilder`] makes data blocks, on as many tasks as one likes, and [`Encoder`] puts them in order.
//! - [`Prelude`] and [`Namespace`] are what both speak of.
//!
//! The rest of this page is the specification of the format, for whoever wants to write another implementation,
//! or to know what this one does.
//!
//! # Bytes
//!
//! An archive is a magic number and a sequence of blocks. There are no lengths of blocks, no offsets, no index,
//! no padding and no footer. All integers are little-endian.
//!
//! ```text
//! archive    =  magic prelude block*
//! magic      =  6D E2 99 81
//! prelude    =  archive-header collection-metadata* terminator
//! block      =  namespace-header document* terminator
//! terminator =  FF FF FF FF
//!
//!  0      4                        n                         m      m+4
//! +------+------------------------+-- - - - - - - - - - - --+------+------------------+------------ - -
//! | 6DE2 | archive header         | collection metadata ... | FFFF | namespace header | documents ...
//! | 9981 |                        |                         | FFFF |                  |
//! +------+------------------------+-- - - - - - - - - - - --+------+------------------+------------ - -
//!        |<---------------------- prelude ------------------------>|<-------- block -------- - -
//! ```
//!
//! Everything between magic and terminators is a BSON document: four bytes of length, which count themselves,
//! then fields, then a NUL. So four bytes tell what follows: `FF FF FF FF` is a terminator, 5 to 16,777,216 is a
//! document of so many bytes, and anything else is no archive. The input may end only between two blocks.
//!
//! # Records
//!
//! The **archive header** is written with these fields in this order.
//!
//! | field | type | value |
//! |---|---|---|
//! | `concurrent_collections` | int32 | how many ordinary namespaces may be open at a time; `mongorestore` starts at least so many workers, and waits forever if the archive opens more |
//! | `version` | string | `0.1`, always |
//! | `server_version` | string | the version of the dumped server, `major.minor.patch` and perhaps a suffix after `-` or `+` |
//! | `tool_version` | string | the version of the writer, for people |
//! | `replay_oplog` | boolean | not written by `mongodump`, nor read by `mongorestore`: true where only the oplog makes the collections those of one moment ([`Prelude::replay_oplog`]) |
//!
//! There is one **collection metadata** document for each collection, in no particular order.
//!
//! | field | type | value |
//! |---|---|---|
//! | `db` | string | the database; empty for the oplog |
//! | `collection` | string | the collection as users know it |
//! | `metadata` | string | options, indexes and UUID as one canonical Extended JSON document; may be empty |
//! | `size` | int32 | 0 |
//! | `type` | string | `collection`, `view`, `timeseries`, or empty: see [`Kind`] |
//!
//! The **namespace header** begins a block. `mongorestore` refuses any further field.
//!
//! | field | type | data block | EOF block |
//! |---|---|---|---|
//! | `db` | string | the database | the database |
//! | `collection` | string | the collection as its data is stored | the same |
//! | `EOF` | boolean | false | true |
//! | `CRC` | int64 | 0 | the namespace's checksum, its 64 bits reinterpreted, so often negative |
//!
//! A data block, or *segment*, holds any number of documents of one namespace, none included. An EOF block ends
//! the namespace and holds none.
//!
//! # Checksum
//!
//! The checksum of a namespace is the CRC-64/XZ of the bytes of all its documents, in the order of the archive,
//! over all its segments; headers and terminators do not count. That is polynomial `42F0E1EBA9EA3693`, bits
//! reflected on the way in and out, beginning with all ones, inverted at the end.
//!
//! | input | checksum |
//! |---|---|
//! | nothing | `0` |
//! | the nine ASCII characters `123456789` | `995DC9BBDF1939FA` |
//! | the document `{_id: 1}` with an int32 | `F3EA61436A4459FE` |
//! | the documents `{_id: i, x: i}` with int32s for `i` from 0 to 4 | `F0BC7B87AB741C57` |
//!
//! The checksum of a concatenation follows from the checksums of the parts and the length of the second. So
//! segments are summed where they are built, and the encoder has no work for each byte.
//!
//! Nothing else is protected. A damaged name or length is noticed because nothing fits any more; damaged
//! metadata, version texts or `size` are not noticed by anyone.
//!
//! # Order
//!
//! 1. The prelude, which names every namespace that will come.
//! 2. Users, roles and their version ([`Namespace::is_special`]), each to its end before another namespace begins.
//! 3. Ordinary collections. Their segments may be interleaved in any way, as long as no more than
//!    `concurrent_collections` have begun and not ended.
//! 4. The oplog ([`Namespace::oplog`]), after everything else has ended.
//!
//! Every namespace of the prelude has at least one segment and exactly one EOF block, and nothing after that.
//!
//! # Where archives differ from what is said of them
//!
//! The tools describe the format in `common/archive` of their source; this is what that leaves out or gets wrong.
//!
//! - `size` is said to be the total size of the documents; it is always 0.
//! - `type` is said to be empty for ordinary collections; it is `collection`. Tools before 100 wrote no `type` at
//!   all, and their metadata is in an older dialect of JSON.
//! - Segments may be empty. `mongodump` writes one for every collection and view without documents, and needs it
//!   for the oplog.
//! - EOF blocks are required for namespaces without data too: it is by its EOF block that `mongorestore` creates a
//!   view or an empty collection.
//! - A segment may be of any length. `mongodump` joins what it gets from one collection until another's turn has
//!   come, tens of megabytes and more.
//! - The data of a time series `X` is its buckets. Servers before 8.3 store these in `system.buckets.X`, and the
//!   archive has them under this name, although the prelude says `X`; from 8.3 on, it has them under `X`.
//!   [`CollectionMetadata::data_namespace`] knows.
//! - The oplog has the database `""`, the collection `oplog`, no metadata and no `type`.
//! - Users and roles of a full dump, or of `admin`, are `admin.system.users`, `admin.system.roles` and
//!   `admin.system.version`; those of a single database `X` are `X.$admin.system.users` and so on.
//! - `mongodump --gzip` compresses the archive as a whole. `mongorestore --gzip` accepts any number of gzip
//!   members, cut anywhere, so that they can be compressed in parallel, but nothing after the last. Neither tool
//!   recognises compression by itself.
//!
//! # What the decoder accepts
//!
//! All that `mongorestore` 100.18.0 was seen to accept, the decoder accepts. Unlike it, the decoder also reads
//! archives without a usable `server_version` and archives that open any number of namespaces, and it checks the
//! checksum of every namespace.
//!
//! | deviation | the decoder |
//! |---|---|
//! | archive header: unknown or missing fields, any `version`, a whole number of any type | accepts it |
//! | collection metadata: unknown fields, or none but names; `size` of any type; an unknown `type` | accepts it |
//! | collection metadata in another order than the data, or twice | accepts it, the first counts |
//! | an invalid name ([`Namespace::new`]) | [`InvalidName`](ErrorKind::InvalidName) |
//! | namespace header: fields in another order, `db`, `EOF` or `CRC` missing, a `CRC` in a data block | accepts it |
//! | namespace header: unknown or repeated field, other types, no collection | [`Malformed`](ErrorKind::Malformed) |
//! | segments in any order, empty segments, an EOF block without a segment before it | accepts it |
//! | a block after the EOF block of its namespace; a document in an EOF block; a terminator too many | [`Order`](ErrorKind::Order) |
//! | a namespace that is not in the prelude | [`UnknownNamespace`](ErrorKind::UnknownNamespace) |
//! | a time series not under the name that its server stores it by | `UnknownNamespace`; if the version cannot be read, either name is accepted |
//! | `system.buckets.X` where `X` has no `type` and the server is not known to be 8.3 or newer | takes it for the data of `X`, unless the prelude has the very name |
//! | a wrong checksum | [`Checksum`](ErrorKind::Checksum), at the EOF block |
//! | a document of fewer than 5 bytes, or without its NUL | `Malformed`; its inside is not looked at |
//! | a document or a prelude over the [`Limits`] | [`LimitExceeded`](ErrorKind::LimitExceeded) |
//! | an end that is not between blocks | [`Truncated`](ErrorKind::Truncated) |
//! | an end before all namespaces have ended | [`Incomplete`](ErrorKind::Incomplete) |
//! | bytes after the last block | `Malformed`, `LimitExceeded` or `Truncated`, as they would be as a block |
//!
//! The encoder, on the other hand, writes nothing that the format permits and `mongorestore` refuses.
//!
//! # What is left of a damaged archive
//!
//! A [tolerant](Decoder::tolerant) decoder tells damage as an event and goes on. There is no index to find the next block by,
//! but every header begins with `db` and is known byte for byte, so the next one is searched for; a wrong checksum does not
//! even need that. What makes this safe is that nothing is believed because of its place: a namespace that has lost a
//! document has another checksum, and does not end. Only an empty one cannot tell that it was not.
//!
//! # An archive, byte by byte
//!
//! The collection `d.c` with the document `{_id: 1}`: 309 bytes.
//!
//! ```text
//!   0  6de29981                                      magic
//!   4  60000000                                      archive header, 96 bytes
//!        10 "concurrent_collections" 00 01000000
//!        02 "version"        00 04000000 "0.1" 00
//!        02 "server_version" 00 06000000 "6.0.5" 00
//!        02 "tool_version"   00 02000000 "x" 00
//!      00
//! 100  4f000000                                      collection metadata, 79 bytes
//!        02 "db"         00 02000000 "d" 00
//!        02 "collection" 00 02000000 "c" 00
//!        02 "metadata"   00 01000000 00
//!        10 "size"       00 00000000
//!        02 "type"       00 0b000000 "collection" 00
//!      00
//! 179  ffffffff                                      end of the prelude
//! 183  34000000                                      namespace header, 52 bytes
//!        02 "db"         00 02000000 "d" 00
//!        02 "collection" 00 02000000 "c" 00
//!        08 "EOF"        00 00
//!        12 "CRC"        00 0000000000000000
//!      00
//! 235  0e000000 10 "_id" 00 01000000 00              the document, 14 bytes
//! 249  ffffffff                                      end of the data block
//! 253  34000000                                      namespace header, 52 bytes
//!        02 "db"         00 02000000 "d" 00
//!        02 "collection" 00 02000000 "c" 00
//!        08 "EOF"        00 01
//!        12 "CRC"        00 fe59446a4361eaf3
//!      00
//! 305  ffffffff                                      end of the EOF block, and of the archive
//! ```
//!
//! # Writing
//!
//! The bytes go out in the order in which the encoder gives them; here, into one buffer. This is the archive
//! above.
//!
//! ```
//! use archive_format::{CollectionMetadata, Encoder, Kind, Namespace, Prelude, SegmentBuilder};
//! use bytes::BytesMut;
//!
//! let namespace = Namespace::new("d", "c")?;
//! let prelude = Prelude {
//!     concurrent_collections: 1,
//!     server_version: "6.0.5".into(),
//!     tool_version: "x".into(),
//!     replay_oplog: false,
//!     collections: vec![CollectionMetadata {
//!         namespace: namespace.clone(),
//!         metadata: String::new(),
//!         kind: Kind::Collection,
//!     }],
//! };
//! let mut archive = BytesMut::new();
//! let mut encoder = Encoder::new(&prelude, &mut archive)?;
//!
//! // Wherever documents come from, as often as needed:
//! let mut builder = SegmentBuilder::new(&namespace, 1024 * 1024);
//! builder.push(b"\x0e\0\0\0\x10_id\0\x01\0\0\0\0")?;
//! let segment = builder.finish();
//!
//! // Where the encoder is, for each segment that arrives:
//! archive.extend_from_slice(&encoder.append(segment)?);
//!
//! // For each namespace, with or without documents:
//! let end = encoder.end(&namespace, &mut archive)?;
//! assert_eq!(end.checksum, 0xF3EA_6143_6A44_59FE);
//!
//! // Without this, it is not an archive:
//! let totals = encoder.finish()?;
//! assert_eq!((totals.documents, archive.len()), (1, 309));
//! # Ok::<(), archive_format::Error>(())
//! ```
//!
//! # Reading
//!
//! ```
//! use archive_format::{Decoder, Error, Event, Totals};
//! use bytes::BytesMut;
//!
//! /// Lists what is in an archive that comes in pieces.
//! fn list(pieces: &[&[u8]]) -> Result<(Vec<String>, Totals), Error> {
//!     let (mut decoder, mut buffer, mut lines) = (Decoder::new(), BytesMut::new(), Vec::new());
//!     for piece in pieces {
//!         buffer.extend_from_slice(piece);
//!         while let Some(event) = decoder.decode(&mut buffer)? {
//!             match event {
//!                 Event::Prelude(prelude) => lines.push(format!("from {}", prelude.server_version)),
//!                 Event::Documents(documents) => {
//!                     lines.extend(documents.iter().map(|document| format!("{} bytes", document.len())));
//!                 }
//!                 Event::End(end) => lines.push(format!("{} has ended", end.namespace)),
//!                 _ => {}
//!             }
//!         }
//!     }
//!     // Without this, it may have been the half of an archive:
//!     let totals = decoder.finish(&buffer)?;
//!     Ok((lines, totals))
//! }
//!
//! # let archive = std::fs::read(concat!(
//! #     env!("CARGO_MANIFEST_DIR"),
//! #     "/../testdata/archives/100.18.0/one-document.archive"
//! # ))
//! # .unwrap();
//! let (head, tail) = archive.split_at(240);
//! let (lines, totals) = list(&[head, tail])?;
//! assert_eq!(lines, ["from 6.0.5", "14 bytes", "d.c has ended"]);
//! assert_eq!(totals.bytes, 14);
//!
//! let truncated = list(&[head]).unwrap_err();
//! assert_eq!(
//!     truncated.to_string(),
//!     "the input ends inside a block (d.c, byte 240): the archive is incomplete, fetch it or dump it again"
//! );
//! # Ok::<(), Error>(())
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that panics has failed, as it should"
    )
)]

mod block;
mod bson;
mod checksum;
mod decode;
mod encode;
mod error;
mod event;
mod header;
mod ledger;
mod namespace;
mod naming;
mod prelude;
mod segment;
mod version;

pub use block::{MAGIC, MAX_DOCUMENT_SIZE, TERMINATOR};
pub use decode::{Decoder, Limits};
pub use encode::Encoder;
pub use error::{Error, ErrorKind};
pub use event::{Damaged, Documents, End, Event, SegmentStart, Totals};
pub use namespace::Namespace;
pub use prelude::{CollectionMetadata, Kind, Prelude};
pub use segment::{Segment, SegmentBuilder};
pub use version::ServerVersion;
