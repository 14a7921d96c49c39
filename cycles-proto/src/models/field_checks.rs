//! The protocol's limits on request fields, checked before anything is sent.

use core::fmt::Display;
use core::ops::RangeInclusive;

/// The maximum nesting in metadata and custom metrics. Many JSON parsers refuse a body with more than 128 levels, and
/// with it the amount.
pub(crate) const MAX_NESTING: usize = 100;

/// A limit of the protocol that a request breaks. The request was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct InvalidRequest {
    field: String,
    problem: String,
}

impl InvalidRequest {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        // Names of dimensions and values of enums come from the caller, with any length and any number of lines.
        let tidy = |text: String| crate::text::shortened(&text);
        Self {
            field: tidy(field.into()),
            problem: tidy(problem.into()),
        }
    }

    /// The field as the protocol names it, with its path: `subject.tenant`, `action.tags[2]`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with the field and how to fix it, worded to follow the field's name.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// Checks that `text` has between `min` and `max` characters.
pub(crate) fn length(field: &str, text: &str, min: usize, max: usize) -> Result<(), InvalidRequest> {
    let count = text.chars().count();
    if count < min {
        return Err(InvalidRequest::new(field, "is empty"));
    }
    if count > max {
        let problem = format!("has {count} characters: at most {max} are allowed");
        return Err(InvalidRequest::new(field, problem));
    }
    Ok(())
}

/// Checks that `text` is not blank and has at most `max` characters. Control characters are blank too: the reference
/// server treats every character up to the space as white space.
pub(crate) fn not_blank(field: &str, text: &str, max: usize) -> Result<(), InvalidRequest> {
    if text.chars().all(|c| c <= ' ' || c.is_whitespace()) {
        return Err(InvalidRequest::new(field, "is blank: give it a value"));
    }
    length(field, text, 1, max)
}

/// Checks that `value` lies in `range`.
pub(crate) fn within<T: PartialOrd + Display>(
    field: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), InvalidRequest> {
    if range.contains(&value) {
        return Ok(());
    }
    let problem = format!("is {value}: it must be from {} to {}", range.start(), range.end());
    Err(InvalidRequest::new(field, problem))
}
