//! The servers that are reached without the proxy: `NO_PROXY`.

use std::net::IpAddr;

use http::Uri;

/// Whether the list, whose entries stand between commas or white space, names the server: by `*`, by its name or a
/// domain that it is in (`internal`, `.internal`, `*.internal`), by its address or a network (`10.0.0.0/8`,
/// `fd00::/8`), each with a port or without. An entry that is none of these names nobody.
pub(super) fn cover(list: &str, server: &Uri) -> bool {
    let server = Server::of(server);
    list.split(|c: char| c == ',' || c.is_whitespace())
        .any(|entry| server.is_named_by(entry))
}

/// Whether the server's name or address is this machine's own.
pub(super) fn is_on_this_machine(server: &Uri) -> bool {
    match Server::of(server).host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => is_within(name, "localhost"),
    }
}

struct Server<'a> {
    host: Host<'a>,
    port: u16,
}

enum Host<'a> {
    Address(IpAddr),
    /// Without the dot at its end.
    Name(&'a str),
}

impl<'a> Server<'a> {
    fn of(uri: &'a Uri) -> Self {
        let host = uri.host().unwrap_or_default();
        let usual = if super::is_https(uri) { 443 } else { 80 };
        Self {
            host: match without_brackets(host).parse::<IpAddr>() {
                Ok(address) => Host::Address(address.to_canonical()),
                Err(_) => Host::Name(host.strip_suffix('.').unwrap_or(host)),
            },
            port: uri.port_u16().unwrap_or(usual),
        }
    }

    fn is_named_by(&self, entry: &str) -> bool {
        let (entry, port) = without_port(entry);
        if port.is_some_and(|port| port.parse() != Ok(self.port)) {
            return false;
        }
        match self.host {
            _ if entry == "*" => true,
            Host::Address(address) => is_in_network(address, entry),
            Host::Name(name) => {
                let domain = entry.strip_prefix('*').unwrap_or(entry);
                let domain = domain.strip_prefix('.').unwrap_or(domain);
                is_within(name, domain.strip_suffix('.').unwrap_or(domain))
            }
        }
    }
}

/// An entry that has more than one colon is an address of IPv6, whose port stands after brackets.
fn without_port(entry: &str) -> (&str, Option<&str>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

fn is_within(name: &str, domain: &str) -> bool {
    let Some(start) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let is_at_a_dot = start == 0 || name.as_bytes()[start - 1] == b'.';
    !domain.is_empty() && is_at_a_dot && name.as_bytes()[start..].eq_ignore_ascii_case(domain.as_bytes())
}

fn is_in_network(address: IpAddr, entry: &str) -> bool {
    let (network, length) = match entry.split_once('/') {
        Some((network, length)) => (network, Some(length)),
        None => (entry, None),
    };
    let (bits, network, whole) = match (address, without_brackets(network).parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(network))) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(network))) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let length = length.map_or(Ok(whole), str::parse::<u32>);
    let Some(rest) = length.ok().and_then(|length| whole.checked_sub(length)) else {
        return false;
    };
    // Nothing is left of a shift by all bits.
    bits.checked_shr(rest) == network.checked_shr(rest)
}

fn without_brackets(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}
