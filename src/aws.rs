//! The AWS configuration from the environment and the profile, as every AWS tool reads it.

use crate::{Error, ErrorKind, Result};
use aws_config::{ConfigLoader, SdkConfig};
use aws_sdk_s3::config::RuntimeComponents;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_types::base64;
use aws_types::service_config::ServiceConfigKey;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;

/// Loads the configuration that this loader describes, with the certificates of `AWS_CA_BUNDLE` or the profile's
/// `ca_bundle`, which the SDK itself does not look for. Every client made from it, and every provider of credentials
/// in it, trusts these certificates and, as with the other AWS tools, no others.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for a bundle that cannot be read or holds no certificate.
///
/// # Cancellation
///
/// Nothing is left behind when the future is dropped.
pub(crate) async fn load(loader: impl Fn() -> ConfigLoader) -> Result<SdkConfig> {
    let config = Box::pin(loader().load()).await;
    let Some(bundle) = ca_bundle(&config) else { return Ok(config) };
    let tls = trusting(Path::new(&bundle))?;
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone())
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    });
    Ok(Box::pin(loader().http_client(client).load()).await)
}

fn ca_bundle(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_CA_BUNDLE").profile("ca_bundle").build();
    config.service_config()?.load_config(key.ok()?).filter(|path| !path.is_empty())
}

/// Trust in the certificates of a bundle alone.
fn trusting(bundle: &Path) -> Result<TlsContext> {
    let refused = |message: &str| {
        let message = format!("{message}; AWS_CA_BUNDLE or the profile's ca_bundle names this file");
        Error::new(ErrorKind::InvalidInput, message).at(bundle.display())
    };
    let text = std::fs::read(bundle)
        .map_err(|error| refused("the bundle of certificates cannot be read").with_source(error))?;
    let mut store = TrustStore::empty();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| {
            refused("the bundle of certificates is no PEM").with_source(error.to_string())
        })?;
        // The SDK panics at what it cannot use, and old bundles hold some of that.
        if roots.add(certificate.clone()).is_ok() {
            store.add_pem_certificate(pem(&certificate));
        }
    }
    if roots.is_empty() {
        return Err(refused("the bundle holds no certificate that can be used"));
    }
    TlsContext::builder()
        .with_trust_store(store)
        .build()
        .map_err(|error| refused("the certificates cannot be used").with_source(error))
}

fn pem(certificate: &CertificateDer<'_>) -> Vec<u8> {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", base64::encode(certificate))
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{Path, trusting};
    use crate::ErrorKind;

    /// A self-signed certificate of the P-256 curve for `localhost`.
    const CERTIFICATE: &str = include_str!("aws/test-ca.pem");

    fn bundle(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn certificates_that_cannot_be_used_are_left_out() {
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        trusting(bundle(&format!("# a comment\n{odd}{CERTIFICATE}")).path()).unwrap();
        for text in ["", odd, "not a bundle"] {
            let error = trusting(bundle(text).path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("AWS_CA_BUNDLE"), "{error}");
        }
    }

    #[test]
    fn a_bundle_that_is_not_there_is_named() {
        let error = trusting(Path::new("/nowhere/ca.pem")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/ca.pem: "), "{error}");
    }
}
