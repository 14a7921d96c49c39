//! Proxies that only ureq has: of other kinds, and with long credentials.

use std::io::Read as _;

use crate::support::{self, Scripted, client_with, decide, http};
use cycles_ureq::HttpOptions;

const ALLOW: &str = r#"{"decision":"ALLOW"}"#;

#[test]
fn user_and_password_may_be_longer_than_a_buffer() {
    let proxy = Scripted::answering(http(200, "", ALLOW));
    let address = proxy
        .url
        .replace("http://", &format!("http://user:{}@", "long".repeat(10_000)));
    let client = client_with("http://cycles.example", HttpOptions::new().proxy(address, ""));
    client.decide(&decide()).unwrap();
    let request = &proxy.requests()[0];
    assert!(
        request.starts_with("POST http://cycles.example/v1/decide HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(support::KEY) && request.ends_with('}'),
        "{request}"
    );
}

#[test]
fn a_socks_proxy_connects_to_the_name_it_is_given() {
    let proxy = Scripted::start(|connection| {
        let mut greeting = [0; 3];
        connection.stream.read_exact(&mut greeting).unwrap();
        connection.write([5, 0]);
        let mut head = [0; 5];
        connection.stream.read_exact(&mut head).unwrap();
        let mut name_and_port = vec![0; usize::from(head[4]) + 2];
        connection.stream.read_exact(&mut name_and_port).unwrap();
        assert!(name_and_port.starts_with(b"cycles.example"));
        connection.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        connection.read_request();
        connection.write(http(200, "", ALLOW));
    });
    let options = HttpOptions::new().proxy(proxy.url.replace("http", "socks5h"), "");
    client_with("http://cycles.example:7878", options)
        .decide(&decide())
        .unwrap();
    assert!(proxy.requests()[0].starts_with("POST /v1/decide HTTP/1.1\r\n"));
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#[test]
fn a_proxy_may_be_spoken_to_over_tls() {
    let (url, pem) = crate::tls::start();
    let options = crate::tls::trusting(&pem).proxy(url.as_str(), "");
    let client = client_with("http://cycles.example", options);
    assert!(client.decide(&decide()).unwrap().decision.is_allowed());
}
