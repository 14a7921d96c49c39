//! Which proxy is before a server.

use cycles_host::{HttpOptions, Proxies};
use cycles_proto::{ConfigError, CyclesConfig};
use http::Uri;
use ureq::{Error, Proxy, ProxyProtocol};

/// The proxy before the configuration's server, if there is one.
pub(crate) fn proxy(options: &HttpOptions, config: &CyclesConfig) -> Result<Option<Proxy>, ConfigError> {
    // A checked configuration has an address that parses.
    let server: Uri = config.base_url().parse().unwrap_or_default();
    let is_readable = |proxy: &str| Proxy::new(proxy).is_ok();
    let proxy = match options.proxies(server.host().unwrap_or_default(), is_readable)? {
        Proxies::FromEnvironment => Proxy::try_from_env(),
        Proxies::None => None,
        Proxies::All { proxy, except } => {
            let proxy = Proxy::new(proxy).and_then(|proxy| excepting(&proxy, except));
            Some(proxy.map_err(|error| ConfigError::Adapter(format!("the proxy cannot be used: {error}")))?)
        }
    };
    let proxy = proxy.filter(|proxy| !proxy.is_no_proxy(&server));
    if !cfg!(feature = "tls") && proxy.as_ref().is_some_and(is_encrypted) {
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

/// The same proxy, except to these hosts.
fn excepting(given: &Proxy, except: &str) -> Result<Proxy, Error> {
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
    proxy.build()
}
