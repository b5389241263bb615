//! What long work tells its caller.
use archive_format::Namespace;
use std::fmt::Debug;

/// Hears how a dump or a restore gets on. Called from many tasks, must return at once.
pub trait Monitor: Debug + Send + Sync {
    /// The whole work: how many namespaces, and how many documents where that is known.
    fn planned(&self, _namespaces: usize, _documents: Option<u64>) {}
    /// Work on this namespace begins; `documents` is the expected number where it is known.
    fn started(&self, _namespace: &Namespace, _documents: Option<u64>) {}
    /// This many more documents and raw bytes have been read (dump) or inserted (restore).
    fn advanced(&self, _namespace: &Namespace, _documents: u64, _bytes: u64) {}
    /// The namespace's documents are all done.
    fn finished(&self, _namespace: &Namespace, _documents: u64) {}
    /// A sentence for the log.
    fn note(&self, _text: &str) {}
}

/// A monitor that hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;
impl Monitor for Silent {}
