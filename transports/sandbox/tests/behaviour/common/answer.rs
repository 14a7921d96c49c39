//! The answer of a server.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    pub body: Value,
}

impl Answer {
    pub fn new(status: u16, headers: HeaderMap, bytes: Bytes) -> Self {
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self {
            status,
            headers,
            bytes,
            body,
        }
    }

    /// The status and the error code, by which refusals are compared.
    pub fn fault(&self) -> (u16, &str) {
        (self.status, self.body["error"].as_str().unwrap_or(""))
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or("")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn amount(&self, member: &str) -> Option<i64> {
        self.body[member]["amount"].as_i64()
    }

    pub fn id(&self) -> String {
        self.body["reservation_id"]
            .as_str()
            .unwrap_or_else(|| panic!("no reservation in {}", self.body))
            .to_owned()
    }
}

/// A budget, as its owner reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub allocated: i64,
    pub remaining: i64,
    pub reserved: i64,
    pub spent: i64,
    pub debt: i64,
    pub overdraft_limit: i64,
    pub is_over_limit: bool,
}
