//! What an adapter may be told of its way to the server beyond the configuration: proxies and trust.

use std::fmt;
use std::net::IpAddr;

use cycles_proto::ConfigError;

/// What the transport may be told beyond the configuration: proxies and trust.
///
/// By default proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`; which of
/// them counts for what, and the kinds of proxy there are, is in the README of the adapter), except for a server on
/// this machine, which no proxy could reach. The certificates that the operating system trusts are trusted.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    proxies: Proxies,
    #[cfg(feature = "tls")]
    roots: Vec<rustls_pki_types::CertificateDer<'static>>,
}

/// Which proxies there are.
#[derive(Clone, Default)]
pub enum Proxies {
    /// Those that the environment names.
    #[default]
    FromEnvironment,
    /// None at all.
    None,
    /// One for all servers.
    All {
        /// Its address.
        proxy: String,
        /// The hosts that are reached without it, written like `NO_PROXY`.
        except: String,
    },
}

/// A proxy's address may hold a password, so it is not shown.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromEnvironment => f.write_str("FromEnvironment"),
            Self::None => f.write_str("None"),
            Self::All { except, .. } => f
                .debug_struct("All")
                .field("except", except)
                .finish_non_exhaustive(),
        }
    }
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
            proxy: proxy.into(),
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

    /// For an adapter that tells whether it can read a proxy's address: the proxies before the server on this host.
    ///
    /// # Errors
    /// [`ConfigError::Adapter`] if one cannot be read, which is never taken for "no proxy".
    pub fn proxies(&self, host: &str, is_readable: impl Fn(&str) -> bool) -> Result<&Proxies, ConfigError> {
        match &self.proxies {
            Proxies::FromEnvironment if is_on_this_machine(host) => return Ok(&Proxies::None),
            Proxies::FromEnvironment => check_environment(is_readable)?,
            Proxies::All { proxy, .. } if !is_readable(proxy) => {
                return Err(unreadable("the proxy's address"));
            }
            Proxies::None | Proxies::All { .. } => {}
        }
        Ok(&self.proxies)
    }
}

fn check_environment(is_readable: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        let value = std::env::var_os(name).unwrap_or_default();
        if !value.is_empty() && !value.to_str().is_some_and(&is_readable) {
            return Err(unreadable(name));
        }
    }
    Ok(())
}

fn unreadable(what: &str) -> ConfigError {
    ConfigError::Adapter(format!("{what} is no URL; it should look like http://proxy:3128"))
}

fn is_on_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
