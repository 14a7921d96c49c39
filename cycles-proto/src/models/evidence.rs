//! Signed evidence of the server's decisions, and the keys that verify it.

use serde::{Deserialize, Serialize};

use super::ids::EvidenceId;
use super::json_object::JsonObject;
use super::response_info::{ResponseInfo, shown_without_the_key};

/// Where the evidence for an operation can be fetched (schema `CyclesEvidenceRef`).
///
/// The server signs the envelope after it has sent the response, so an early fetch may find nothing yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CyclesEvidenceRef {
    /// The envelope's content hash.
    pub evidence_id: EvidenceId,
    /// The envelope's address.
    pub cycles_evidence_url: String,
}

/// The evidence of a reservation's operations (schema `ReservationEvidence`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReservationEvidence {
    /// The evidence of the reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<CyclesEvidenceRef>,
    /// The evidence of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CyclesEvidenceRef>,
    /// The evidence of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<CyclesEvidenceRef>,
}

/// A signed envelope (schema `CyclesEvidenceEnvelope`).
///
/// The signature covers the whole JSON document: verify the bytes of [`ResponseInfo::body`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct CyclesEvidenceEnvelope {
    /// `cycles-evidence/v0.1`.
    pub schema_version: String,
    /// `decide`, `reserve`, `commit`, `release` or `error`.
    pub artifact_type: String,
    /// The issuing server.
    pub server_id: String,
    /// The Ed25519 key that the signature verifies against.
    pub signer_did: String,
    /// When it was issued, in milliseconds since 1970.
    pub issued_at_ms: i64,
    /// The trace that the operation belongs to.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// Request and response, under the name of the artifact type.
    pub payload: JsonObject,
    /// The envelope's content hash.
    pub evidence_id: EvidenceId,
    /// Ed25519 signature: 128 hex digits.
    pub signature: String,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(CyclesEvidenceEnvelope {
    schema_version,
    artifact_type,
    server_id,
    signer_did,
    issued_at_ms,
    trace_id,
    payload,
    evidence_id,
    signature,
    info
});

/// The keys that verify a server's evidence (schema `CyclesEvidenceJwks`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct CyclesEvidenceJwks {
    /// Current and retired keys.
    pub keys: Vec<CyclesEvidenceJwk>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(CyclesEvidenceJwks { keys, info });

/// An Ed25519 key and the period in which it is valid (schema `CyclesEvidenceJwk`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CyclesEvidenceJwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// `EdDSA`, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// The public key: base64url of 32 bytes, without padding.
    pub x: String,
    /// The key's name.
    pub kid: String,
    /// The start of the validity, inclusive, in milliseconds since 1970.
    pub cycles_nbf_ms: i64,
    /// The end of the validity, exclusive, in milliseconds since 1970; `None` for a key that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles_exp_ms: Option<i64>,
    /// `active` or `retired`; informative only, since the times decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}
