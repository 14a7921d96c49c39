//! Proxies: plain requests are forwarded, secure ones tunnelled, exceptions go straight. Which proxy is before which
//! server is the table in `cycles-host`. The tests of each adapter have it as a module; `runcycles` is their crate.

use crate::support::{self, Scripted, client_with, decide, http};
use runcycles::models::BalanceParams;
use runcycles::{CyclesClient, Error, FailureKind, HttpOptions};

const ALLOW: &str = r#"{"decision":"ALLOW"}"#;

fn through(proxy: &Scripted) -> HttpOptions {
    HttpOptions::new().proxy(
        proxy.url.replace("http://", "http://user:secret@"),
        "localhost,.internal",
    )
}

#[test]
fn plain_calls_are_forwarded_by_their_whole_address_with_the_proxys_password() {
    let proxy = Scripted::answering(http(200, "", ALLOW));
    let client = client_with("http://cycles.example:7878/ledger", through(&proxy));
    for _ in 0..2 {
        call!(client.decide(&decide())).unwrap();
    }
    let params = BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    };
    call!(client.get_balances(&params)).unwrap_err();
    let requests = proxy.requests();
    let targets = ["POST", "POST", "GET"].into_iter().zip([
        "/ledger/v1/decide",
        "/ledger/v1/decide",
        "/ledger/v1/balances?tenant=acme-corp",
    ]);
    for (request, (method, path)) in requests.iter().zip(targets) {
        let line = format!("{method} http://cycles.example:7878{path} HTTP/1.1\r\n");
        assert!(request.starts_with(&line), "{request}");
        let head = request.to_ascii_lowercase();
        assert!(
            head.contains("\r\nproxy-authorization: basic dxnlcjpzzwnyzxq=\r\n"),
            "{request}"
        );
        assert!(head.contains("\r\nhost: cycles.example:7878\r\n"), "{request}");
        assert!(request.contains(support::KEY), "{request}");
    }
    assert_eq!(proxy.connections(), 1, "it is kept");
}

#[test]
fn a_secure_call_asks_for_a_tunnel() {
    let proxy = Scripted::start(|connection| {
        connection.read_request();
        connection.write("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    let client = client_with("https://cycles.example", through(&proxy));
    let error = call!(client.decide(&decide())).unwrap_err();
    assert!(
        matches!(&error, Error::Transport(error) if error.kind() == FailureKind::Proxy && !error.may_have_been_sent()),
        "{error:?}"
    );
    let request = &proxy.requests()[0];
    assert!(
        request.starts_with("CONNECT cycles.example:443 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request
            .to_ascii_lowercase()
            .contains("proxy-authorization: basic dxnlcjpzzwnyzxq=\r\n"),
        "{request}"
    );
    assert!(
        !request.contains(support::KEY),
        "the proxy does not get to see the API key"
    );
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[test]
fn an_exception_goes_straight() {
    let proxy = Scripted::answering(http(200, "", ALLOW));
    let server = Scripted::answering(http(200, "", ALLOW));
    let client = client_with(&server.url.replace("127.0.0.1", "localhost"), through(&proxy));
    call!(client.decide(&decide())).unwrap();
    assert_eq!((proxy.requests().len(), server.requests().len()), (0, 1));
}

#[test]
fn a_proxy_that_is_down_or_has_no_address_was_never_sent_to() {
    for (proxy, url) in [
        ("http://127.0.0.1:9", "http://cycles.example"),
        ("http://127.0.0.1:9", "https://cycles.example"),
        ("http://no-such-proxy.invalid:9", "http://cycles.example"),
        ("http://no-such-proxy.invalid:9", "https://cycles.example"),
    ] {
        let options = HttpOptions::new().proxy(proxy, "");
        let error = call!(client_with(url, options).decide(&decide())).unwrap_err();
        assert!(
            matches!(&error, Error::Transport(error) if error.kind() == FailureKind::Proxy && !error.may_have_been_sent()),
            "{error:?}"
        );
    }
}

#[test]
fn an_address_that_is_none_is_refused_when_the_client_is_made() {
    let options = HttpOptions::new().proxy("http://", "");
    let error = CyclesClient::builder(support::KEY, "http://localhost")
        .http(options)
        .try_build()
        .unwrap_err();
    assert!(
        error.to_string().contains("the proxy's address cannot be used: "),
        "{error}"
    );
}

#[test]
fn a_proxys_password_is_in_no_debug_output() {
    let options = HttpOptions::new().proxy("http://user:secret@proxy:3128", "localhost");
    let builder = CyclesClient::builder(support::KEY, "http://cycles.example").http(options.clone());
    let client = builder.clone().build();
    let text = format!("{options:?} {builder:?} {client:?}");
    assert!(!text.contains("secret") && text.contains("localhost"), "{text}");
}

/// The environment belongs to the whole process, so this test runs itself again with another one.
#[test]
fn the_environment_names_the_proxy_and_its_exceptions() {
    const URL: &str = "CYCLES_TEST_PROXIED_URL";
    if let Ok(url) = std::env::var(URL) {
        let client = CyclesClient::builder(support::KEY, url)
            .connect_timeout(std::time::Duration::from_secs(1))
            .read_timeout(std::time::Duration::from_millis(200))
            .try_build();
        let Ok(client) = client else { std::process::exit(3) };
        // What matters is who was asked.
        let _ = call!(client.decide(&decide()));
        return;
    }
    let run_with = |proxies: &[(&str, &str)], url: &str| {
        let mut command = crate::alone::process("proxy::the_environment_names_the_proxy_and_its_exceptions");
        for name in [
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "no_proxy",
            "REQUEST_METHOD",
        ] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        let status = command
            .env("no_proxy", "elsewhere.invalid")
            .envs(proxies.iter().copied())
            .env(URL, url)
            .stdout(std::process::Stdio::null())
            .status();
        status.unwrap().code()
    };
    let proxy = Scripted::answering(http(200, "", ALLOW));
    let server = Scripted::answering(http(200, "", ALLOW));
    let broken = "::: not an address";
    let mut asked = 0;
    for (proxies, url, is_asked) in [
        (&[("http_proxy", &*proxy.url)][..], "http://cycles.invalid", true),
        (&[("http_proxy", &*proxy.url)], "http://elsewhere.invalid", false),
        (&[("http_proxy", &*proxy.url)], &*server.url, false),
        (
            &[("HTTP_PROXY", &*proxy.url), ("ALL_PROXY", "socks://127.0.0.1:9")],
            "http://cycles.invalid",
            true,
        ),
        (
            &[("HTTP_PROXY", &*proxy.url), ("HTTPS_PROXY", broken)],
            "http://cycles.invalid",
            true,
        ),
        (
            &[("HTTP_PROXY", &*proxy.url), ("REQUEST_METHOD", "GET")],
            "http://cycles.invalid",
            false,
        ),
        (
            &[("ALL_PROXY", &*proxy.url), ("http_proxy", " ")],
            "http://cycles.invalid",
            true,
        ),
        (&[("HTTPS_PROXY", &*proxy.url)], "https://cycles.invalid", true),
        (&[("HTTPS_PROXY", &*proxy.url)], "http://cycles.invalid", false),
        (
            &[
                ("HTTP_PROXY", &*proxy.url),
                ("NO_PROXY", "*.invalid"),
                ("no_proxy", ""),
            ],
            "http://cycles.invalid",
            false,
        ),
    ] {
        assert_eq!(run_with(proxies, url), Some(0), "{proxies:?} {url}");
        asked += usize::from(is_asked);
        assert_eq!(proxy.requests().len(), asked, "{proxies:?} {url}");
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(
        run_with(&[("http_proxy", broken)], "http://cycles.invalid"),
        Some(3),
        "a proxy that cannot be read"
    );
}
