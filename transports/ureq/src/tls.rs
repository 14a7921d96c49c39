//! TLS by rustls, with a cryptography provider that is always passed explicitly: asking rustls for its
//! default panics in a program that has two.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName};
use ureq::Error;
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use cycles_proto::{ConfigError, FailureKind};

use crate::connect::ConnectError;

/// Encrypts connections to https servers.
pub(crate) struct Securely(pub(crate) Option<Arc<ClientConfig>>);

impl<In: Transport> Connector<In> for Securely {
    type Out = Either<In, Encrypted>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        let Some(config) = self.0.as_ref().filter(|_| details.needs_tls()) else {
            return Ok(Some(Either::A(transport)));
        };
        let encrypted = encrypt(Arc::clone(config), details, transport.boxed());
        Ok(Some(Either::B(
            encrypted.map_err(|error| ConnectError::at(FailureKind::Tls, error))?,
        )))
    }
}

fn encrypt(
    config: Arc<ClientConfig>,
    details: &ConnectionDetails<'_>,
    transport: Box<dyn Transport>,
) -> Result<Encrypted, Error> {
    let host = details.uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| Error::Other(error.into()))?;
    let mut connection = ClientConnection::new(config, name).map_err(|error| Error::Other(error.into()))?;
    let mut socket = TransportAdapter::new(transport, Arc::clone(&details.current_time));
    socket.set_timeout(time_left(details));
    connection.complete_io(&mut socket)?;
    let buffers = LazyBuffers::new(
        details.config.input_buffer_size(),
        details.config.output_buffer_size(),
    );
    Ok(Encrypted {
        buffers,
        stream: StreamOwned::new(connection, socket),
    })
}

/// What is left of the time to connect after the stages before.
fn time_left(details: &ConnectionDetails<'_>) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Duration::Exact(whole), Instant::Exact(began), Instant::Exact(now)) =
        (timeout.after, details.now, (details.current_time)())
    {
        timeout.after = Duration::Exact(whole.saturating_sub(now.saturating_duration_since(began)));
    }
    timeout
}

/// An encrypted connection.
pub(crate) struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Securely {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Securely").finish_non_exhaustive()
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").finish_non_exhaustive()
    }
}
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
