//! A proxy's address: `http://user:password@host:port`, in which everything but the host is optional.

use std::ffi::OsStr;
use std::net::Ipv6Addr;

use http::Uri;

use super::{Credentials, Proxy, ProxyProtocol};

/// Parses a proxy's address.
///
/// # Errors
/// The error says what is wrong with the address, without quoting it, because it may contain a password.
pub(super) fn parse(address: &OsStr) -> Result<Proxy, String> {
    read(address).map_err(|problem| {
        format!("cannot be used: {problem}; a proxy's address looks like http://proxy:3128")
    })
}

fn read(address: &OsStr) -> Result<Proxy, &'static str> {
    let address = address.to_str().ok_or("it is not UTF-8")?;
    if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it contains white space or a line break");
    }
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let (protocol, usual_port) = protocol(scheme)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if is_broken_scheme(authority, !path.is_empty()) {
        return Err("it needs `://` after its scheme, and only one scheme");
    }
    if path.contains('@') {
        return Err("a `/`, `?` or `#` in its password must be written as %2F, %3F or %23");
    }
    // A host cannot contain an `@`, so the last one ends the password.
    let (credentials, host_and_port) = match authority.rsplit_once('@') {
        Some((given, host_and_port)) => (credentials(given)?, host_and_port),
        None => (None, authority),
    };
    let (host, port) = host_and_port_of(host_and_port)?;
    let port = port.unwrap_or(usual_port);
    let scheme = match protocol {
        ProxyProtocol::Https => "https",
        ProxyProtocol::Http
        | ProxyProtocol::Socks4
        | ProxyProtocol::Socks4a
        | ProxyProtocol::Socks5
        | ProxyProtocol::Socks5h => "http",
    };
    Ok(Proxy {
        protocol,
        uri: Uri::try_from(format!("{scheme}://{host}:{port}"))
            .map_err(|_| "its host is missing or not a valid name")?,
        credentials,
    })
}

/// The protocol and the default port of a scheme, as in curl.
fn protocol(scheme: &str) -> Result<(ProxyProtocol, u16), &'static str> {
    Ok(match scheme.to_ascii_lowercase().as_str() {
        "http" => (ProxyProtocol::Http, 1080),
        "https" => (ProxyProtocol::Https, 443),
        "socks" | "socks4" => (ProxyProtocol::Socks4, 1080),
        "socks4a" => (ProxyProtocol::Socks4a, 1080),
        "socks5" => (ProxyProtocol::Socks5, 1080),
        "socks5h" => (ProxyProtocol::Socks5h, 1080),
        _ => return Err("the scheme before `://` is not that of a proxy"),
    })
}

/// Whether the host is the rest of a scheme, such as in `http:/proxy`, `http//proxy`, `http://http://proxy`.
fn is_broken_scheme(authority: &str, has_path: bool) -> bool {
    let (host, ends_in_colon) = match authority.strip_suffix(':') {
        Some(host) => (host, true),
        None => (authority, false),
    };
    protocol(host).is_ok() && (ends_in_colon || has_path)
}

/// Parses user and password. `None` if both are empty, such as when a template was filled in with empty values.
fn credentials(given: &str) -> Result<Option<Credentials>, &'static str> {
    let (user, password) = match given.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?)),
        None => (given, None),
    };
    let user = decode(user)?;
    let is_empty = user.is_empty() && password.as_ref().is_none_or(String::is_empty);
    Ok((!is_empty).then_some(Credentials { user, password }))
}

/// Decodes percent-encoding. A percent sign that is not followed by two hex digits stands for itself.
fn decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |position: usize| char::from(*after.get(position)?).to_digit(16);
        let (byte, length) = match (first, hex(0), hex(1)) {
            // Two digits make one byte.
            (b'%', Some(high), Some(low)) => ((high << 4 | low) as u8, 2),
            _ => (first, 0),
        };
        bytes.push(byte);
        rest = &after[length..];
    }
    let text = String::from_utf8(bytes).map_err(|_| "its user or password is not UTF-8")?;
    if text.contains(char::is_control) {
        return Err("its user or password contains a control character");
    }
    Ok(text)
}

/// Splits host and port. An IPv6 address keeps its brackets.
fn host_and_port_of(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or("a bracket is not closed")? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.bytes().all(fits)
        }
    };
    if !is_host {
        return Err("its host is missing or not a valid name");
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = digits.parse().ok().filter(|port| *port != 0);
            Some(number.ok_or("its port is not a number from 1 to 65535")?)
        }
        None | Some(_) => return Err("its port is not a number from 1 to 65535"),
    };
    Ok((host, port))
}
