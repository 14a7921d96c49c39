//! One table for all adapters. Where curl 7.88 has a behaviour, the table asserts that behaviour, except where a row
//! says otherwise.

use super::*;

mod exceptions;

const HTTP: &str = "http://cycles.example:7878";
const HTTPS: &str = "https://cycles.example";
const PROXY: &str = "http://proxy:3128";

const ALL: &[ProxyProtocol] = &[
    ProxyProtocol::Http,
    ProxyProtocol::Https,
    ProxyProtocol::Socks4,
    ProxyProtocol::Socks4a,
    ProxyProtocol::Socks5,
    ProxyProtocol::Socks5h,
];

/// The result as one line.
fn told(route: Result<Route, ConfigError>) -> String {
    let (how, proxy) = match route {
        Ok(Route::Direct) => return "direct".to_owned(),
        Ok(Route::Forward(proxy)) => ("forward", proxy),
        Ok(Route::Tunnel(proxy)) => ("tunnel", proxy),
        Err(error) => return format!("error: {error}"),
    };
    let kind = match proxy.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https => String::new(),
        ProxyProtocol::Socks4 | ProxyProtocol::Socks4a | ProxyProtocol::Socks5 | ProxyProtocol::Socks5h => {
            format!(" {:?}", proxy.protocol())
        }
    };
    let credentials = match (proxy.user(), proxy.password()) {
        (None, _) => String::new(),
        (Some(user), None) => format!(" as {user}"),
        (Some(user), Some(password)) => format!(" as {user} with {password}"),
    };
    format!(
        "{how}{kind} {}{credentials}",
        proxy.uri().to_string().trim_end_matches('/')
    )
}

fn by_environment(environment: &[(&str, &str)], server: &str, spoken: &[ProxyProtocol]) -> String {
    let lookup = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| OsString::from(value))
    };
    told(route(
        &server.parse().unwrap(),
        lookup,
        &Proxies::FromEnvironment,
        spoken,
    ))
}

#[test]
fn the_variable_that_applies_decides_and_no_other_is_looked_at() {
    let broken = "::: not an address";
    for (environment, server, expected) in [
        (&[][..], HTTP, "direct"),
        (&[("http_proxy", PROXY)], HTTP, "forward http://proxy:3128"),
        (&[("https_proxy", PROXY)], HTTPS, "tunnel http://proxy:3128"),
        (&[("http_proxy", PROXY)], HTTPS, "direct"),
        (&[("https_proxy", PROXY)], HTTP, "direct"),
        (&[("HTTPS_PROXY", PROXY)], HTTPS, "tunnel http://proxy:3128"),
        // curl reads it in lower case only, for the reason that the rows with REQUEST_METHOD show.
        (&[("HTTP_PROXY", PROXY)], HTTP, "forward http://proxy:3128"),
        (
            &[("HTTP_PROXY", PROXY), ("REQUEST_METHOD", "GET")],
            HTTP,
            "direct",
        ),
        (&[("HTTP_PROXY", broken), ("REQUEST_METHOD", "")], HTTP, "direct"),
        (
            &[
                ("HTTP_PROXY", "http://evil"),
                ("http_proxy", PROXY),
                ("REQUEST_METHOD", "GET"),
            ],
            HTTP,
            "forward http://proxy:3128",
        ),
        (
            &[
                ("HTTP_PROXY", "http://evil"),
                ("ALL_PROXY", PROXY),
                ("REQUEST_METHOD", "GET"),
            ],
            HTTP,
            "forward http://proxy:3128",
        ),
        (
            &[("HTTPS_PROXY", PROXY), ("REQUEST_METHOD", "GET")],
            HTTPS,
            "tunnel http://proxy:3128",
        ),
        (
            &[("http_proxy", PROXY), ("HTTP_PROXY", "http://other:1")],
            HTTP,
            "forward http://proxy:3128",
        ),
        (
            &[("https_proxy", PROXY), ("HTTPS_PROXY", "http://other:1")],
            HTTPS,
            "tunnel http://proxy:3128",
        ),
        (
            &[("all_proxy", PROXY), ("ALL_PROXY", "http://other:1")],
            HTTPS,
            "tunnel http://proxy:3128",
        ),
        (&[("all_proxy", PROXY)], HTTP, "forward http://proxy:3128"),
        (
            &[("HTTP_PROXY", PROXY), ("all_proxy", "http://other:1")],
            HTTP,
            "forward http://proxy:3128",
        ),
        (
            &[("HTTP_PROXY", PROXY), ("ALL_PROXY", "socks://other:1")],
            HTTP,
            "forward http://proxy:3128",
        ),
        (
            &[("HTTPS_PROXY", PROXY), ("ALL_PROXY", broken)],
            HTTPS,
            "tunnel http://proxy:3128",
        ),
        (&[("HTTP_PROXY", broken)], HTTPS, "direct"),
        (&[("HTTPS_PROXY", broken)], HTTP, "direct"),
        (
            &[("HTTP_PROXY", broken), ("http_proxy", PROXY)],
            HTTP,
            "forward http://proxy:3128",
        ),
        // To curl, white space is an address that it cannot read.
        (
            &[("http_proxy", " \t"), ("HTTP_PROXY", PROXY)],
            HTTP,
            "forward http://proxy:3128",
        ),
        (
            &[("http_proxy", ""), ("HTTP_PROXY", PROXY)],
            HTTP,
            "forward http://proxy:3128",
        ),
        (
            &[("HTTPS_PROXY", ""), ("ALL_PROXY", PROXY)],
            HTTPS,
            "tunnel http://proxy:3128",
        ),
        (&[("HTTPS_PROXY", ""), ("ALL_PROXY", "")], HTTPS, "direct"),
        (
            &[("HTTP_PROXY", PROXY)],
            "HTTP://CYCLES.example:7878",
            "forward http://proxy:3128",
        ),
        (
            &[("HTTPS_PROXY", PROXY)],
            "HTTPS://cycles.example",
            "tunnel http://proxy:3128",
        ),
    ] {
        assert_eq!(
            by_environment(environment, server, ALL),
            expected,
            "{environment:?} {server}"
        );
    }
}

#[test]
fn a_server_on_this_machine_is_reached_directly_whatever_the_environment_says() {
    for (server, expected) in [
        ("http://localhost:7878", "direct"),
        ("https://LOCALHOST", "direct"),
        ("http://localhost.", "direct"),
        ("http://ledger.localhost", "direct"),
        ("http://127.0.0.1", "direct"),
        ("http://127.8.8.8", "direct"),
        ("http://[::1]:7878", "direct"),
        ("http://[::ffff:127.0.0.1]", "direct"),
        ("http://0.0.0.0:7878", "direct"),
        ("http://[::]:7878", "direct"),
        ("http://[::ffff:0.0.0.0]", "direct"),
        ("http://0", "direct"),
        ("http://127.1:7878", "direct"),
        ("http://127.0.1", "direct"),
        ("http://2130706433", "direct"),
        ("http://0x7f.1", "direct"),
        ("http://0177.0.0.1", "direct"),
        ("http://127.0.0.1.", "direct"),
        ("http://128.1", "forward http://proxy:3128"),
        ("http://127.1.example", "forward http://proxy:3128"),
        ("http://127.256.0.1", "forward http://proxy:3128"),
        ("http://127.0.0.0.1", "forward http://proxy:3128"),
        ("http://localhost.example", "forward http://proxy:3128"),
        ("http://notlocalhost", "forward http://proxy:3128"),
        ("http://128.0.0.1", "forward http://proxy:3128"),
    ] {
        assert_eq!(
            by_environment(&[("all_proxy", PROXY)], server, ALL),
            expected,
            "{server}"
        );
        if expected == "direct" {
            let broken = [("all_proxy", "::: not an address"), ("no_proxy", "***")];
            assert_eq!(by_environment(&broken, server, ALL), "direct", "{server}");
        }
    }
}

#[test]
fn an_address_needs_no_more_than_a_host() {
    for (address, expected) in [
        ("proxy:3128", "forward http://proxy:3128"),
        ("HTTP://proxy:3128", "forward http://proxy:3128"),
        ("http://proxy:3128/", "forward http://proxy:3128"),
        ("http://proxy:3128/some/path?a#b", "forward http://proxy:3128"),
        ("proxy", "forward http://proxy:1080"),
        ("http:3128", "forward http://http:3128"),
        ("http://http:3128/", "forward http://http:3128"),
        ("http://proxy", "forward http://proxy:1080"),
        ("http://proxy:", "forward http://proxy:1080"),
        ("https://proxy", "forward https://proxy:443"),
        ("10.0.0.9:3128", "forward http://10.0.0.9:3128"),
        ("http://[fd00::9]:3128", "forward http://[fd00::9]:3128"),
        ("[fd00::9]:3128", "forward http://[fd00::9]:3128"),
        ("[fd00::9]", "forward http://[fd00::9]:1080"),
        ("http://user@proxy:1", "forward http://proxy:1 as user"),
        ("user:pass@proxy:1", "forward http://proxy:1 as user with pass"),
        ("http://user:@proxy:1", "forward http://proxy:1 as user with "),
        ("http://:pass@proxy:1", "forward http://proxy:1 as  with pass"),
        (
            "http://user:p%40s%3as@proxy:1",
            "forward http://proxy:1 as user with p@s:s",
        ),
        (
            "http://do%5Cuser:a:b@proxy:1",
            "forward http://proxy:1 as do\\user with a:b",
        ),
        (
            "http://user:50%zz%4@proxy:1",
            "forward http://proxy:1 as user with 50%zz%4",
        ),
        (
            "http://user:p\u{e4}ss@proxy:1",
            "forward http://proxy:1 as user with p\u{e4}ss",
        ),
        // curl refuses this, although it can have only one meaning.
        (
            "http://user:p@ss@proxy:1",
            "forward http://proxy:1 as user with p@ss",
        ),
        (
            "http://user:p@[fd00::9]:1",
            "forward http://[fd00::9]:1 as user with p",
        ),
        // curl would send an empty user and password.
        ("http://@proxy:1", "forward http://proxy:1"),
        ("http://:@proxy:1", "forward http://proxy:1"),
        ("socks://proxy", "tunnel Socks4 http://proxy:1080"),
        ("socks4://proxy:9", "tunnel Socks4 http://proxy:9"),
        ("socks4a://proxy", "tunnel Socks4a http://proxy:1080"),
        (
            "socks5://user:pass@proxy",
            "tunnel Socks5 http://proxy:1080 as user with pass",
        ),
        ("SOCKS5H://proxy", "tunnel Socks5h http://proxy:1080"),
    ] {
        assert_eq!(
            by_environment(&[("http_proxy", address)], HTTP, ALL),
            expected,
            "{address}"
        );
    }
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_that_names_the_variable_and_no_secret() {
    for (address, expected) in [
        ("::: secret", "white space"),
        (" http://proxy:3128", "white space"),
        ("http://proxy:3128\n", "line break"),
        ("http://user:sec ret@proxy:1", "white space"),
        ("ftp://user:secret@proxy:1", "not that of a proxy"),
        ("://proxy", "not that of a proxy"),
        ("http://", "host"),
        ("http:///secret", "host"),
        ("http://user:secret@", "host"),
        ("http://user:secret@:3128", "host"),
        ("http://pro%20xy:3128", "host"),
        ("http://pr\u{f6}xy:3128", "host"),
        ("http://proxy,other:3128", "host"),
        ("::1:3128", "host"),
        ("http://[fd00::9", "bracket"),
        ("http://[proxy]:3128", "host"),
        ("http://[fd00::9]3128", "port"),
        ("http:proxy:3128", "port"),
        ("http:/proxy:3128", "needs `://` after its scheme"),
        ("HTTP:/proxy:3128", "needs `://` after its scheme"),
        ("http:/user:secret@proxy:3128", "needs `://` after its scheme"),
        ("https:/proxy", "needs `://` after its scheme"),
        ("socks5h:/proxy:1080", "needs `://` after its scheme"),
        ("http//proxy:3128", "needs `://` after its scheme"),
        ("http:", "needs `://` after its scheme"),
        ("http://http://proxy:3128", "only one scheme"),
        ("http://proxy:secret", "port"),
        ("http://proxy:0", "port"),
        ("http://proxy:+80", "port"),
        ("http://proxy:65536", "port"),
        ("http://user:s/ecret@proxy:3128", "%2F"),
        ("http://user:9?secret@proxy:3128", "%2F"),
        ("http://user:9#secret@proxy:3128", "%2F"),
        ("http://user:secret%0a@proxy:1", "control character"),
        ("http://user%00:secret@proxy:1", "control character"),
        ("http://user:secret%ff@proxy:1", "UTF-8"),
    ] {
        for (name, server) in [
            ("http_proxy", HTTP),
            ("HTTP_PROXY", HTTP),
            ("HTTPS_PROXY", HTTPS),
            ("ALL_PROXY", HTTPS),
        ] {
            let text = by_environment(&[(name, address)], server, ALL);
            assert!(
                text.starts_with(&format!("error: {name} cannot be used: ")),
                "{address:?}: {text}"
            );
            assert!(text.contains(expected), "{address:?}: {text}");
            assert!(!text.contains("ecret"), "{address:?}: {text}");
        }
        let given = Proxies::All {
            address: address.to_owned(),
            except: String::new(),
        };
        let text = told(route(&HTTP.parse().unwrap(), |_| None::<OsString>, &given, ALL));
        assert!(
            text.starts_with("error: the proxy's address cannot be used: "),
            "{text}"
        );
        assert!(
            !text.contains("ecret") && !format!("{given:?}").contains("ecret"),
            "{text}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_an_error_and_a_list_of_exceptions_is_read_all_the_same() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let server = HTTP.parse().unwrap();
    let ask = |proxy: OsString, except: OsString| {
        let lookup = |name: &str| match name {
            "http_proxy" => Some(proxy.clone()),
            "no_proxy" => Some(except.clone()),
            _ => None,
        };
        told(route(&server, lookup, &Proxies::FromEnvironment, ALL))
    };
    assert!(
        ask(odd(b"http://proxy\xff"), odd(b""))
            .starts_with("error: http_proxy cannot be used: it is not UTF-8")
    );
    assert_eq!(ask(PROXY.into(), odd(b"\xff,example")), "direct");
}

#[test]
fn a_kind_of_proxy_that_the_adapter_does_not_speak_is_an_error_that_names_the_variable() {
    let http = &[ProxyProtocol::Http];
    for (address, named) in [
        ("https://proxy", "https://"),
        ("socks5h://user:secret@proxy", "socks5h://"),
        ("socks://proxy", "socks4://"),
    ] {
        assert_eq!(
            by_environment(&[("ALL_PROXY", address)], HTTPS, http),
            format!(
                "error: ALL_PROXY names a proxy of type {named}, but only these types are supported: http://"
            ),
        );
        assert_eq!(
            by_environment(&[("ALL_PROXY", address), ("HTTPS_PROXY", PROXY)], HTTPS, http),
            "tunnel http://proxy:3128"
        );
    }
}

#[test]
fn user_and_password_become_a_header_that_is_marked_as_sensitive() {
    for (address, expected) in [
        ("http://user:secret@proxy:1", Some("Basic dXNlcjpzZWNyZXQ=")),
        ("http://user@proxy:1", Some("Basic dXNlcjo=")),
        ("http://:secret@proxy:1", Some("Basic OnNlY3JldA==")),
        ("http://u:p%40ss@proxy:1", Some("Basic dTpwQHNz")),
        ("http://u:%c3%bf%3e@proxy:1", Some("Basic dTrDvz4=")),
        ("http://proxy:1", None),
    ] {
        let proxy = address::parse(address.as_ref()).unwrap();
        let value = proxy.authorization();
        assert!(value.as_ref().is_none_or(HeaderValue::is_sensitive));
        let value = value.map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(value.as_deref(), expected);
        let shown = format!("{:?}", Route::Tunnel(proxy));
        assert!(!shown.contains("user") && !shown.contains("secret"), "{shown}");
    }
}
