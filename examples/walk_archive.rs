//! Walks through an uncompressed archive with the crate `archive-format` alone: no server, no runtime.
//!
//! ```sh
//! cargo run --example walk_archive -- shop.archive
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::fs::File;
use std::io::Read;

use archive_format::{Decoder, Event};
use bytes::BytesMut;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give the path of an archive")?;
    let mut file = File::open(path)?;
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::new());
    loop {
        let filled = buffer.len();
        buffer.resize(filled + CHUNK, 0);
        let read = file.read(buffer.get_mut(filled..).unwrap_or_default())?;
        buffer.truncate(filled + read);
        while let Some(event) = decoder.decode(&mut buffer)? {
            match event {
                Event::Prelude(prelude) => {
                    println!("from {}, {} collections", prelude.server_version, prelude.collections.len());
                }
                Event::End(end) => {
                    println!(
                        "{:?}: {} documents, checksum {:016x}",
                        end.namespace.to_string(),
                        end.documents,
                        end.checksum
                    );
                }
                _ => {}
            }
        }
        if read == 0 {
            break;
        }
    }
    // Without this, it may have been the half of an archive.
    let totals = decoder.finish(&buffer)?;
    println!("complete: {} documents, {} bytes", totals.documents, totals.bytes);
    Ok(())
}
