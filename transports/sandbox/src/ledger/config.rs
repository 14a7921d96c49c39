//! The objects that an operator sets up before requests arrive: tenants, API keys and budgets.

use std::fmt;

use cycles_proto::time::UnixMillis;

use super::admin::{KeyRecord, TenantRecord};
use super::wire_enums::{BudgetStatus, KeyStatus, OveragePolicy, TenantStatus, Unit};

/// A tenant record. A tenant without a record works too: it is unrestricted and has the defaults documented here.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub(super) id: String,
    pub(super) status: Option<TenantStatus>,
    pub(super) default_policy: Option<String>,
    pub(super) default_ttl_ms: Option<i64>,
    pub(super) max_ttl_ms: Option<i64>,
    pub(super) max_extensions: Option<i64>,
    pub(super) record: TenantRecord,
}

impl Tenant {
    /// An active tenant with default settings.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            status: Some(TenantStatus::Active),
            default_policy: None,
            default_ttl_ms: None,
            max_ttl_ms: None,
            max_extensions: None,
            record: TenantRecord::default(),
        }
    }

    /// Sets the status. Unlike the other settings, it takes effect with the next request.
    #[must_use]
    pub const fn status(mut self, status: TenantStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Makes the status invalid: the tenant's keys still authenticate, but every mutation fails with 500.
    #[must_use]
    pub const fn malformed_status(mut self) -> Self {
        self.status = None;
        self
    }

    /// Sets the policy for reservations and events that do not name one. Default: `ALLOW_IF_AVAILABLE`.
    #[must_use]
    pub fn default_overage_policy(self, policy: OveragePolicy) -> Self {
        self.default_overage_policy_text(policy.name())
    }

    /// Sets that policy as free text. If there is no such policy, live reservations and events that do not name one get
    /// 400.
    #[must_use]
    pub fn default_overage_policy_text(mut self, policy: impl Into<String>) -> Self {
        self.default_policy = Some(policy.into());
        self
    }

    /// Sets the time to live of reservations that do not request one, in milliseconds. Default: 60 000.
    #[must_use]
    pub const fn default_ttl_ms(mut self, ttl_ms: i64) -> Self {
        self.default_ttl_ms = Some(ttl_ms);
        self
    }

    /// Sets the longest time to live that is granted, in milliseconds. Default: 3 600 000. Longer requests are silently
    /// shortened to it; it does not limit extensions.
    #[must_use]
    pub const fn max_ttl_ms(mut self, ttl_ms: i64) -> Self {
        self.max_ttl_ms = Some(ttl_ms);
        self
    }

    /// Sets how many times a reservation may be extended. Default: 10.
    #[must_use]
    pub const fn max_extensions(mut self, extensions: i64) -> Self {
        self.max_extensions = Some(extensions);
        self
    }
}

/// An API key. The ledger looks keys up by their first 14 characters: a key with the same 14 characters replaces the
/// earlier one.
#[derive(Clone)]
pub struct ApiKey {
    pub(super) secret: String,
    pub(super) tenant: String,
    pub(super) status: KeyStatus,
    pub(super) expires_at: Option<UnixMillis>,
    /// Plain strings, because only the admin plane reads them.
    pub(super) permissions: Vec<String>,
    pub(super) record: KeyRecord,
}

impl ApiKey {
    /// All permissions that a key can have.
    pub const PERMISSIONS: [&str; 27] = [
        "reservations:create",
        "reservations:commit",
        "reservations:release",
        "reservations:extend",
        "reservations:list",
        "balances:read",
        "budgets:read",
        "budgets:write",
        "policies:read",
        "policies:write",
        "webhooks:read",
        "webhooks:write",
        "events:read",
        "admin:read",
        "admin:write",
        "admin:tenants:read",
        "admin:tenants:write",
        "admin:budgets:read",
        "admin:budgets:write",
        "admin:policies:read",
        "admin:policies:write",
        "admin:apikeys:read",
        "admin:apikeys:write",
        "admin:webhooks:read",
        "admin:webhooks:write",
        "admin:events:read",
        "admin:audit:read",
    ];

    /// The permissions of a key created without any: all those of the client-facing server.
    pub(super) const DEFAULT_PERMISSIONS: [&str; 6] = {
        let [create, commit, release, extend, list, balances, ..] = Self::PERMISSIONS;
        [create, commit, release, extend, list, balances]
    };

    /// An active key of `tenant` that never expires, with the permissions of the six reservation and
    /// balance operations.
    pub fn new(secret: impl Into<String>, tenant: impl Into<String>) -> Self {
        Self {
            secret: secret.into(),
            tenant: tenant.into(),
            status: KeyStatus::Active,
            expires_at: None,
            permissions: Self::DEFAULT_PERMISSIONS.map(str::to_owned).to_vec(),
            record: KeyRecord::default(),
        }
    }

    /// Sets the permissions, such as `budgets:write`. Only the admin plane checks them; everything else is open to
    /// every key, as on the reference server.
    #[must_use]
    pub fn permissions(mut self, permissions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.permissions = permissions.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the status.
    #[must_use]
    pub const fn status(mut self, status: KeyStatus) -> Self {
        self.status = status;
        self
    }

    /// Sets the time from which calls with the key get 401 `KEY_EXPIRED`.
    #[must_use]
    pub const fn expires_at(mut self, expires_at: UnixMillis) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// The time from which the key is not accepted, in milliseconds since 1970.
    pub(super) fn end(&self) -> Option<i64> {
        self.expires_at
            .map(|end| i64::try_from(end.0).unwrap_or(i64::MAX))
    }

    /// The part of the secret that answers show: its first 14 characters, but never more than half of it, because a secret
    /// that was set up by a method call can be short.
    pub(super) fn shown_prefix(&self) -> String {
        let half = self.secret.chars().count() / 2;
        self.secret.chars().take(half.min(14)).collect()
    }

    /// The part of a secret that is used to look up the key.
    pub(super) fn prefix(secret: &str) -> String {
        secret.chars().take(14).collect()
    }
}

/// Omits the secret.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("tenant", &self.tenant)
            .field("status", &self.status)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A budget to set up: one scope path, one unit.
#[derive(Clone, Debug)]
pub struct Budget {
    pub(super) scope: String,
    pub(super) unit: Unit,
    pub(super) allocated: i64,
    pub(super) overdraft_limit: i64,
    pub(super) debt: i64,
    pub(super) is_over_limit: bool,
    pub(super) status: BudgetStatus,
    pub(super) caps_json: Option<String>,
}

impl Budget {
    /// An active budget of `allocated` units (a negative amount counts as 0) on `scope`, a path such as
    /// `tenant:acme-corp/agent:bot`. The path is lower-cased, like the scopes of requests.
    pub fn new(scope: impl Into<String>, unit: Unit, allocated: i64) -> Self {
        Self {
            scope: scope.into().to_lowercase(),
            unit,
            allocated: allocated.max(0),
            overdraft_limit: 0,
            debt: 0,
            is_over_limit: false,
            status: BudgetStatus::Active,
            caps_json: None,
        }
    }

    /// The scope's path, in lower case.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The unit of the budget's amounts.
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// Sets the debt limit under `ALLOW_WITH_OVERDRAFT`. Default: 0, no debt; a negative limit counts as 0.
    #[must_use]
    pub fn overdraft_limit(mut self, limit: i64) -> Self {
        self.overdraft_limit = limit.max(0);
        self
    }

    /// Sets an existing debt, which lowers what remains. Default: 0; a negative debt counts as 0.
    #[must_use]
    pub fn debt(mut self, debt: i64) -> Self {
        self.debt = debt.max(0);
        self
    }

    /// Sets whether the budget is over its limit from the start, which blocks new reservations.
    #[must_use]
    pub const fn over_limit(mut self, is_over_limit: bool) -> Self {
        self.is_over_limit = is_over_limit;
        self
    }

    /// Sets the status.
    #[must_use]
    pub const fn status(mut self, status: BudgetStatus) -> Self {
        self.status = status;
        self
    }

    /// Sets the caps, as the JSON of the protocol's `Caps`: decisions whose deepest scope is this one become
    /// `ALLOW_WITH_CAPS`. If the text is not valid caps JSON, they fail with 500, after the hold was taken.
    #[must_use]
    pub fn caps_json(mut self, caps: impl Into<String>) -> Self {
        self.caps_json = Some(caps.into());
        self
    }
}
