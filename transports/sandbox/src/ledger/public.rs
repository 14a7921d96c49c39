//! The public paths: signed evidence, its signing keys, and the health probes.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;

use super::body::refuse;
use super::coerce::Violations;
use super::error::Refusal;
use super::reply::Reply;

/// The evidence and keys that the operator published. The ledger itself signs nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    pub(super) envelopes: BTreeMap<String, Bytes>,
    pub(super) jwks: Option<Bytes>,
}

impl Published {
    /// The stored bytes, unchanged, to be cached for a year.
    pub(super) fn evidence(&self, id: &str) -> Result<Reply, Refusal> {
        let mut violations = Violations::default();
        if id.len() != 64 || !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            violations.add("evidenceId", "evidence_id must be 64 lowercase hex characters");
        }
        refuse(violations)?;
        let body = self.envelopes.get(id).ok_or_else(|| Refusal::no_resource(id))?;
        Ok(stored(body, "max-age=31536000, public, immutable"))
    }

    pub(super) fn jwks(&self) -> Result<Reply, Refusal> {
        let body = self
            .jwks
            .as_ref()
            .ok_or_else(|| Refusal::no_resource("cycles-jwks.json"))?;
        Ok(stored(body, "max-age=300, public"))
    }
}

pub(super) fn health() -> Result<Reply, Refusal> {
    Ok(Reply {
        status: StatusCode::OK,
        body: Bytes::from_static(b"{\"status\":\"UP\"}"),
        cache_control: None,
    })
}

fn stored(body: &Bytes, cache_control: &'static str) -> Reply {
    Reply {
        status: StatusCode::OK,
        body: body.clone(),
        cache_control: Some(cache_control),
    }
}
