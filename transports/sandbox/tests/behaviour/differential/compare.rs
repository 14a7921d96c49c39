//! Compares two answers, ignoring ids, times, and the order of unordered lists.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pair::Known;
use crate::common::Answer;

/// How far apart the times of the two sides may be.
const SLACK_MS: u64 = 3_000;

/// The differences between two answers.
#[derive(Debug)]
pub struct Difference(pub String);

/// Headers that belong to the connection or to the moment.
const OF_THE_CONNECTION: [&str; 6] = [
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "date",
    "vary",
];

pub fn answers(left: &Answer, right: &Answer, known: &mut Known) -> Result<(), Difference> {
    if left.status != right.status {
        return Err(Difference("status".into()));
    }
    values("", &left.body, &right.body, known)?;
    headers(left, right)
}

fn headers(left: &Answer, right: &Answer) -> Result<(), Difference> {
    let names = |answer: &Answer| -> BTreeSet<String> {
        let names = answer.headers.keys().map(ToString::to_string);
        names
            .filter(|name| !OF_THE_CONNECTION.contains(&name.as_str()))
            .collect()
    };
    let (ours, theirs) = (names(left), names(right));
    if let Some(name) = ours.symmetric_difference(&theirs).next() {
        return Err(Difference(format!("header {name}")));
    }
    let of_the_moment = ["x-request-id", "x-cycles-trace-id"];
    let differs = |name: &&String| left.header(name) != right.header(name);
    match ours
        .iter()
        .filter(|name| !of_the_moment.contains(&name.as_str()))
        .find(differs)
    {
        Some(name) => Err(Difference(format!(
            "header {name}: {:?} and {:?}",
            left.header(name),
            right.header(name)
        ))),
        None => Ok(()),
    }
}

pub fn values(path: &str, left: &Value, right: &Value, known: &mut Known) -> Result<(), Difference> {
    let differs = || Err(Difference(format!("{path}: {left} and {right}")));
    let name = path.rsplit('.').next().unwrap_or("");
    match (left, right) {
        (Value::Object(ours), Value::Object(theirs)) => {
            // Ids first, because addresses may end in them.
            for (name, value) in ours.iter().rev() {
                let Some(other) = theirs.get(name) else {
                    return Err(Difference(format!("{path}.{name}: only here")));
                };
                values(&format!("{path}.{name}"), value, other, known)?;
            }
            match theirs.keys().find(|name| !ours.contains_key(*name)) {
                Some(name) => Err(Difference(format!("{path}.{name}: only there"))),
                None => Ok(()),
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let mut pairs = ours.iter().zip(theirs).enumerate();
            pairs.try_for_each(|(place, (a, b))| values(&format!("{path}.{place}"), a, b, known))
        }
        (Value::String(ours), Value::String(theirs)) => match name {
            "reservation_id" if is_same(&mut known.reservations, ours, theirs) => Ok(()),
            "evidence_id" if is_same(&mut known.evidence, ours, theirs) => Ok(()),
            "cycles_evidence_url" if known.ours_as_theirs(ours) == *theirs => Ok(()),
            "request_id" | "trace_id" | "event_id" if ours.len() == theirs.len() => Ok(()),
            "next_cursor" => Ok(()),
            "message" if message(ours, known, 0) == message(theirs, known, 1) => Ok(()),
            _ if ours == theirs => Ok(()),
            _ => differs(),
        },
        (Value::Number(ours), Value::Number(theirs))
            if name.ends_with("_at_ms") || name == "remaining_ttl_ms" =>
        {
            match (ours.as_u64(), theirs.as_u64()) {
                (Some(a), Some(b)) if a.abs_diff(b) <= SLACK_MS => Ok(()),
                _ => differs(),
            }
        }
        _ if left == right => Ok(()),
        _ => differs(),
    }
}

/// Whether both sides mean the same object, which may be a new one.
fn is_same(known: &mut Vec<[String; 2]>, ours: &str, theirs: &str) -> bool {
    match known.iter().find(|[left, right]| left == ours || right == theirs) {
        Some(pair) => *pair == [ours, theirs],
        None => {
            known.push([ours.to_owned(), theirs.to_owned()]);
            ours.len() == theirs.len()
        }
    }
}

impl Known {
    /// An address of evidence, translated to the other side's id.
    fn ours_as_theirs(&self, url: &str) -> String {
        let id = url.rsplit('/').next().unwrap_or("");
        let pair = self.evidence.iter().find(|[ours, _]| ours == id);
        pair.map_or_else(|| url.to_owned(), |[ours, theirs]| url.replace(ours, theirs))
    }
}

/// Sorts violations, and replaces ids by numbers.
fn message(text: &str, known: &Known, side: usize) -> Vec<String> {
    let mut text = text.to_owned();
    for (number, ids) in known.reservations.iter().enumerate() {
        text = text.replace(&ids[side], &format!("<r{number}>"));
    }
    if text.contains("ISO 8601") || text.contains("less than or equal to to") {
        // The message quotes times.
        text.retain(|c| !c.is_ascii_digit());
    }
    match text.strip_prefix("Validation failed: ") {
        None => vec![text],
        Some(violations) => {
            let mut violations: Vec<String> = violations.split(", ").map(str::to_owned).collect();
            violations.sort();
            violations
        }
    }
}
