//! One readable line per request. No line contains a key, in upper or lower case.

use std::io::{self, IsTerminal as _, Write as _};

use cycles_proto::time::UnixMillis;
use cycles_sandbox::{Exchange, Operation, Plane, Sandbox, Unit};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::masks::Masks;
use crate::stderr_writer::StderrWriter;

/// Formats a line per request and hands it to the writer.
#[derive(Debug)]
pub(crate) struct Log {
    colour: bool,
    lines: StderrWriter,
    masks: Masks,
}

/// How a request ended, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Good,
    Doubtful,
    Bad,
}

impl Log {
    /// A log in colour if standard error is a terminal and `NO_COLOR` is not set. `keys` are never shown.
    pub(crate) fn new(lines: StderrWriter, keys: [&str; 3]) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = io::stderr().is_terminal() && !refused;
        Self {
            colour,
            lines,
            masks: Masks::of(keys),
        }
    }

    pub(crate) fn write(&self, exchange: &Exchange<'_>) {
        self.lines.write(self.line(exchange));
    }

    fn line(&self, exchange: &Exchange<'_>) -> String {
        let seen = Seen::of(exchange, &self.masks);
        let mut line = self.paint("2", &time_of_day(exchange.at));
        line.push_str(&format!(" {:<8}", operation(exchange)));
        let (severity, verdict) = seen.verdict(exchange);
        let verdict = self.paint(severity.code(), &verdict);
        let fault = exchange
            .fault
            .map(|fault| self.paint("35", &format!("fault {fault}")));
        let parts = [
            Some(seen.clean(&seen.place(exchange))),
            Some(verdict),
            seen.amount(exchange.plane),
            seen.remaining(exchange),
            fault,
        ];
        for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
            line.push_str("  ");
            line.push_str(&part);
        }
        line.push('\n');
        line
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Severity {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Doubtful => "33",
            Self::Bad => "31",
        }
    }
}

/// The parts of an exchange that a line shows.
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

    /// The scope, or whatever else identifies the object of the request.
    fn place(&self, exchange: &Exchange<'_>) -> String {
        let (uri, operation) = (exchange.request.uri(), exchange.operation);
        if exchange.plane != Plane::Runtime || operation == Operation::Unknown {
            format!("{} {}", exchange.request.method(), uri.path())
        } else if matches!(operation, Operation::GetBalances | Operation::ListReservations) {
            uri.query().unwrap_or_default().to_owned()
        } else {
            // Requests without a scope have an id in the path; probes have neither.
            self.scope()
                .or_else(|| uri.path().split('/').nth(3).map(str::to_owned))
                .unwrap_or_default()
        }
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

    /// The decision, the state or the HTTP status; for an error, the HTTP status and the error code.
    fn verdict(&self, exchange: &Exchange<'_>) -> (Severity, String) {
        let Some(response) = exchange.response else {
            return (Severity::Bad, "no answer".to_owned());
        };
        let (status, text) = (response.status(), |name: &str| {
            self.response.get(name).and_then(Value::as_str)
        });
        if !status.is_success() {
            let verdict = match text("error") {
                Some(error) => format!("{} {}", status.as_u16(), self.clean(error)),
                None => status.as_u16().to_string(),
            };
            return (Severity::Bad, verdict);
        }
        let verdict = text("decision").or_else(|| text("status")).filter(|_| {
            // On the admin plane `status` is the state of the object, not the outcome of the call.
            exchange.plane == Plane::Runtime
        });
        let Some(verdict) = verdict else {
            return (Severity::Good, status.as_u16().to_string());
        };
        let severity = match verdict {
            "DENY" => Severity::Bad,
            "ALLOW_WITH_CAPS" => Severity::Doubtful,
            _ => Severity::Good,
        };
        let reason = text("reason_code").map_or_else(String::new, |reason| format!(" {reason}"));
        let dry = exchange.operation == Operation::CreateReservation && text("reservation_id").is_none();
        let dry = if dry { " (dry run)" } else { "" };
        (severity, format!("{verdict}{reason}{dry}"))
    }

    fn money(&self) -> Option<(i64, &str)> {
        let answered = ["charged", "released"].map(|member| self.response.get(member));
        let asked = ["estimate", "actual"].map(|member| self.request.get(member));
        let held = self.response.get("reserved");
        let amount = answered.into_iter().chain(asked).chain([held]).flatten().next()?;
        Some((amount.get("amount")?.as_i64()?, amount.get("unit")?.as_str()?))
    }

    /// The number that matters for the operation: an amount, a time, or a count of rows.
    fn amount(&self, plane: Plane) -> Option<String> {
        let rows = |member: &str| self.response.get(member)?.as_array().map(Vec::len);
        if plane != Plane::Runtime {
            None
        } else if let Some((amount, unit)) = self.money() {
            Some(format!("{amount} {}", self.clean(unit)))
        } else if let Some(millis) = self.request.get("extend_by_ms").and_then(Value::as_i64) {
            Some(format!("+{millis} ms"))
        } else if self.response.get("has_more").is_some() {
            let rows = rows("balances").or_else(|| rows("reservations"))?;
            Some(format!("{rows} rows"))
        } else {
            None
        }
    }

    /// The remaining amount of the deepest scope with a budget, and that scope's path unless it is the request's own.
    fn remaining(&self, exchange: &Exchange<'_>) -> Option<String> {
        if exchange.plane != Plane::Runtime || exchange.operation == Operation::GetBalances {
            return None;
        }
        let scope = self.scope()?;
        let (path, remaining) = self
            .remaining_in_answer()
            .or_else(|| self.remaining_in_books(exchange, &scope))?;
        let place = if path == scope {
            String::new()
        } else {
            format!(" on {}", self.clean(&path))
        };
        Some(format!("remaining {remaining}{place}"))
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

    /// Text from a client, without control characters and without keys; at most 200 characters.
    fn clean(&self, text: &str) -> String {
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        let shown = self.masks.hide(&decoded);
        shown
            .chars()
            .take(200)
            .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
            .collect()
    }
}

/// The lines that announce the server.
pub(crate) fn banner(sandbox: &Sandbox, variables: &[&str]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (tenant, url) = (sandbox.tenant(), sandbox.base_url());
    let mut text = format!("cycles-sandbox {version} serves tenant {tenant} at {url}; Ctrl-C stops it\n");
    sandbox.with_ledger(|ledger| {
        for (scope, unit, state) in ledger.budgets() {
            text.push_str(&format!("  {scope}  {} {}\n", state.remaining, unit.name()));
        }
    });
    if let Some(url) = sandbox.admin_url() {
        text.push_str(&format!("  admin plane at {url}\n"));
    }
    if let Some(url) = sandbox.control_url() {
        text.push_str(&format!("  control plane at {url}\n"));
    }
    if !variables.is_empty() {
        let names = variables.join(" and ");
        text.push_str(&format!("  {names} of the environment: used\n"));
    }
    text
}

/// Writes `text` to standard error in one piece. A failure is ignored, since there is nowhere else to report it.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn operation(exchange: &Exchange<'_>) -> &'static str {
    match exchange.plane {
        Plane::Admin => "admin",
        Plane::Control => "control",
        Plane::Runtime | _ => exchange.operation.name(),
    }
}

fn unit_named(name: &str) -> Option<Unit> {
    let units = [Unit::UsdMicrocents, Unit::Tokens, Unit::Credits, Unit::RiskPoints];
    units.into_iter().find(|unit| unit.name() == name)
}

/// The time of day in UTC.
fn time_of_day(at: UnixMillis) -> String {
    let (second, milli) = (at.0 / 1_000, at.0 % 1_000);
    let (hour, minute) = (second / 3_600 % 24, second / 60 % 60);
    format!("{hour:02}:{minute:02}:{:02}.{milli:03}Z", second % 60)
}
