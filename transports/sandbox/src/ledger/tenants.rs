//! Tenant records, and the settings that the runtime reads from them through a one-minute cache.

use std::collections::BTreeMap;

use super::config::Tenant;
use super::error::Refusal;
use super::wire_enums::{Named, OveragePolicy, TenantStatus};

pub(super) const DEFAULT_TTL_MS: i64 = 60_000;
pub(super) const MAX_TTL_MS: i64 = 3_600_000;
pub(super) const MAX_EXTENSIONS: i64 = 10;
const CACHE_MS: i64 = 60_000;

/// The tenant records.
#[derive(Clone, Debug)]
pub(super) struct Tenants {
    records: BTreeMap<String, Tenant>,
    cache: BTreeMap<String, (i64, Settings)>,
    /// How long settings are cached, in milliseconds; 0 turns the cache off.
    pub(super) cache_ms: i64,
}

/// A tenant's settings for new reservations and events.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    default_policy: Option<String>,
    default_ttl_ms: Option<i64>,
    max_ttl_ms: Option<i64>,
    max_extensions: Option<i64>,
}

impl Default for Tenants {
    fn default() -> Self {
        Self {
            records: BTreeMap::new(),
            cache: BTreeMap::new(),
            cache_ms: CACHE_MS,
        }
    }
}

impl Tenants {
    pub(super) fn insert(&mut self, tenant: Tenant) {
        self.records.insert(tenant.id.clone(), tenant);
    }

    pub(super) fn record(&self, id: &str) -> Option<&Tenant> {
        self.records.get(id)
    }

    pub(super) fn record_mut(&mut self, id: &str) -> Option<&mut Tenant> {
        self.records.get_mut(id)
    }

    /// Every record, in the order of the ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Tenant> {
        self.records.values()
    }

    /// The status: `None` without a record, `Some(None)` if the record has no valid status. Never cached.
    pub(super) fn status(&self, id: &str) -> Option<Option<TenantStatus>> {
        self.records.get(id).map(|tenant| tenant.status)
    }

    /// Whether the tenant is closed, which blocks every mutation. A record without a valid status is a 500.
    pub(super) fn is_closed(&self, id: &str) -> Result<bool, Refusal> {
        match self.status(id) {
            None | Some(Some(TenantStatus::Active | TenantStatus::Suspended)) => Ok(false),
            Some(Some(TenantStatus::Closed)) => Ok(true),
            Some(None) => Err(Refusal::malformed_tenant(id)),
        }
    }

    /// The check before live mutations: refuses a closed tenant with 409.
    pub(super) fn check_open(&self, id: &str) -> Result<(), Refusal> {
        if self.is_closed(id)? {
            Err(Refusal::tenant_closed(id))
        } else {
            Ok(())
        }
    }

    /// The settings as of the last read; a missing record is cached as well.
    pub(super) fn settings(&mut self, id: &str, now: i64) -> Settings {
        if let Some((read_at, settings)) = self.cache.get(id)
            && now < read_at.saturating_add(self.cache_ms)
            && now >= *read_at
        {
            return settings.clone();
        }
        let settings = self.records.get(id).map(Settings::of).unwrap_or_default();
        self.cache.insert(id.to_owned(), (now, settings.clone()));
        settings
    }
}

impl Settings {
    fn of(tenant: &Tenant) -> Self {
        Self {
            default_policy: tenant.default_policy.clone(),
            default_ttl_ms: tenant.default_ttl_ms,
            max_ttl_ms: tenant.max_ttl_ms,
            max_extensions: tenant.max_extensions,
        }
    }

    /// The requested policy, else the tenant's. A tenant setting that is not a valid policy is a 400.
    pub(super) fn policy(&self, asked: Option<OveragePolicy>) -> Result<OveragePolicy, Refusal> {
        match (asked, &self.default_policy) {
            (Some(policy), _) => Ok(policy),
            (None, None) => Ok(OveragePolicy::AllowIfAvailable),
            (None, Some(text)) => OveragePolicy::from_name(text).ok_or_else(|| {
                Refusal::invalid(format!("Invalid tenant default_commit_overage_policy: {text}"))
            }),
        }
    }

    /// The granted time to live for the requested one, in milliseconds.
    pub(super) fn ttl_ms(&self, asked: Option<i64>) -> i64 {
        let wanted = asked.or(self.default_ttl_ms).unwrap_or(DEFAULT_TTL_MS);
        wanted.min(self.max_ttl_ms.unwrap_or(MAX_TTL_MS))
    }

    pub(super) fn max_extensions(&self) -> i64 {
        self.max_extensions.unwrap_or(MAX_EXTENSIONS)
    }
}
