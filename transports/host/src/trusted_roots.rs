//! TLS by rustls, for all adapters. The cryptography provider is always passed explicitly, because rustls panics if it
//! is asked for a default in a program that has two.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use cycles_proto::ConfigError;

/// Makes a client configuration that trusts `extra_roots` and the system's root certificates, or Mozilla's with the
/// feature `webpki-roots`. May block to read the system's certificates.
///
/// # Errors
/// [`ConfigError::Adapter`] if there is no cryptography provider, no certificate to trust, or one that cannot be read.
pub fn client_config(extra_roots: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, ConfigError> {
    let provider = provider()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = with_trust(builder, provider, extra_roots)?.with_no_client_auth();
    Ok(Arc::new(config))
}

/// Reads the certificates in PEM text, and checks that each can be used as a root.
///
/// # Errors
/// [`ConfigError::Adapter`] if the text contains no certificate, or one that cannot be read.
pub fn roots_of_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    // Some editors write a byte order mark.
    let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem);
    let unreadable = |number: usize, problem: &dyn core::fmt::Display| {
        ConfigError::Adapter(format!(
            "certificate {number} in the PEM text cannot be read: {problem}; no certificate in the text is trusted"
        ))
    };
    let mut roots = Vec::new();
    for root in CertificateDer::pem_slice_iter(pem) {
        let number = roots.len() + 1;
        let root = root.map_err(|error| unreadable(number, &error))?;
        // Checked here, where the text is available, rather than at the first handshake.
        let added = RootCertStore::empty().add(root.clone());
        added.map_err(|error| unreadable(number, &error))?;
        roots.push(root);
    }
    if roots.is_empty() {
        let problem = format!("the PEM text contains no certificate: {}", instead(pem));
        return Err(ConfigError::Adapter(problem));
    }
    Ok(roots)
}

/// Says what the text is instead of a certificate, and what to do about it. Does not quote it, because it may be a
/// secret.
fn instead(pem: &[u8]) -> &'static str {
    const SEQUENCE: u8 = 0x30;
    let has = |part: &str| pem.windows(part.len()).any(|window| window == part.as_bytes());
    if pem.trim_ascii().is_empty() {
        "it is empty"
    } else if has("PRIVATE KEY-----") {
        "it is a private key, which no client needs; pass the certificate of the authority that signed the server's"
    } else if pem.first() == Some(&SEQUENCE) && std::str::from_utf8(pem).is_err() {
        "it is in binary form (DER); `openssl x509 -inform der -in FILE` converts it to PEM"
    } else if has("-----BEGIN ") {
        "it contains only other kinds of blocks; a certificate begins with -----BEGIN CERTIFICATE-----"
    } else {
        "it should begin with -----BEGIN CERTIFICATE-----; pass the content of the file, not its path"
    }
}

/// The process's default provider, or else the one that this crate was built with.
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
        // The system has no certificates, such as in a minimal container: the given ones are enough.
        Err(_) if !extra_roots.is_empty() => return only(builder, extra_roots),
        Err(error) => return Err(ConfigError::Adapter(nothing_trusted(&error))),
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

#[cfg(not(feature = "webpki-roots"))]
fn nothing_trusted(error: &rustls::Error) -> String {
    format!(
        "TLS cannot be set up, because this system has no certificates to trust ({error}): install them (the package \
         ca-certificates), set SSL_CERT_FILE to a file of them, pass some to HttpOptions::trust_pem, or build with the \
         feature webpki-roots"
    )
}

fn unusable(error: rustls::Error) -> ConfigError {
    ConfigError::Adapter(format!("TLS cannot be set up: {error}"))
}
