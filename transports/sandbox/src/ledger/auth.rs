//! Authentication: API keys, the admin key, and the throttle on the public paths.

use std::collections::BTreeMap;

use http::HeaderMap;

use super::config::ApiKey;
use super::error::{Code, Refusal};
use super::reply::Throttled;
use super::route::{Access, Route};
use super::tenants::Tenants;
use super::wire_enums::{KeyStatus, TenantStatus};

pub(super) const API_KEY: &str = "x-cycles-api-key";
pub(super) const ADMIN_KEY: &str = "x-admin-api-key";
const WINDOW_S: u64 = 60;

/// The caller of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Authenticated by an API key of this tenant.
    Tenant(String),
    /// Authenticated by the admin key: no tenant, no ownership checks.
    Admin,
    /// Unknown: the path needs no authentication.
    Public,
}

impl Caller {
    /// Refuses an object that belongs to another tenant.
    pub(super) fn check_owner(&self, owner: &str) -> Result<(), Refusal> {
        match self {
            Self::Tenant(tenant) if tenant != owner => Err(Refusal::foreign_tenant()),
            Self::Tenant(_) | Self::Admin | Self::Public => Ok(()),
        }
    }

    /// The tenant, for operations that only an API key can reach.
    pub(super) fn tenant(&self) -> Result<&str, Refusal> {
        match self {
            Self::Tenant(tenant) => Ok(tenant),
            Self::Admin | Self::Public => Err(Refusal::internal()),
        }
    }
}

/// The keys that the server knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    by_prefix: BTreeMap<String, ApiKey>,
    pub(super) admin: Option<String>,
}

impl Keys {
    /// Adds a key. One that was set up by a method call gets its id here: it counts the keys, so that it tells nothing
    /// about the secret, and a key keeps it when it is replaced.
    pub(super) fn insert(&mut self, mut key: ApiKey) {
        let prefix = ApiKey::prefix(&key.secret);
        if key.record.id.is_empty() {
            let replaced = self.by_prefix.get(&prefix).map(|key| key.record.id.clone());
            let number = self.by_prefix.len() + 1;
            key.record.id = replaced.unwrap_or_else(|| format!("key_{number:016x}"));
        }
        self.by_prefix.insert(prefix, key);
    }

    /// Every key, in arbitrary but repeatable order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.by_prefix.values()
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let keys = self.by_prefix.values().map(|key| key.secret.as_str());
        keys.chain(self.admin.as_deref())
    }

    pub(super) fn status_mut(&mut self, secret: &str) -> Option<&mut KeyStatus> {
        let key = self.by_prefix.get_mut(&ApiKey::prefix(secret))?;
        (key.secret == secret).then_some(&mut key.status)
    }

    /// Identifies the caller, or returns a 401 (or a 500 if the server itself has no admin key).
    pub(super) fn authenticate(
        &self,
        now: i64,
        headers: &HeaderMap,
        access: Access,
        route: &Route<'_>,
        tenants: &Tenants,
    ) -> Result<Caller, Refusal> {
        match access {
            Access::Open | Access::Throttled => Ok(Caller::Public),
            Access::Admin => self.admin(text(headers, ADMIN_KEY).as_deref()),
            Access::Tenant => match text(headers, ADMIN_KEY) {
                Some(key) if route.takes_admin() => self.admin(Some(&key)),
                Some(_) | None => self.tenant(now, text(headers, API_KEY).as_deref(), tenants),
            },
        }
    }

    fn admin(&self, sent: Option<&str>) -> Result<Caller, Refusal> {
        match &self.admin {
            None => Err(Refusal::new(
                Code::InternalError,
                "Server misconfiguration: admin API key not set",
            )),
            Some(key) if sent == Some(key) => Ok(Caller::Admin),
            Some(_) if sent.is_none() => Err(Refusal::unauthorized("Missing X-Admin-API-Key header")),
            Some(_) => Err(Refusal::unauthorized("Invalid admin API key")),
        }
    }

    fn tenant(&self, now: i64, sent: Option<&str>, tenants: &Tenants) -> Result<Caller, Refusal> {
        let Some(sent) = sent.filter(|sent| !sent.trim().is_empty()) else {
            return Err(Refusal::unauthorized("Missing API key"));
        };
        let key = self.verify(now, sent, tenants).map_err(Refusal::unauthorized)?;
        Ok(Caller::Tenant(key.tenant.clone()))
    }

    /// The key whose secret was sent, or the reason why it is not valid.
    pub(super) fn verify(&self, now: i64, sent: &str, tenants: &Tenants) -> Result<&ApiKey, &'static str> {
        let key = self.by_prefix.get(&ApiKey::prefix(sent)).ok_or("KEY_NOT_FOUND")?;
        let reason = match key.status {
            KeyStatus::Revoked => Some("KEY_REVOKED"),
            KeyStatus::Expired => Some("KEY_EXPIRED"),
            KeyStatus::Active => {
                if key.end().is_some_and(|end| end <= now) {
                    Some("KEY_EXPIRED")
                } else if key.secret != sent {
                    Some("INVALID_KEY")
                } else if key.tenant.trim().is_empty() {
                    Some("KEY_NOT_OWNED_BY_TENANT")
                } else {
                    tenant_reason(tenants.status(&key.tenant))
                }
            }
        };
        reason.map_or(Ok(key), Err)
    }

    /// Whether another key has the same prefix, so that the two would be confused.
    pub(super) fn has_prefix_of(&self, secret: &str) -> bool {
        self.by_prefix.contains_key(&ApiKey::prefix(secret))
    }

    /// The key with this admin-plane id.
    pub(super) fn by_id_mut(&mut self, id: &str) -> Option<&mut ApiKey> {
        self.by_prefix.values_mut().find(|key| key.record.id == id)
    }

    pub(super) fn of_tenant_mut(&mut self, tenant: &str) -> impl Iterator<Item = &mut ApiKey> {
        self.by_prefix
            .values_mut()
            .filter(move |key| key.tenant == tenant)
    }
}

/// The throttle on the public paths: a fixed window of one minute, aligned to the clock.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    /// Requests per window; unlimited if unset.
    pub(super) limit: Option<u32>,
    window: u64,
    used: u32,
}

impl Throttle {
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            limit: Some(limit),
            window: 0,
            used: 0,
        }
    }

    /// Counts a request, or returns when the caller may try again.
    pub(super) fn admit(&mut self, now: i64) -> Result<(), Throttled> {
        let Some(limit) = self.limit else { return Ok(()) };
        let now_s = u64::try_from(now).unwrap_or(0) / 1_000;
        let window = now_s / WINDOW_S;
        if window != self.window {
            (self.window, self.used) = (window, 0);
        }
        if self.used < limit {
            self.used += 1;
            return Ok(());
        }
        let window_end_s = (window + 1) * WINDOW_S;
        Err(Throttled {
            retry_after_s: window_end_s - now_s,
            window_end_s,
        })
    }
}

/// A header as text; bytes that are not UTF-8 become the replacement character, which no key contains.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn tenant_reason(status: Option<Option<TenantStatus>>) -> Option<&'static str> {
    match status {
        None | Some(None | Some(TenantStatus::Active)) => None,
        Some(Some(TenantStatus::Suspended)) => Some("TENANT_SUSPENDED"),
        Some(Some(TenantStatus::Closed)) => Some("TENANT_CLOSED"),
    }
}
