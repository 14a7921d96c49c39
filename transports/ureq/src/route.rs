//! Proxies for ureq.
//!
//! ureq itself only tunnels. It does not know of a forwarding proxy: [`CachingResolver`](crate::resolver::CachingResolver) returns the proxy's
//! addresses when ureq resolves the server, and [`Redactor`](crate::redact::Redactor) writes the absolute URL into the
//! request line.

use cycles_host::{Proxy, ProxyProtocol};
use cycles_proto::ConfigError;

/// The supported proxy protocols.
pub(crate) const SPOKEN: &[ProxyProtocol] = &[
    ProxyProtocol::Http,
    #[cfg(feature = "tls")]
    ProxyProtocol::Https,
    ProxyProtocol::Socks4,
    ProxyProtocol::Socks4a,
    ProxyProtocol::Socks5,
    ProxyProtocol::Socks5h,
];

/// A tunnelling proxy as ureq configures it.
pub(crate) fn tunnel(proxy: &Proxy) -> Result<ureq::Proxy, ConfigError> {
    let mut builder = ureq::Proxy::builder(match proxy.protocol() {
        ProxyProtocol::Http => ureq::ProxyProtocol::Http,
        ProxyProtocol::Https => ureq::ProxyProtocol::Https,
        ProxyProtocol::Socks4 => ureq::ProxyProtocol::Socks4,
        ProxyProtocol::Socks4a => ureq::ProxyProtocol::Socks4A,
        ProxyProtocol::Socks5 => ureq::ProxyProtocol::Socks5,
        ProxyProtocol::Socks5h => ureq::ProxyProtocol::Socks5h,
    });
    builder = builder.host(proxy.uri().host().unwrap_or_default());
    if let Some(port) = proxy.uri().port_u16() {
        builder = builder.port(port);
    }
    if let Some(user) = proxy.user() {
        builder = builder.username(user);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    let problem = |error| ConfigError::Adapter(format!("the proxy cannot be used: {error}"));
    builder.build().map_err(problem)
}
