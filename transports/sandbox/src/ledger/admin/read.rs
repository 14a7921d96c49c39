//! Reads bodies and query parameters of the admin plane.

use bytes::Bytes;
use http::Request;

use super::refusal::AdminRefusal;
use crate::ledger::body::{check_content_type, refuse};
use crate::ledger::coerce::{Members, Violations, utf16_length};
use crate::ledger::json::{Json, Malformed};
use crate::ledger::query::{Params, integer};
use crate::ledger::requests;
use crate::ledger::shared_types::Amount;
use crate::ledger::wire_enums::{Named, Unit};
use crate::ledger::{error::Refusal, timestamp};

/// Reads the members of a JSON body with `read`; an unknown member or a value outside its limits is a 400.
pub(super) fn body<T>(
    request: &Request<Bytes>,
    known: &[&str],
    read: impl FnOnce(Members<'_>, &mut Violations) -> Result<T, Malformed>,
) -> Result<T, AdminRefusal> {
    check_content_type(request)?;
    let mut violations = Violations::default();
    let value = Json::parse(request.body())
        .and_then(|json| read(Members::of(&json, known)?, &mut violations))
        .map_err(|Malformed| Refusal::malformed())?;
    refuse(violations)?;
    Ok(value)
}

/// The budget that a query names.
pub(super) fn budget(params: &Params) -> Result<(String, Unit), AdminRefusal> {
    let missing = |name| AdminRefusal::invalid(format!("The query parameter {name} is missing"));
    let scope = params.get("scope").ok_or_else(|| missing("scope"))?;
    let unit = choice(params, "unit")?.ok_or_else(|| missing("unit"))?;
    Ok((scope.to_owned(), unit))
}

/// A query parameter that is one of the names of a vocabulary; a blank one counts as absent.
pub(super) fn choice<T: Named>(params: &Params, name: &str) -> Result<Option<T>, AdminRefusal> {
    let choice = parameter(params, name, |text| match text.trim() {
        "" => Some(None),
        text => T::from_name(text).map(Some),
    })?;
    Ok(choice.flatten())
}

/// A query parameter that is on or off; a blank one counts as absent.
pub(super) fn flag(params: &Params, name: &str) -> Result<Option<bool>, AdminRefusal> {
    let flag = parameter(params, name, |text| match text.trim().to_lowercase().as_str() {
        "" => Some(None),
        "true" | "on" | "yes" | "1" => Some(Some(true)),
        "false" | "off" | "no" | "0" => Some(Some(false)),
        _ => None,
    })?;
    Ok(flag.flatten())
}

/// A query parameter that is a finite number; a blank one counts as absent.
pub(super) fn number(params: &Params, name: &str) -> Result<Option<f64>, AdminRefusal> {
    let number = parameter(params, name, |text| match text.trim() {
        "" => Some(None),
        text => text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Some),
    })?;
    Ok(number.flatten())
}

/// The number of rows of a page: 50 by default, and the nearest of 1 to 100 instead of any other.
pub(super) fn limit(params: &Params) -> Result<usize, AdminRefusal> {
    let limit = parameter(params, "limit", integer)?.unwrap_or(50);
    Ok(usize::try_from(limit.clamp(1, 100)).unwrap_or(1))
}

/// A query parameter as `read` understands it; what it does not understand is a 400.
fn parameter<T>(
    params: &Params,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, AdminRefusal> {
    let invalid = |text| AdminRefusal::invalid(format!("The query parameter {name} cannot be {text}"));
    let value = params.first(name);
    value
        .map(|text| read(text).ok_or_else(|| invalid(text)))
        .transpose()
}

/// Text of at most `max` UTF-16 code units that is not blank.
pub(super) fn required_text(
    members: Members<'_>,
    name: &str,
    path: &str,
    max: usize,
    violations: &mut Violations,
) -> Result<String, Malformed> {
    let text = limited_text(members, name, path, max, violations)?.unwrap_or_default();
    if text.trim().is_empty() {
        violations.add(path, "must not be blank");
    }
    Ok(text)
}

/// Optional text of at most `max` UTF-16 code units.
pub(super) fn limited_text(
    members: Members<'_>,
    name: &str,
    path: &str,
    max: usize,
    violations: &mut Violations,
) -> Result<Option<String>, Malformed> {
    let text = members.text(name)?;
    if let Some(text) = &text {
        violations.size(path, utf16_length(text), 0, max);
    }
    Ok(text)
}

/// An optional amount.
pub(super) fn optional_amount(
    members: Members<'_>,
    name: &str,
    violations: &mut Violations,
) -> Result<Option<Amount>, Malformed> {
    match members.raw(name) {
        None | Some(Json::Null) => Ok(None),
        Some(_) => requests::amount(members, name, violations).map(Some),
    }
}

/// An optional time: ISO 8601, or seconds since 1970.
pub(super) fn time(members: Members<'_>, name: &str) -> Result<Option<i64>, Malformed> {
    match members.raw(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) => timestamp::parse(text).map(Some).map_err(|_| Malformed),
        Some(Json::Int(_)) => {
            let seconds = members.long(name)?;
            seconds
                .map(|seconds| seconds.checked_mul(1_000).ok_or(Malformed))
                .transpose()
        }
        Some(_) => Err(Malformed),
    }
}

/// One of a few allowed words; the ledger only stores it.
pub(super) fn word(
    members: Members<'_>,
    name: &str,
    words: &[&'static str],
) -> Result<Option<&'static str>, Malformed> {
    let text = members.text(name)?;
    text.map(|text| words.iter().copied().find(|word| *word == text).ok_or(Malformed))
        .transpose()
}

/// Formats a time for an answer.
pub(super) fn written(time: Option<i64>) -> Option<String> {
    time.map(timestamp::format)
}
