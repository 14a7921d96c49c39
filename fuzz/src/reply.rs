//! Any response to any operation, compared to a second implementation of the core's table. Each body is tried with
//! every operation and every status in the table.
//!
//! - The verdict is the table's, and a success explicitly says that the operation was carried out.
//! - The amounts and times in a success are exactly those in the body.
//! - A new member from a newer server changes nothing; a body that is cut off, or has anything after it, is never a
//!   success.
//! - An operation sends at most two requests, with the same bytes, whatever the first answer was. An open outcome is
//!   reported as open, and only an answer of the ledger itself closes it.
//! - An outage is not confused with a refused API key.
//! - The API key never appears in any output, whatever echoes it.
//!
//! Bytes: operation, status (2), header, where the key is echoed (2), where the body is cut; then the body.

mod table;

use core::fmt::Debug;
use core::time::Duration;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use cycles_proto::models::*;
use cycles_proto::parts::{Reply, Verdict, verdict};
use cycles_proto::{CyclesConfig, Error, Failure, FailureKind, Operation, OperationKind, Progress, Seed};
use http::Response;
use serde_json::Value;

use self::table::{class, closes, expected, says_so, unsuccessful};
use crate::KEY;
use crate::input::Input;

/// Runs one execution.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte() % 13;
    let (response, cut) = response(&mut input);
    let text = response
        .body()
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(response.body());
    let body = serde_json::from_slice(text).ok();
    let answer = Answer { response, body, cut };
    for other in 0..13 {
        ask(other, &answer, other == kind);
    }
}

/// A response, independent of the operation.
struct Answer {
    response: Response<Bytes>,
    /// The body as JSON; `None` if it is not JSON.
    body: Option<Value>,
    /// Where the body is cut, in 256ths.
    cut: u8,
}

fn ask(kind: u8, answer: &Answer, is_drawn: bool) {
    let (config, id, seed) = (&*CONFIG, ReservationId::from("r"), Seed([1; 16]));
    match kind {
        0 => judge(Operation::decide(config, &DECIDE, seed), answer, is_drawn),
        1 | 2 => {
            let made = Operation::create_reservation(config, &CREATE[usize::from(kind - 1)], seed);
            judge(made, answer, is_drawn);
        }
        3 => {
            let made = Operation::commit_reservation(config, &id, &COMMIT, seed);
            judge(made, answer, is_drawn);
        }
        4 => {
            let made = Operation::release_reservation(config, &id, &ReleaseRequest::default(), seed);
            judge(made, answer, is_drawn);
        }
        5 => {
            let extend = ReservationExtendRequest::new(1);
            let made = Operation::extend_reservation(config, &id, &extend, seed);
            judge(made, answer, is_drawn);
        }
        6 => judge(Operation::get_reservation(config, &id, seed), answer, is_drawn),
        7 => {
            let params = ListReservationsParams::default();
            judge(
                Operation::list_reservations(config, &params, seed),
                answer,
                is_drawn,
            );
        }
        8 => judge(Operation::create_event(config, &EVENT, seed), answer, is_drawn),
        9 => {
            let params = BalanceParams {
                tenant: Some("t".into()),
                ..Default::default()
            };
            judge(Operation::get_balances(config, &params, seed), answer, is_drawn);
        }
        10 => {
            let id = EvidenceId::from("0".repeat(64));
            judge(Operation::get_evidence(config, &id, seed), answer, is_drawn);
        }
        11 => judge(Operation::get_evidence_jwks(config, seed), answer, is_drawn),
        _ => judge(Operation::health(config, seed), answer, is_drawn),
    }
}

/// Tries the answer under its own status and all others; for the drawn operation, also after every possible first
/// attempt.
fn judge<T>(operation: Result<Operation<T>, Error>, answer: &Answer, is_drawn: bool)
where
    T: Reply + Clone + PartialEq + Debug,
{
    const STATUSES: [u16; 19] = [
        200, 201, 202, 204, 302, 400, 401, 403, 404, 407, 408, 409, 410, 421, 425, 429, 499, 500, 503,
    ];
    let operation = operation.expect("the request is valid");
    let kind = operation.context().operation;
    let body = answer.body.as_ref();
    let own = answer.response.status().as_u16();
    for status in [own]
        .into_iter()
        .chain(STATUSES.into_iter().filter(|other| *other != own))
    {
        let mut response = answer.response.clone();
        *response.status_mut() = status.try_into().expect("a status");
        let judged = verdict::<T>(kind, &response);
        assert_eq!(
            class(&judged),
            expected(kind, status, &judged, body),
            "{kind:?} {status}: {judged:?}"
        );
        if let Verdict::Success(reply) = &judged {
            says_so(kind, body.expect("a success is JSON"));
            numbers_are_kept(kind, reply, body);
            nothing_follows_a_success::<T>(kind, &response);
            if is_drawn {
                news_change_nothing(kind, reply, &response);
                no_half_is_a_success::<T>(kind, &response, answer.cut);
            }
        }
        if is_drawn {
            for before in Before::ALL {
                ends(operation.clone(), before, &response, &judged, body);
            }
        }
    }
}

/// Checks that the amounts and times of a success are those of its body. Uses `Debug`, which all replies implement.
fn numbers_are_kept<T: Debug>(kind: OperationKind, reply: &T, body: Option<&Value>) {
    let text = format!("{reply:?}");
    let names: &[&str] = match kind {
        OperationKind::CommitReservation => &["charged", "released"],
        OperationKind::ReleaseReservation => &["released"],
        OperationKind::CreateReservation { .. } | OperationKind::GetReservation => &["reserved"],
        OperationKind::CreateEvent => &["charged"],
        _ => &[],
    };
    for name in names {
        let Some(amount) = body.and_then(|body| body[name]["amount"].as_i64()) else {
            continue;
        };
        assert!(amount >= 0, "{name} is negative: {text}");
        assert!(text.contains(&format!(" {name}: ")), "{name} is lost: {text}");
        assert!(text.contains(&format!("amount: {amount} ")), "{text}");
    }
    let is_lease = matches!(
        kind,
        OperationKind::CreateReservation { .. } | OperationKind::ExtendReservation
    );
    if let Some(left) = body
        .and_then(|body| body["remaining_ttl_ms"].as_u64())
        .filter(|_| is_lease)
    {
        assert!(
            text.contains(&format!("remaining_ttl_ms: Some({left})")),
            "{text}"
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

fn nothing_follows_a_success<T: Reply>(kind: OperationKind, response: &Response<Bytes>) {
    for more in [&b"x"[..], b"{}", b"\0", b"</html>"] {
        let body = [response.body(), more].concat();
        let judged = verdict::<T>(kind, &with_body(response, body.into()));
        assert!(
            matches!(judged, Verdict::Ambiguous(_)),
            "{kind:?}: {more:?} goes unnoticed"
        );
    }
}

/// The ways in which a first attempt can leave the outcome open.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    Lost,
    Failed,
    Unreadable,
}

impl Before {
    const ALL: [Self; 4] = [Self::Nothing, Self::Lost, Self::Failed, Self::Unreadable];

    fn answer(self) -> Option<Result<Response<Bytes>, Failure>> {
        let page = |status: u16| {
            let mut page = Response::new(Bytes::from_static(b"<html>"));
            *page.status_mut() = status.try_into().expect("a status");
            page
        };
        match self {
            Self::Nothing => None,
            Self::Lost => Some(Err(Failure::new(FailureKind::Lost))),
            Self::Failed => Some(Ok(page(503))),
            Self::Unreadable => Some(Ok(page(200))),
        }
    }
}

/// Gives the answer until the operation ends.
fn ends<T: Reply + Debug>(
    mut operation: Operation<T>,
    before: Before,
    response: &Response<Bytes>,
    judged: &Verdict<T>,
    body: Option<&Value>,
) {
    let kind = operation.context().operation;
    let first = operation.call();
    assert!(!format!("{first:?}").contains(KEY));
    let mut asked = 1;
    let mut open = before.answer();
    let result = loop {
        let answer = open.as_ref().map(|open| open.as_ref().map_err(Failure::clone));
        let is_open = answer.is_some();
        match operation.handle(Duration::ZERO, answer.unwrap_or(Ok(response))) {
            Progress::Done(result) => {
                assert!(!is_open, "an open outcome is asked for once more: {before:?}");
                break result;
            }
            Progress::Again(same) => operation = same,
        }
        open = None;
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
        assert!(
            kind.changes_the_ledger() || !error.outcome_is_unknown(),
            "a read changes nothing"
        );
        if !echoes && let Some(reply) = unsuccessful(judged) {
            let told = reply.error.as_ref().map(|error| error.error.as_str());
            let status = response.status().as_u16();
            let is_closed = closes(status, told, body, asked > 1);
            assert_eq!(
                error.outcome_is_unknown(),
                kind.changes_the_ledger() && !is_closed,
                "{before:?}, then {error:?}"
            );
            let says_outage = body.is_some_and(|body| body["message"] == "INTERNAL_ERROR");
            let is_outage = status == 401 && told.is_some() && says_outage;
            assert_eq!(error.is_outage(), is_outage, "{error:?}");
            assert_eq!(
                error.is_auth_error(),
                matches!(status, 401 | 403) && !is_outage,
                "{error:?}"
            );
        }
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
    // A proxy that echoes the key in a header must do no harm, whatever else it says.
    let response = response.header("x-cycles-tenant", KEY);
    (response.body(body.into()).expect("the parts are valid"), cut)
}

fn with_body(response: &Response<Bytes>, body: Bytes) -> Response<Bytes> {
    let mut other = Response::new(body);
    *other.status_mut() = response.status();
    *other.headers_mut() = response.headers().clone();
    other
}

/// Whether the body cannot contain the key in any spelling.
fn plain(body: &Bytes) -> bool {
    !body.contains(&b'\\') && !String::from_utf8_lossy(body).contains(KEY)
}

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

static CREATE: LazyLock<[ReservationCreateRequest; 2]> = LazyLock::new(|| {
    [false, true].map(|dry_run| {
        ReservationCreateRequest::builder()
            .subject(Subject::tenant("t"))
            .action(Action::new("k", "n"))
            .estimate(Amount::tokens(1))
            .dry_run(dry_run)
            .build()
    })
});
