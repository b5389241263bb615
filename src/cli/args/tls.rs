//! TLS, by the names that the tools have for it.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::fmt;

use clap::builder::NonEmptyStringValueParser;

use super::setting::{Setting, agreed};
use crate::Result;
use crate::uri::Draft;

#[derive(clap::Args)]
#[command(next_display_order = 40)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Tls {
    /// Connect with TLS. Any of the other TLS options but --tlsInsecure does so, too.
    #[arg(long, visible_alias = "tls")]
    ssl: bool,

    /// PEM file of the authorities that the server's certificate is trusted by.
    #[arg(long = "sslCAFile", alias = "tlsCAFile", value_name = "FILE", value_parser = NonEmptyStringValueParser::new())]
    ca_file: Option<String>,

    /// PEM file of the client's certificate and its key.
    #[arg(long = "sslPEMKeyFile", alias = "tlsCertificateKeyFile", value_name = "FILE",
          value_parser = NonEmptyStringValueParser::new())]
    key_file: Option<String>,

    /// Password of that key. Others on this machine can see it: without it, it is asked for, or taken from --config.
    #[arg(long = "sslPEMKeyPassword", alias = "tlsCertificateKeyFilePassword", value_name = "PASSWORD",
          value_parser = NonEmptyStringValueParser::new())]
    key_password: Option<String>,

    /// Trust any server: neither its certificate nor its name is looked at.
    #[arg(long = "tlsInsecure")]
    insecure: bool,

    /// As --tlsInsecure.
    #[arg(long = "sslAllowInvalidCertificates", alias = "tlsAllowInvalidCertificates", hide = true)]
    allow_invalid_certificates: bool,

    /// As --tlsInsecure.
    #[arg(long = "sslAllowInvalidHostnames", alias = "tlsAllowInvalidHostnames", hide = true)]
    allow_invalid_hostnames: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// The password of the client's key.
    pub(super) fn key_password(&self) -> Option<&str> {
        self.key_password.as_deref()
    }

    /// What somebody should know of these options.
    pub(super) fn warning(&self) -> Option<String> {
        let deprecated = self.allow_invalid_certificates || self.allow_invalid_hostnames;
        deprecated.then(|| {
            "WARNING: --sslAllowInvalidCertificates and --sslAllowInvalidHostnames are deprecated names of --tlsInsecure: \
             neither the server's certificate nor its name is looked at"
                .to_owned()
        })
    }

    /// Puts them into the connection string, which must not say otherwise.
    ///
    /// # Errors
    /// As [`agreed`].
    pub(super) fn write(&self, draft: &mut Draft, origin: &str) -> Result<()> {
        let insecure = self.insecure || self.allow_invalid_certificates || self.allow_invalid_hostnames;
        // Without TLS nothing is there to be trusted, and the tools take it as that.
        let has_tls = self.ssl || self.ca_file.is_some() || self.key_file.is_some() || draft.has_tls();
        agreed(
            draft,
            origin,
            [
                Setting::switch("--ssl", "tls", self.ssl),
                Setting::text("--sslCAFile", "tlsCAFile", self.ca_file.as_deref()),
                Setting::text("--sslPEMKeyFile", "tlsCertificateKeyFile", self.key_file.as_deref()),
                Setting::switch("--tlsInsecure", "tlsInsecure", insecure && has_tls),
            ],
        )
    }
}
