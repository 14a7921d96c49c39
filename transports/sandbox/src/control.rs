//! The control plane: a test in any language resets the ledger, moves the clock, sets faults and looks at the state. Each
//! request does what the method of [`Sandbox`] does that it is named after.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode, request};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::fault::FaultRule;
use crate::page;
use crate::sandbox::Sandbox;
use crate::shared::Shared;

/// How often a wait looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a request waits at most until nothing is reserved, and how long unless it says otherwise.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const USUAL_WAIT: Duration = Duration::from_secs(10);

/// How many faults there may be: each call looks at all of them.
const MOST_FAULTS: usize = 1_000;

/// The largest step of the clock: a hundred years.
const LARGEST_STEP_MS: u64 = 100 * 366 * 86_400_000;

/// The refusal of whoever does not have the key; nothing of the body is read before.
pub(crate) fn refusal(key: &str, head: &request::Parts) -> Option<Response<Bytes>> {
    // The page itself shows nothing; it asks for the key.
    if is_permitted(key, head) || page::file(head.uri.path()).is_some() {
        return None;
    }
    let problem = "send the control key as `Authorization: Bearer KEY`";
    let mut response = refused(StatusCode::UNAUTHORIZED, problem);
    let scheme = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    Some(response)
}

/// Answers a request.
pub(crate) async fn answer(shared: &Shared, request: &Request<Bytes>) -> Response<Bytes> {
    // The server leaves the body of an answer to HEAD out.
    let method = match request.method() {
        &Method::HEAD => &Method::GET,
        method => method,
    };
    if let Some(file) = page::file(request.uri().path()).filter(|_| method == Method::GET) {
        return file;
    }
    let done = match (method, request.uri().path()) {
        (&Method::GET, "/state") => Ok(shared.state_json()),
        (&Method::POST, "/reset") => {
            shared.reset();
            Ok(shared.state_json())
        }
        (&Method::GET, "/clock") => Ok(clock(shared)),
        (&Method::POST, "/clock") => advance(shared, request.body()),
        (&Method::GET, "/faults") => Ok(faults(shared)),
        (&Method::POST, "/faults") => add_faults(shared, request.body(), false),
        (&Method::PUT, "/faults") => add_faults(shared, request.body(), true),
        (&Method::DELETE, "/faults") => remove_faults(shared, request.uri().query()),
        (&Method::GET, "/idle") => return idle(shared, request.uri().query()).await,
        (
            _,
            "/" | "/page.css" | "/page.js" | "/stream" | "/state" | "/reset" | "/clock" | "/faults" | "/idle",
        ) => {
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, ROUTES);
            let allowed = HeaderValue::from_static(allowed_on(request.uri().path()));
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        _ => return refused(StatusCode::NOT_FOUND, ROUTES),
    };
    match done {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(problem) => refused(StatusCode::BAD_REQUEST, &problem),
    }
}

/// What there is, for whoever asks for something else.
const ROUTES: &str = "there are GET / (a page for people), GET /stream, GET /state, POST /reset, GET and POST /clock, \
                      GET, POST, PUT and DELETE /faults, and GET /idle";

fn allowed_on(path: &str) -> &'static str {
    match path {
        "/reset" => "POST",
        "/clock" => "GET, POST",
        "/faults" => "GET, POST, PUT, DELETE",
        _ => "GET",
    }
}

fn is_permitted(key: &str, head: &request::Parts) -> bool {
    let sent = head.headers.get(AUTHORIZATION);
    let sent = sent.and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()));
    sent.is_some_and(|(scheme, sent)| {
        scheme.eq_ignore_ascii_case(b"Bearer ") && is_same(sent, key.as_bytes())
    })
}

/// Compares without telling by its time how much is equal.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let different = left
        .iter()
        .zip(right)
        .fold(0, |all, (left, right)| all | (left ^ right));
    left.len() == right.len() && different == 0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    advance_ms: u64,
}

fn advance(shared: &Shared, body: &Bytes) -> Result<String, String> {
    let example = r#"{"advance_ms": 60000}"#;
    let step: Step = read(body, example)?;
    if step.advance_ms > LARGEST_STEP_MS {
        return Err(format!(
            "advance_ms is more than a hundred years: send a number like in {example}"
        ));
    }
    shared.advance_and_tick(Duration::from_millis(step.advance_ms));
    Ok(clock(shared))
}

fn clock(shared: &Shared) -> String {
    json!({"now_ms": shared.now().0}).to_string()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    rules: Vec<String>,
}

/// Adds all rules or, if one of them is none, nothing.
fn add_faults(shared: &Shared, body: &Bytes, is_instead: bool) -> Result<String, String> {
    let rules: Rules = read(body, r#"{"rules": ["commit:lose-response@1"]}"#)?;
    let rules: Result<Vec<FaultRule>, _> = rules.rules.iter().map(|rule| rule.parse()).collect();
    let rules = rules.map_err(|problem| format!("nothing is changed: {problem}"))?;
    let before = if is_instead {
        0
    } else {
        shared.fault_counts().len()
    };
    if before + rules.len() > MOST_FAULTS {
        return Err(format!(
            "nothing is changed: there can be {MOST_FAULTS} faults at most"
        ));
    }
    if is_instead {
        shared.clear_faults();
    }
    for rule in rules {
        shared.inject(rule);
    }
    Ok(faults(shared))
}

/// Removes one rule, or all.
fn remove_faults(shared: &Shared, query: Option<&str>) -> Result<String, String> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        shared.clear_faults();
        return Ok(faults(shared));
    };
    let text = query
        .strip_prefix("rule=")
        .ok_or("the only parameter is rule, such as ?rule=commit:503@1; without it, all rules go")?;
    let text = percent_decode_str(text).decode_utf8_lossy();
    let rule: FaultRule = text
        .parse()
        .map_err(|problem| format!("nothing is changed: {problem}"))?;
    if shared.remove_fault(&rule) {
        Ok(faults(shared))
    } else {
        Err(format!(
            "nothing is changed: there is no rule {rule}; GET /faults says which there are"
        ))
    }
}

/// The rules with their counts, as JSON.
pub(crate) fn faults(shared: &Shared) -> String {
    let counts = shared.fault_counts();
    let faults: Vec<Value> = counts
        .iter()
        .map(|count| json!({"rule": count.rule.to_string(), "calls": count.calls, "struck": count.struck}))
        .collect();
    json!({ "faults": faults }).to_string()
}

async fn idle(shared: &Shared, query: Option<&str>) -> Response<Bytes> {
    let wait = match query {
        None | Some("") => Some(USUAL_WAIT),
        Some(query) => {
            let millis = query
                .strip_prefix("timeout_ms=")
                .and_then(|text| text.parse().ok());
            millis
                .map(Duration::from_millis)
                .filter(|wait| *wait <= LONGEST_WAIT)
        }
    };
    let Some(wait) = wait else {
        let problem = "the only parameter is timeout_ms, from 0 to 300000";
        return refused(StatusCode::BAD_REQUEST, problem);
    };
    let until = Instant::now() + wait;
    loop {
        if shared.is_idle() {
            return json_response(StatusCode::OK, json!({"reserved": false}).to_string());
        }
        if Instant::now() >= until {
            let problem = format!(
                "after {} ms something is still reserved, or a call is not answered: see GET /state",
                wait.as_millis()
            );
            return refused(StatusCode::CONFLICT, &problem);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reads a body, which has to be an object.
fn read<T: DeserializeOwned>(body: &Bytes, example: &str) -> Result<T, String> {
    let members: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    let read = members.and_then(|members| serde_json::from_value(Value::Object(members)));
    read.map_err(|problem| {
        // As people say it.
        let problem = problem
            .to_string()
            .replace("u64", "a whole number")
            .replace("a map", "an object");
        format!("the body is not like {example}: {problem}")
    })
}

fn refused(status: StatusCode, problem: &str) -> Response<Bytes> {
    json_response(status, json!({ "error": problem }).to_string())
}

fn json_response(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

impl Sandbox {
    /// Forgets everything that happened: the ledger and the faults are as they were when the sandbox was started. The
    /// clock goes on, and ids of earlier reservations do not come again.
    ///
    /// ```
    /// use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit};
    ///
    /// let sandbox = Sandbox::start()?;
    /// sandbox.deny_everything();
    /// sandbox.reset();
    /// let tokens = sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens));
    /// assert_eq!(tokens.map(|tokens| tokens.remaining), Some(1_000_000));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn reset(&self) {
        self.shared().reset();
    }

    /// The state as one JSON object: `now_ms`, and the members of [`Ledger::to_json`](crate::Ledger::to_json).
    pub fn to_json(&self) -> String {
        self.shared().state_json()
    }

    /// The active faults with their counts.
    pub fn fault_counts(&self) -> Vec<crate::fault::FaultCount> {
        self.shared().fault_counts()
    }

    /// Waits until no reservation holds anything and no call is unanswered, for clients that settle in the background.
    /// Returns whether that was before the time was up, which is real time.
    pub fn wait_until_nothing_is_reserved(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        loop {
            if self.shared().is_idle() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
