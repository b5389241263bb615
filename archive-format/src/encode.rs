//! Writing an archive.

use bytes::{BufMut, Bytes, BytesMut};

use crate::block::{MAGIC, TERMINATOR};
use crate::header::write_header;
use crate::ledger::Ledger;
use crate::{End, Error, ErrorKind, Namespace, Prelude, Segment, SegmentBuilder, ServerVersion, Totals};

/// Writes an archive that `mongorestore` restores, or says why it cannot.
///
/// The bytes of the archive are what [`new`](Self::new), [`append`](Self::append) and [`end`](Self::end) give, in
/// this order. There is no footer: what makes the stream an archive is that [`finish`](Self::finish) has agreed.
/// *Without it the stream must be thrown away.*
///
/// After its first error the encoder gives the same error forever, so a segment that was refused cannot be
/// missing from an archive that was finished.
#[derive(Debug)]
pub struct Encoder {
    ledger: Ledger,
    /// How many ordinary namespaces may be open, having begun and not ended.
    concurrent: usize,
    open: usize,
    /// Users, roles and version that have not ended.
    special_left: usize,
    /// Ordinary namespaces that have not ended.
    ordinary_left: usize,
    failed: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Special,
    Ordinary,
    Oplog,
}

impl Class {
    fn of(namespace: &Namespace) -> Self {
        if namespace.is_oplog() {
            Class::Oplog
        } else if namespace.is_special() {
            Class::Special
        } else {
            Class::Ordinary
        }
    }
}

impl Encoder {
    /// Begins an archive: appends the magic and the prelude to `out`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidVersion`] if `server_version` is not of the form `major.minor.patch`, which is what
    /// readers need to find time-series data; [`ErrorKind::Order`] if two entries mean the same data;
    /// [`ErrorKind::LimitExceeded`] if one is larger than a document can be. Nothing has been appended then.
    pub fn new(prelude: &Prelude, out: &mut BytesMut) -> Result<Self, Error> {
        let server: ServerVersion = prelude.server_version.parse()?;
        let ledger = Ledger::strict(prelude, &server)?;
        let classes = || prelude.collections.iter().map(|entry| Class::of(&entry.data_namespace(&server)));
        let begin = out.len();
        out.put_slice(&MAGIC);
        prelude.write(out).inspect_err(|_| out.truncate(begin))?;
        Ok(Self {
            ledger,
            concurrent: prelude.concurrent_collections.try_into().unwrap_or(0),
            open: 0,
            special_left: classes().filter(|&class| class == Class::Special).count(),
            ordinary_left: classes().filter(|&class| class == Class::Ordinary).count(),
            failed: None,
        })
    }

    /// Takes a segment into the archive and returns its bytes, unchanged and uncopied, to be written next.
    ///
    /// The namespace's checksum goes on by combination with the segment's: the costs do not depend on its size.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownNamespace`] if the prelude has no such data; [`ErrorKind::Order`] if the namespace has
    /// ended, or if its turn has not come: users, roles and version end before anything else begins, and the
    /// oplog begins after everything else has ended; [`ErrorKind::LimitExceeded`] if more ordinary namespaces
    /// would be open than the prelude's `concurrent_collections`.
    pub fn append(&mut self, segment: Segment) -> Result<Bytes, Error> {
        self.check()?;
        match self.begin(&segment.namespace) {
            Ok(index) => {
                let (documents, bytes) = (segment.documents(), segment.document_bytes());
                self.ledger.write(index, documents, bytes, segment.checksum);
                Ok(segment.block)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Ends a namespace: appends its EOF block to `out`, and before it an empty segment if it had none.
    ///
    /// Every namespace must be ended, those without documents too: it is by this that a reader creates views and
    /// empty collections.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append). Nothing has been appended then.
    pub fn end(&mut self, namespace: &Namespace, out: &mut BytesMut) -> Result<End, Error> {
        self.check()?;
        let begun = self.ledger.find(namespace).is_ok_and(|(_, index)| self.ledger.has_begun(index));
        let index = match self.begin(namespace) {
            Ok(index) => index,
            Err(error) => return Err(self.fail(error)),
        };
        if !begun {
            out.put_slice(&SegmentBuilder::new(namespace, 0).finish().block);
        }
        let end = self.ledger.balance(namespace.clone(), index);
        write_header(out, namespace, true, end.checksum);
        out.put_slice(&TERMINATOR);
        self.ledger.end(index);
        match Class::of(namespace) {
            Class::Special => self.special_left = self.special_left.saturating_sub(1),
            Class::Ordinary => {
                self.ordinary_left = self.ordinary_left.saturating_sub(1);
                self.open = self.open.saturating_sub(1);
            }
            Class::Oplog => {}
        }
        Ok(end)
    }

    /// Declares the archive complete.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Incomplete`], with its name, if a namespace of the prelude has not ended.
    pub fn finish(self) -> Result<Totals, Error> {
        self.check()?;
        self.ledger.totals()
    }

    /// Checks that a block of `namespace` may come now, and takes note of it.
    fn begin(&mut self, namespace: &Namespace) -> Result<usize, Error> {
        let (name, index) = self.ledger.find(namespace)?;
        let order = |what: &'static str| Err(Error::new(ErrorKind::Order, what).of(&name));
        let class = Class::of(&name);
        let first = !self.ledger.has_begun(index);
        match class {
            Class::Ordinary if first && self.special_left > 0 => {
                return order("begun before users, roles and version have ended");
            }
            Class::Ordinary if first && self.open >= self.concurrent => {
                let what =
                    format!("more than the prelude's {} concurrent collections are open", self.concurrent);
                return Err(Error::new(ErrorKind::LimitExceeded, what).of(&name));
            }
            Class::Oplog if self.special_left > 0 || self.ordinary_left > 0 => {
                return order("begun before all collections have ended");
            }
            _ => {}
        }
        self.ledger.begin(&name, index)?;
        if first && class == Class::Ordinary {
            self.open = self.open.saturating_add(1);
        }
        Ok(index)
    }

    fn check(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed = Some(error.clone());
        error
    }
}
