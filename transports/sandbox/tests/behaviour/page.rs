//! The page at the root of the control plane, as a person in a browser sees it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use serde_json::{Value, json};

use crate::common::browser::Browser;
use crate::common::program::{LONG, answered, ask};

fn sandbox() -> Sandbox {
    Sandbox::builder()
        .control_addr("127.0.0.1:0".parse().unwrap())
        .start()
        .unwrap()
}

fn call(sandbox: &Sandbox, path: &str, body: &Value) -> (u16, Value) {
    let key = format!("x-cycles-api-key: {}", sandbox.api_key());
    let (status, answer) = ask(&sandbox.base_url(), &key, "POST", path, &body.to_string());
    (status, serde_json::from_str(&answer).unwrap_or_default())
}

fn reserve(sandbox: &Sandbox, key: &str, action: &str) -> String {
    let body = json!({
        "idempotency_key": key, "subject": {"tenant": "acme-corp", "agent": "support-bot"}, "ttl_ms": 60_000,
        "action": {"kind": "llm.completion", "name": action}, "estimate": {"unit": "TOKENS", "amount": 1_500},
    });
    let (status, answer) = call(sandbox, "/v1/reservations", &body);
    assert_eq!(status, 200, "{answer}");
    answer["reservation_id"].as_str().unwrap().to_owned()
}

fn commit(sandbox: &Sandbox, id: &str) -> u16 {
    let body = json!({"idempotency_key": "c", "actual": {"unit": "TOKENS", "amount": 400}});
    call(sandbox, &format!("/v1/reservations/{id}/commit"), &body).0
}

#[test]
fn a_person_sees_budgets_leases_and_requests_and_turns_faults_on_and_off() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = sandbox();
    let has = |id: &str, text: &str| {
        browser.wait_for(&format!(
            "document.getElementById({}).innerText.includes({})",
            json!(id),
            json!(text)
        ));
    };
    let switch = |rule: &str| format!(r#"button[data-rule="{rule}"]"#);
    let is_on = |rule: &str, on: bool| {
        browser.wait_for(&format!(
            "document.querySelector({})?.ariaChecked === '{on}'",
            json!(switch(rule))
        ));
    };
    browser.open(&sandbox.page_url().unwrap());
    browser.wait_for("document.querySelector('#connection.live')");
    assert!(
        !browser.value("location.href").as_str().unwrap().contains('#'),
        "the key is out of sight"
    );

    let id = reserve(&sandbox, "order-7", "<img src=x onerror=alert(1)>");
    has("live", "1,500 TOKENS");
    has("live", "tenant:acme-corp/agent:support-bot");
    has("live", "<img src=x onerror=alert(1)>");
    has(
        "budgets",
        "spent 0, reserved 1,500, remaining 98,500 of 100,000 TOKENS",
    );
    has("requests", "order-7");
    assert_eq!(browser.value("document.images.length"), 0, "a name is only text");
    browser.wait_for("/^5\\d\\.\\d s/.test(document.querySelector('#live td').innerText)");

    browser.click(&switch("commit,release:503"));
    is_on("commit,release:503", true);
    assert_eq!(commit(&sandbox, &id), 503);
    has("requests", "503 INTERNAL_ERROR");
    has("faults", "struck 1 of 1");
    browser.click(&switch("commit,release:503"));
    is_on("commit,release:503", false);
    assert!(sandbox.fault_counts().is_empty());
    assert_eq!(commit(&sandbox, &id), 200);
    has(
        "budgets",
        "spent 400, reserved 0, remaining 99,600 of 100,000 TOKENS",
    );
    has("ended", "ended: 1.");
    browser.wait_for("document.getElementById('live').rows.length === 0");

    // While calls come in, what is being clicked stays where it is.
    let calls = || {
        for number in 0..400 {
            let body = json!({
                "idempotency_key": format!("busy-{number}"), "subject": {"tenant": "acme-corp"},
                "action": {"kind": "k", "name": "n"}, "estimate": {"unit": "TOKENS", "amount": 1},
            });
            assert_eq!(call(&sandbox, "/v1/decide", &body).0, 200);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    std::thread::scope(|scope| {
        browser.click(&switch("*:delay=2s"));
        is_on("*:delay=2s", true);
        sandbox.clear_faults();
        sandbox.inject("decide:drip=1ms".parse().unwrap());
        scope.spawn(calls);
        is_on("decide:drip=1ms", true);
        browser.click(&switch("decide:drip=1ms"));
        is_on("decide:drip=1ms", false);
    });
    assert!(sandbox.fault_counts().is_empty());

    browser.enter("#rule", "commit:5O3");
    has("problem", "nothing is changed");
    browser.enter("#rule", "decide:429=3@2");
    is_on("decide:429=3@2", true);

    reserve(&sandbox, "order-8", "m");
    has("live", "1,500 TOKENS");
    browser.click("[data-advance='3600000']");
    browser.wait_for("document.getElementById('live').rows.length === 0");
    let tokens = || sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap());
    assert_eq!((tokens().spent, tokens().reserved), (400, 0));
    browser.click("#reset");
    has(
        "budgets",
        "spent 0, reserved 0, remaining 100,000 of 100,000 TOKENS",
    );
    browser.wait_for("document.getElementById('requests').rows.length === 0");
    assert_eq!(tokens().spent, 0);
}

#[test]
fn without_the_key_a_page_asks_for_it_and_it_finds_its_sandbox_again() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = sandbox();
    let url = sandbox.control_url().unwrap();
    browser.open(&url);
    browser.wait_for("!document.getElementById('key-form').hidden && document.getElementById('main').hidden");
    browser.enter("#key", "wrong");
    browser.wait_for("document.getElementById('problem').innerText.includes('CYCLES_SANDBOX_CONTROL_KEY')");
    browser.enter("#key", sandbox.control_key().unwrap());
    browser.wait_for("document.querySelector('#connection.live') && !document.getElementById('main').hidden");
    let key = sandbox.control_key().unwrap().to_owned();
    drop(sandbox);
    browser.wait_for("document.querySelector('#connection.lost')");
    let addr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let again = Sandbox::builder()
        .control_addr(addr)
        .control_key(key)
        .start()
        .unwrap();
    browser.wait_for("document.querySelector('#connection.live')");
    drop(again);
}

#[test]
fn the_switches_of_the_page_are_rules_as_the_sandbox_writes_them() {
    let script = include_str!("../../src/page/page.js");
    let faults = script
        .split("const FAULTS = [")
        .nth(1)
        .unwrap()
        .split("];")
        .next()
        .unwrap();
    let rules: Vec<&str> = faults.lines().filter_map(|line| line.split('"').nth(3)).collect();
    assert_eq!(rules.len(), 8);
    for rule in rules {
        let parsed: cycles_sandbox::FaultRule = rule.parse().unwrap();
        assert_eq!(parsed.to_string(), rule);
    }
}

#[test]
fn the_page_needs_no_key_but_everything_that_it_shows_does() {
    let sandbox = sandbox();
    let url = sandbox.control_url().unwrap();
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let answer = answered(&url, "x: x", "GET", path, "").to_lowercase();
        assert!(
            answer.starts_with("http/1.1 200") && answer.contains(kind),
            "{answer}"
        );
        assert!(
            answer.contains("content-security-policy: default-src 'none'; script-src 'self'"),
            "{answer}"
        );
        assert!(!answer.contains(sandbox.control_key().unwrap()));
    }
    for (method, path) in [("GET", "/stream"), ("GET", "/state")] {
        assert_eq!(ask(&url, "x: x", method, path, "").0, 401, "{method} {path}");
    }
    assert_eq!(Sandbox::start().unwrap().page_url(), None);
}

#[test]
fn a_stream_begins_with_everything_and_goes_on_with_what_changes() {
    let sandbox = sandbox();
    reserve(&sandbox, "order-1", "m");
    let url = sandbox.control_url().unwrap();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let key = sandbox.control_key().unwrap();
    write!(
        stream,
        "GET /stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"
    )
    .unwrap();
    let mut seen = String::new();
    let mut until = |text: &str| {
        let mut buffer = [0; 65_536];
        while !seen.contains(text) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "it ended: {seen}");
            seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        std::mem::take(&mut seen)
    };
    let first = until("event: requests");
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(first.contains("event: state\ndata: {\"now_ms\":"), "{first}");
    assert!(first.contains(r#""live_count":1"#), "{first}");
    until("order-1");
    reserve(&sandbox, "order-2", "m");
    let next = until("order-2");
    let (_, requests) = next.rsplit_once("event: requests").unwrap();
    assert!(!requests.contains("order-1"), "only what is new: {requests}");
    sandbox.inject("commit:503".parse().unwrap());
    until(r#""rule":"commit:503""#);
}
