// Proxies: plain requests are forwarded, secure ones tunnelled, exceptions go straight.
//
// The tests of each async adapter include it: `runcycles` is their crate, `executor` and `support` are beside it.

use runcycles::{CyclesClient, Error, FailureKind, HttpOptions};
use support::{Scripted, client_with, decide, http};

const ALLOW: &str = r#"{"decision":"ALLOW"}"#;

fn through(proxy: &Scripted) -> HttpOptions {
    HttpOptions::new().proxy(
        proxy.url.replace("http://", "http://user:secret@"),
        "localhost,.internal",
    )
}

on_executor! {
async fn a_plain_call_is_forwarded_by_its_whole_address_with_the_proxys_password() {
    let proxy = Scripted::answering(http(200, "", ALLOW));
    let client = client_with("http://cycles.example:7878", through(&proxy));
    client.decide(&decide()).await.unwrap();
    let request = &proxy.requests()[0];
    assert!(
        request.starts_with("POST http://cycles.example:7878/v1/decide HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n"),
        "{request}"
    );
}
}

on_executor! {
async fn a_secure_call_asks_for_a_tunnel() {
    let proxy = Scripted::start(|connection| {
        connection.read_request();
        connection.write("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    let client = client_with("https://cycles.example", through(&proxy));
    let error = client.decide(&decide()).await.unwrap_err();
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
}

on_executor! {
async fn an_exception_goes_straight() {
    let proxy = Scripted::answering(http(200, "", ALLOW));
    let server = Scripted::answering(http(200, "", ALLOW));
    let client = client_with(&server.url.replace("127.0.0.1", "localhost"), through(&proxy));
    client.decide(&decide()).await.unwrap();
    assert_eq!((proxy.requests().len(), server.requests().len()), (0, 1));
}
}

on_executor! {
async fn a_proxy_that_is_down_was_never_sent_to() {
    let options = HttpOptions::new().proxy("http://127.0.0.1:9", "");
    let error = client_with("http://cycles.example", options)
        .decide(&decide())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Transport(error) if error.kind() == FailureKind::Proxy),
        "{error:?}"
    );
}
}

on_executor! {
async fn a_proxy_that_speaks_tls_is_refused_with_a_sentence() {
    let options = HttpOptions::new().proxy("https://127.0.0.1:9", "");
    let error = client_with("http://cycles.example", options)
        .decide(&decide())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("only proxies with an http:// address are supported"),
        "{error}"
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
        error.to_string().contains("the proxy's address is no URL"),
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
        let _ = executor::block_on(client.decide(&decide()));
        return;
    }
    let run_with = |proxy: &str, url: &str| {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_environment_names_the_proxy_and_its_exceptions"])
            .env_remove("REQUEST_METHOD")
            .env("HTTP_PROXY", proxy)
            .env("http_proxy", proxy)
            .env("NO_PROXY", "elsewhere.invalid")
            .env("no_proxy", "elsewhere.invalid")
            .env(URL, url)
            .stdout(std::process::Stdio::null())
            .status();
        status.unwrap().code()
    };
    let run = |proxy: &Scripted, url: &str| {
        assert_eq!(run_with(&proxy.url, url), Some(0));
        proxy.requests().len()
    };
    let proxy = Scripted::answering(http(200, "", ALLOW));
    assert_eq!(run(&proxy, "http://cycles.invalid"), 1);
    assert_eq!(run(&proxy, "http://elsewhere.invalid"), 1, "an exception");
    let server = Scripted::answering(http(200, "", ALLOW));
    assert_eq!(run(&proxy, &server.url), 1, "no proxy could reach this machine");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(
        run_with("::: no URL", "http://cycles.invalid"),
        Some(3),
        "a proxy that cannot be read"
    );
}
