//! References to evidence: the server's attestation of an answer, identified by the hash of its envelope.
//!
//! This module only computes the ids. Another service signs an envelope and stores it under its id; the envelope cannot
//! be fetched before the operator publishes it.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Ledger;
use super::canonical::{canonical, without_nulls};
use super::cursor::to_base64url;
use super::error::Code;

const SCHEMA: &str = "cycles-evidence/v0.1";

/// The attesting server, and the trace id of the current request.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    identity: Option<Identity>,
    trace_id: String,
}

#[derive(Clone, Debug)]
struct Identity {
    server_id: String,
    signer_did: String,
}

/// The `cycles_evidence` of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct EvidenceRef {
    evidence_id: String,
    cycles_evidence_url: String,
}

impl EvidenceRef {
    /// Its id, and its URL.
    pub(super) fn into_parts(self) -> (String, String) {
        (self.evidence_id, self.cycles_evidence_url)
    }

    pub(super) const fn from_parts(evidence_id: String, cycles_evidence_url: String) -> Self {
        Self {
            evidence_id,
            cycles_evidence_url,
        }
    }
}

/// The references to all evidence of one reservation.
#[derive(Debug, Serialize)]
pub(super) struct ReservationEvidence<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reserve: Option<&'a EvidenceRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) commit: Option<&'a EvidenceRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) release: Option<&'a EvidenceRef>,
}

impl ReservationEvidence<'_> {
    pub(super) const fn is_empty(&self) -> bool {
        self.reserve.is_none() && self.commit.is_none() && self.release.is_none()
    }
}

/// A request whose refusal would be attested.
#[derive(Debug)]
pub(super) struct Attested {
    /// Method and path, with a placeholder for the id.
    endpoint: &'static str,
    reservation_id: Option<String>,
    request: Value,
}

impl Ledger {
    /// Turns `cycles_evidence` on: answers then name the envelopes that a server at `server_id` (its base address with
    /// `/v1`) would publish, signed by `signer_did`. Blank arguments turn it off. If `signer_did` is an Ed25519 key as
    /// 64 lower-case hex digits, it is published as the key set as well.
    pub fn set_evidence_identity(&mut self, server_id: &str, signer_did: &str) {
        if let Some(key) = key_of(signer_did) {
            let x = to_base64url(&key);
            let kid: String = signer_did.chars().take(16).collect();
            self.publish_jwks(format!(
                r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"{x}","kid":"{kid}","cycles_nbf_ms":0,"status":"active"}}]}}"#
            ));
        }
        let is_given = !server_id.trim().is_empty() && !signer_did.trim().is_empty();
        self.evidence.identity = is_given.then(|| Identity {
            server_id: server_id.to_owned(),
            signer_did: signer_did.to_owned(),
        });
    }
}

impl Evidence {
    /// Sets the trace of the current request.
    pub(super) fn begin(&mut self, trace_id: &str) {
        if self.identity.is_some() {
            trace_id.clone_into(&mut self.trace_id);
        }
    }

    /// References the evidence of a success. `reservation_id` is the one from the path.
    pub(super) fn attest(
        &self,
        artifact: &str,
        now: i64,
        reservation_id: Option<&str>,
        request: &impl Serialize,
        response: &impl Serialize,
    ) -> Option<EvidenceRef> {
        let identity = self.identity.as_ref()?;
        let mut response = serde_json::to_value(response).ok()?;
        if let Some(members) = response.as_object_mut() {
            members.remove("remaining_ttl_ms");
        }
        let body = json!({
            "reservation_id": reservation_id,
            "request": serde_json::to_value(request).ok()?,
            "response": response,
        });
        Some(self.name(identity, artifact, now, body))
    }

    /// Captures the parts of `request` that the evidence of a refusal would need.
    pub(super) fn note(
        &self,
        endpoint: &'static str,
        reservation_id: Option<&str>,
        request: &impl Serialize,
    ) -> Option<Attested> {
        self.identity.as_ref()?;
        Some(Attested {
            endpoint,
            reservation_id: reservation_id.map(str::to_owned),
            request: serde_json::to_value(request).ok()?,
        })
    }

    /// References the evidence of a refusal, if its code is one that the server attests.
    pub(super) fn attest_refusal(
        &self,
        now: i64,
        attested: &Attested,
        code: Code,
        response: &impl Serialize,
    ) -> Option<EvidenceRef> {
        let identity = self.identity.as_ref().filter(|_| is_attested(code))?;
        let body = json!({
            "endpoint": attested.endpoint,
            "http_status": code.status(),
            "reservation_id": attested.reservation_id,
            "request": attested.request,
            "response": serde_json::to_value(response).ok()?,
        });
        Some(self.name(identity, "error", now, body))
    }

    fn name(&self, identity: &Identity, artifact: &str, now: i64, body: Value) -> EvidenceRef {
        let mut envelope = json!({
            "schema_version": SCHEMA,
            "artifact_type": artifact,
            "server_id": identity.server_id,
            "signer_did": identity.signer_did,
            "issued_at_ms": now,
            "trace_id": self.trace_id,
            "payload": {},
        });
        envelope["payload"][artifact] = without_nulls(body);
        let evidence_id = id_of(envelope);
        let base = &identity.server_id;
        let base = base.strip_suffix('/').unwrap_or(base);
        EvidenceRef {
            cycles_evidence_url: format!("{base}/evidence/{evidence_id}"),
            evidence_id,
        }
    }
}

/// The hash of an envelope with neither id nor signature.
fn id_of(mut envelope: Value) -> String {
    envelope["evidence_id"] = "".into();
    envelope["signature"] = "".into();
    let hash = Sha256::digest(canonical(&envelope).as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 32 bytes encoded by 64 lower-case hex digits.
fn key_of(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    });
    bytes
        .collect::<Option<Vec<u8>>>()
        .filter(|bytes| bytes.len() == 32)
}

const fn is_attested(code: Code) -> bool {
    match code {
        Code::BudgetExceeded
        | Code::BudgetFrozen
        | Code::BudgetClosed
        | Code::OverdraftLimitExceeded
        | Code::DebtOutstanding
        | Code::UnitMismatch
        | Code::ReservationFinalized
        | Code::ReservationExpired
        | Code::TenantClosed => true,
        Code::InvalidRequest
        | Code::Unauthorized
        | Code::Forbidden
        | Code::NotFound
        | Code::IdempotencyMismatch
        | Code::MaxExtensionsExceeded
        | Code::LimitExceeded
        | Code::InternalError => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Evidence, Identity, id_of};

    #[test]
    fn a_decision_is_named_as_the_reference_server_named_it() {
        let evidence = Evidence {
            identity: Some(Identity {
                server_id: "https://cycles.example.com/v1/".to_owned(),
                signer_did: "ec52b49b81eb29ef6f62947cade245c715bf943b7ef2a5f2789288574466fc43".to_owned(),
            }),
            trace_id: "232c0a88477d45784f7cefb88a28c448".to_owned(),
        };
        let request = json!({
            "idempotency_key": "d1",
            "subject": {"tenant": "acme-corp", "agent": null},
            "action": {"kind": "k", "name": "n", "tags": [null]},
            "estimate": {"unit": "TOKENS", "amount": 5},
            "metadata": {"a": null, "b": [null, 1.50, 9_223_372_036_854_775_807_i64], "c": {"d": null}},
        });
        let response = json!({"decision": "ALLOW", "affected_scopes": ["tenant:acme-corp"]});
        let named = evidence.attest("decide", 1_795_373_153_810, None, &request, &response);
        let id = "d0886953dda27972b6e287f23f1f04d7e425c826b2a16f8d24c5d52fca70c6bf";
        let url = format!("https://cycles.example.com/v1/evidence/{id}");
        assert_eq!(
            serde_json::to_value(named).ok(),
            Some(json!({"evidence_id": id, "cycles_evidence_url": url}))
        );
    }

    #[test]
    fn the_ids_of_published_envelopes_are_recomputed() {
        let envelopes = [
            include_str!("../../tests/data/evidence/02-reserve-allow.json"),
            include_str!("../../tests/data/evidence/06-release-success.json"),
            include_str!("../../tests/data/evidence/08-reserve-allow-no-trace-id.json"),
            include_str!("../../tests/data/evidence/11-reserve-live-budget-exceeded.json"),
            include_str!("../../tests/data/evidence/13-commit-with-metrics.json"),
        ];
        for text in envelopes {
            let envelope = serde_json::from_str::<Value>(text).unwrap_or_default();
            assert!(envelope["evidence_id"].is_string(), "{text}");
            assert_eq!(id_of(envelope.clone()), envelope["evidence_id"], "{text}");
        }
    }
}
