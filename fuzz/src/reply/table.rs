//! A second implementation of the table from answers to verdicts, based on the protocol's text rather than on the core.

use cycles_proto::OperationKind;
use cycles_proto::models::ErrorCode;
use cycles_proto::parts::{Unsuccessful, Verdict};
use serde_json::Value;

/// The expected verdict; the error code is read in a different way than in the core where possible.
pub(super) fn expected<T>(
    kind: OperationKind,
    status: u16,
    judged: &Verdict<T>,
    body: Option<&Value>,
) -> &'static str {
    let done = match kind {
        OperationKind::CreateEvent => &[201][..],
        OperationKind::Health => &[200, 503],
        _ => &[200],
    };
    if done.contains(&status) {
        // `says_so` and the other checks of a success verify which of the two it is.
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
        (407, _) => "not sent",
        (100..400 | 408 | 421 | 425 | 444 | 460 | 494 | 499 | 500.., _) => "ambiguous",
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

/// Checks that a success says so if the operation moves money, and that a grant names its reservation.
pub(super) fn says_so(kind: OperationKind, body: &Value) {
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

/// Whether an answer is a refusal by the ledger itself. If an earlier attempt may have been carried out, the refusal
/// must be one that the ledger gives after looking up the key, and must name the request.
pub(super) fn closes(status: u16, told: Option<&str>, body: Option<&Value>, may_be_done: bool) -> bool {
    // A proxy that asks for a password has forwarded nothing.
    if status == 407 {
        return !may_be_done;
    }
    let Some(told) = told.filter(|told| KNOWN.contains(told)) else {
        return false;
    };
    let is_named = body.is_some_and(|body| body["request_id"].is_string());
    let is_throttled = status == 429 || told == "LIMIT_EXCEEDED";
    let comes_first = is_throttled || status == 401 || status == 403;
    let is_of_a_balancer = matches!(status, 408 | 421 | 425 | 444 | 460 | 494 | 499);
    (((400..500).contains(&status) && !is_of_a_balancer) || is_throttled)
        && (is_named || !(may_be_done || told == "RESERVATION_EXPIRED"))
        && !(may_be_done && comes_first)
}

pub(super) fn class<T>(verdict: &Verdict<T>) -> &'static str {
    match verdict {
        Verdict::Success(_) => "success",
        Verdict::Rejected(_) => "rejected",
        Verdict::Unauthorized(_) => "unauthorized",
        Verdict::Expired { confirmed: true, .. } => "expired",
        Verdict::Expired { confirmed: false, .. } => "perhaps expired",
        Verdict::Throttled(_) => "throttled",
        Verdict::NotSent(_) => "not sent",
        Verdict::Ambiguous(_) => "ambiguous",
    }
}

pub(super) fn unsuccessful<T>(verdict: &Verdict<T>) -> Option<&Unsuccessful> {
    match verdict {
        Verdict::Success(_) => None,
        Verdict::Rejected(reply)
        | Verdict::Unauthorized(reply)
        | Verdict::Expired { reply, .. }
        | Verdict::Throttled(reply)
        | Verdict::NotSent(reply)
        | Verdict::Ambiguous(reply) => Some(reply),
    }
}

/// Truncates a value of an open enum at the core's limit.
fn cut_as_the_core_does(text: &str) -> String {
    ErrorCode::from(text).as_str().to_owned()
}

/// The protocol's error codes, without `INTERNAL_ERROR`, which closes nothing.
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
