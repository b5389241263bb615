//! What long work tells its caller.
use archive_format::Namespace;
use std::fmt::Debug;

/// Hears how a dump or a restore gets on. Called from many tasks, must return at once.
///
/// Every method but [`warn`](Self::warn) tells of progress only: who does not listen misses nothing that matters. The text
/// of `note` and `warn` and the names of namespaces come from servers and archives and may hold any character: escape them
/// before they go to a terminal.
pub trait Monitor: Debug + Send + Sync {
    /// The whole work: how many namespaces, and how many documents where that is known.
    fn planned(&self, _namespaces: usize, _documents: Option<u64>) {}
    /// About so many raw bytes will be dumped, by the server's statistics.
    fn expected(&self, _bytes: u64) {}
    /// So many bytes of the stored archive, compressed if it is, have been read since the beginning (restore), out of
    /// `size` where that is known: of files and objects, not of streams.
    fn archive(&self, _read: u64, _size: Option<u64>) {}
    /// Work on this namespace begins; `documents` is the expected number where it is known.
    fn started(&self, _namespace: &Namespace, _documents: Option<u64>) {}
    /// This many more documents and raw bytes have been read (dump) or inserted (restore).
    fn advanced(&self, _namespace: &Namespace, _documents: u64, _bytes: u64) {}
    /// The server has refused this many more documents of the namespace, and the restore goes on without them.
    fn refused(&self, _namespace: &Namespace, _documents: u64) {}
    /// The namespace's documents are all done: so many have been read (dump) or inserted (restore), without those
    /// [`refused`](Self::refused).
    fn finished(&self, _namespace: &Namespace, _documents: u64) {}
    /// A sentence for the log, of interest to who watches the work.
    fn note(&self, _text: &str) {}
    /// As [`note`](Self::note), in the words in which the official tools tell it, too: scripts may look for them.
    fn step(&self, text: &str) {
        self.note(text);
    }
    /// A sentence that somebody has to read though the work may succeed: something stays behind and has to be removed by
    /// hand, or something was left out. Shown even by the quietest of faces.
    fn warn(&self, _text: &str) {}
}

/// A monitor that hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;
impl Monitor for Silent {}
