//! Selects the route to a server, direct or through a proxy, by rules that are the same for every adapter.

mod address;
mod exceptions;
#[cfg(test)]
mod tests;

use core::fmt;
use std::ffi::OsString;

use cycles_proto::ConfigError;
use http::uri::Scheme;
use http::{HeaderValue, Uri};

/// The route to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Connects directly to the server.
    Direct,
    /// Sends each request to the proxy with the absolute URL in the request line. Plain http is proxied like this,
    /// because many proxies refuse a tunnel to a port other than 443.
    Forward(Proxy),
    /// The proxy opens a connection to the server, and passes bytes on without reading them.
    Tunnel(Proxy),
}

/// A proxy. `Debug` shows neither its user nor its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    protocol: ProxyProtocol,
    /// The address: `http://host:port`, or https if the proxy itself speaks TLS.
    uri: Uri,
    credentials: Option<Credentials>,
}

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS 4: the client resolves the server's name.
    Socks4,
    /// SOCKS 4a: the proxy resolves the server's name.
    Socks4a,
    /// SOCKS 5: the client resolves the server's name.
    Socks5,
    /// SOCKS 5: the proxy resolves the server's name.
    Socks5h,
}

#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: String,
    password: Option<String>,
}

/// The source of the proxy settings.
#[derive(Clone, Default)]
pub(crate) enum Proxies {
    /// The environment.
    #[default]
    FromEnvironment,
    /// No proxy: connects directly.
    None,
    /// One proxy for all servers, set by the program.
    All {
        address: String,
        /// The servers that are reached without it, written like `NO_PROXY`.
        except: String,
    },
}

/// Selects the route to `server`. Only the variable that applies is read, so that an invalid one for other servers does
/// no harm. If the one that applies is invalid, that is an error, and never means "no proxy". An unreadable exception
/// is an error too, unless another exception names the server.
///
/// The rules are curl's: lower case takes precedence over upper case, and the variable for a scheme over `ALL_PROXY`.
/// In addition, `HTTP_PROXY` in upper case is read, unless a CGI server may have made it from a visitor's header
/// `Proxy`; a server on this machine is reached directly, because the environment's proxy could not reach it; and
/// exceptions may contain ports, patterns and URLs.
pub(crate) fn route(
    server: &Uri,
    lookup: impl Fn(&str) -> Option<OsString>,
    proxies: &Proxies,
    spoken: &[ProxyProtocol],
) -> Result<Route, ConfigError> {
    let (source, address, list, except) = match proxies {
        Proxies::None => return Ok(Route::Direct),
        Proxies::FromEnvironment if exceptions::is_on_this_machine(server) => return Ok(Route::Direct),
        Proxies::FromEnvironment => {
            let set = |name: &str| lookup(name).filter(|value| !value.to_string_lossy().trim().is_empty());
            let named = variables(server, lookup("REQUEST_METHOD").is_some());
            let Some((name, value)) = named.iter().find_map(|name| Some((name, set(name)?))) else {
                return Ok(Route::Direct);
            };
            let mut lists = ["no_proxy", "NO_PROXY"].into_iter();
            let except = lists.find_map(|name| Some((name, set(name)?)));
            let (variable, except) = except.unwrap_or_default();
            (name, value, variable, except.to_string_lossy().into_owned())
        }
        Proxies::All { address, except } => (
            &"the proxy's address",
            address.into(),
            "the list of proxy exceptions",
            except.clone(),
        ),
    };
    let is_excepted = exceptions::cover(&except, server).map_err(|number| ConfigError::Malformed {
        variable: list.to_owned(),
        problem: format!(
            "has an entry that cannot be read, number {number}. If it stands for this server, the API key must not \
             go through the proxy: write the entry like cycles.example, .internal, 10.0.0.0/8 or *"
        ),
    });
    if is_excepted? {
        return Ok(Route::Direct);
    }
    let proxy = address::parse(&address).and_then(|proxy| proxy.if_spoken(spoken));
    let proxy = proxy.map_err(|problem| ConfigError::Malformed {
        variable: (*source).to_owned(),
        problem,
    })?;
    let can_forward = matches!(proxy.protocol, ProxyProtocol::Http | ProxyProtocol::Https);
    Ok(if can_forward && !is_https(server) {
        Route::Forward(proxy)
    } else {
        Route::Tunnel(proxy)
    })
}

fn is_https(server: &Uri) -> bool {
    server.scheme() == Some(&Scheme::HTTPS)
}

/// The variables that may name the proxy for `server`. The first one that is set applies.
fn variables(server: &Uri, is_cgi: bool) -> &'static [&'static str] {
    if is_https(server) {
        return &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    }
    match is_cgi {
        false => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        // Windows ignores case, so a visitor's header sets this variable too.
        true if cfg!(windows) => &["all_proxy", "ALL_PROXY"],
        true => &["http_proxy", "all_proxy", "ALL_PROXY"],
    }
}

impl Proxy {
    /// Returns the proxy's protocol.
    pub fn protocol(&self) -> ProxyProtocol {
        self.protocol
    }

    /// Returns the proxy's address, `http://host:port`; https if it speaks TLS.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns the decoded user name for the proxy.
    pub fn user(&self) -> Option<&str> {
        self.credentials
            .as_ref()
            .map(|credentials| credentials.user.as_str())
    }

    /// Returns the decoded password for the proxy.
    pub fn password(&self) -> Option<&str> {
        self.credentials.as_ref()?.password.as_deref()
    }

    /// Returns the value of `Proxy-Authorization`, with user and password in the scheme `Basic`, marked as sensitive.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let user = self.user()?;
        let pair = format!("{user}:{}", self.password().unwrap_or_default());
        // Base64 is valid in a header.
        let mut value = HeaderValue::try_from(format!("Basic {}", base64(pair.as_bytes()))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn if_spoken(self, spoken: &[ProxyProtocol]) -> Result<Self, String> {
        if spoken.contains(&self.protocol) {
            return Ok(self);
        }
        let (named, spoken) = (self.protocol.scheme(), spoken.iter().map(ProxyProtocol::scheme));
        Err(format!(
            "names a proxy of type {named}://, but only these types are supported: {}://",
            spoken.collect::<Vec<_>>().join("://, ")
        ))
    }
}

impl ProxyProtocol {
    /// The scheme in the proxy's address.
    fn scheme(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks4 => "socks4",
            Self::Socks4a => "socks4a",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let at = |position: usize| u32::from(group.get(position).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let is_filled = digit <= group.len();
            let value = (bits >> (18 - 6 * digit) & 63) as usize;
            text.push(if is_filled { char::from(DIGITS[value]) } else { '=' });
        }
    }
    text
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("protocol", &self.protocol)
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

/// Does not show the proxy's address, which may contain a password.
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
