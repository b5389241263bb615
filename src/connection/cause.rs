//! Why a connection did not come about, in a few words.

use std::error::Error as StdError;
use std::io;

use mongodb::error::{Error as DriverError, ErrorKind as DriverKind};
use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::server_error::answer;

/// The cause of a failed connection, as somebody who has to mend it would say it.
pub(super) fn cause(error: &DriverError) -> String {
    match error.kind.as_ref() {
        DriverKind::Io(error) => io_cause(error),
        DriverKind::DnsResolve { .. } => UNRESOLVED.to_owned(),
        _ => answer(error),
    }
}

const UNRESOLVED: &str = "the host name cannot be resolved";

/// The same for an error of the operating system or of TLS.
pub(super) fn io_cause(error: &io::Error) -> String {
    if let Some(tls) = tls_error(error) {
        return tls_cause(tls);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        io::ErrorKind::NotFound => "no such socket or file".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the connection was closed; one side may expect TLS, or a client certificate, and the other not"
                .to_owned()
        }
        // The standard library's words; there is no kind for it.
        _ if error.to_string().contains("lookup address") => UNRESOLVED.to_owned(),
        _ => error.to_string(),
    }
}

/// Some layers wrap the error of TLS once more.
fn tls_error(error: &io::Error) -> Option<&TlsError> {
    let mut inner: &(dyn StdError + 'static) = error.get_ref()?;
    loop {
        if let Some(tls) = inner.downcast_ref() {
            return Some(tls);
        }
        inner = match inner.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref()?,
            None => inner.source()?,
        };
    }
}

fn tls_cause(error: &TlsError) -> String {
    use CertificateError as Bad;
    match error {
        TlsError::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the server's TLS certificate has expired".to_owned()
        }
        TlsError::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "the server's TLS certificate is not valid yet".to_owned()
        }
        TlsError::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the server's TLS certificate is for another host name".to_owned()
        }
        TlsError::InvalidCertificate(Bad::UnknownIssuer) => {
            "the server's TLS certificate has an unknown issuer; name the file with its authority as tlsCAFile".to_owned()
        }
        TlsError::InvalidCertificate(Bad::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server's TLS certificate is that of an authority (CA:TRUE), and is not in tlsCAFile itself".to_owned()
        }
        TlsError::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        TlsError::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure
            | AlertDescription::UnknownCA),
        ) => format!("the server refused the client's certificate, or wants one ({alert:?}); see tlsCertificateKeyFile"),
        error => format!("TLS: {error}"),
    }
}
