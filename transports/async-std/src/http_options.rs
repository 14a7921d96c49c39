//! How the client reaches its server.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use cycles_proto::ConfigError;

/// What the transport may be told beyond the configuration: proxies and trust.
///
/// By default proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`)
/// except for a server on this machine, which no proxy could reach, and the certificates that the operating
/// system trusts are trusted.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    proxies: Proxies,
    #[cfg(feature = "tls")]
    pub(crate) roots: Vec<rustls_pki_types::CertificateDer<'static>>,
}

#[derive(Clone, Default)]
enum Proxies {
    #[default]
    FromEnvironment,
    None,
    All {
        proxy: String,
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

    /// Connects through this proxy (`http://user:password@host:port`), whatever the environment says,
    /// except to the hosts in `except`, which is written like `NO_PROXY`.
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
        self.roots.extend(cycles_host::tls::roots_of_pem(pem)?);
        Ok(self)
    }

    /// The rules for reaching `server`.
    pub(crate) fn matcher(&self, server: &Uri) -> Result<Matcher, ConfigError> {
        match &self.proxies {
            Proxies::FromEnvironment if is_on_this_machine(server) => Ok(Matcher::builder().build()),
            Proxies::FromEnvironment => {
                check_environment()?;
                Ok(Matcher::from_env())
            }
            Proxies::None => Ok(Matcher::builder().build()),
            Proxies::All { proxy, .. } if !is_readable(proxy) => Err(unreadable("the proxy's address")),
            Proxies::All { proxy, except } => {
                Ok(Matcher::builder().all(proxy.as_str()).no(except.as_str()).build())
            }
        }
    }
}

/// The matcher takes what it cannot read for "no proxy", which is not what was asked for.
fn check_environment() -> Result<(), ConfigError> {
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        let value = std::env::var_os(name).unwrap_or_default();
        if !value.is_empty() && !value.to_str().is_some_and(is_readable) {
            return Err(unreadable(name));
        }
    }
    Ok(())
}

fn is_readable(proxy: &str) -> bool {
    let anywhere = Uri::from_static("https://example.com");
    Matcher::builder()
        .all(proxy)
        .build()
        .intercept(&anywhere)
        .is_some()
}

fn unreadable(what: &str) -> ConfigError {
    ConfigError::Adapter(format!("{what} is no URL; it should look like http://proxy:3128"))
}

fn is_on_this_machine(server: &Uri) -> bool {
    let host = server
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
