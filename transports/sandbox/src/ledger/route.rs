//! The operation for a method and a path, and the access that it needs.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::operation::Operation;

/// An operation, with the id from its path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Decide,
    Reserve,
    List,
    Get(Cow<'a, str>),
    Commit(Cow<'a, str>),
    Release(Cow<'a, str>),
    Extend(Cow<'a, str>),
    Event,
    Balances,
    Evidence(Cow<'a, str>),
    Jwks,
    Health,
    /// An unknown path or method: 500, after authentication.
    Unknown,
}

/// The authentication that a path needs. It depends on the path alone and is decided before the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// None.
    Open,
    /// None, but the calls per minute are limited.
    Throttled,
    /// The admin key.
    Admin,
    /// An API key.
    Tenant,
}

const JWKS_PATH: &str = "/v1/.well-known/cycles-jwks.json";

impl Access {
    pub(super) fn of(path: &str) -> Self {
        const ADMIN: [&str; 5] = ["/actuator", "/api-docs", "/swagger", "/v3/api-docs", "/webjars"];
        if path == JWKS_PATH || path.starts_with("/v1/evidence/") {
            Self::Throttled
        } else if matches!(
            path,
            "/actuator/health" | "/actuator/health/liveness" | "/actuator/health/readiness"
        ) {
            Self::Open
        } else if ADMIN.iter().any(|prefix| path.starts_with(prefix)) {
            Self::Admin
        } else {
            Self::Tenant
        }
    }
}

impl<'a> Route<'a> {
    pub(super) fn of(method: &Method, path: &'a str) -> Self {
        let segments: Vec<Cow<'a, str>> = path
            .strip_prefix('/')
            .unwrap_or(path)
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
            .collect();
        let names: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let id = || segments.get(2).cloned().unwrap_or_default();
        // The HTTP server omits the body.
        let method = if *method == Method::HEAD {
            "GET"
        } else {
            method.as_str()
        };
        match (method, names.as_slice()) {
            ("POST", ["v1", "decide"]) => Self::Decide,
            ("POST", ["v1", "reservations"]) => Self::Reserve,
            ("GET", ["v1", "reservations"]) => Self::List,
            ("GET", ["v1", "reservations", id_text]) if !id_text.is_empty() => Self::Get(id()),
            ("POST", ["v1", "reservations", id_text, "commit"]) if !id_text.is_empty() => Self::Commit(id()),
            ("POST", ["v1", "reservations", id_text, "release"]) if !id_text.is_empty() => {
                Self::Release(id())
            }
            ("POST", ["v1", "reservations", id_text, "extend"]) if !id_text.is_empty() => Self::Extend(id()),
            ("POST", ["v1", "events"]) => Self::Event,
            ("GET", ["v1", "balances"]) => Self::Balances,
            ("GET", ["v1", "evidence", id_text]) if !id_text.is_empty() => Self::Evidence(id()),
            ("GET", ["v1", ".well-known", "cycles-jwks.json"]) => Self::Jwks,
            ("GET", ["actuator", "health"] | ["actuator", "health", "liveness" | "readiness"]) => {
                Self::Health
            }
            _ => Self::Unknown,
        }
    }

    /// The operation, without the id.
    pub(super) const fn operation(&self) -> Operation {
        match self {
            Self::Decide => Operation::Decide,
            Self::Reserve => Operation::CreateReservation,
            Self::List => Operation::ListReservations,
            Self::Get(_) => Operation::GetReservation,
            Self::Commit(_) => Operation::CommitReservation,
            Self::Release(_) => Operation::ReleaseReservation,
            Self::Extend(_) => Operation::ExtendReservation,
            Self::Event => Operation::CreateEvent,
            Self::Balances => Operation::GetBalances,
            Self::Evidence(_) => Operation::GetEvidence,
            Self::Jwks => Operation::GetEvidenceJwks,
            Self::Health => Operation::Health,
            Self::Unknown => Operation::Unknown,
        }
    }

    /// Whether the admin key is accepted instead of an API key.
    pub(super) const fn takes_admin(&self) -> bool {
        match self {
            Self::List | Self::Get(_) | Self::Release(_) => true,
            Self::Decide
            | Self::Reserve
            | Self::Commit(_)
            | Self::Extend(_)
            | Self::Event
            | Self::Balances
            | Self::Evidence(_)
            | Self::Jwks
            | Self::Health
            | Self::Unknown => false,
        }
    }
}
