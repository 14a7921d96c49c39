//! Fault rules as text: parses `OPERATION:FAULT[@WHEN]` and writes the FAULT.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Fault, FaultRule, Spoilt, When};
use crate::operation::Operation;

/// The text is not a fault rule. The message says what a valid one looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSyntax(String);

impl fmt::Display for FaultSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultSyntax {}

/// Reads `commit:lose-response@1`, `extend,commit:503@p=0.2`, `*:delay=2s`, `decide:429=7@first=3`.
impl FromStr for FaultRule {
    type Err = FaultSyntax;

    fn from_str(text: &str) -> Result<Self, FaultSyntax> {
        let (operations, rest) = text.split_once(':').ok_or_else(|| {
            syntax(
                text,
                "is not OPERATION:FAULT[@WHEN], such as commit:lose-response@1",
            )
        })?;
        let (fault, when) = rest
            .split_once('@')
            .map_or((rest, None), |(fault, when)| (fault, Some(when)));
        let mut rule = Self::new(parse_fault(fault)?);
        if operations != "*" {
            for name in operations.split(',') {
                rule = rule.on(operation(name)?);
            }
        }
        Ok(rule.when(when.map_or(Ok(When::Always), parse_when)?))
    }
}

/// Writes the rule so that it can be read again.
impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.operations.iter().map(|operation| operation.name()).collect();
        let operations = if names.is_empty() {
            "*".to_owned()
        } else {
            names.join(",")
        };
        write!(f, "{operations}:{}{}", self.fault, self.when)
    }
}

/// Writes the end of a rule: nothing, or from the `@` on.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => Ok(()),
            Self::Calls(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                write!(f, "@{}", numbers.join(","))
            }
            Self::First(count) => write!(f, "@first={count}"),
            Self::For(time) => write!(f, "@for={}", written(*time)),
            Self::Randomly { probability, seed: 0 } => write!(f, "@p={probability}"),
            Self::Randomly { probability, seed } => write!(f, "@p={probability}/{seed}"),
        }
    }
}

/// Writes the fault as it appears in a rule.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(time) => write!(f, "delay={}", written(*time)),
            Self::Status {
                status,
                retry_after_s: None,
            } => write!(f, "{status}"),
            Self::Status {
                status,
                retry_after_s: Some(seconds),
            } => write!(f, "{status}={seconds}"),
            Self::StatusAfter(status) => write!(f, "after={status}"),
            Self::Outage => f.write_str("outage"),
            Self::ForeignPage(status) => write!(f, "page={status}"),
            Self::ForeignError(status) => write!(f, "error={status}"),
            Self::Twice(gap) => write!(f, "twice={}", written(*gap)),
            Self::Garbage => f.write_str("garbage"),
            Self::Spoilt(spoilt) => spoilt.fmt(f),
            Self::LoseRequest => f.write_str("lose-request"),
            Self::LoseResponse => f.write_str("lose-response"),
            Self::ResetRequest => f.write_str("reset-request"),
            Self::ResetResponse => f.write_str("reset-response"),
            Self::Cut => f.write_str("cut"),
            Self::Drip(gap) => write!(f, "drip={}", written(*gap)),
        }
    }
}

fn operation(name: &str) -> Result<Operation, FaultSyntax> {
    Operation::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        syntax(
            name,
            &format!("is not an operation: use * or {}", names.join(", ")),
        )
    })
}

fn parse_fault(text: &str) -> Result<Fault, FaultSyntax> {
    let (name, value) = text
        .split_once('=')
        .map_or((text, None), |(name, value)| (name, Some(value)));
    let fault = match (name, value) {
        ("delay", Some(value)) => Fault::Delay(duration(value)?),
        ("drip", Some(value)) => Fault::Drip(duration(value)?),
        ("twice", Some(value)) => Fault::Twice(duration(value)?),
        ("page", Some(value)) => Fault::ForeignPage(status_of_a_page(value)?),
        ("error", Some(value)) => Fault::ForeignError(status(value)?),
        ("outage", None) => Fault::Outage,
        ("after", Some(value)) => Fault::StatusAfter(status_after(value)?),
        ("garbage", None) => Fault::Garbage,
        ("without", Some(member)) => Fault::Spoilt(Spoilt::Without(member.to_owned())),
        ("saying", Some(status)) => Fault::Spoilt(Spoilt::Saying(status.to_owned())),
        ("trailed", None) => Fault::Spoilt(Spoilt::Trailed),
        ("rewritten", None) => Fault::Spoilt(Spoilt::Rewritten),
        ("lose-request", None) => Fault::LoseRequest,
        ("lose-response", None) => Fault::LoseResponse,
        ("reset-request", None) => Fault::ResetRequest,
        ("reset-response", None) => Fault::ResetResponse,
        ("cut", None) => Fault::Cut,
        (code, value) if code.bytes().all(|byte| byte.is_ascii_digit()) && !code.is_empty() => {
            Fault::Status {
                status: status(code)?,
                retry_after_s: value.map(number).transpose()?,
            }
        }
        _ => {
            return Err(syntax(
                text,
                "is not a fault: use a status such as 503, 429=SECONDS, after=503, page=404, error=410, delay=2s, \
                 drip=20ms, twice=1s, without=MEMBER, saying=STATUS, trailed, rewritten, outage, garbage, cut, lose-request, \
                 lose-response, reset-request or reset-response",
            ));
        }
    };
    Ok(fault)
}

fn parse_when(text: &str) -> Result<When, FaultSyntax> {
    match text.split_once('=') {
        Some(("first", count)) => Ok(When::First(self::count(count)?)),
        Some(("for", time)) => Ok(When::For(duration(time)?)),
        Some(("p", value)) => {
            let (probability, seed) = value.split_once('/').unwrap_or((value, "0"));
            match probability.parse::<f64>() {
                Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(When::Randomly {
                    probability,
                    seed: number(seed)?,
                }),
                _ => Err(syntax(probability, "is not a probability from 0 to 1")),
            }
        }
        Some(_) => Err(syntax(
            text,
            "is not a time: use 1,3 or first=3 or for=10s or p=0.2 or p=0.2/SEED",
        )),
        None => {
            let numbers: Result<_, _> = text.split(',').map(count).collect();
            Ok(When::Calls(numbers?))
        }
    }
}

fn status(text: &str) -> Result<u16, FaultSyntax> {
    match text.parse() {
        Ok(status @ 400..=599) => Ok(status),
        _ => Err(syntax(text, "is not a status from 400 to 599")),
    }
}

/// Parses an error status or a redirect.
fn status_of_a_page(text: &str) -> Result<u16, FaultSyntax> {
    match text.parse() {
        Ok(redirect @ 300..=399) => Ok(redirect),
        _ => status(text),
    }
}

/// Parses an error status or a success.
fn status_after(text: &str) -> Result<u16, FaultSyntax> {
    match text.parse() {
        Ok(success @ 200..=299) => Ok(success),
        _ => status(text),
    }
}

/// Parses digits only; `str::parse` would also accept a sign.
fn number(text: &str) -> Result<u64, FaultSyntax> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| syntax(text, "is not a whole number"))
}

/// Parses a call's number or a number of calls, from 1: a rule for 0 would never apply.
fn count(text: &str) -> Result<u64, FaultSyntax> {
    match number(text)? {
        0 => Err(syntax(text, "matches no call: calls are counted from 1")),
        count => Ok(count),
    }
}

fn duration(text: &str) -> Result<Duration, FaultSyntax> {
    let whole = |digits: &str| number(digits).ok().filter(|_| !digits.is_empty());
    let millis = text.strip_suffix("ms").and_then(whole).map(Duration::from_millis);
    let seconds = || text.strip_suffix('s').and_then(whole).map(Duration::from_secs);
    millis
        .or_else(seconds)
        .ok_or_else(|| syntax(text, "is not a duration such as 500ms or 2s"))
}

fn syntax(text: &str, problem: &str) -> FaultSyntax {
    FaultSyntax(format!("`{text}` {problem}"))
}

/// A duration as rules have it: in seconds if they are whole.
fn written(time: Duration) -> String {
    let millis = time.as_millis();
    if millis > 0 && millis.is_multiple_of(1_000) {
        format!("{}s", millis / 1_000)
    } else {
        format!("{millis}ms")
    }
}
