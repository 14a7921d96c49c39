//! Proxies for ureq: the supported protocols, tunnels, and the additions to a request for a forwarding proxy.
//!
//! ureq itself supports only tunnels, and does not know of a forwarding proxy. So when ureq resolves the server,
//! [`CachingResolver`](crate::resolver::CachingResolver) returns the proxy's addresses, and
//! [`Redactor`](crate::redacted_trace_log::Redactor) writes the [additions](Forwarding).

use cycles_host::{Proxy, ProxyProtocol};
use cycles_proto::ConfigError;
use http::{HeaderValue, Uri};

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

/// A tunnelling proxy, as ureq is configured for it.
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

/// Additions to a request for a forwarding proxy.
pub(crate) struct Forwarding {
    /// Scheme and authority, written before the path to make the URL absolute.
    pub(crate) address: Vec<u8>,
    /// The header line with user and password, or nothing. ureq does not see this line, so it cannot log it.
    pub(crate) authorization: Vec<u8>,
}

impl Forwarding {
    pub(crate) fn new(server: &Uri, proxy: &Proxy) -> Self {
        let (scheme, authority) = (server.scheme_str(), server.authority());
        let address = scheme
            .zip(authority)
            .map(|(scheme, authority)| format!("{scheme}://{authority}"));
        let line = |value: HeaderValue| [b"Proxy-Authorization: ", value.as_bytes(), b"\r\n"].concat();
        Self {
            address: address.unwrap_or_default().into_bytes(),
            authorization: proxy.authorization().map(line).unwrap_or_default(),
        }
    }
}
