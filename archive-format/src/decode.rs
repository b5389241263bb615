//! Reading an archive.

use std::mem;

use bytes::BytesMut;

use crate::block::{MAGIC, MAX_DOCUMENT_SIZE, OPLOG_ROOM, TERMINATOR, Token, peek, scan};
use crate::header::NamespaceHeader;
use crate::ledger::Ledger;
use crate::segment::wide;
use crate::{
    CollectionMetadata, Damaged, Documents, End, Error, ErrorKind, Event, Namespace, Prelude, SegmentStart,
    Totals,
};

mod resync;

use resync::Found;

/// How much a [`Decoder`] believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest document in bytes, headers included; [`MAX_DOCUMENT_SIZE`] unless told. So much at most is
    /// reserved on the word of a length prefix, and 16 KiB more for an entry of the oplog.
    pub max_document_size: usize,
    /// The largest prelude in bytes, where every collection counts 512 more than its document, for what is kept
    /// about it; 512 MiB unless told. That is a hundred thousand collections with 5 KiB of metadata each, ten
    /// times what a replica set bears, and it bounds the memory that a hostile archive can take.
    pub max_prelude_size: usize,
}

/// About what two names, an account and the entries of the tables occupy.
const ENTRY_OVERHEAD: usize = 512;

impl Default for Limits {
    fn default() -> Self {
        Self { max_document_size: MAX_DOCUMENT_SIZE, max_prelude_size: 512 * 1024 * 1024 }
    }
}

/// Reads an archive from whatever pieces it comes in.
///
/// Bytes go into a buffer of the caller's, [`decode`](Self::decode) takes them out as [`Event`]s, and when the
/// input is at its end, [`finish`](Self::finish) says whether that was the archive's end as well. *Without it a
/// truncated archive looks like a complete one.*
///
/// After its first error the decoder gives the same error forever, unless it is [`tolerant`](Self::tolerant). A clone
/// goes on from the same place.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    limits: Limits,
    tolerant: bool,
    state: State,
    /// Bytes of the archive that have been consumed.
    offset: u64,
    /// What the prelude has used of `max_prelude_size`.
    prelude_size: usize,
    ledger: Ledger,
    /// What the prelude lacks although every writer is known to write it.
    oddity: Option<Error>,
    failed: Option<Error>,
}

/// What must come next.
#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Magic,
    ArchiveHeader,
    /// The prelude so far; it goes to the caller, and only the ledger stays.
    CollectionMetadata(Prelude),
    NamespaceHeader,
    Documents(SegmentStart),
    /// The terminator of an EOF block.
    End(End),
    /// Anything, up to the header of a block: only a tolerant decoder comes here.
    Lost,
}

impl Decoder {
    /// A decoder with the default [`Limits`], which suit every archive that `mongorestore` reads.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder with limits of the caller's.
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The same decoder, which goes on after damage: what of an archive is whole can then be told from what is not.
    ///
    /// Where another decoder fails behind the prelude, it gives an [`Event::Damaged`], steps over bytes to the next header
    /// of a block, and goes on. A namespace that has lost anything never ends: its [`Event::End`] is a proof as before.
    #[must_use]
    pub fn tolerant(self) -> Self {
        Self { tolerant: true, ..self }
    }

    /// What the prelude lacks although every writer is known to write it: a sign of damage where nothing else tells. It is
    /// known when [`Event::Prelude`] has come. Such an archive can be read; something else may be missing.
    pub fn oddity(&self) -> Option<&Error> {
        self.oddity.as_ref()
    }

    /// How many bytes of the archive have been consumed: the position of the next event.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next event out of `buffer`, or nothing if that needs more bytes.
    ///
    /// Documents come in batches as large as the buffer holds, and share its memory: how much the caller puts in
    /// bounds a batch. Where nothing is returned, the rest of a record stays in the buffer, and room for what is
    /// wanting to it has been reserved; the caller adds bytes at the end and takes none away.
    ///
    /// Time is linear however small the pieces: of a record that is not yet whole, only the length is looked at.
    /// A batch keeps the allocation that it shares alive; copy what is to be kept for long.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`] but [`Truncated`](ErrorKind::Truncated) and [`Incomplete`](ErrorKind::Incomplete), with
    /// the offset of the record that is wrong.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Event>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.advance(buffer).or_else(|error| self.survive(error).map(Some))
    }

    /// Tells that bytes of the archive are missing between what the buffer holds and what will be put into it next: about so
    /// many, for a reason that completes the sentence "bytes are missing: ...". The buffer is cleared.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] unless the decoder is [`tolerant`](Self::tolerant) and the prelude has come.
    pub fn skip(&mut self, buffer: &mut BytesMut, missing: u64, why: &str) -> Result<Event, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let at = self.offset.saturating_add(wide(buffer.len()));
        buffer.clear();
        self.offset = at.saturating_add(missing);
        let error = Error::new(ErrorKind::Missing, format!("bytes are missing: {why}")).at(at);
        self.survive(self.of_state(error))
    }

    /// At the end of the input, when [`decode`](Self::decode) returns nothing and has left something in the buffer: whether
    /// blocks follow all the same, because a length is a lie. If so, this is the next event. Only of a
    /// [`tolerant`](Self::tolerant) decoder.
    pub fn doubt(&mut self, buffer: &mut BytesMut) -> Option<Event> {
        let is_behind_the_prelude =
            matches!(self.state, State::NamespaceHeader | State::Documents(_) | State::Lost);
        if !self.tolerant || !is_behind_the_prelude {
            return None;
        }
        let at = self.offset;
        let over = resync::last_resort(buffer, |name| self.ledger.find(name).is_ok())?;
        drop(self.consume(buffer, over));
        if matches!(self.state, State::Lost) {
            return self.decode(buffer).ok().flatten();
        }
        let error = Error::new(ErrorKind::Malformed, "a record that is longer than the rest of the archive");
        self.survive(self.of_state(error).at(at)).ok()
    }

    /// At the end of the input, with what [`decode`](Self::decode) has left in the buffer: checks that the
    /// archive is complete.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Truncated`] if the input ends anywhere but after a block, [`ErrorKind::Incomplete`] if it
    /// does and a namespace of the prelude has not ended; and whatever error `decode` has given before. Of a
    /// [`tolerant`](Self::tolerant) decoder, what has been told as [`Event::Damaged`] is no error again.
    pub fn finish(self, rest: &[u8]) -> Result<Totals, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let end = self.offset.saturating_add(wide(rest.len()));
        let truncated = |what: &'static str| Error::new(ErrorKind::Truncated, what).at(end);
        Err(match self.state {
            State::Magic if rest.is_empty() => truncated("the input is empty"),
            State::Magic if !MAGIC.starts_with(rest) => not_an_archive(rest),
            State::NamespaceHeader if rest.is_empty() => {
                return self.ledger.totals().map_err(|error| error.at(end));
            }
            State::Lost => return self.ledger.totals().map_err(|error| error.at(end)),
            State::Magic | State::ArchiveHeader => truncated("the input ends before the archive header does"),
            State::CollectionMetadata(_) => truncated("the input ends inside the prelude"),
            State::NamespaceHeader => truncated("the input ends inside the header of a block"),
            State::Documents(start) => truncated("the input ends inside a block").of(&start.namespace),
            State::End(end) => truncated("the input ends inside an EOF block").of(&end.namespace),
        })
    }

    fn advance(&mut self, buffer: &mut BytesMut) -> Result<Option<Event>, Error> {
        loop {
            if matches!(self.state, State::Lost) && !self.resync(buffer) {
                return Ok(None);
            }
            let at = self.offset;
            let length = match self.token(buffer).map_err(|error| self.of_state(error).at(at))? {
                Token::Short => return Ok(None),
                Token::Partial(length) => {
                    buffer.reserve(length.saturating_sub(buffer.len()));
                    return Ok(None);
                }
                Token::Document(length) => {
                    if let State::Documents(start) = &self.state {
                        let start = start.clone();
                        return Ok(Some(Event::Documents(self.documents(start, buffer))));
                    }
                    length
                }
                Token::Terminator => TERMINATOR.len(),
            };
            let record = self.consume(buffer, length);
            let event = if *record == TERMINATOR { self.terminator() } else { self.document(&record, at) };
            if let Some(event) = event.map_err(|error| error.at(at))? {
                return Ok(Some(event));
            }
        }
    }

    /// What the buffer begins with, if it may come now.
    fn token(&self, buffer: &[u8]) -> Result<Token, Error> {
        let max_document_size = self.limits.max_document_size;
        match &self.state {
            State::Magic => match buffer.first_chunk() {
                Some(&MAGIC) => Ok(Token::Document(MAGIC.len())),
                Some(magic) => Err(not_an_archive(magic)),
                None => Ok(Token::Short),
            },
            State::ArchiveHeader | State::CollectionMetadata(_) => {
                let left = self.limits.max_prelude_size.saturating_sub(self.prelude_size);
                peek(buffer, max_document_size.min(left))
            }
            State::Documents(start) => peek(buffer, self.largest_of(start)),
            State::NamespaceHeader | State::Lost => peek(buffer, max_document_size),
            State::End(_) => match buffer.first_chunk() {
                Some(&TERMINATOR) => Ok(Token::Terminator),
                Some(_) => Err(Error::new(ErrorKind::Order, "an EOF block goes on after its header")),
                None => Ok(Token::Short),
            },
        }
    }

    fn largest_of(&self, start: &SegmentStart) -> usize {
        let room = if start.namespace.is_oplog() { OPLOG_ROOM } else { 0 };
        self.limits.max_document_size.saturating_add(room)
    }

    fn consume(&mut self, buffer: &mut BytesMut, length: usize) -> BytesMut {
        self.offset = self.offset.saturating_add(wide(length));
        buffer.split_to(length)
    }

    fn documents(&mut self, start: SegmentStart, buffer: &mut BytesMut) -> Documents {
        let (length, count) = scan(buffer, self.largest_of(&start));
        let bytes = self.consume(buffer, length).freeze();
        self.ledger.read(start.collection, count, &bytes);
        Documents { namespace: start.namespace, collection: start.collection, bytes, count }
    }

    /// Takes the magic or one of the format's own documents.
    fn document(&mut self, document: &[u8], at: u64) -> Result<Option<Event>, Error> {
        match &mut self.state {
            State::Magic => self.state = State::ArchiveHeader,
            State::ArchiveHeader => {
                let prelude = Prelude::read(document).map_err(|why| malformed("the archive header", why))?;
                self.miss(Prelude::lacks(document), "the archive header");
                self.prelude_size = document.len();
                self.state = State::CollectionMetadata(prelude);
            }
            State::CollectionMetadata(prelude) => {
                prelude.collections.push(CollectionMetadata::read(document)?);
                self.prelude_size =
                    self.prelude_size.saturating_add(document.len()).saturating_add(ENTRY_OVERHEAD);
                self.miss(CollectionMetadata::lacks(document), "the metadata of a collection");
            }
            State::NamespaceHeader | State::Documents(_) | State::End(_) | State::Lost => {
                let header =
                    NamespaceHeader::read(document).map_err(|why| malformed("the header of a block", why))?;
                return self.header(&header, at);
            }
        }
        Ok(None)
    }

    fn header(&mut self, header: &NamespaceHeader<'_>, at: u64) -> Result<Option<Event>, Error> {
        let name = Namespace::archived(header.db, header.collection)?;
        let (namespace, collection) = self.ledger.find(&name)?;
        self.ledger.begin(&namespace, collection)?;
        if !header.eof {
            let start = SegmentStart { namespace, collection };
            self.state = State::Documents(start.clone());
            return Ok(Some(Event::Segment(start)));
        }
        let end = self.ledger.balance(namespace, collection);
        let (expected, found) = (header.checksum, end.checksum);
        if expected != found && !self.ledger.is_damaged(collection) {
            let what =
                format!("checksum {expected:016x} was written, {found:016x} is what the documents have");
            let error = Error::new(ErrorKind::Checksum { expected, found }, what).of(&end.namespace);
            if !self.tolerant {
                return Err(error);
            }
            // The blocks are as they should be: there is nothing to step over.
            self.ledger.damage(collection);
            self.state = State::End(end);
            return Ok(Some(Event::Damaged(Damaged { error: error.at(at), collection: Some(collection) })));
        }
        self.state = State::End(end);
        Ok(None)
    }

    fn terminator(&mut self) -> Result<Option<Event>, Error> {
        match mem::replace(&mut self.state, State::NamespaceHeader) {
            State::Magic | State::ArchiveHeader => {
                Err(Error::new(ErrorKind::Order, "a terminator stands where the archive header must be"))
            }
            State::CollectionMetadata(prelude) => {
                self.ledger = Ledger::tolerant(&prelude);
                Ok(Some(Event::Prelude(prelude)))
            }
            State::NamespaceHeader => {
                Err(Error::new(ErrorKind::Order, "a terminator stands where a block or the end must be"))
            }
            State::Documents(_) | State::Lost => Ok(None),
            State::End(end) if self.ledger.is_damaged(end.collection) => Ok(None),
            State::End(end) => {
                self.ledger.end(end.collection);
                Ok(Some(Event::End(end)))
            }
        }
    }

    /// After an error: the event with which a tolerant decoder goes on. Any other has failed for good.
    fn survive(&mut self, error: Error) -> Result<Event, Error> {
        let hit = match &self.state {
            State::Magic | State::ArchiveHeader | State::CollectionMetadata(_) => None,
            _ if !self.tolerant => None,
            State::Documents(start) => Some(Some(start.collection)),
            State::End(end) => Some(Some(end.collection)),
            // A namespace that goes on after its end may have been ended by what is damaged.
            State::NamespaceHeader | State::Lost => {
                Some(error.namespace().and_then(|name| self.ledger.find(name).ok()).map(|(_, index)| index))
            }
        };
        let Some(collection) = hit else {
            self.failed = Some(error.clone());
            return Err(error);
        };
        if let Some(index) = collection {
            self.ledger.damage(index);
        }
        self.state = State::Lost;
        Ok(Event::Damaged(Damaged { error, collection }))
    }

    /// Steps over bytes to the header of a block, and says whether there is one.
    fn resync(&mut self, buffer: &mut BytesMut) -> bool {
        let found = resync::search(buffer, |name| self.ledger.find(name).is_ok());
        let (Found::At(over) | Found::NotBefore(over)) = found;
        drop(self.consume(buffer, over));
        if let Found::NotBefore(_) = found {
            return false;
        }
        self.state = State::NamespaceHeader;
        true
    }

    fn miss(&mut self, field: Option<&str>, record: &str) {
        if let (Some(field), None) = (field, &self.oddity) {
            let what = format!("{record} has no field `{field}`");
            let at = self.offset;
            self.oddity = Some(Error::new(ErrorKind::Malformed, what).at(at));
        }
    }

    /// Names the namespace in whose block the error is.
    fn of_state(&self, error: Error) -> Error {
        match &self.state {
            State::Documents(start) => error.of(&start.namespace),
            State::End(end) => error.of(&end.namespace),
            _ => error,
        }
    }
}

fn malformed(record: &str, why: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("{record} cannot be read: {why}"))
}

/// The error for an input that begins with something else; it has offset 0.
fn not_an_archive(begin: &[u8]) -> Error {
    let what = if begin.starts_with(&[0x1F, 0x8B]) {
        "the input looks gzip-compressed, decompress it first".into()
    } else if begin.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        "the input looks zstd-compressed, decompress it first".into()
    } else {
        format!("the input begins with {begin:02x?}, an archive with {MAGIC:02x?}")
    };
    Error::new(ErrorKind::NotAnArchive, what).at(0)
}
