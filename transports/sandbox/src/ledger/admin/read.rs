//! Reads bodies and query parameters of the admin plane.

use bytes::Bytes;
use http::Request;

use super::refusal::AdminRefusal;
use crate::ledger::body::{check_content_type, refuse};
use crate::ledger::coerce::{Members, Violations, utf16_length};
use crate::ledger::json::{Json, Malformed};
use crate::ledger::query::Params;
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
    let unit = params.non_blank("unit").ok_or_else(|| missing("unit"))?;
    let unit = Unit::from_name(unit.trim())
        .ok_or_else(|| AdminRefusal::invalid("The query parameter unit is not a unit"))?;
    Ok((scope.to_owned(), unit))
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
