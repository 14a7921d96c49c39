//! How the client reaches its server.

use std::fmt;
use std::net::IpAddr;

use cycles_proto::{ConfigError, CyclesConfig};
use http::Uri;
use ureq::{Proxy, ProxyProtocol};

/// What the transport may be told beyond the configuration: proxies and trust.
///
/// Proxies are as ureq has them. By default it is that of the environment (`ALL_PROXY`, else `HTTPS_PROXY`, else
/// `HTTP_PROXY`, each for every server, and `NO_PROXY`), except for a server on this machine, which no proxy could
/// reach. The certificates that the operating system trusts are trusted.
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

    /// Connects through this proxy (`http://user:password@host:port`, or `https`, `socks4`, `socks4a`, `socks5`,
    /// `socks5h`), whatever the environment says, except to the hosts in `except`, which is written like
    /// `NO_PROXY`.
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

    /// The proxy before the configuration's server, if there is one.
    pub(crate) fn proxy_for(&self, config: &CyclesConfig) -> Result<Option<Proxy>, ConfigError> {
        // A checked configuration has an address that parses.
        let server: Uri = config.base_url().parse().unwrap_or_default();
        let proxy = match &self.proxies {
            Proxies::FromEnvironment if is_on_this_machine(&server) => None,
            Proxies::FromEnvironment => {
                check_environment()?;
                Proxy::try_from_env()
            }
            Proxies::None => None,
            Proxies::All { proxy, except } => {
                let given = Proxy::new(proxy).map_err(|_| unreadable("the proxy's address"))?;
                Some(excepting(&given, except)?)
            }
        };
        let proxy = proxy.filter(|proxy| !proxy.is_no_proxy(&server));
        if !cfg!(feature = "tls") && proxy.as_ref().is_some_and(Self::is_encrypted) {
            return Err(ConfigError::Adapter(
                "a proxy with an https:// address needs the feature `tls`".to_owned(),
            ));
        }
        Ok(proxy)
    }

    /// Whether the proxy itself is spoken to over TLS.
    pub(crate) fn is_encrypted(proxy: &Proxy) -> bool {
        proxy.protocol() == ProxyProtocol::Https
    }
}

/// The same proxy, except to these hosts.
fn excepting(given: &Proxy, except: &str) -> Result<Proxy, ConfigError> {
    let mut proxy = Proxy::builder(given.protocol())
        .host(given.host())
        .port(given.port());
    if let Some(username) = given.username() {
        proxy = proxy.username(username);
    }
    if let Some(password) = given.password() {
        proxy = proxy.password(password);
    }
    for host in except.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        proxy = proxy.no_proxy(host);
    }
    proxy.build().map_err(|_| unreadable("the proxy's address"))
}

/// ureq takes what it cannot read for "no proxy", which is not what was asked for.
fn check_environment() -> Result<(), ConfigError> {
    for name in [
        "ALL_PROXY",
        "all_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
    ] {
        let value = std::env::var_os(name).unwrap_or_default();
        let is_readable = |value: &str| Proxy::new(value).is_ok();
        if !value.is_empty() && !value.to_str().is_some_and(is_readable) {
            return Err(unreadable(name));
        }
    }
    Ok(())
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
