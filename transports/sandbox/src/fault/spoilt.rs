//! Answers that the protocol does not have: a success by its status, but not by what it says.

use std::fmt;

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value};

/// What is wrong with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spoilt {
    /// This member is missing.
    Without(String),
    /// Its member `status` says this.
    Saying(String),
    /// The JSON is followed by something else.
    Trailed,
}

impl Spoilt {
    /// What becomes of an answer. One that is no success stays as it is.
    pub(crate) fn of(&self, response: Response<Bytes>) -> Response<Bytes> {
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
        })
    }
}

/// As it is written in a rule.
impl fmt::Display for Spoilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Without(name) => write!(f, "without={name}"),
            Self::Saying(status) => write!(f, "saying={status}"),
            Self::Trailed => f.write_str("trailed"),
        }
    }
}

/// What is no JSON object has no members to change.
fn changed(body: &Bytes, change: impl FnOnce(&mut Map<String, Value>)) -> Bytes {
    let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
        return body.clone();
    };
    change(&mut members);
    Value::Object(members).to_string().into()
}
