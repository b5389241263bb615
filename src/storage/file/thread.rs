//! One thread per open file, so that disks and pipes never hold up a task that waits for sockets.
//!
//! Threads of their own rather than the runtime's pool: a read of standard input that never returns would keep the
//! runtime from shutting down.

use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Bytes read at once: large enough that a disk streams, small enough to start early.
const READ_BYTES: usize = 1 << 20;

/// A smaller rest of a read buffer is given up: more reads would cost more than a new buffer.
const MIN_READ_BYTES: usize = 64 << 10;

/// Pieces waiting between the thread and its task: one to be worked on at once, one to bridge a delay. With the piece
/// in work that makes three pieces of memory.
const QUEUED_PIECES: usize = 2;

/// Bytes after which the disk is told to begin: much less than it writes in a second.
const FLUSHED_BYTES: usize = 16 << 20;

/// A piece of more bytes does not wait in the queue while another is written.
const LARGE_PIECE: usize = 4 << 20;

/// Writes pieces in their order.
#[derive(Debug)]
pub(super) struct Writer {
    pieces: mpsc::Sender<Bytes>,
    end: oneshot::Receiver<io::Result<File>>,
}

impl Writer {
    pub(super) fn start(mut file: File) -> io::Result<Self> {
        let (pieces, mut queue) = mpsc::channel::<Bytes>(QUEUED_PIECES);
        let (tell, end) = oneshot::channel();
        let mut flusher = Flusher::start(&file)?;
        std::thread::Builder::new().name("mongoark-write".to_owned()).spawn(move || {
            let written = loop {
                match queue.blocking_recv() {
                    Some(piece) => {
                        if let Err(error) = file.write_all(&piece) {
                            break Err(error);
                        }
                        flusher.written(piece.len());
                    }
                    None => break file.flush().and_then(|()| flusher.finish()),
                }
            };
            // Told before the queue closes, so that whoever finds it closed finds the reason as well.
            let _ = tell.send(written.map(|()| file));
            drop(queue);
        })?;
        Ok(Self { pieces, end })
    }

    pub(super) async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        let is_large = piece.len() > LARGE_PIECE;
        let mut sent = self.pieces.send(piece).await.is_ok();
        if is_large && sent {
            // All places are free when the thread has taken the last piece.
            sent = self.pieces.reserve_many(QUEUED_PIECES).await.is_ok();
        }
        if !sent {
            return match self.end.try_recv() {
                Ok(Err(error)) => Err(error),
                Ok(Ok(_)) | Err(_) => Err(gone()),
            };
        }
        Ok(())
    }

    /// Waits until everything is written.
    pub(super) async fn finish(self) -> io::Result<File> {
        drop(self.pieces);
        self.end.await.map_err(|_| gone())?
    }
}

/// Puts a file on its disk while it is being written, so that completing it does not wait for all of it.
struct Flusher {
    bytes: usize,
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Flusher {
    fn start(file: &File) -> io::Result<Self> {
        let file = if file.metadata()?.is_file() { Some(file.try_clone()?) } else { None };
        let (wake, wakes) = sync_channel(1);
        let flush = move || wakes.iter().try_for_each(|()| file.as_ref().map_or(Ok(()), File::sync_data));
        let thread = std::thread::Builder::new().name("mongoark-flush".to_owned()).spawn(flush)?;
        Ok(Self { bytes: 0, wake, thread })
    }

    fn written(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= FLUSHED_BYTES {
            // When the disk is busy with the last of them already, the next ones will do.
            let _ = self.wake.try_send(());
            self.bytes = 0;
        }
    }

    /// The first error of the disk: the system tells each only once, so completing the file would not see it.
    fn finish(self) -> io::Result<()> {
        drop(self.wake);
        self.thread.join().unwrap_or_else(|_| Err(gone()))
    }
}

/// Reads pieces in their order.
#[derive(Debug)]
pub(super) struct Reader {
    pieces: mpsc::Receiver<io::Result<Option<Bytes>>>,
    ended: bool,
}

impl Reader {
    pub(super) fn start(file: File) -> io::Result<Self> {
        let (queue, pieces) = mpsc::channel(QUEUED_PIECES);
        std::thread::Builder::new().name("mongoark-read".to_owned()).spawn(move || read_all(file, &queue))?;
        Ok(Self { pieces, ended: false })
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let piece = self.pieces.recv().await.unwrap_or_else(|| Err(gone()))?;
        self.ended = piece.is_none();
        Ok(piece)
    }
}

fn read_all(mut file: File, queue: &mpsc::Sender<io::Result<Option<Bytes>>>) {
    let mut room = BytesMut::zeroed(READ_BYTES);
    loop {
        let piece = match file.read(&mut room) {
            Ok(0) => Ok(None),
            Ok(length) => Ok(Some(room.split_to(length).freeze())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let goes_on = matches!(piece, Ok(Some(_)));
        if queue.blocking_send(piece).is_err() || !goes_on {
            return;
        }
        if room.len() < MIN_READ_BYTES {
            room = BytesMut::zeroed(READ_BYTES);
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that works on the file has ended")
}
