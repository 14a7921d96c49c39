//! The request bodies of the six POST operations, parsed and validated.
//!
//! A parsed body is also its own idempotency fingerprint: two requests are the same if and only if their parsed bodies
//! are equal. That is why absent and null stay distinct where the server's mapper fills in a default (`dry_run`,
//! `grace_period_ms`), and why free maps keep their order.

use serde::Serialize;

use super::coerce::{Members, Violations, utf16_length};
use super::json::{Json, Malformed};
use super::shared_types::{Action, Amount, Subject};
use super::wire_enums::{OveragePolicy, Unit};

const DAY_MS: i64 = 86_400_000;

/// A request body.
pub(super) trait Body: Sized {
    /// The names of its members.
    const KNOWN: &'static [&'static str];

    /// Reads the members. A value outside its limits is added to `violations` and replaced by a neutral value, which is
    /// never used, because a request with violations is refused.
    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed>;

    /// The key in the body; the key header, if sent, must repeat it.
    fn idempotency_key(&self) -> &str;
}

/// `POST /v1/decide`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct DecideRequest {
    pub(super) idempotency_key: String,
    pub(super) subject: Subject,
    pub(super) action: Action,
    pub(super) estimate: Amount,
    pub(super) metadata: Option<Json>,
}

/// `POST /v1/reservations`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ReserveRequest {
    pub(super) idempotency_key: String,
    pub(super) subject: Subject,
    pub(super) action: Action,
    pub(super) estimate: Amount,
    pub(super) ttl_ms: Option<i64>,
    pub(super) grace_period_ms: Option<i64>,
    pub(super) overage_policy: Option<OveragePolicy>,
    pub(super) dry_run: Option<bool>,
    pub(super) metadata: Option<Json>,
}

/// `POST /v1/reservations/{id}/commit`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct CommitRequest {
    pub(super) idempotency_key: String,
    pub(super) actual: Amount,
    pub(super) metrics: Option<Metrics>,
    pub(super) metadata: Option<Json>,
}

/// `POST /v1/reservations/{id}/release`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ReleaseRequest {
    pub(super) idempotency_key: String,
    pub(super) reason: Option<String>,
}

/// `POST /v1/reservations/{id}/extend`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ExtendRequest {
    pub(super) idempotency_key: String,
    pub(super) extend_by_ms: i64,
    pub(super) metadata: Option<Json>,
}

/// `POST /v1/events`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct EventRequest {
    pub(super) idempotency_key: String,
    pub(super) subject: Subject,
    pub(super) action: Action,
    pub(super) actual: Amount,
    pub(super) overage_policy: Option<OveragePolicy>,
    pub(super) metrics: Option<Metrics>,
    pub(super) client_time_ms: Option<i64>,
    pub(super) metadata: Option<Json>,
}

/// Standard metrics. The server stores them but never shows them, so they matter for equality only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Metrics {
    tokens_input: Option<i32>,
    tokens_output: Option<i32>,
    latency_ms: Option<i32>,
    model_version: Option<String>,
    custom: Option<Json>,
}

impl Body for DecideRequest {
    const KNOWN: &'static [&'static str] = &["idempotency_key", "subject", "action", "estimate", "metadata"];

    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        Ok(Self {
            idempotency_key: idempotency_key(members, violations)?,
            subject: Subject::read(members, violations)?,
            action: Action::read(members, violations)?,
            estimate: amount(members, "estimate", violations)?,
            metadata: members.map("metadata")?,
        })
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }
}

impl Body for ReserveRequest {
    const KNOWN: &'static [&'static str] = &[
        "idempotency_key",
        "subject",
        "action",
        "estimate",
        "ttl_ms",
        "grace_period_ms",
        "overage_policy",
        "dry_run",
        "metadata",
    ];

    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        let absent = |name| members.raw(name).is_none();
        let request = Self {
            idempotency_key: idempotency_key(members, violations)?,
            subject: Subject::read(members, violations)?,
            action: Action::read(members, violations)?,
            estimate: amount(members, "estimate", violations)?,
            ttl_ms: members.long("ttl_ms")?,
            grace_period_ms: if absent("grace_period_ms") {
                Some(DEFAULT_GRACE_MS)
            } else {
                members.long("grace_period_ms")?
            },
            overage_policy: members.choice("overage_policy")?,
            dry_run: if absent("dry_run") {
                Some(false)
            } else {
                members.boolean("dry_run")?
            },
            metadata: members.map("metadata")?,
        };
        between(violations, "ttlMs", request.ttl_ms, 1_000, DAY_MS);
        between(violations, "gracePeriodMs", request.grace_period_ms, 0, 60_000);
        Ok(request)
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }
}

impl ReserveRequest {
    /// Whether this is a dry run, which holds nothing.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }

    /// How long after the expiry the reservation can still be settled, in milliseconds.
    pub(super) fn grace_ms(&self) -> i64 {
        self.grace_period_ms.unwrap_or(DEFAULT_GRACE_MS)
    }
}

impl Body for CommitRequest {
    const KNOWN: &'static [&'static str] = &["idempotency_key", "actual", "metrics", "metadata"];

    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        Ok(Self {
            idempotency_key: idempotency_key(members, violations)?,
            actual: amount(members, "actual", violations)?,
            metrics: Metrics::read(members, violations)?,
            metadata: members.map("metadata")?,
        })
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }
}

impl Body for ReleaseRequest {
    const KNOWN: &'static [&'static str] = &["idempotency_key", "reason"];

    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        let request = Self {
            idempotency_key: idempotency_key(members, violations)?,
            reason: members.text("reason")?,
        };
        if let Some(reason) = &request.reason {
            violations.size("reason", utf16_length(reason), 0, 256);
        }
        Ok(request)
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }
}

impl Body for ExtendRequest {
    const KNOWN: &'static [&'static str] = &["idempotency_key", "extend_by_ms", "metadata"];

    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        let extend_by_ms = members.long("extend_by_ms")?;
        if extend_by_ms.is_none() {
            violations.not_null("extendByMs");
        }
        between(violations, "extendByMs", extend_by_ms, 1, DAY_MS);
        Ok(Self {
            idempotency_key: idempotency_key(members, violations)?,
            extend_by_ms: extend_by_ms.unwrap_or_default(),
            metadata: members.map("metadata")?,
        })
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }
}

impl Body for EventRequest {
    const KNOWN: &'static [&'static str] = &[
        "idempotency_key",
        "subject",
        "action",
        "actual",
        "overage_policy",
        "metrics",
        "client_time_ms",
        "metadata",
    ];

    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        let request = Self {
            idempotency_key: idempotency_key(members, violations)?,
            subject: Subject::read(members, violations)?,
            action: Action::read(members, violations)?,
            actual: amount(members, "actual", violations)?,
            overage_policy: members.choice("overage_policy")?,
            metrics: Metrics::read(members, violations)?,
            client_time_ms: members.long("client_time_ms")?,
            metadata: members.map("metadata")?,
        };
        at_least_zero(violations, "clientTimeMs", request.client_time_ms);
        Ok(request)
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }
}

impl EventRequest {
    /// The reservation whose cost it charges, which its metadata names by the recovery profile.
    pub(super) fn recovered_reservation(&self) -> Option<&str> {
        self.metadata.as_ref()?.text("recovered_reservation_id")
    }
}

impl Metrics {
    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Option<Self>, Malformed> {
        const KNOWN: &[&str] = &[
            "tokens_input",
            "tokens_output",
            "latency_ms",
            "model_version",
            "custom",
        ];
        let Some(members) = members.nested("metrics", KNOWN)? else {
            return Ok(None);
        };
        let metrics = Self {
            tokens_input: members.int("tokens_input")?,
            tokens_output: members.int("tokens_output")?,
            latency_ms: members.int("latency_ms")?,
            model_version: members.text("model_version")?,
            custom: members.map("custom")?,
        };
        at_least_zero(
            violations,
            "metrics.tokensInput",
            metrics.tokens_input.map(i64::from),
        );
        at_least_zero(
            violations,
            "metrics.tokensOutput",
            metrics.tokens_output.map(i64::from),
        );
        at_least_zero(violations, "metrics.latencyMs", metrics.latency_ms.map(i64::from));
        if let Some(version) = &metrics.model_version {
            violations.size("metrics.modelVersion", utf16_length(version), 0, 128);
        }
        Ok(Some(metrics))
    }
}

const DEFAULT_GRACE_MS: i64 = 5_000;

fn idempotency_key(members: Members<'_>, violations: &mut Violations) -> Result<String, Malformed> {
    let key = members.text("idempotency_key")?;
    match &key {
        None => violations.not_null("idempotencyKey"),
        Some(key) => violations.size("idempotencyKey", utf16_length(key), 1, 256),
    }
    Ok(key.unwrap_or_default())
}

/// A required amount.
pub(super) fn amount(
    members: Members<'_>,
    name: &str,
    violations: &mut Violations,
) -> Result<Amount, Malformed> {
    let neutral = Amount {
        unit: Unit::Tokens,
        amount: 0,
    };
    let Some(members) = members.nested(name, &["unit", "amount"])? else {
        violations.not_null(name);
        return Ok(neutral);
    };
    let (unit, amount) = (members.choice("unit")?, members.long("amount")?);
    if unit.is_none() {
        violations.not_null(&format!("{name}.unit"));
    }
    match amount {
        None => violations.not_null(&format!("{name}.amount")),
        Some(amount) => violations.at_least(&format!("{name}.amount"), amount, 0),
    }
    Ok(Amount {
        unit: unit.unwrap_or(neutral.unit),
        amount: amount.unwrap_or(neutral.amount),
    })
}

fn between(violations: &mut Violations, path: &str, value: Option<i64>, min: i64, max: i64) {
    if let Some(value) = value {
        violations.at_least(path, value, min);
        violations.at_most(path, value, max);
    }
}

fn at_least_zero(violations: &mut Violations, path: &str, value: Option<i64>) {
    if let Some(value) = value {
        violations.at_least(path, value, 0);
    }
}
