//! TLS by rustls, with a cryptography provider that is always passed explicitly: asking rustls for its
//! default panics in a program that has two.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

use cycles_proto::ConfigError;

/// A client configuration that trusts what the system trusts and `extra_roots`.
pub(crate) fn client_config(
    extra_roots: &[CertificateDer<'static>],
) -> Result<Arc<ClientConfig>, ConfigError> {
    let provider = provider()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = with_trust(builder, provider, extra_roots)?.with_no_client_auth();
    Ok(Arc::new(config))
}

/// The provider that the process has chosen, else the one this crate was built with.
fn provider() -> Result<Arc<CryptoProvider>, ConfigError> {
    if let Some(chosen) = CryptoProvider::get_default() {
        return Ok(Arc::clone(chosen));
    }
    #[cfg(feature = "ring")]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    return Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    Err(ConfigError::Adapter(
        "https needs a cryptography provider: enable the feature `ring` or `aws-lc-rs`, or install one as the process's default"
            .to_owned(),
    ))
}

type Untrusting = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;
type Trusting = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

#[cfg(not(feature = "webpki-roots"))]
fn with_trust(
    builder: Untrusting,
    provider: Arc<CryptoProvider>,
    extra_roots: &[CertificateDer<'static>],
) -> Result<Trusting, ConfigError> {
    use rustls_platform_verifier::Verifier;

    let verifier = match Verifier::new_with_extra_roots(extra_roots.iter().cloned(), Arc::clone(&provider)) {
        Ok(verifier) => verifier,
        // A system without certificates of its own, such as a bare container: the given ones are enough.
        Err(_) if !extra_roots.is_empty() => return only(builder, extra_roots),
        Err(error) => return Err(unusable(error)),
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

#[cfg(feature = "webpki-roots")]
fn with_trust(
    builder: Untrusting,
    _provider: Arc<CryptoProvider>,
    extra_roots: &[CertificateDer<'static>],
) -> Result<Trusting, ConfigError> {
    let mut roots = store(extra_roots)?;
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(builder.with_root_certificates(roots))
}

#[cfg(not(feature = "webpki-roots"))]
fn only(builder: Untrusting, roots: &[CertificateDer<'static>]) -> Result<Trusting, ConfigError> {
    Ok(builder.with_root_certificates(store(roots)?))
}

fn store(roots: &[CertificateDer<'static>]) -> Result<RootCertStore, ConfigError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(unusable)?;
    }
    Ok(store)
}

fn unusable(error: rustls::Error) -> ConfigError {
    ConfigError::Adapter(format!("TLS cannot be set up: {error}"))
}
