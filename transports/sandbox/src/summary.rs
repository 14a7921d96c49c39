//! What a request was about and how it ended, in a few words: for logs and for the page.

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

use crate::exchange::{Exchange, Plane};
use crate::ledger::Unit;
use crate::masks::Masks;
use crate::operation::Operation;

/// An exchange in a few words. It has no key: the keys of the sandbox, and whatever looks like one, are replaced by
/// `[key]`. Texts are cut after 200 characters; they may have any characters, as clients sent them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// RFC 3339 in UTC, with milliseconds.
    pub time: String,
    /// `runtime`, `admin` or `control`.
    pub plane: &'static str,
    /// As in fault rules, such as `reserve` or `unknown`; on the other planes only that of probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The query of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The HTTP status; absent if the connection ended without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The decision, or the status of the object, such as `ALLOW` or `COMMITTED`. Only on the plane for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Whether it was a reservation that holds nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub is_dry_run: bool,
    /// The reason of a `DENY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// The error code, such as `BUDGET_EXCEEDED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The sentence that comes with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The path of the deepest scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// What was charged or given back, or else what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// The unit of the amounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What remains in the deepest budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<i64>,
    /// The scope of that budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_scope: Option<String>,
    /// By how many milliseconds a lease was to be extended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_by_ms: Option<i64>,
    /// How many rows a list has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// The reservation, from the answer or the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation_id: Option<String>,
    /// The idempotency key of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The request id of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The trace id of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The injected fault, if one was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Summary {
    pub(crate) fn of(exchange: &Exchange<'_>, masks: &Masks) -> Self {
        Seen::of(exchange, masks).summary(exchange)
    }
}

/// The parts of an exchange that a summary is made of.
struct Seen {
    request: Value,
    response: Value,
    masks: Masks,
}

impl Seen {
    fn of(exchange: &Exchange<'_>, masks: &Masks) -> Self {
        let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or_default();
        let headers = exchange.request.headers();
        let sent = ["x-cycles-api-key", "x-admin-api-key"].map(|name| headers.get_all(name).iter());
        let sent = sent.into_iter().flatten();
        Self {
            request: json(exchange.request.body()),
            response: exchange
                .response
                .map(|response| json(response.body()))
                .unwrap_or_default(),
            masks: masks.and(sent.filter_map(|key| key.to_str().ok())),
        }
    }

    fn summary(&self, exchange: &Exchange<'_>) -> Summary {
        let (uri, is_runtime) = (exchange.request.uri(), exchange.plane == Plane::Runtime);
        let status = exchange.response.map(|response| response.status());
        let is_success = status.is_some_and(|status| status.is_success());
        let answered = |member: &str| self.text(&self.response, member);
        // On the admin plane `status` is the state of the object, not the outcome of the call.
        let outcome = answered("decision").or_else(|| answered("status"));
        let outcome = outcome.filter(|_| is_success && is_runtime);
        let (amount, unit) = self.money().filter(|_| is_runtime).unzip();
        let remaining = self.remaining(exchange).filter(|_| is_runtime);
        let (remaining_scope, remaining) = remaining.unzip();
        let id_in_path = uri.path().strip_prefix("/v1/reservations/");
        let id_in_path = id_in_path.and_then(|rest| rest.split('/').next());
        Summary {
            time: exchange.at.to_string(),
            plane: exchange.plane.name(),
            operation: (is_runtime || exchange.operation != Operation::Unknown)
                .then(|| exchange.operation.name()),
            method: exchange.request.method().to_string(),
            path: self.clean(uri.path()),
            query: uri.query().map(|query| self.clean(query)),
            status: status.map(|status| status.as_u16()),
            is_dry_run: outcome.is_some()
                && exchange.operation == Operation::CreateReservation
                && answered("reservation_id").is_none(),
            outcome,
            reason_code: answered("reason_code"),
            error: answered("error").filter(|_| !is_success),
            message: answered("message").filter(|_| !is_success),
            scope: self
                .scope()
                .map(|scope| self.clean(&scope))
                .filter(|_| is_runtime),
            amount,
            unit: unit.map(|unit| self.clean(unit)),
            remaining,
            remaining_scope: remaining_scope.map(|scope| self.clean(&scope)),
            extend_by_ms: self.request.get("extend_by_ms").and_then(Value::as_i64),
            rows: self.rows(),
            reservation_id: answered("reservation_id")
                .or_else(|| id_in_path.map(|id| self.clean(id)))
                .filter(|_| is_runtime),
            idempotency_key: self.text(&self.request, "idempotency_key"),
            request_id: self
                .header(exchange, "x-request-id")
                .or_else(|| answered("request_id")),
            trace_id: self
                .header(exchange, "x-cycles-trace-id")
                .or_else(|| answered("trace_id")),
            fault: exchange.fault.map(ToString::to_string),
        }
    }

    fn text(&self, of: &Value, member: &str) -> Option<String> {
        Some(self.clean(of.get(member)?.as_str()?))
    }

    fn header(&self, exchange: &Exchange<'_>, name: &str) -> Option<String> {
        let value = exchange.response?.headers().get(name)?.to_str().ok()?;
        Some(self.clean(value))
    }

    /// The path of the deepest scope: from the answer, else from the subject, else the deepest one with a budget.
    fn scope(&self) -> Option<String> {
        const LEVELS: [&str; 6] = ["tenant", "workspace", "app", "workflow", "agent", "toolset"];
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let of_subject = || {
            let subject = self.request.get("subject")?;
            let levels = LEVELS.iter().filter_map(|level| {
                let id = subject.get(level)?.as_str()?;
                Some(format!("{level}:{}", id.to_lowercase()))
            });
            Some(levels.collect::<Vec<_>>().join("/"))
        };
        text(self.response.get("scope_path"))
            .or_else(of_subject)
            .or_else(|| text(self.deepest_balance("scope_path")))
    }

    fn deepest_balance(&self, member: &str) -> Option<&Value> {
        self.response.get("balances")?.as_array()?.last()?.get(member)
    }

    fn money(&self) -> Option<(i64, &str)> {
        let answered = ["charged", "released"].map(|member| self.response.get(member));
        let asked = ["estimate", "actual"].map(|member| self.request.get(member));
        let held = self.response.get("reserved");
        let amount = answered.into_iter().chain(asked).chain([held]).flatten().next()?;
        Some((amount.get("amount")?.as_i64()?, amount.get("unit")?.as_str()?))
    }

    fn rows(&self) -> Option<usize> {
        self.response.get("has_more")?;
        let rows = |member: &str| self.response.get(member)?.as_array().map(Vec::len);
        rows("balances").or_else(|| rows("reservations"))
    }

    /// The deepest scope with a budget, and what remains of it.
    fn remaining(&self, exchange: &Exchange<'_>) -> Option<(String, i64)> {
        if exchange.operation == Operation::GetBalances {
            return None;
        }
        let scope = self.scope()?;
        self.remaining_in_answer()
            .or_else(|| self.remaining_in_books(exchange, &scope))
    }

    fn remaining_in_answer(&self) -> Option<(String, i64)> {
        let path = self.deepest_balance("scope_path")?.as_str()?;
        let remaining = self.deepest_balance("remaining")?.get("amount")?.as_i64()?;
        Some((path.to_owned(), remaining))
    }

    fn remaining_in_books(&self, exchange: &Exchange<'_>, scope: &str) -> Option<(String, i64)> {
        let unit = unit_named(self.money()?.1)?;
        let parents = std::iter::successors(Some(scope), |path| Some(path.rsplit_once('/')?.0));
        // There are six levels, but the scope that a client sent may have any number of segments.
        parents
            .take(6)
            .find_map(|path| Some((path.to_owned(), exchange.budget(path, unit)?.remaining)))
    }

    /// Text from a client without keys, and at most 200 characters of it.
    fn clean(&self, text: &str) -> String {
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        self.masks.hide(&decoded).chars().take(200).collect()
    }
}

fn unit_named(name: &str) -> Option<Unit> {
    let units = [Unit::UsdMicrocents, Unit::Tokens, Unit::Credits, Unit::RiskPoints];
    units.into_iter().find(|unit| unit.name() == name)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
