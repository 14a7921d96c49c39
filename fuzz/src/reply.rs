//! Any response to any operation: what it may mean, by a second reading of the table that the core implements.
//!
//! - The verdict is the table's, and a success says in so many words that the operation was done.
//! - Amounts and times of a success are those of the body, to the unit.
//! - A member that a newer server adds changes nothing; a body that is cut off is never a success.
//! - An operation asks twice at most, with the same bytes; what stays open is said to be open.
//! - The API key is in nothing that comes out, whatever echoes it.
//!
//! Bytes: operation, status (2), header, where the key is echoed (2), where the body is cut; then the body.

use core::fmt::Debug;
use core::time::Duration;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use cycles_proto::models::*;
use cycles_proto::reply::{Reply, verdict};
use cycles_proto::{CyclesConfig, Error, Operation, OperationKind, Progress, Seed, Verdict};
use http::Response;
use serde_json::Value;

use crate::KEY;
use crate::input::Input;

/// One execution.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte() % 13;
    let (response, cut) = response(&mut input);
    let (config, id) = (&*CONFIG, ReservationId::from("r"));
    let seed = Seed([1; 16]);
    match kind {
        0 => judge(Operation::decide(config, &DECIDE, seed), &response, cut),
        1 => judge(
            Operation::create_reservation(config, &create(false), seed),
            &response,
            cut,
        ),
        2 => judge(
            Operation::create_reservation(config, &create(true), seed),
            &response,
            cut,
        ),
        3 => judge(
            Operation::commit_reservation(config, &id, &COMMIT, seed),
            &response,
            cut,
        ),
        4 => judge(
            Operation::release_reservation(config, &id, &ReleaseRequest::default(), seed),
            &response,
            cut,
        ),
        5 => {
            let extend = ReservationExtendRequest::by_ms(1);
            judge(
                Operation::extend_reservation(config, &id, &extend, seed),
                &response,
                cut,
            );
        }
        6 => judge(Operation::get_reservation(config, &id, seed), &response, cut),
        7 => {
            let params = ListReservationsParams::default();
            judge(
                Operation::list_reservations(config, &params, seed),
                &response,
                cut,
            );
        }
        8 => judge(Operation::create_event(config, &EVENT, seed), &response, cut),
        9 => {
            let params = BalanceParams {
                tenant: Some("t".into()),
                ..Default::default()
            };
            judge(Operation::get_balances(config, &params, seed), &response, cut);
        }
        10 => {
            let id = EvidenceId::from("0".repeat(64));
            judge(Operation::get_evidence(config, &id, seed), &response, cut);
        }
        11 => judge(Operation::get_evidence_jwks(config, seed), &response, cut),
        _ => judge(Operation::health(config, seed), &response, cut),
    }
}

fn judge<T>(operation: Result<Operation<T>, Error>, response: &Response<Bytes>, cut: u8)
where
    T: Reply + Clone + PartialEq + Debug,
{
    let operation = operation.expect("the request is valid");
    let kind = operation.context().operation;
    let judged = verdict::<T>(kind, response);
    let body: Option<Value> = serde_json::from_slice(response.body()).ok();
    assert_eq!(
        class(&judged),
        expected(kind, response.status().as_u16(), &judged, body.as_ref()),
        "{judged:?}"
    );
    if let Verdict::Success(reply) = &judged {
        if let Some(body) = &body {
            says_so(kind, body);
        }
        numbers_are_kept(reply, body.as_ref());
        news_change_nothing(kind, reply, response);
        no_half_is_a_success::<T>(kind, response, cut);
    }
    ends(operation, response, &judged);
}

/// The table once more, with its code read by other means where that can be done.
fn expected<T>(kind: OperationKind, status: u16, judged: &Verdict<T>, body: Option<&Value>) -> &'static str {
    let done = match kind {
        OperationKind::CreateEvent => &[201][..],
        OperationKind::Health => &[200, 503],
        _ => &[200],
    };
    if done.contains(&status) {
        // Which of the two is for `says_so` and the other checks of a success.
        let is_success = matches!(judged, Verdict::Success(_));
        return if is_success { "success" } else { "ambiguous" };
    }
    if (200..300).contains(&status) {
        return "ambiguous";
    }
    let told = unsuccessful(judged)
        .and_then(|reply| reply.error.as_ref())
        .map(|error| error.error.as_str());
    if let (Some(told), Some(body)) = (told, body) {
        assert_eq!(
            body["error"].as_str().map(cut_as_the_core_does),
            Some(told.to_owned())
        );
    }
    let is_named = matches!(
        kind,
        OperationKind::CommitReservation
            | OperationKind::ReleaseReservation
            | OperationKind::ExtendReservation
            | OperationKind::GetReservation
    );
    match (status, told) {
        (429, _) | (400.., Some("LIMIT_EXCEEDED")) => "throttled",
        (401 | 403, _) => "unauthorized",
        (500.., _) => "ambiguous",
        (400..500, Some("RESERVATION_EXPIRED")) if is_named => {
            let names_the_request = body.is_none_or(|body| body["request_id"].is_string());
            if names_the_request {
                "expired"
            } else {
                "perhaps expired"
            }
        }
        (410, _) if is_named => "perhaps expired",
        _ => "rejected",
    }
}

/// A success of an operation that moves money says so, and a grant names what it grants.
fn says_so(kind: OperationKind, body: &Value) {
    let status = body["status"].as_str();
    match kind {
        OperationKind::CommitReservation => assert_eq!(status, Some("COMMITTED")),
        OperationKind::ReleaseReservation => assert_eq!(status, Some("RELEASED")),
        OperationKind::ExtendReservation => assert_eq!(status, Some("ACTIVE")),
        OperationKind::CreateEvent => {
            assert_eq!(status, Some("APPLIED"));
            assert!(body["event_id"].as_str().is_some_and(|id| !id.is_empty()));
        }
        OperationKind::CreateReservation { dry_run: false } => {
            let allows = matches!(body["decision"].as_str(), Some("ALLOW" | "ALLOW_WITH_CAPS"));
            assert!(!allows || body["reservation_id"].as_str().is_some_and(|id| !id.is_empty()));
        }
        _ => assert!(body.is_object()),
    }
}

/// What a success says of money and time is what stands in its body; seen through `Debug`, which all share.
fn numbers_are_kept<T: Debug>(reply: &T, body: Option<&Value>) {
    let text = format!("{reply:?}");
    for name in ["charged", "released", "reserved"] {
        let Some(amount) = body.and_then(|body| body[name]["amount"].as_i64()) else {
            continue;
        };
        assert!(amount >= 0, "{name} is negative: {text}");
        assert!(
            !text.contains(&format!(" {name}: ")) || text.contains(&format!("amount: {amount} ")),
            "{text}"
        );
    }
    if let Some(left) = body.and_then(|body| body["remaining_ttl_ms"].as_u64()) {
        assert!(
            !text.contains("remaining_ttl_ms: ") || text.contains(&format!("remaining_ttl_ms: Some({left})"))
        );
    }
}

fn news_change_nothing<T>(kind: OperationKind, reply: &T, response: &Response<Bytes>)
where
    T: Reply + Clone + PartialEq + Debug,
{
    let text = core::str::from_utf8(response.body()).expect("a success is UTF-8");
    let (before, after) = text.split_once('{').expect("a success is an object");
    for news in [r#""zz_new":null"#, r#""zz_new":{"status":[1,"x"]}"#] {
        let body = format!("{before} {{{news},{after} ");
        let Verdict::Success(mut newer) = verdict::<T>(kind, &with_body(response, body.into())) else {
            panic!("a new member spoils a success: {text}");
        };
        newer.set_info(ResponseInfo::default());
        let mut older = reply.clone();
        older.set_info(ResponseInfo::default());
        assert_eq!(newer, older);
    }
}

fn no_half_is_a_success<T: Reply>(kind: OperationKind, response: &Response<Bytes>, cut: u8) {
    let whole = response.body().trim_ascii();
    let half = response
        .body()
        .slice_ref(&whole[..whole.len() * usize::from(cut) / 256]);
    let judged = verdict::<T>(kind, &with_body(response, half));
    assert!(matches!(judged, Verdict::Ambiguous(_)));
}

/// Gives the answer until the operation ends.
fn ends<T: Reply + Debug>(mut operation: Operation<T>, response: &Response<Bytes>, judged: &Verdict<T>) {
    let kind = operation.context().operation;
    let first = operation.call();
    assert!(!format!("{first:?}").contains(KEY));
    let mut asked = 1;
    let result = loop {
        match operation.handle(Duration::ZERO, Ok(response)) {
            Progress::Done(result) => break result,
            Progress::Again(same) => operation = same,
        }
        asked += 1;
        assert!(asked <= 2, "an operation is repeated once at most");
        let again = operation.call();
        assert_eq!(again.request.uri(), first.request.uri());
        assert_eq!(again.request.headers(), first.request.headers());
        assert_eq!(again.request.body(), first.request.body());
        assert!(again.timeout <= first.timeout);
    };
    let (text, info) = match &result {
        Ok(reply) => (format!("{reply:?}"), None),
        Err(error) => (format!("{error} {error:?}"), error.info()),
    };
    assert!(!text.contains(KEY), "{text}");
    if let Some(info) = info {
        let body = String::from_utf8_lossy(info.body());
        assert!(!body.contains(KEY), "{body}");
    }
    let echoes = !matches!(response.body(), body if plain(body));
    if !echoes {
        assert_eq!(
            result.is_ok(),
            matches!(judged, Verdict::Success(_)),
            "{result:?}"
        );
    }
    if let Err(error) = result {
        let is_known = error.code().is_some_and(|code| KNOWN.contains(&code.as_str()));
        assert!(
            kind.changes_the_ledger() || !error.outcome_is_unknown(),
            "a read changes nothing"
        );
        assert!(
            error.outcome_is_unknown() || is_known || !kind.changes_the_ledger(),
            "nobody but the ledger closes an outcome: {error:?}"
        );
        let is_open = matches!(judged, Verdict::Ambiguous(_)) && kind.changes_the_ledger();
        assert!(!is_open || echoes || error.outcome_is_unknown(), "{error:?}");
    }
}

fn class<T>(verdict: &Verdict<T>) -> &'static str {
    match verdict {
        Verdict::Success(_) => "success",
        Verdict::Rejected(_) => "rejected",
        Verdict::Unauthorized(_) => "unauthorized",
        Verdict::Expired { confirmed: true, .. } => "expired",
        Verdict::Expired { confirmed: false, .. } => "perhaps expired",
        Verdict::Throttled(_) => "throttled",
        Verdict::Ambiguous(_) => "ambiguous",
    }
}

fn unsuccessful<T>(verdict: &Verdict<T>) -> Option<&cycles_proto::Unsuccessful> {
    match verdict {
        Verdict::Success(_) => None,
        Verdict::Rejected(reply)
        | Verdict::Unauthorized(reply)
        | Verdict::Expired { reply, .. }
        | Verdict::Throttled(reply)
        | Verdict::Ambiguous(reply) => Some(reply),
    }
}

fn response(input: &mut Input<'_>) -> (Response<Bytes>, u8) {
    const STATUSES: [u16; 16] = [
        200, 201, 200, 200, 204, 302, 400, 401, 403, 404, 409, 410, 429, 500, 503, 999,
    ];
    const HEADERS: [(&str, &str); 8] = [
        ("content-type", "application/json"),
        ("retry-after", "99999999999999999999999"),
        ("retry-after", "0"),
        ("retry-after", "-5"),
        ("x-request-id", KEY),
        ("x-ratelimit-remaining", "NaN"),
        ("x-cycles-trace-id", "\t"),
        ("retry-after", "7"),
    ];
    let (one, two) = (input.byte(), input.byte());
    let status = match one {
        0..128 => STATUSES[usize::from(one) % STATUSES.len()],
        _ => 100 + (u16::from(one) << 8 | u16::from(two)) % 900,
    };
    let (name, value) = input.one_of(&HEADERS);
    let (echo, at, cut) = (input.byte(), usize::from(input.byte()), input.byte());
    let mut body = input.rest().to_vec();
    let at = at.min(body.len());
    match echo {
        1 => drop(body.splice(at..at, KEY.bytes())),
        2 => drop(body.splice(at..at, KEY.replace('_', "\\u005f").into_bytes())),
        3 => drop(body.splice(at..at, KEY.replace('l', "\\u006c").into_bytes())),
        _ => {}
    }
    let response = Response::builder().status(status).header(name, value);
    (response.body(body.into()).expect("the parts are valid"), cut)
}

fn with_body(response: &Response<Bytes>, body: Bytes) -> Response<Bytes> {
    let mut other = Response::new(body);
    *other.status_mut() = response.status();
    *other.headers_mut() = response.headers().clone();
    other
}

/// Whether nothing in it can be the key, however it is written.
fn plain(body: &Bytes) -> bool {
    !body.contains(&b'\\') && !String::from_utf8_lossy(body).contains(KEY)
}

/// Values of open enums are kept up to a length.
fn cut_as_the_core_does(text: &str) -> String {
    ErrorCode::from(text).as_str().to_owned()
}

/// The codes of the protocol; `INTERNAL_ERROR` closes nothing.
const KNOWN: [&str; 16] = [
    "INVALID_REQUEST",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "NOT_FOUND",
    "BUDGET_EXCEEDED",
    "BUDGET_FROZEN",
    "BUDGET_CLOSED",
    "RESERVATION_EXPIRED",
    "RESERVATION_FINALIZED",
    "IDEMPOTENCY_MISMATCH",
    "UNIT_MISMATCH",
    "OVERDRAFT_LIMIT_EXCEEDED",
    "DEBT_OUTSTANDING",
    "MAX_EXTENSIONS_EXCEEDED",
    "LIMIT_EXCEEDED",
    "TENANT_CLOSED",
];

static CONFIG: LazyLock<Arc<CyclesConfig>> =
    LazyLock::new(|| Arc::new(CyclesConfig::new(KEY, "http://localhost:7878").expect("it is valid")));

static DECIDE: LazyLock<DecisionRequest> = LazyLock::new(|| {
    DecisionRequest::builder()
        .subject(Subject::tenant("t"))
        .action(Action::new("k", "n"))
        .estimate(Amount::tokens(1))
        .build()
});

static COMMIT: LazyLock<CommitRequest> =
    LazyLock::new(|| CommitRequest::builder().actual(Amount::tokens(1)).build());

static EVENT: LazyLock<EventCreateRequest> = LazyLock::new(|| {
    EventCreateRequest::builder()
        .subject(Subject::tenant("t"))
        .action(Action::new("k", "n"))
        .actual(Amount::tokens(1))
        .build()
});

fn create(dry_run: bool) -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant("t"))
        .action(Action::new("k", "n"))
        .estimate(Amount::tokens(1))
        .dry_run(dry_run)
        .build()
}
