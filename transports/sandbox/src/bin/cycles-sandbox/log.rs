//! One line per request, for people or for programs. No line contains a key, in upper or lower case.

use std::io::{self, IsTerminal as _, Write as _};

use cycles_sandbox::{Exchange, Sandbox, Summary};

use crate::stderr_writer::StderrWriter;

/// How requests are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A readable line.
    Text,
    /// A JSON object.
    Json,
}

/// Formats a line per request and hands it to the writer.
#[derive(Debug)]
pub(crate) struct Log {
    format: LogFormat,
    colour: bool,
    lines: StderrWriter,
}

/// How a request ended, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Good,
    Doubtful,
    Bad,
}

impl Log {
    /// A log in colour if it is text, standard error is a terminal and `NO_COLOR` is not set.
    pub(crate) fn new(format: LogFormat, lines: StderrWriter) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = io::stderr().is_terminal() && !refused;
        Self {
            format,
            colour,
            lines,
        }
    }

    pub(crate) fn write(&self, exchange: &Exchange<'_>) {
        let seen = exchange.summary();
        let line = match self.format {
            LogFormat::Text => self.line(&printable(seen)),
            // Nothing in it can fail to be written.
            LogFormat::Json => serde_json::to_string(&seen).unwrap_or_default() + "\n",
        };
        self.lines.write(line);
    }

    fn line(&self, seen: &Summary) -> String {
        let time_of_day = seen
            .time
            .split_once('T')
            .map_or(seen.time.as_str(), |(_, time)| time);
        let operation = match seen.operation {
            Some(operation) if seen.plane == "runtime" => operation,
            Some(_) | None => seen.plane,
        };
        let mut line = self.paint("2", time_of_day);
        line.push_str(&format!(" {operation:<8}"));
        let (severity, verdict) = verdict(seen);
        let fault = seen.fault.as_ref();
        let parts = [
            Some(place(seen)),
            Some(self.paint(severity.code(), &verdict)),
            amount(seen),
            remaining(seen),
            fault.map(|fault| self.paint("35", &format!("fault {fault}"))),
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

/// Without what a terminal would obey, or could not show.
fn printable(mut seen: Summary) -> Summary {
    let texts = [
        Some(&mut seen.path),
        seen.query.as_mut(),
        seen.outcome.as_mut(),
        seen.reason_code.as_mut(),
        seen.error.as_mut(),
        seen.scope.as_mut(),
        seen.unit.as_mut(),
        seen.remaining_scope.as_mut(),
    ];
    for text in texts.into_iter().flatten() {
        *text = text
            .chars()
            .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
            .collect();
    }
    seen
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

/// The scope, or whatever else identifies the object of the request.
fn place(seen: &Summary) -> String {
    if seen.plane != "runtime" || seen.operation == Some("unknown") {
        return format!("{} {}", seen.method, seen.path);
    }
    if matches!(seen.operation, Some("balances" | "list")) {
        return seen.query.clone().unwrap_or_default();
    }
    // Requests without a scope have an id in the path; probes have neither.
    let id = seen.path.split('/').nth(3);
    seen.scope.as_deref().or(id).unwrap_or_default().to_owned()
}

/// The decision, the state or the HTTP status; for an error, the HTTP status and the error code.
fn verdict(seen: &Summary) -> (Severity, String) {
    let Some(status) = seen.status else {
        return (Severity::Bad, "no answer".to_owned());
    };
    if !(200..300).contains(&status) {
        let error = seen
            .error
            .as_ref()
            .map_or_else(String::new, |error| format!(" {error}"));
        return (Severity::Bad, format!("{status}{error}"));
    }
    let Some(outcome) = &seen.outcome else {
        return (Severity::Good, status.to_string());
    };
    let severity = match outcome.as_str() {
        "DENY" => Severity::Bad,
        "ALLOW_WITH_CAPS" => Severity::Doubtful,
        _ => Severity::Good,
    };
    let reason = seen.reason_code.as_ref();
    let reason = reason.map_or_else(String::new, |reason| format!(" {reason}"));
    let dry = if seen.is_dry_run { " (dry run)" } else { "" };
    (severity, format!("{outcome}{reason}{dry}"))
}

/// The number that matters for the operation: an amount, a time, or a count of rows.
fn amount(seen: &Summary) -> Option<String> {
    if seen.plane != "runtime" {
        None
    } else if let Some(amount) = seen.amount {
        Some(format!("{amount} {}", seen.unit.as_deref().unwrap_or_default()))
    } else if let Some(millis) = seen.extend_by_ms {
        Some(format!("+{millis} ms"))
    } else {
        seen.rows.map(|rows| format!("{rows} rows"))
    }
}

/// What remains in the deepest budget, and its scope unless it is the request's own.
fn remaining(seen: &Summary) -> Option<String> {
    let (remaining, scope) = (seen.remaining?, seen.remaining_scope.as_ref()?);
    let place = if seen.scope.as_ref() == Some(scope) {
        String::new()
    } else {
        format!(" on {scope}")
    };
    Some(format!("remaining {remaining}{place}"))
}

/// The lines that announce the server.
pub(crate) fn banner(sandbox: &Sandbox, variables: &[String]) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let (tenant, url) = (sandbox.tenant(), sandbox.base_url());
    let mut lines = vec![format!(
        "cycles-sandbox {version} serves tenant {tenant} at {url}; Ctrl-C stops it"
    )];
    sandbox.with_ledger(|ledger| {
        for (scope, unit, state) in ledger.budgets() {
            lines.push(format!("  {scope}  {} {}", state.remaining, unit.name()));
        }
    });
    lines.extend(sandbox.admin_url().map(|url| format!("  admin plane at {url}")));
    lines.extend(
        sandbox
            .control_url()
            .map(|url| format!("  control plane at {url}")),
    );
    lines.extend(variables.iter().map(|line| format!("  {line}")));
    lines
}

/// Writes `text` to standard error in one piece. A failure is ignored, since there is nowhere else to report it.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
