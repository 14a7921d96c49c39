//! Typed reading of JSON members with the lenient coercions of the server's mapper, and the limits of its bean
//! validation.
//!
//! There are two kinds of errors, and the first hides the second: a member of the wrong type is [`Malformed`] at once;
//! a value outside its limits is a violation. Violations are collected, and reported together once the whole body was
//! read.

use super::json::{Json, Malformed};
use super::wire_enums::Named;

/// The violations found so far, each as `<camelCase path>: <text>`.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<String>);

impl Violations {
    /// Records that the value at `path` is outside its limits.
    pub(super) fn add(&mut self, path: &str, text: &str) {
        self.0.push(format!("{path}: {text}"));
    }

    /// All violations in one message, or `None` if there are none.
    pub(super) fn message(self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("Validation failed: {}", self.0.join(", ")))
    }

    pub(super) fn not_null(&mut self, path: &str) {
        self.add(path, "must not be null");
    }

    /// Checks a length in UTF-16 code units, the unit of the server's strings.
    pub(super) fn size(&mut self, path: &str, length: usize, min: usize, max: usize) {
        if length < min || length > max {
            self.add(path, &format!("size must be between {min} and {max}"));
        }
    }

    pub(super) fn at_least(&mut self, path: &str, value: i64, min: i64) {
        if value < min {
            self.add(path, &format!("must be greater than or equal to {min}"));
        }
    }

    pub(super) fn at_most(&mut self, path: &str, value: i64, max: i64) {
        if value > max {
            self.add(path, &format!("must be less than or equal to {max}"));
        }
    }
}

/// The members of one typed object.
#[derive(Clone, Copy)]
pub(super) struct Members<'a>(&'a [(String, Json)]);

impl<'a> Members<'a> {
    /// The members of `json`, which must be an object with no member outside `known`.
    pub(super) fn of(json: &'a Json, known: &[&str]) -> Result<Self, Malformed> {
        let Json::Object(members) = json else {
            return Err(Malformed);
        };
        if members.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return Err(Malformed);
        }
        Ok(Self(members))
    }

    /// The member as sent: `None` if it is absent, `Some(Null)` if it is an explicit null.
    pub(super) fn raw(self, name: &str) -> Option<&'a Json> {
        self.0
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value)
    }

    /// A typed object nested in this one.
    pub(super) fn nested(self, name: &str, known: &[&str]) -> Result<Option<Self>, Malformed> {
        self.present(name).map(|value| Self::of(value, known)).transpose()
    }

    pub(super) fn text(self, name: &str) -> Result<Option<String>, Malformed> {
        self.present(name).map(text).transpose()
    }

    pub(super) fn long(self, name: &str) -> Result<Option<i64>, Malformed> {
        self.present(name).map_or(Ok(None), long)
    }

    pub(super) fn int(self, name: &str) -> Result<Option<i32>, Malformed> {
        let value = self.long(name)?;
        value
            .map(|value| i32::try_from(value).map_err(|_| Malformed))
            .transpose()
    }

    pub(super) fn boolean(self, name: &str) -> Result<Option<bool>, Malformed> {
        self.present(name).map_or(Ok(None), boolean)
    }

    pub(super) fn choice<T: Named>(self, name: &str) -> Result<Option<T>, Malformed> {
        self.present(name).map(choice).transpose()
    }

    /// A free map, kept as it is.
    pub(super) fn map(self, name: &str) -> Result<Option<Json>, Malformed> {
        match self.present(name) {
            None => Ok(None),
            Some(map @ Json::Object(_)) => Ok(Some(map.clone())),
            Some(_) => Err(Malformed),
        }
    }

    /// A list of strings, in which nulls are allowed.
    pub(super) fn texts(self, name: &str) -> Result<Option<Vec<Option<String>>>, Malformed> {
        match self.present(name) {
            None => Ok(None),
            Some(Json::Array(items)) => items
                .iter()
                .map(nullable_text)
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(Malformed),
        }
    }

    /// A map from strings to strings, in which nulls are allowed.
    pub(super) fn text_map(self, name: &str) -> Result<Option<Json>, Malformed> {
        match self.present(name) {
            None => Ok(None),
            Some(Json::Object(members)) => {
                let coerced = members.iter().map(|(name, value)| {
                    let value = nullable_text(value)?;
                    Ok((name.clone(), value.map_or(Json::Null, Json::Text)))
                });
                Ok(Some(Json::Object(coerced.collect::<Result<_, _>>()?)))
            }
            Some(_) => Err(Malformed),
        }
    }

    fn present(self, name: &str) -> Option<&'a Json> {
        self.raw(name).filter(|value| **value != Json::Null)
    }
}

/// The length of `text` in UTF-16 code units.
pub(super) fn utf16_length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn nullable_text(json: &Json) -> Result<Option<String>, Malformed> {
    if *json == Json::Null {
        Ok(None)
    } else {
        text(json).map(Some)
    }
}

fn text(json: &Json) -> Result<String, Malformed> {
    match json {
        Json::Text(text) => Ok(text.clone()),
        Json::Int(number) => Ok(number.to_string()),
        Json::Float(number) => Ok(format!("{number:?}")),
        Json::Bool(flag) => Ok(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => Err(Malformed),
    }
}

/// Reads an integer; also accepts digits in a string, and floats, whose fraction is dropped.
fn long(json: &Json) -> Result<Option<i64>, Malformed> {
    match json {
        Json::Null => Ok(None),
        Json::Int(number) => i64::try_from(*number).map(Some).map_err(|_| Malformed),
        Json::Float(number) => truncated(*number).map(Some),
        Json::Text(digits) if digits.trim().is_empty() => Ok(None),
        Json::Text(digits) => digits.trim().parse().map(Some).map_err(|_| Malformed),
        Json::Bool(_) | Json::Array(_) | Json::Object(_) => Err(Malformed),
    }
}

fn truncated(number: f64) -> Result<i64, Malformed> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..=LIMIT).contains(&number) {
        // In range, and the cast saturates: 2^63 becomes 2^63 - 1, as on the server.
        Ok(number as i64)
    } else {
        Err(Malformed)
    }
}

fn boolean(json: &Json) -> Result<Option<bool>, Malformed> {
    match json {
        Json::Null => Ok(None),
        Json::Bool(flag) => Ok(Some(*flag)),
        Json::Int(number) => Ok(Some(*number != 0)),
        Json::Text(text) => match text.trim() {
            "" => Ok(None),
            "true" | "True" | "TRUE" => Ok(Some(true)),
            "false" | "False" | "FALSE" => Ok(Some(false)),
            _ => Err(Malformed),
        },
        Json::Float(_) | Json::Array(_) | Json::Object(_) => Err(Malformed),
    }
}

/// Reads an enum value by its name, in the exact case, or by its ordinal, as a number or as digits in a string.
fn choice<T: Named>(json: &Json) -> Result<T, Malformed> {
    let ordinal = match json {
        Json::Int(number) => usize::try_from(*number).map_err(|_| Malformed)?,
        Json::Text(text) => {
            let name = text.trim();
            if let Some(value) = T::from_name(name) {
                return Ok(value);
            }
            if name.len() > 1 && name.starts_with('0') || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Malformed);
            }
            name.parse().map_err(|_| Malformed)?
        }
        Json::Null | Json::Bool(_) | Json::Float(_) | Json::Array(_) | Json::Object(_) => {
            return Err(Malformed);
        }
    };
    T::ALL.get(ordinal).copied().ok_or(Malformed)
}
