//! How long the network may take, and what is compressed on it.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use super::invalid;
use super::setting::{Setting, agreed};
use crate::Result;
use crate::uri::Draft;

/// What the driver compresses with.
const COMPRESSORS: [&str; 3] = ["snappy", "zlib", "zstd"];

#[derive(clap::Args, Debug)]
#[command(next_display_order = 50)]
pub(super) struct Wire {
    /// What is compressed on the way to the server and back, as far as it can: any of snappy, zlib and zstd, with commas, the
    /// preferred one first [default: none].
    #[arg(long, value_name = "NAMES")]
    compressors: Option<String>,

    /// Seconds until a server that does not answer is given up (connectTimeoutMS).
    #[arg(long = "dialTimeout", value_name = "SECONDS", hide = true)]
    dial_timeout: Option<u32>,

    /// Seconds that one answer may take; 0 for the program's own limit (socketTimeoutMS).
    #[arg(long = "socketTimeout", value_name = "SECONDS", hide = true)]
    socket_timeout: Option<u32>,

    /// Seconds that a usable server is looked for; 0 for the driver's own (serverSelectionTimeoutMS).
    #[arg(long = "serverSelectionTimeout", value_name = "SECONDS", hide = true)]
    server_selection_timeout: Option<u32>,

    /// Accepted for the tools' sake: the driver keeps connections alive in its own way.
    #[arg(long = "TCPKeepAliveSeconds", value_name = "SECONDS", hide = true)]
    _tcp_keep_alive: Option<u32>,
}

impl Wire {
    /// Puts them into the connection string, which must not say otherwise.
    ///
    /// # Errors
    /// As [`agreed`]; and for a compressor that is none.
    pub(super) fn write(&self, draft: &mut Draft, origin: &str) -> Result<()> {
        let compressors = self.compressors.as_deref().filter(|names| !["", "none"].contains(names));
        if compressors.is_some_and(|names| !names.split(',').all(|name| COMPRESSORS.contains(&name))) {
            return Err(
                invalid("it takes any of snappy, zlib and zstd, with commas, or none").at("--compressors")
            );
        }
        let some = |seconds: Option<u32>| seconds.filter(|seconds| *seconds > 0);
        agreed(
            draft,
            origin,
            [
                Setting::text("--compressors", "compressors", compressors),
                Setting::seconds("--dialTimeout", "connectTimeoutMS", self.dial_timeout),
                Setting::seconds("--socketTimeout", "socketTimeoutMS", some(self.socket_timeout)),
                Setting::seconds(
                    "--serverSelectionTimeout",
                    "serverSelectionTimeoutMS",
                    some(self.server_selection_timeout),
                ),
            ],
        )
    }
}
