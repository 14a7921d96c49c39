//! The servers that are reached without the proxy, as listed in `NO_PROXY`.

use std::net::{IpAddr, Ipv4Addr};

use http::Uri;

/// Whether the list names the server: by `*`, by its name or a domain (`internal`, `.internal`, `*.internal`), by its
/// address or a network (`10.0.0.0/8`, `169.254/16`, `10.`, `fd00::/8`), or by a pattern (`10.*`), each with or without
/// a port. Entries are separated by commas, semicolons, vertical bars or white space. Quotes are ignored, and so are
/// the scheme and the path of a URL.
///
/// # Errors
/// The number of the first unreadable entry, if no entry names the server: the unreadable one may have been meant to.
pub(super) fn cover(list: &str, server: &Uri) -> Result<bool, usize> {
    let server = Server::of(server);
    let mut unread = None;
    let entries = list.split(is_between_entries).filter(|entry| !entry.is_empty());
    for (number, entry) in (1..).zip(entries) {
        match server.is_named_by(entry) {
            Some(true) => return Ok(true),
            Some(false) => {}
            None => unread = unread.or(Some(number)),
        }
    }
    unread.map_or(Ok(false), Err)
}

fn is_between_entries(c: char) -> bool {
    let is_quote = matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201e}');
    is_quote || c.is_whitespace() || matches!(c, ',' | ';' | '|')
}

/// Whether the server's name or address refers to this machine.
pub(super) fn is_on_this_machine(server: &Uri) -> bool {
    match Server::of(server).host {
        Host::Address(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
        Host::Name(name) => is_within(name, "localhost"),
    }
}

struct Server<'a> {
    host: Host<'a>,
    port: u16,
}

enum Host<'a> {
    Address(IpAddr),
    /// A name without a trailing dot.
    Name(&'a str),
}

impl<'a> Server<'a> {
    fn of(uri: &'a Uri) -> Self {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_suffix('.').unwrap_or(host);
        let usual = if super::is_https(uri) { 443 } else { 80 };
        Self {
            host: address(host).map_or(Host::Name(host), Host::Address),
            port: uri.port_u16().unwrap_or(usual),
        }
    }

    /// Whether the entry names this server; `None` if the entry cannot be read.
    fn is_named_by(&self, entry: &str) -> Option<bool> {
        let (is_url, entry) = match entry.split_once("://") {
            Some((_, rest)) => (true, rest),
            None => (false, entry),
        };
        let (entry, after) = match entry.split_once('/') {
            Some((entry, after)) => (entry, after),
            None => (entry, ""),
        };
        let (entry, port) = without_port(entry);
        if !port.is_empty() && port.parse::<u16>().ok()? != self.port {
            return Some(false);
        }
        if let Some(network) = network(entry, after, is_url)? {
            return Some(match self.host {
                // Either of them may be an IPv4 address in IPv6 notation.
                Host::Address(address) => {
                    network.has(address) || network.canonical().has(address.to_canonical())
                }
                Host::Name(_) => false,
            });
        }
        let entry = entry.strip_suffix('.').unwrap_or(entry);
        let domain = entry.strip_prefix('*').unwrap_or(entry);
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_*".contains(c);
        let is_readable = |label: &str| !label.is_empty() && label.chars().all(fits);
        if entry != "*" && !domain.split('.').all(is_readable) {
            return None;
        }
        Some(match self.host {
            Host::Address(address) => matches(entry, &address.to_canonical().to_string()),
            Host::Name(name) => is_within(name, domain) || matches(entry, name),
        })
    }
}

/// Parses an address as a resolver does, also in short form or in another base: `127.1`, `0x7f000001`.
fn address(host: &str) -> Option<IpAddr> {
    if let Ok(address) = without_brackets(host).parse() {
        return Some(address);
    }
    let mut parts = Vec::new();
    for part in host.split('.') {
        let (digits, base) = match part.strip_prefix('0') {
            None | Some("") => (part, 10),
            Some(octal) => octal.strip_prefix(['x', 'X']).map_or((octal, 8), |hex| (hex, 16)),
        };
        parts.push(
            u32::from_str_radix(digits, base)
                .ok()
                .filter(|_| !digits.starts_with('+'))?,
        );
    }
    let (last, bytes) = parts.split_last()?;
    let mut bits = u64::from(*last);
    // The last part fills all remaining bytes.
    if bytes.len() > 3 || bits >> (8 * (4 - bytes.len())) > 0 {
        return None;
    }
    for (position, byte) in (0..).zip(bytes) {
        bits |= u64::from(u8::try_from(*byte).ok()?) << (24 - 8 * position);
    }
    let bits = u32::try_from(bits).ok()?;
    Some(Ipv4Addr::from_bits(bits).into())
}

/// The addresses that share the first `length` bits.
struct Network {
    address: IpAddr,
    length: u32,
}

/// The network that an entry names; `Some(None)` if the entry is a name. An incomplete address is the beginning of a
/// network if it has a length (`169.254/16`) or ends in a dot (`10.`).
///
/// `None` if the length cannot be read. In a URL, what follows the address may also be a path.
fn network(entry: &str, after: &str, is_url: bool) -> Option<Option<Network>> {
    let is_length = !after.is_empty() && after.bytes().all(|byte| byte.is_ascii_digit());
    let octets = entry.strip_suffix('.').unwrap_or(entry);
    let given = octets.split('.').count();
    let is_cut = given < 4 && octets.split('.').all(|octet| octet.parse::<u8>().is_ok());
    let is_beginning = is_cut && (is_length || entry.ends_with('.'));
    let whole = match is_beginning {
        true => format!("{octets}{}", ".0".repeat(4 - given)),
        false => octets.to_owned(),
    };
    let Some(address) = address(&whole) else {
        return Some(None);
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match after {
        _ if is_length => after.parse().ok().filter(|length| *length <= most)?,
        "" if is_beginning => 8 * u32::try_from(given).ok()?,
        "" => most,
        _ if is_url => most,
        _ => return None,
    };
    Some(Some(Network { address, length }))
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        let (bits, network, most) = match (address, self.address) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
            _ => return false,
        };
        // A shift by all bits gives `None` on both sides: every address matches.
        let rest = most - self.length;
        bits.checked_shr(rest) == network.checked_shr(rest)
    }

    /// Converts an IPv4 network in IPv6 notation to IPv4.
    fn canonical(&self) -> Self {
        let inner = self.length.checked_sub(96);
        match (self.address.to_canonical(), inner) {
            (address @ IpAddr::V4(_), Some(length)) if self.address.is_ipv6() => Self { address, length },
            _ => Self { ..*self },
        }
    }
}

/// Whether the text matches the pattern, in which a star matches anything.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let behind = middle
        .split('*')
        .try_fold(text.strip_prefix(first), |text, part| {
            let text = text?;
            Some(text.find(part).map(|at| &text[at + part.len()..]))
        });
    behind.flatten().is_some_and(|text| text.ends_with(last))
}

/// Splits off the port. An entry with more than one colon is an IPv6 address, whose port follows brackets.
fn without_port(entry: &str) -> (&str, &str) {
    match entry.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, port),
        _ => (entry, ""),
    }
}

fn is_within(name: &str, domain: &str) -> bool {
    let Some(start) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let is_at_a_dot = start == 0 || name.as_bytes()[start - 1] == b'.';
    !domain.is_empty() && is_at_a_dot && name.as_bytes()[start..].eq_ignore_ascii_case(domain.as_bytes())
}

fn without_brackets(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}
