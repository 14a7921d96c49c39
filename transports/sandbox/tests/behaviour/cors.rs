//! Pages in a browser call the sandbox from another origin.

use cycles_sandbox::Sandbox;

use crate::common::program::answered;

const PAGE: &str = "origin: http://localhost:5173";

fn sandbox(origin: &str) -> Sandbox {
    let control = "127.0.0.1:0".parse().unwrap();
    let builder = Sandbox::builder().control_addr(control);
    builder.cors(origin.parse().unwrap()).start().unwrap()
}

/// The head of the answer, in lower case.
fn head(url: &str, headers: &str, method: &str, path: &str) -> String {
    let answer = answered(url, headers, method, path, "");
    answer.split("\r\n\r\n").next().unwrap().to_lowercase()
}

#[test]
fn a_browser_that_asks_first_may_send_the_headers_of_a_client() {
    let sandbox = sandbox("http://localhost:5173");
    let asks = format!(
        "{PAGE}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: content-type,x-cycles-api-key"
    );
    for url in [sandbox.base_url(), sandbox.control_url().unwrap()] {
        let answer = head(&url, &asks, "OPTIONS", "/v1/reservations");
        assert!(answer.starts_with("http/1.1 204"), "{answer}");
        for line in [
            "access-control-allow-origin: http://localhost:5173",
            "access-control-allow-headers: content-type,x-cycles-api-key",
            "access-control-allow-methods: get, post, put, patch, delete",
            "vary: origin",
        ] {
            assert!(answer.contains(line), "{line} is not in {answer}");
        }
    }
}

#[test]
fn a_page_sees_every_answer_even_a_refusal() {
    let sandbox = sandbox("http://localhost:5173");
    for (url, path, status) in [
        (sandbox.base_url(), "/actuator/health", "200"),
        (sandbox.base_url(), "/v1/balances", "401"),
        (sandbox.control_url().unwrap(), "/state", "401"),
    ] {
        let answer = head(&url, PAGE, "GET", path);
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
        assert!(
            answer.contains("access-control-allow-origin: http://localhost:5173"),
            "{answer}"
        );
        assert!(answer.contains("access-control-expose-headers: *"), "{answer}");
    }
}

#[test]
fn other_origins_and_programs_see_nothing_of_it() {
    let sandbox = sandbox("http://localhost:5173");
    for headers in [
        "origin: http://evil.example",
        "x: x",
        "origin: http://localhost:51733",
    ] {
        let asks = format!("{headers}\r\naccess-control-request-method: POST");
        for answer in [
            head(&sandbox.base_url(), headers, "GET", "/actuator/health"),
            head(&sandbox.base_url(), &asks, "OPTIONS", "/v1/reservations"),
        ] {
            assert!(!answer.contains("access-control"), "{answer}");
        }
    }
    let plain = Sandbox::start().unwrap();
    let answer = head(&plain.base_url(), PAGE, "GET", "/actuator/health");
    assert!(
        !answer.contains("access-control") && !answer.contains("vary"),
        "{answer}"
    );
}

#[test]
fn a_star_lets_every_page_call() {
    let sandbox = sandbox("*");
    let answer = head(
        &sandbox.base_url(),
        "origin: https://anything.example",
        "GET",
        "/actuator/health",
    );
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");
}
