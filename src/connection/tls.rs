//! TLS where the driver's own falls short: servers whose own certificate is trusted as it stands, and encrypted keys.
//!
//! `openssl req -x509` makes a certificate that is its own authority. Users give it to the server and to the clients as
//! `tlsCAFile`; mongodump takes it, the driver's verifier refuses every authority in the place of a server. What is accepted
//! here besides is what mongodump accepts: a certificate that is byte for byte one of `tlsCAFile`, for this host name, within
//! its time and for the purpose. Everything else is verified as by the driver.

use std::path::Path;
use std::sync::Arc;

use mongodb::options::TlsOptions;
use pkcs8::der::SecretDocument;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_SERVER_AUTH};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};

use crate::{Error, ErrorKind, Result};

const ENCRYPTED: (&str, &str) =
    ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----");

/// How OpenSSL encrypted keys before 1.0, and still does when told to be traditional.
const TRADITIONALLY_ENCRYPTED: &str = "Proc-Type: 4,ENCRYPTED";

/// Looks at the files before the driver does, whose errors do not say what to do.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for files that cannot be read, and for keys that cannot be decrypted.
pub(super) fn check(options: &mut TlsOptions) -> Result<()> {
    if let Some(path) = &options.ca_file_path {
        certificates(path, "tlsCAFile")?;
    }
    let Some(path) = &options.cert_key_file_path else { return Ok(()) };
    certificates(path, CERTIFICATE_KEY_FILE)?;
    key(path, options.tls_certificate_key_file_password.as_deref())?;
    // The driver refuses a password for a key that needs none.
    if encrypted_section(&read(path, CERTIFICATE_KEY_FILE)?).is_none() {
        options.tls_certificate_key_file_password = None;
    }
    Ok(())
}

const CERTIFICATE_KEY_FILE: &str = "tlsCertificateKeyFile";

/// The configuration for servers whose own certificate is in `tlsCAFile`; none when no certificate in it can be a server's.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for files that cannot be used.
pub(super) fn for_trusted_servers(options: &TlsOptions) -> Result<Option<ClientConfig>> {
    let Some(path) = &options.ca_file_path else { return Ok(None) };
    if options.allow_invalid_certificates == Some(true) {
        return Ok(None);
    }
    let authorities = certificates(path, "tlsCAFile")?;
    let servers: Vec<_> =
        authorities.iter().filter(|certificate| names_hosts(certificate)).cloned().collect();
    if servers.is_empty() {
        return Ok(None);
    }
    let unusable = |error: &dyn std::fmt::Display| {
        invalid("tlsCAFile", path, &format!("its certificates cannot be used: {error}"))
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| unusable(&error))?;
    let verifier = Arc::new(Verifier { authorities, servers });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(path) = &options.cert_key_file_path else { return Ok(Some(builder.with_no_client_auth())) };
    let chain = certificates(path, CERTIFICATE_KEY_FILE)?;
    let key = key(path, options.tls_certificate_key_file_password.as_deref())?;
    builder
        .with_client_auth_cert(chain, key)
        .map(Some)
        .map_err(|error| invalid(CERTIFICATE_KEY_FILE, path, &error.to_string()))
}

/// The authorities, and the servers that are trusted as they stand.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    servers: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if self.servers.iter().any(|trusted| trusted == end_entity) {
            return verify_trusted(end_entity, server_name, now);
        }
        self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// What is verified of every server's certificate but who signed it: the user has named this very one.
fn verify_trusted(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, TlsError> {
    let parsed = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate().validity();
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    let purposes = parsed.tbs_certificate().get_extension::<ExtendedKeyUsage>();
    if let Some((_, ExtendedKeyUsage(purposes))) = purposes.map_err(|_| CertificateError::BadEncoding)?
        && !purposes.iter().any(|purpose| [ID_KP_SERVER_AUTH, ANY_EXTENDED_KEY_USAGE].contains(purpose))
    {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    Ok(ServerCertVerified::assertion())
}

/// Authorities have no host names; what has one is a server's certificate.
fn names_hosts(certificate: &CertificateDer<'_>) -> bool {
    let is_host = |name: &GeneralName| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_));
    let Ok(parsed) = Certificate::from_der(certificate) else { return false };
    let names = parsed.tbs_certificate().get_extension::<SubjectAltName>();
    matches!(names, Ok(Some((_, SubjectAltName(names)))) if names.iter().any(is_host))
}

fn certificates(path: &Path, option: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = read(path, option)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text).flatten().collect();
    if certificates.is_empty() {
        return Err(invalid(option, path, "it holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn key(path: &Path, password: Option<&[u8]>) -> Result<PrivateKeyDer<'static>> {
    let invalid = |message: &str| invalid(CERTIFICATE_KEY_FILE, path, message);
    let text = read(path, CERTIFICATE_KEY_FILE)?;
    if let Some(section) = encrypted_section(&text) {
        let Some(password) = password else {
            return Err(invalid("its key is encrypted: give tlsCertificateKeyFilePassword"));
        };
        let undecryptable = |_| invalid("its key cannot be decrypted with tlsCertificateKeyFilePassword");
        let (_, encrypted) =
            SecretDocument::from_pem(section).map_err(|_| invalid("its encrypted key is damaged"))?;
        let decrypted = EncryptedPrivateKeyInfoRef::try_from(encrypted.as_bytes())
            .map_err(|_| invalid("its encrypted key is damaged, or encrypted in a way that is not known"))?
            .decrypt(password)
            .map_err(undecryptable)?;
        // A wrong password may decrypt to anything.
        PrivateKeyInfoRef::try_from(decrypted.as_bytes())
            .map_err(|_| invalid("its key cannot be decrypted with tlsCertificateKeyFilePassword"))?;
        return Ok(PrivatePkcs8KeyDer::from(decrypted.as_bytes().to_vec()).into());
    }
    if String::from_utf8_lossy(&text).contains(TRADITIONALLY_ENCRYPTED) {
        return Err(invalid(
            "its key is encrypted in OpenSSL's traditional way: convert it with openssl pkcs8 -topk8 -v2 aes256",
        ));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| invalid("it holds no private key in PEM"))
}

/// The first encrypted key in the file.
fn encrypted_section(text: &[u8]) -> Option<&str> {
    let find = |part: &str, from: usize| {
        let rest = text.get(from..)?;
        rest.windows(part.len()).position(|window| window == part.as_bytes()).map(|at| from + at)
    };
    let begin = find(ENCRYPTED.0, 0)?;
    let end = find(ENCRYPTED.1, begin)? + ENCRYPTED.1.len();
    std::str::from_utf8(text.get(begin..end)?).ok()
}

fn read(path: &Path, option: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| invalid(option, path, "it cannot be read").with_source(error))
}

fn invalid(option: &str, path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("{option} {}: {message}", path.display()))
}
