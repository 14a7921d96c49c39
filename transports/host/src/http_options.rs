//! HTTP settings that are not part of the configuration: proxies and trusted certificates.

use cycles_proto::{ConfigError, CyclesConfig};

use crate::proxy::{self, Proxies, ProxyProtocol, Route};

/// Proxies and trusted certificates.
///
/// By default proxies come from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), except for a
/// server on this machine, which no proxy could reach. The README of `cycles-host` says which variable applies, and the
/// adapter's README says which kinds of proxy it supports. By default the operating system's root certificates are
/// trusted, or Mozilla's with the feature `webpki-roots`.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    proxies: Proxies,
    #[cfg(feature = "tls")]
    roots: Vec<rustls_pki_types::CertificateDer<'static>>,
}

impl HttpOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects directly, and ignores the environment. Off by default.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        self.proxies = Proxies::None;
        self
    }

    /// Connects through this proxy (`http://user:password@host:port`), and ignores the environment, except to the hosts
    /// in `except`, which is written like `NO_PROXY`. No proxy is set by default.
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<String>, except: impl Into<String>) -> Self {
        self.proxies = Proxies::All {
            address: proxy.into(),
            except: except.into(),
        };
        self
    }

    /// Also trusts these certificates (PEM, one or more), such as those of a private authority. None by default.
    ///
    /// # Errors
    /// [`ConfigError::Adapter`] if the text contains no certificate, or one that cannot be read.
    #[cfg(feature = "tls")]
    pub fn trust_pem(mut self, pem: &[u8]) -> Result<Self, ConfigError> {
        self.roots.extend(crate::trusted_roots::roots_of_pem(pem)?);
        Ok(self)
    }

    /// For adapters: returns the additional certificates to trust.
    #[cfg(feature = "tls")]
    pub fn roots(&self) -> &[rustls_pki_types::CertificateDer<'static>] {
        &self.roots
    }

    /// For adapters: returns how to reach the configuration's server, given the proxy protocols that the adapter
    /// supports.
    ///
    /// # Errors
    /// If the proxy that applies cannot be used; the error names its variable. This never means "no proxy".
    pub fn route(&self, config: &CyclesConfig, spoken: &[ProxyProtocol]) -> Result<Route, ConfigError> {
        // A checked configuration has an address that parses.
        let server = config.base_url.parse().unwrap_or_default();
        proxy::route(&server, |name| std::env::var_os(name), &self.proxies, spoken)
    }
}
