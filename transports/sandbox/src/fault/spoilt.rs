//! Answers that violate the protocol: their status is a success, but their content or their encoding is wrong.

use std::fmt;

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value};

/// The defect of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spoilt {
    /// This member is missing.
    Without(String),
    /// The member `status` has this value.
    Saying(String),
    /// The JSON is followed by something else.
    Trailed,
    /// The content is right, but begins with a byte order mark, and every integer is written as a float (`42.0`). This
    /// imitates a gateway that parses JSON and writes it again.
    Rewritten,
}

impl Spoilt {
    /// Spoils a success; other answers stay as they are.
    pub(super) fn of(&self, response: Response<Bytes>) -> Response<Bytes> {
        if !response.status().is_success() {
            return response;
        }
        response.map(|body| match self {
            Self::Without(name) => changed(&body, |members| {
                members.remove(name);
            }),
            Self::Saying(status) => changed(&body, |members| {
                members.insert("status".to_owned(), status.as_str().into());
            }),
            Self::Trailed => [&body[..], b"\n{\"status\":"].concat().into(),
            Self::Rewritten => match serde_json::from_slice(&body) {
                Ok(value) => format!("\u{feff}{}", with_floats(&value)).into(),
                Err(_) => body,
            },
        })
    }
}

/// Writes the defect as it appears in a rule.
impl fmt::Display for Spoilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Without(name) => write!(f, "without={name}"),
            Self::Saying(status) => write!(f, "saying={status}"),
            Self::Trailed => f.write_str("trailed"),
            Self::Rewritten => f.write_str("rewritten"),
        }
    }
}

fn with_floats(value: &Value) -> String {
    match value {
        Value::Number(number) if !number.is_f64() => format!("{number}.0"),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(with_floats).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let member =
                |(name, value)| format!("{}:{}", Value::String(String::clone(name)), with_floats(value));
            let members: Vec<_> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// Changes the members of a JSON object; any other body stays as it is.
fn changed(body: &Bytes, change: impl FnOnce(&mut Map<String, Value>)) -> Bytes {
    let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
        return body.clone();
    };
    change(&mut members);
    Value::Object(members).to_string().into()
}
