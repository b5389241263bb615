//! The one owner of the encoder: puts segments in the order in which they arrive and groups whole blocks.

use archive_format::{Encoder, End, Namespace, Prelude};
use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::reader::{Message, SEGMENT_SIZE};
use crate::{Error, Result};

/// Groups of at least this many bytes go on alone; smaller blocks share one, so that thousands of small collections do
/// not become thousands of gzip members.
const GROUP_SIZE: usize = SEGMENT_SIZE / 2;

/// Whole blocks that are compressed together.
#[derive(Debug, Default)]
pub(super) struct BlockGroup {
    /// Their bytes, back to back, are the archive's.
    pub(super) blocks: Vec<Bytes>,
    /// Whose documents make most of it, if that is one namespace.
    pub(super) namespace: Option<Namespace>,
    /// The share of the dump's memory that the last of them holds until they are stored. Those before it, less than
    /// [`GROUP_SIZE`] in all, hold none: a group that waits for more must not keep a large document waiting.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    size: usize,
}

impl BlockGroup {
    fn push(&mut self, block: Bytes) {
        if !block.is_empty() {
            self.size += block.len();
            self.blocks.push(block);
        }
    }
}

/// Runs until every sender has hung up; `Ok` only if every namespace of the prelude has ended by then: what each came to, in
/// the order in which they ended.
pub(super) async fn sequence(
    prelude: Prelude,
    mut messages: mpsc::Receiver<Message>,
    groups: mpsc::Sender<BlockGroup>,
) -> Result<Vec<End>> {
    let mut ends = Vec::with_capacity(prelude.collections.len());
    let mut small = BytesMut::new();
    let mut encoder = Encoder::new(&prelude, &mut small).map_err(Error::not_archivable)?;
    drop(prelude);
    let mut group = BlockGroup::default();
    while let Some(message) = messages.recv().await {
        match message {
            Message::Documents(segment, permit) => {
                let namespace = segment.namespace().clone();
                let block = encoder.append(segment).map_err(Error::not_archivable)?;
                group.namespace = (block.len() >= GROUP_SIZE).then_some(namespace);
                // What was written into `small` so far comes before this block.
                group.push(small.split().freeze());
                group.push(block);
                group.permit = Some(permit);
            }
            Message::Ended(namespace) => {
                ends.push(encoder.end(&namespace, &mut small).map_err(Error::not_archivable)?);
            }
        }
        if group.size + small.len() >= GROUP_SIZE {
            group.push(small.split().freeze());
            groups.send(std::mem::take(&mut group)).await.map_err(|_| Error::hung_up())?;
        } else {
            group.permit = None;
        }
    }
    encoder.finish().map_err(Error::not_archivable)?;
    group.push(small.freeze());
    groups.send(group).await.map_err(|_| Error::hung_up())?;
    Ok(ends)
}
