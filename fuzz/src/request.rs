//! Any request that a caller can make.
//!
//! - The request is refused if and only if it breaks a limit of the protocol; the limits are implemented a second time
//!   here.
//! - The request contains all that the caller gave: ids, amounts, parameters and metadata can be read back from it.
//! - No text changes the route, adds a header or a parameter, or reveals the API key.
//! - A repetition has the same bytes, and the sandbox's ledger never rejects it as malformed.
//!
//! Bytes: the operation, the key, and the decisions that make the request.

mod inputs;
mod limits;

use core::fmt::Debug;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cycles_proto::models::*;
use cycles_proto::parts::Reply;
use cycles_proto::{Call, CyclesConfig, Error, Operation, Seed, UnixMillis};
use cycles_sandbox::{ApiKey, Ledger, Tenant};
use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use serde_json::value::RawValue;

use self::inputs::*;
use self::limits::*;
use crate::KEY;
use crate::input::Input;

/// Runs one execution.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.below(10);
    let seed = Seed([input.byte(); 16]);
    let key = input.maybe(|input| IdempotencyKey::from(input.text()));
    let input = &mut input;
    match kind {
        0 => reserve(input, seed, key),
        1 => commit(input, seed, key),
        2 => release(input, seed, key),
        3 => extend(input, seed, key),
        4 => event(input, seed, key),
        5 => decide(input, seed, key),
        6 => balances(input, seed),
        7 => list(input, seed),
        8 => {
            let id = ReservationId::from(input.text());
            let sent = sent(Operation::get_reservation(&CONFIG, &id, seed), fits_path(&id));
            about(sent, &id, "");
        }
        _ => {
            let id = EvidenceId::from(input.text());
            let is_fit = id.as_str().len() == 64
                && id
                    .as_str()
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if let Some(call) = sent(Operation::get_evidence(&CONFIG, &id, seed), is_fit) {
                assert_eq!(call.request.uri().path(), format!("/p/v1/evidence/{id}"));
                assert!(
                    !call.request.headers().contains_key("x-cycles-api-key"),
                    "it is public"
                );
            }
        }
    }
}

fn reserve(input: &mut Input<'_>, seed: Seed, key: Option<IdempotencyKey>) {
    let mut request = ReservationCreateRequest::builder()
        .subject(subject(input))
        .action(action(input))
        .estimate(amount(input))
        .dry_run(input.yes())
        .build();
    request.idempotency_key = key;
    request.ttl_ms = input.maybe(Input::number);
    request.grace_period_ms = input.maybe(Input::number);
    request.overage_policy = input.maybe(policy);
    request.metadata = input.maybe(metadata);
    let is_fit = fits_key(request.idempotency_key.as_ref())
        && fits_subject(&request.subject)
        && fits_action(&request.action)
        && fits_amount(&request.estimate)
        && request.ttl_ms.is_none_or(|ms| (1_000..=86_400_000).contains(&ms))
        && request.grace_period_ms.is_none_or(|ms| ms <= 60_000)
        && request
            .overage_policy
            .as_ref()
            .is_none_or(CommitOveragePolicy::is_known);
    let key = request.idempotency_key.clone();
    let Some(call) = sent(Operation::create_reservation(&CONFIG, &request, seed), is_fit) else {
        return;
    };
    let body = posted(&call, "/p/v1/reservations", key.as_ref());
    says_subject(&body, &request.subject);
    says_action(&body, &request.action);
    assert_eq!(body["estimate"]["amount"].as_i64(), Some(request.estimate.amount));
    assert_eq!(
        body["estimate"]["unit"].as_str(),
        Some(request.estimate.unit.as_str())
    );
    assert_eq!(body["ttl_ms"].as_u64(), request.ttl_ms);
    assert_eq!(body["grace_period_ms"].as_u64(), request.grace_period_ms);
    assert_eq!(body["dry_run"].as_bool().unwrap_or(false), request.dry_run);
    keeps(&call, request.metadata.as_ref());
}

fn decide(input: &mut Input<'_>, seed: Seed, key: Option<IdempotencyKey>) {
    let mut request = DecisionRequest::builder()
        .subject(subject(input))
        .action(action(input))
        .estimate(amount(input))
        .build();
    request.idempotency_key = key;
    request.metadata = input.maybe(metadata);
    let is_fit = fits_key(request.idempotency_key.as_ref())
        && fits_subject(&request.subject)
        && fits_action(&request.action)
        && fits_amount(&request.estimate);
    let key = request.idempotency_key.clone();
    let Some(call) = sent(Operation::decide(&CONFIG, &request, seed), is_fit) else {
        return;
    };
    let body = posted(&call, "/p/v1/decide", key.as_ref());
    says_subject(&body, &request.subject);
    says_action(&body, &request.action);
    assert_eq!(body["estimate"]["amount"].as_i64(), Some(request.estimate.amount));
    keeps(&call, request.metadata.as_ref());
}

fn event(input: &mut Input<'_>, seed: Seed, key: Option<IdempotencyKey>) {
    let mut request = EventCreateRequest::builder()
        .subject(subject(input))
        .action(action(input))
        .actual(amount(input))
        .build();
    request.idempotency_key = key;
    request.overage_policy = input.maybe(policy);
    request.metrics = input.maybe(metrics);
    request.client_time_ms = input.maybe(Input::number);
    request.metadata = input.maybe(metadata);
    let is_fit = fits_key(request.idempotency_key.as_ref())
        && fits_subject(&request.subject)
        && fits_action(&request.action)
        && fits_amount(&request.actual)
        && request.metrics.as_ref().is_none_or(fits_metrics)
        && request.client_time_ms.is_none_or(|ms| i64::try_from(ms).is_ok())
        && request
            .overage_policy
            .as_ref()
            .is_none_or(CommitOveragePolicy::is_known);
    let key = request.idempotency_key.clone();
    let Some(call) = sent(Operation::create_event(&CONFIG, &request, seed), is_fit) else {
        return;
    };
    let body = posted(&call, "/p/v1/events", key.as_ref());
    says_subject(&body, &request.subject);
    says_action(&body, &request.action);
    assert_eq!(body["actual"]["amount"].as_i64(), Some(request.actual.amount));
    assert_eq!(body["client_time_ms"].as_u64(), request.client_time_ms);
    says_metrics(&call, request.metrics.as_ref());
    keeps(&call, request.metadata.as_ref());
}

fn commit(input: &mut Input<'_>, seed: Seed, key: Option<IdempotencyKey>) {
    let id = ReservationId::from(input.text());
    let mut request = CommitRequest::builder().actual(amount(input)).build();
    request.idempotency_key = key;
    request.metrics = input.maybe(metrics);
    request.metadata = input.maybe(metadata);
    let is_fit = fits_key(request.idempotency_key.as_ref())
        && fits_path(&id)
        && fits_amount(&request.actual)
        && request.metrics.as_ref().is_none_or(fits_metrics);
    let key = request.idempotency_key.clone();
    let made = sent(
        Operation::commit_reservation(&CONFIG, &id, &request, seed),
        is_fit,
    );
    let Some(call) = about(made, &id, "/commit") else {
        return;
    };
    let body = posted(&call, call.request.uri().path(), key.as_ref());
    assert_eq!(body["actual"]["amount"].as_i64(), Some(request.actual.amount));
    says_metrics(&call, request.metrics.as_ref());
    keeps(&call, request.metadata.as_ref());
}

fn release(input: &mut Input<'_>, seed: Seed, key: Option<IdempotencyKey>) {
    let id = ReservationId::from(input.text());
    let mut request = ReleaseRequest::builder().build();
    request.idempotency_key = key;
    request.reason = input.maybe(Input::text);
    let is_fit = fits_key(request.idempotency_key.as_ref())
        && fits_path(&id)
        && request
            .reason
            .as_ref()
            .is_none_or(|reason| reason.chars().count() <= 256);
    let key = request.idempotency_key.clone();
    let made = sent(
        Operation::release_reservation(&CONFIG, &id, &request, seed),
        is_fit,
    );
    let Some(call) = about(made, &id, "/release") else {
        return;
    };
    let body = posted(&call, call.request.uri().path(), key.as_ref());
    assert_eq!(body["reason"].as_str(), request.reason.as_deref());
}

fn extend(input: &mut Input<'_>, seed: Seed, key: Option<IdempotencyKey>) {
    let id = ReservationId::from(input.text());
    let mut request = ReservationExtendRequest::new(input.number());
    request.idempotency_key = key;
    request.metadata = input.maybe(metadata);
    let is_fit = fits_key(request.idempotency_key.as_ref())
        && fits_path(&id)
        && (1..=86_400_000).contains(&request.extend_by_ms);
    let key = request.idempotency_key.clone();
    let made = sent(
        Operation::extend_reservation(&CONFIG, &id, &request, seed),
        is_fit,
    );
    let Some(call) = about(made, &id, "/extend") else {
        return;
    };
    let body = posted(&call, call.request.uri().path(), key.as_ref());
    assert_eq!(body["extend_by_ms"].as_u64(), Some(request.extend_by_ms));
    keeps(&call, request.metadata.as_ref());
}

fn balances(input: &mut Input<'_>, seed: Seed) {
    let params = BalanceParams {
        tenant: input.maybe(Input::text),
        agent: input.maybe(Input::text),
        include_children: input.maybe(Input::yes),
        limit: input.maybe(|input| input.number() as u32),
        cursor: input.maybe(Input::text),
        ..Default::default()
    };
    let levels = [&params.tenant, &params.agent];
    let is_fit = levels.iter().any(|level| level.is_some())
        && levels
            .iter()
            .all(|level| level.as_ref().is_none_or(|level| !level.is_empty()))
        && params.limit.is_none_or(|limit| (1..=200).contains(&limit))
        && params.cursor.as_ref().is_none_or(|cursor| !cursor.is_empty());
    let Some(call) = sent_if(Operation::get_balances(&CONFIG, &params, seed), is_fit) else {
        return;
    };
    let pairs = query(&call, "/p/v1/balances");
    let value = |name: &str| {
        pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    assert_eq!((value("tenant"), value("agent")), (params.tenant, params.agent));
    assert_eq!(
        value("include_children"),
        params.include_children.map(|yes| yes.to_string())
    );
    assert_eq!(value("limit"), params.limit.map(|limit| limit.to_string()));
    assert_eq!(value("cursor"), params.cursor);
}

fn list(input: &mut Input<'_>, seed: Seed) {
    let params = ListReservationsParams {
        idempotency_key: input.maybe(|input| input.text().into()),
        status: input.maybe(|input| input.one_of(&["ACTIVE", "RELEASED", "DONE"]).into()),
        tenant: input.maybe(Input::text),
        toolset: input.maybe(Input::text),
        from: input.maybe(|input| UnixMillis(input.number())),
        to: input.maybe(|input| UnixMillis(input.number())),
        sort_by: input.maybe(|input| input.one_of(&["status", "created_at_ms", "age"]).into()),
        limit: input.maybe(|input| input.number() as u32),
        cursor: input.maybe(Input::text),
        ..Default::default()
    };
    // The minimum requirements for every request.
    let is_wrong = params.status.as_ref().is_some_and(|status| !status.is_known())
        || params.sort_by.as_ref().is_some_and(|key| !key.is_known())
        || !fits_key(params.idempotency_key.as_ref())
        || params.limit.is_some_and(|limit| !(1..=200).contains(&limit))
        || params.cursor.as_deref() == Some("")
        || params.from.zip(params.to).is_some_and(|(from, to)| from > to);
    let Ok(operation) = Operation::list_reservations(&CONFIG, &params, seed) else {
        return;
    };
    assert!(!is_wrong, "{params:?}");
    let call = twice(operation);
    let pairs = query(&call, "/p/v1/reservations");
    let value = |name: &str| {
        pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    assert_eq!(value("idempotency_key"), params.idempotency_key.map(String::from));
    assert_eq!(
        (value("tenant"), value("toolset")),
        (params.tenant, params.toolset)
    );
    assert_eq!(value("from"), params.from.map(|time| time.to_string()));
    assert_eq!(value("cursor"), params.cursor);
}

/// Checks that an operation is refused if and only if it breaks a limit, and returns its call.
fn sent<T: Reply + Debug>(made: Result<Operation<T>, Error>, is_fit: bool) -> Option<Call> {
    if let (Err(error), true) = (&made, is_fit) {
        panic!("refused, and within the limits: {error}");
    }
    sent_if(made, is_fit)
}

/// Like `sent`, for a text that may also be too long for an address.
fn sent_if<T: Reply + Debug>(made: Result<Operation<T>, Error>, is_fit: bool) -> Option<Call> {
    match made {
        Ok(operation) => {
            assert!(
                is_fit,
                "sent, and beyond the limits: {:?}",
                operation.call().request
            );
            Some(twice(operation))
        }
        Err(error) => {
            assert!(matches!(error, Error::Validation(_)), "{error:?}");
            assert!(!format!("{error} {error:?}").contains(KEY));
            assert!(error.to_string().len() < 2_000, "an error is a sentence");
            None
        }
    }
}

fn twice<T: Reply + Debug>(operation: Operation<T>) -> Call {
    let (call, again) = (operation.call(), operation.call());
    assert_eq!(call.request.uri(), again.request.uri());
    assert_eq!(call.request.headers(), again.request.headers());
    assert_eq!(call.request.body(), again.request.body());
    assert!(!format!("{call:?} {operation:?}").contains(KEY));
    let uri = call.request.uri();
    assert_eq!(
        (uri.scheme_str(), uri.authority().map(|at| at.as_str())),
        (Some("http"), Some("h:7878"))
    );
    let headers = call.request.headers();
    for (name, value) in headers {
        let is_key = name == "x-cycles-api-key";
        assert_eq!(value.is_sensitive(), is_key);
        assert!(
            is_key
                || !value
                    .as_bytes()
                    .windows(KEY.len())
                    .any(|part| part == KEY.as_bytes())
        );
        assert_eq!(headers.get_all(name).iter().count(), 1);
    }
    call
}

/// Checks that a request about a reservation names it in one path segment, whatever characters its id contains.
fn about(call: Option<Call>, id: &ReservationId, suffix: &str) -> Option<Call> {
    let call = call?;
    let path = call.request.uri().path();
    let segment = path
        .strip_prefix("/p/v1/reservations/")
        .and_then(|rest| rest.strip_suffix(suffix));
    let segment = segment.expect("the route is the operation's");
    assert!(!segment.contains(['/', '?', '#', '\\', ';']) && !matches!(segment, "." | ".." | ""));
    assert_eq!(
        percent_decode_str(segment).decode_utf8().ok().as_deref(),
        Some(id.as_str())
    );
    assert_eq!(call.request.uri().query(), None);
    Some(call)
}

/// Checks the body of a request that changes something: its key comes first, and a ledger can read it.
fn posted(call: &Call, path: &str, key: Option<&IdempotencyKey>) -> Value {
    let request = &call.request;
    assert_eq!((request.method(), request.uri().path()), (&Method::POST, path));
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(
        header("content-length"),
        Some(request.body().len().to_string().as_str())
    );
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("x-cycles-api-key"), Some(KEY));
    assert!(request.body().starts_with(br#"{"idempotency_key":""#) || key.is_some());
    let body: Value = serde_json::from_slice(request.body()).expect("what is sent is JSON");
    let said = body["idempotency_key"].as_str();
    assert!(said.is_some_and(|said| !said.is_empty()));
    assert!(key.is_none_or(|key| Some(key.as_str()) == said));
    assert!(header("x-idempotency-key").is_none_or(|value| Some(value) == said));
    let mut asked = request.clone();
    let path = path.strip_prefix("/p").unwrap_or(path);
    *asked.uri_mut() = path.parse().expect("a part of an address");
    let answer = LEDGER
        .with(Ledger::clone)
        .handle(UnixMillis(1_795_000_000_000), &asked);
    let refusal: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    assert!(
        refusal["error"] != "INVALID_REQUEST",
        "{:?} for {body}",
        answer.body()
    );
    assert!(answer.status() != 500, "{:?} for {body}", answer.body());
    body
}

fn query(call: &Call, path: &str) -> Vec<(String, String)> {
    let uri = call.request.uri();
    assert_eq!((call.request.method(), uri.path()), (&Method::GET, path));
    let decoded = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .expect("UTF-8")
            .into_owned()
    };
    let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    let pairs: Vec<_> = pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    assert!(
        pairs
            .iter()
            .all(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
    );
    pairs
}

fn says_subject(body: &Value, subject: &Subject) {
    let said: Subject = serde_json::from_value(body["subject"].clone()).expect("a subject");
    assert_eq!(&said, subject);
}

fn says_action(body: &Value, action: &Action) {
    let said: Action = serde_json::from_value(body["action"].clone()).expect("an action");
    assert_eq!(&said, action);
}

fn says_metrics(call: &Call, metrics: Option<&CyclesMetrics>) {
    // Not read as a `Value`, which would sort the members.
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_slice(call.request.body()).expect("what is sent is an object");
    let said = members.get("metrics").map(|said| said.get());
    let said = said.map(|said| serde_json::from_str(said).expect("metrics"));
    assert_eq!(said.as_ref(), metrics);
}

/// Checks that metadata is sent exactly as written, because the server compares repeated requests byte by byte.
fn keeps(call: &Call, metadata: Option<&JsonObject>) {
    let text = core::str::from_utf8(call.request.body()).expect("JSON is UTF-8");
    match metadata {
        Some(metadata) => assert!(text.contains(&format!(r#""metadata":{metadata}"#))),
        None => assert!(!text.contains(r#","metadata":{"#)),
    }
}

static CONFIG: LazyLock<Arc<CyclesConfig>> =
    LazyLock::new(|| Arc::new(CyclesConfig::new(KEY, "http://h:7878/p/").expect("it is valid")));

thread_local! {
    /// A ledger without budgets, which refuses every well-formed request for that reason.
    static LEDGER: Ledger = {
        let mut ledger = Ledger::new(1);
        ledger.add_tenant(Tenant::new("acme"));
        ledger.add_api_key(ApiKey::new(KEY, "acme"));
        ledger
    };
}
