//! What an adapter may be told of its way to the server beyond the configuration: proxies and trust.

use core::time::Duration;

use cycles_proto::{ConfigError, CyclesConfig};

use crate::proxy::{self, Proxies, ProxyProtocol, Route};

/// For an adapter: how long a connection waits for its next call. Load balancers close idle connections after a minute or so:
/// be earlier.
pub const IDLE: Duration = Duration::from_secs(15);

/// For an adapter: how many connections wait, as many as there are exchanges at once in a busy program.
pub const MAX_IDLE: usize = 64;

/// What the transport may be told beyond the configuration: proxies and trust.
///
/// By default proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`; which of
/// them counts when is in the README of `cycles-host`, and the kinds of proxy there are in that of the adapter), except
/// for a server on this machine, which no proxy could reach. The certificates that the operating system trusts are
/// trusted.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    proxies: Proxies,
    #[cfg(feature = "tls")]
    roots: Vec<rustls_pki_types::CertificateDer<'static>>,
}

impl HttpOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects directly, whatever the environment says.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        self.proxies = Proxies::None;
        self
    }

    /// Connects through this proxy (`http://user:password@host:port`), whatever the environment says, except to the
    /// hosts in `except`, which is written like `NO_PROXY`.
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<String>, except: impl Into<String>) -> Self {
        self.proxies = Proxies::All {
            address: proxy.into(),
            except: except.into(),
        };
        self
    }

    /// Trusts these certificates (PEM, one or more) in addition to the others: those of a private
    /// authority.
    ///
    /// # Errors
    /// [`ConfigError::Adapter`] if the text holds no certificate or one that cannot be read.
    #[cfg(feature = "tls")]
    pub fn trust_pem(mut self, pem: &[u8]) -> Result<Self, ConfigError> {
        self.roots.extend(crate::tls::roots_of_pem(pem)?);
        Ok(self)
    }

    /// For an adapter: the certificates to trust in addition.
    #[cfg(feature = "tls")]
    pub fn roots(&self) -> &[rustls_pki_types::CertificateDer<'static>] {
        &self.roots
    }

    /// For an adapter: how to reach the configuration's server by one of the kinds of proxy that it speaks.
    ///
    /// # Errors
    /// If the proxy that applies cannot be used, by the name of the variable. That is never taken for "no proxy".
    pub fn route(&self, config: &CyclesConfig, spoken: &[ProxyProtocol]) -> Result<Route, ConfigError> {
        // A checked configuration has an address that parses.
        let server = config.base_url().parse().unwrap_or_default();
        proxy::route(&server, |name| std::env::var_os(name), &self.proxies, spoken)
    }
}
