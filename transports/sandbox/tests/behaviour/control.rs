//! The control plane: what a test in another language does to the sandbox, and what it sees of it.

use std::time::Duration;

use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Fault, FaultRule, Operation, Sandbox, Unit, When};
use serde_json::{Value, json};

use crate::common::program::{LONG, ask, command};

struct Control(Sandbox);

impl Control {
    fn start() -> Self {
        let builder = Sandbox::builder().control_addr("127.0.0.1:0".parse().unwrap());
        Self(builder.fault("decide:503@2".parse().unwrap()).start().unwrap())
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let key = format!("authorization: Bearer {}", self.0.control_key().unwrap());
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = ask(&self.0.control_url().unwrap(), &key, method, path, &body);
        let answer = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{status} {answer}"));
        (status, answer)
    }

    fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// A call of a client.
    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let key = format!("x-cycles-api-key: {}", self.0.api_key());
        let (status, answer) = ask(&self.0.base_url(), &key, method, path, &body.to_string());
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    /// Reserves this many tokens, and returns the reservation's id.
    fn reserve(&self, key: &str, amount: i64) -> String {
        let body = json!({
            "idempotency_key": key, "subject": {"tenant": "acme-corp"}, "ttl_ms": 60_000,
            "action": {"kind": "llm.completion", "name": "m"}, "estimate": {"unit": "TOKENS", "amount": amount},
        });
        let (status, answer) = self.call("POST", "/v1/reservations", &body);
        assert_eq!(status, 200, "{answer}");
        answer["reservation_id"].as_str().unwrap().to_owned()
    }

    fn commit(&self, id: &str, amount: i64) -> u16 {
        let body =
            json!({"idempotency_key": format!("c-{id}"), "actual": {"unit": "TOKENS", "amount": amount}});
        self.call("POST", &format!("/v1/reservations/{id}/commit"), &body)
            .0
    }
}

#[test]
fn the_state_has_budgets_reservations_and_events() {
    let control = Control::start();
    let id = control.reserve("r-1", 100);
    assert_eq!(control.commit(&id, 40), 200);
    let open = control.reserve("r-2", 7);
    let event = json!({
        "idempotency_key": "e-1", "subject": {"tenant": "acme-corp"}, "metadata": {"why": "tool"},
        "action": {"kind": "tool.call", "name": "t"}, "actual": {"unit": "TOKENS", "amount": 3},
    });
    assert_eq!(control.call("POST", "/v1/events", &event).0, 201);
    let state = control.done("GET", "/state", &Value::Null);
    assert_eq!(
        state["now_ms"].as_u64().unwrap() / 10_000,
        control.0.now().0 / 10_000
    );
    let budgets = state["budgets"].as_array().unwrap();
    let tokens = budgets
        .iter()
        .find(|it| it["scope"] == DEFAULT_TENANT_SCOPE && it["unit"] == "TOKENS");
    let tokens = tokens.unwrap();
    assert_eq!(
        (&tokens["spent"], &tokens["reserved"], &tokens["status"]),
        (&json!(43), &json!(7), &json!("ACTIVE"))
    );
    let reservations = state["reservations"].as_array().unwrap();
    let of = |id: &str| reservations.iter().find(|it| it["reservation_id"] == id).unwrap();
    let settled = of(&id);
    assert_eq!(settled["status"], "COMMITTED");
    assert_eq!(settled["charged"], json!({"unit": "TOKENS", "amount": 40}));
    assert_eq!(settled["estimate"]["amount"], 100);
    assert_eq!(settled["subject"]["tenant"], "acme-corp");
    assert_eq!(settled["action"]["name"], "m");
    assert_eq!(settled["idempotency_key"], "r-1");
    assert_eq!(settled["settled_under"], format!("c-{id}"));
    assert_eq!(
        (of(&open)["status"].as_str(), &of(&open)["charged"]),
        (Some("ACTIVE"), &Value::Null)
    );
    let [event] = &state["events"].as_array().unwrap()[..] else {
        panic!("{state}")
    };
    assert_eq!(
        (&event["charged"]["amount"], &event["metadata"]["why"]),
        (&json!(3), &json!("tool"))
    );
    assert_eq!(
        control.0.to_json().len(),
        state.to_string().len(),
        "the library says the same"
    );
}

#[test]
fn a_reset_forgets_everything_but_the_time_and_makes_no_id_twice() {
    let control = Control::start();
    let id = control.reserve("r-1", 100);
    control.done("POST", "/clock", &json!({"advance_ms": 1_000_000}));
    let before = control.0.now();
    control.done("POST", "/faults", &json!({"rules": ["*:503"]}));
    let state = control.done("POST", "/reset", &Value::Null);
    assert_eq!(state["reservations"], json!([]));
    assert!(control.0.now() >= before);
    control.0.assert_nothing_ran();
    let rules: Vec<_> = control
        .0
        .fault_counts()
        .iter()
        .map(|it| (it.rule.to_string(), it.calls))
        .collect();
    assert_eq!(rules, [("decide:503@2".to_owned(), 0)], "those of the start");
    assert_ne!(
        control.reserve("r-1", 100),
        id,
        "a new one, also under the old key"
    );
    assert_eq!(control.commit(&id, 1), 404);
}

#[test]
fn the_clock_is_moved_and_leases_end() {
    let control = Control::start();
    let id = control.reserve("r-1", 100);
    let before = control.done("GET", "/clock", &Value::Null)["now_ms"]
        .as_u64()
        .unwrap();
    let after = control.done("POST", "/clock", &json!({"advance_ms": 70_000}))["now_ms"]
        .as_u64()
        .unwrap();
    assert!(after >= before + 70_000);
    let state = control.done("GET", "/state", &Value::Null);
    assert_eq!(state["reservations"][0]["status"], "EXPIRED");
    assert_eq!(control.commit(&id, 1), 410);
}

#[test]
fn faults_are_set_replaced_cleared_and_counted() {
    let control = Control::start();
    let set = control.done(
        "POST",
        "/faults",
        &json!({"rules": ["commit:503@first=1", "reserve:429=7@p=0"]}),
    );
    assert_eq!(set["faults"].as_array().unwrap().len(), 3);
    let id = control.reserve("r-1", 10);
    assert_eq!(control.commit(&id, 1), 503);
    assert_eq!(control.commit(&id, 1), 200);
    let faults = control.done("GET", "/faults", &Value::Null);
    assert_eq!(
        faults["faults"][1],
        json!({"rule": "commit:503@first=1", "calls": 2, "struck": 1})
    );
    assert_eq!(
        faults["faults"][2],
        json!({"rule": "reserve:429=7@p=0", "calls": 1, "struck": 0})
    );
    let (status, refused) = control.ask(
        "PUT",
        "/faults",
        &json!({"rules": ["commit:503", "commit:nothing"]}),
    );
    assert_eq!(status, 400);
    let said = refused["error"].as_str().unwrap();
    assert!(
        said.starts_with("nothing is changed: `nothing` is not a fault"),
        "{said}"
    );
    assert_eq!(control.0.fault_counts().len(), 3);
    let replaced = control.done("PUT", "/faults", &json!({"rules": ["extend:cut"]}));
    assert_eq!(replaced["faults"][0]["rule"], "extend:cut");
    assert_eq!(
        control.done("DELETE", "/faults", &Value::Null),
        json!({"faults": []})
    );
}

#[test]
fn a_client_that_settles_in_the_background_is_waited_for() {
    let control = Control::start();
    let id = control.reserve("r-1", 10);
    let (status, refused) = control.ask("GET", "/idle?timeout_ms=0", &Value::Null);
    assert_eq!(status, 409);
    assert!(
        refused["error"].as_str().unwrap().contains("still reserved"),
        "{refused}"
    );
    assert!(!control.0.wait_until_nothing_is_reserved(Duration::ZERO));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| control.ask("GET", "/idle?timeout_ms=60000", &Value::Null));
        assert!(!waits.is_finished());
        assert_eq!(control.commit(&id, 1), 200);
        assert_eq!(waits.join().unwrap(), (200, json!({"reserved": false})));
    });
    assert!(control.0.wait_until_nothing_is_reserved(LONG));
}

#[test]
fn a_reset_drops_what_a_fault_has_put_off_and_a_wait_counts_it_as_unanswered() {
    let control = Control::start();
    for (fault, is_unanswered) in [("reserve:delay=300ms@1", true), ("reserve:twice=300ms@1", false)] {
        control.done("PUT", "/faults", &json!({"rules": [fault]}));
        std::thread::scope(|scope| {
            let call = scope.spawn(|| {
                let body = json!({
                    "idempotency_key": fault, "subject": {"tenant": "acme-corp"},
                    "action": {"kind": "k", "name": "n"}, "estimate": {"unit": "TOKENS", "amount": 1},
                });
                let key = format!("x-cycles-api-key: {}", control.0.api_key());
                ask(
                    &control.0.base_url(),
                    &key,
                    "POST",
                    "/v1/reservations",
                    &body.to_string(),
                )
            });
            while control.0.fault_counts()[0].calls == 0 {
                std::thread::yield_now();
            }
            if is_unanswered {
                assert_eq!(control.ask("GET", "/idle?timeout_ms=0", &Value::Null).0, 409);
                control.done("POST", "/reset", &Value::Null);
                call.join().unwrap();
            } else {
                call.join().unwrap();
                control.done("POST", "/reset", &Value::Null);
            }
        });
        assert_eq!(
            control.done("GET", "/idle", &Value::Null),
            json!({"reserved": false})
        );
        std::thread::sleep(Duration::from_millis(350));
        let state = control.done("GET", "/state", &Value::Null);
        assert_eq!(state["reservations"], json!([]), "{fault}");
    }
}

#[test]
fn there_are_a_thousand_faults_at_most() {
    let control = Control::start();
    let (status, refused) = control.ask("PUT", "/faults", &json!({"rules": vec!["commit:503"; 1_001]}));
    assert_eq!(status, 400);
    assert!(
        refused["error"].as_str().unwrap().contains("1000 faults at most"),
        "{refused}"
    );
    control.done("PUT", "/faults", &json!({"rules": vec!["commit:503"; 1_000]}));
    assert_eq!(
        control
            .ask("POST", "/faults", &json!({"rules": ["commit:503"]}))
            .0,
        400
    );
}

#[test]
fn the_scheme_of_the_key_has_no_case_and_a_head_no_body() {
    let control = Control::start();
    let key = format!("authorization: bearer {}", control.0.control_key().unwrap());
    let url = control.0.control_url().unwrap();
    assert_eq!(ask(&url, &key, "HEAD", "/state", ""), (200, String::new()));
}

#[test]
fn only_whoever_has_the_key_gets_in_and_a_mistake_is_explained() {
    let control = Control::start();
    let url = control.0.control_url().unwrap();
    for key in [
        "x: y",
        "authorization: Bearer wrong",
        "x-cycles-api-key: cyc_live_sandbox_0123456789abcdef",
    ] {
        let (status, said) = ask(&url, key, "POST", "/reset", "");
        assert_eq!(status, 401, "{said}");
        assert!(said.contains("Authorization: Bearer KEY"), "{said}");
    }
    for (method, path, body, status, sentence) in [
        ("GET", "/nowhere", Value::Null, 404, "GET /state"),
        ("DELETE", "/state", Value::Null, 405, "GET /state"),
        ("POST", "/", Value::Null, 405, "a page for people"),
        (
            "DELETE",
            "/faults?rule=commit:5O3",
            Value::Null,
            400,
            "nothing is changed",
        ),
        (
            "DELETE",
            "/faults?rule=commit:503",
            Value::Null,
            400,
            "there is no rule commit:503",
        ),
        (
            "DELETE",
            "/faults?x=1",
            Value::Null,
            400,
            "the only parameter is rule",
        ),
        (
            "POST",
            "/clock",
            json!({"advance": 1}),
            400,
            r#"the body is not like {"advance_ms": 60000}"#,
        ),
        (
            "POST",
            "/clock",
            json!({"advance_ms": u64::MAX}),
            400,
            "more than a hundred years",
        ),
        ("POST", "/faults", Value::Null, 400, "the body is not like"),
        ("POST", "/clock", json!([60_000]), 400, "expected an object"),
        (
            "POST",
            "/clock",
            json!({"advance_ms": "1"}),
            400,
            "expected a whole number",
        ),
        (
            "GET",
            "/idle?timeout=1",
            Value::Null,
            400,
            "timeout_ms, from 0 to 300000",
        ),
    ] {
        let (was, said) = control.ask(method, path, &body);
        assert_eq!(was, status, "{method} {path}");
        assert!(said["error"].as_str().unwrap().contains(sentence), "{said}");
    }
    assert_ne!(
        Control::start().0.control_key(),
        control.0.control_key(),
        "each has its own"
    );
    assert_eq!(
        Sandbox::start().unwrap().control_url(),
        None,
        "it is off unless asked for"
    );
    let everywhere = Sandbox::builder()
        .control_addr("0.0.0.0:0".parse().unwrap())
        .start();
    assert!(
        everywhere
            .unwrap_err()
            .to_string()
            .contains("needs a loopback address")
    );
}

#[test]
fn faults_do_not_strike_the_control_plane_and_clients_do_not_reach_it() {
    let control = Control::start();
    control.0.inject(FaultRule::new(Fault::LoseRequest));
    assert_eq!(
        control.done("GET", "/faults", &Value::Null)["faults"][1]["rule"],
        "*:lose-request"
    );
    control.0.clear_faults();
    let (status, _) = control.call("GET", "/state", &Value::Null);
    assert_eq!(status, 500, "as for any other address without a route");
}

#[test]
fn a_rule_is_written_as_it_is_read() {
    for text in [
        "*:503",
        "commit:lose-response@1,3",
        "reserve,extend:429=7@first=3",
        "*:delay=2s@for=10s",
        "event:cut@p=0.25",
        "event:cut@p=0.25/9",
    ] {
        let rule: FaultRule = text.parse().unwrap();
        assert_eq!(rule.to_string().parse::<FaultRule>().unwrap(), rule, "{text}");
    }
    let rule = FaultRule::new(Fault::Cut)
        .on(Operation::Decide)
        .when(When::First(2));
    assert_eq!(rule.to_string(), "decide:cut@first=2");
}

#[cfg(unix)]
#[test]
fn the_program_has_a_control_plane_and_leaves_its_state_when_it_ends() {
    use std::process::Stdio;

    let directory = cycles_conformance::TempDir::new();
    let file = directory.path().join("ledger.json");
    let script = r#"
        set -e
        test "${CYCLES_SANDBOX_CONTROL_URL#http://127.0.0.1:}" != "$CYCLES_SANDBOX_CONTROL_URL"
        test -n "$CYCLES_SANDBOX_CONTROL_KEY"
    "#;
    let flags = [
        "--quiet",
        "--control-listen",
        "127.0.0.1:0",
        "--budget",
        "tenant:acme-corp=TOKENS:5",
    ];
    let mut program = command(&flags);
    program
        .arg("--dump-on-exit")
        .arg(&file)
        .args(["--", "sh", "-c", script]);
    let output =
        crate::common::program::within_a_minute(program.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert!(output.status.success(), "{output:?}");
    let left: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(left["budgets"][0]["remaining"], 5);
    assert_eq!(
        left["budgets"][0]["unit"],
        serde_json::to_value(Unit::Tokens.name()).unwrap()
    );
    let mut program = command(&flags);
    program
        .arg("--dump-on-exit")
        .arg(directory.path())
        .args(["--", "true"]);
    let output =
        crate::common::program::within_a_minute(program.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("(--dump-on-exit)")
    );
    let mut program = command(&flags);
    program
        .arg("--dump-on-exit")
        .arg(directory.path())
        .args(["--", "sh", "-c", "exit 77"]);
    let output =
        crate::common::program::within_a_minute(program.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(
        output.status.code(),
        Some(77),
        "what the command says counts more"
    );
}
