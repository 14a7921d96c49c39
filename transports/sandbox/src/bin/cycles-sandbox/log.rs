//! One readable line per request. No line has a key in it, however it was written.

use std::io::{self, IsTerminal as _, Write as _};

use cycles_proto::time::UnixMillis;
use cycles_sandbox::{Exchange, Operation, Plane, Sandbox, Unit};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::lines::Lines;
use crate::masks::Masks;

/// Makes lines and hands them to the writer.
#[derive(Debug)]
pub(crate) struct Log {
    colour: bool,
    lines: Lines,
    masks: Masks,
}

/// How a request ended, as its colour shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Good,
    Doubtful,
    Bad,
}

impl Log {
    /// In colour on a terminal, unless `NO_COLOR` asks for none. The keys that the program was given are
    /// never shown.
    pub(crate) fn new(lines: Lines, keys: [&str; 2]) -> Self {
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
        let (mood, verdict) = seen.verdict(exchange);
        let verdict = self.paint(mood.code(), &verdict);
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

impl Mood {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Doubtful => "33",
            Self::Bad => "31",
        }
    }
}

/// What a line is made of.
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

    /// The scope, or what else says what the request was about.
    fn place(&self, exchange: &Exchange<'_>) -> String {
        let (uri, operation) = (exchange.request.uri(), exchange.operation);
        if exchange.plane == Plane::Admin || operation == Operation::Unknown {
            format!("{} {}", exchange.request.method(), uri.path())
        } else if matches!(operation, Operation::GetBalances | Operation::ListReservations) {
            uri.query().unwrap_or_default().to_owned()
        } else {
            // Without a scope, the id in the path; probes have neither.
            self.scope()
                .or_else(|| uri.path().split('/').nth(3).map(str::to_owned))
                .unwrap_or_default()
        }
    }

    /// The path of the deepest scope: that of the answer, else of the subject, else the deepest with a budget.
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

    /// Decision, state or status, or status and error code.
    fn verdict(&self, exchange: &Exchange<'_>) -> (Mood, String) {
        let Some(response) = exchange.response else {
            return (Mood::Bad, "no answer".to_owned());
        };
        let (status, text) = (response.status(), |name: &str| {
            self.response.get(name).and_then(Value::as_str)
        });
        if !status.is_success() {
            let verdict = match text("error") {
                Some(error) => format!("{} {}", status.as_u16(), self.clean(error)),
                None => status.as_u16().to_string(),
            };
            return (Mood::Bad, verdict);
        }
        let verdict = text("decision").or_else(|| text("status")).filter(|_| {
            // On the admin plane a status is that of the thing, not of the call.
            exchange.plane == Plane::Runtime
        });
        let Some(verdict) = verdict else {
            return (Mood::Good, status.as_u16().to_string());
        };
        let mood = match verdict {
            "DENY" => Mood::Bad,
            "ALLOW_WITH_CAPS" => Mood::Doubtful,
            _ => Mood::Good,
        };
        let reason = text("reason_code").map_or_else(String::new, |reason| format!(" {reason}"));
        let dry = exchange.operation == Operation::CreateReservation && text("reservation_id").is_none();
        let dry = if dry { " (dry run)" } else { "" };
        (mood, format!("{verdict}{reason}{dry}"))
    }

    fn money(&self) -> Option<(i64, &str)> {
        let answered = ["charged", "released"].map(|member| self.response.get(member));
        let asked = ["estimate", "actual"].map(|member| self.request.get(member));
        let held = self.response.get("reserved");
        let amount = answered.into_iter().chain(asked).chain([held]).flatten().next()?;
        Some((amount.get("amount")?.as_i64()?, amount.get("unit")?.as_str()?))
    }

    /// What it was about in numbers: an amount, a time, or how many rows.
    fn amount(&self, plane: Plane) -> Option<String> {
        let rows = |member: &str| self.response.get(member)?.as_array().map(Vec::len);
        if plane == Plane::Admin {
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

    /// Of the deepest scope that has a budget; said with its path if that is not the whole one.
    fn remaining(&self, exchange: &Exchange<'_>) -> Option<String> {
        if exchange.plane == Plane::Admin || exchange.operation == Operation::GetBalances {
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
        // As many as there are levels; what a client calls a scope may be anything.
        parents
            .take(6)
            .find_map(|path| Some((path.to_owned(), exchange.budget(path, unit)?.remaining)))
    }

    /// What a client wrote, without what a terminal would obey, and without keys.
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

/// What is said when the server is there.
pub(crate) fn banner(sandbox: &Sandbox) -> String {
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
    text
}

/// Writes to standard error in one piece. Without anybody to read it there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn operation(exchange: &Exchange<'_>) -> &'static str {
    if exchange.plane == Plane::Admin {
        "admin"
    } else {
        exchange.operation.name()
    }
}

fn unit_named(name: &str) -> Option<Unit> {
    let units = [Unit::UsdMicrocents, Unit::Tokens, Unit::Credits, Unit::RiskPoints];
    units.into_iter().find(|unit| unit.name() == name)
}

/// In UTC.
fn time_of_day(at: UnixMillis) -> String {
    let (second, milli) = (at.0 / 1_000, at.0 % 1_000);
    let (hour, minute) = (second / 3_600 % 24, second / 60 % 60);
    format!("{hour:02}:{minute:02}:{:02}.{milli:03}Z", second % 60)
}
