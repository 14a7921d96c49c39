//! Creating tenants, and changing their settings and status.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Serialize;

use super::records::TenantRecord;
use super::refusal::AdminRefusal;
use super::{Done, done, read};
use crate::ledger::Ledger;
use crate::ledger::coerce::{Members, Violations, utf16_length};
use crate::ledger::config::Tenant;
use crate::ledger::json::{Json, Malformed};
use crate::ledger::tenants::{DEFAULT_TTL_MS, MAX_EXTENSIONS, MAX_TTL_MS};
use crate::ledger::wire_enums::{BudgetStatus, KeyStatus, Named as _, OveragePolicy, TenantStatus};

/// The settings that both calls accept.
#[derive(Debug)]
struct Settings {
    policy: Option<OveragePolicy>,
    ttl_ms: Option<i64>,
    max_ttl_ms: Option<i64>,
    max_extensions: Option<i64>,
    metadata: Option<Json>,
}

#[derive(Debug)]
struct NewTenant {
    id: String,
    name: String,
    parent: Option<String>,
    expiry_policy: Option<&'static str>,
    settings: Settings,
}

#[derive(Debug)]
struct TenantChange {
    name: Option<String>,
    status: Option<TenantStatus>,
    settings: Settings,
}

#[derive(Serialize)]
pub(super) struct TenantReply<'a> {
    tenant_id: &'a str,
    name: Option<&'a str>,
    status: Option<TenantStatus>,
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_tenant_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_commit_overage_policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_reservation_ttl_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_reservation_ttl_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_reservation_extensions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_expiry_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<String>,
}

impl Ledger {
    /// Creates a tenant: 201 if it is new, or 200 with the existing one if that has the same name.
    pub(super) fn create_tenant(&mut self, now: i64, request: &Request<Bytes>) -> Done {
        let new = NewTenant::read(request)?;
        if let Some(tenant) = self.tenants.record_mut(&new.id) {
            // A tenant that was set up by a method call has no name yet and takes the first one sent.
            if *tenant.record.name.get_or_insert_with(|| new.name.clone()) != new.name {
                let message = format!("Tenant {} already exists under another name", new.id);
                return Err(AdminRefusal::conflict("DUPLICATE_RESOURCE", message));
            }
            return done(StatusCode::OK, &reply(tenant));
        }
        let settings = new.settings;
        let mut tenant = Tenant::new(new.id)
            .default_overage_policy(settings.policy.unwrap_or(OveragePolicy::AllowIfAvailable))
            .default_ttl_ms(settings.ttl_ms.unwrap_or(DEFAULT_TTL_MS))
            .max_ttl_ms(settings.max_ttl_ms.unwrap_or(MAX_TTL_MS))
            .max_extensions(settings.max_extensions.unwrap_or(MAX_EXTENSIONS));
        tenant.record = TenantRecord {
            name: Some(new.name),
            parent: new.parent,
            expiry_policy: new.expiry_policy,
            metadata: settings.metadata,
            created_at: Some(now),
            ..TenantRecord::default()
        };
        let done = done(StatusCode::CREATED, &reply(&tenant));
        self.tenants.insert(tenant);
        done
    }

    /// Changes a tenant. Closing it closes its budgets and revokes its keys, for good.
    pub(super) fn update_tenant(&mut self, now: i64, id: &str, request: &Request<Bytes>) -> Done {
        let change = TenantChange::read(request)?;
        let tenant = self
            .tenants
            .record_mut(id)
            .ok_or_else(|| AdminRefusal::no_tenant(id))?;
        match (tenant.status, change.status) {
            // Nothing changes here, but objects that the tenant still owns are closed below.
            (Some(TenantStatus::Closed), Some(TenantStatus::Closed)) => {}
            (Some(TenantStatus::Closed), Some(_)) => {
                return Err(AdminRefusal::invalid("A closed tenant stays closed"));
            }
            (_, status) => {
                change.apply(now, tenant);
                match status {
                    Some(TenantStatus::Suspended) => tenant.record.suspended_at = Some(now),
                    Some(TenantStatus::Closed) => tenant.record.closed_at = Some(now),
                    Some(TenantStatus::Active) | None => {}
                }
            }
        }
        let done = done(StatusCode::OK, &reply(tenant));
        if change.status == Some(TenantStatus::Closed) {
            self.close_all_of(now, id);
        }
        done
    }

    /// Closes everything that a tenant owns. Holds on its budgets stay until their reservations end.
    fn close_all_of(&mut self, now: i64, tenant: &str) {
        let root = format!("tenant:{}", tenant.to_lowercase());
        let accounts = self
            .books
            .on_scopes_mut(|scope| scope.split('/').next() == Some(root.as_str()));
        for account in accounts.filter(|account| account.state.status != BudgetStatus::Closed) {
            account.state.status = BudgetStatus::Closed;
            account.record.updated_at = Some(now);
        }
        let keys = self.keys.of_tenant_mut(tenant);
        for key in keys.filter(|key| key.status == KeyStatus::Active) {
            key.status = KeyStatus::Revoked;
            key.record.revoked_at = Some(now);
            key.record.revoked_reason = Some("tenant_closed".to_owned());
        }
    }
}

impl NewTenant {
    fn read(request: &Request<Bytes>) -> Result<Self, AdminRefusal> {
        const KNOWN: &[&str] = &[
            "tenant_id",
            "name",
            "parent_tenant_id",
            "metadata",
            "default_commit_overage_policy",
            "default_reservation_ttl_ms",
            "max_reservation_ttl_ms",
            "max_reservation_extensions",
            "reservation_expiry_policy",
        ];
        const EXPIRY: &[&str] = &["AUTO_RELEASE", "MANUAL_CLEANUP", "GRACE_ONLY"];
        read::body(request, KNOWN, |members, violations| {
            let id = members.text("tenant_id")?;
            let name = read::required_text(members, "name", "name", 256, violations)?;
            match &id {
                Some(id) if !id.trim().is_empty() => {
                    if !id.bytes().all(is_id_byte) {
                        violations.add("tenantId", "must consist of a-z, 0-9 and hyphens");
                    }
                    violations.size("tenantId", utf16_length(id), 3, 64);
                }
                Some(_) | None => violations.add("tenantId", "must not be blank"),
            }
            Ok(Self {
                id: id.unwrap_or_default(),
                name,
                parent: members.text("parent_tenant_id")?,
                expiry_policy: read::word(members, "reservation_expiry_policy", EXPIRY)?,
                settings: Settings::read(members, violations)?,
            })
        })
    }
}

impl TenantChange {
    fn read(request: &Request<Bytes>) -> Result<Self, AdminRefusal> {
        const KNOWN: &[&str] = &[
            "name",
            "status",
            "metadata",
            "default_commit_overage_policy",
            "default_reservation_ttl_ms",
            "max_reservation_ttl_ms",
            "max_reservation_extensions",
        ];
        read::body(request, KNOWN, |members, violations| {
            Ok(Self {
                name: members.text("name")?,
                status: members.choice("status")?,
                settings: Settings::read(members, violations)?,
            })
        })
    }

    /// Applies the settings to `tenant`. Members that were not sent change nothing.
    fn apply(&self, now: i64, tenant: &mut Tenant) {
        let policy = self.settings.policy.map(|policy| policy.wire_name().to_owned());
        replace(&mut tenant.record.name, self.name.clone());
        replace(&mut tenant.record.metadata, self.settings.metadata.clone());
        replace(&mut tenant.status, self.status);
        replace(&mut tenant.default_policy, policy);
        replace(&mut tenant.default_ttl_ms, self.settings.ttl_ms);
        replace(&mut tenant.max_ttl_ms, self.settings.max_ttl_ms);
        replace(&mut tenant.max_extensions, self.settings.max_extensions);
        tenant.record.updated_at = Some(now);
    }
}

impl Settings {
    fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        let settings = Self {
            policy: members.choice("default_commit_overage_policy")?,
            ttl_ms: members.long("default_reservation_ttl_ms")?,
            max_ttl_ms: members.long("max_reservation_ttl_ms")?,
            max_extensions: members.int("max_reservation_extensions")?.map(i64::from),
            metadata: members.text_map("metadata")?,
        };
        for (path, ttl_ms) in [
            ("defaultReservationTtlMs", settings.ttl_ms),
            ("maxReservationTtlMs", settings.max_ttl_ms),
        ] {
            if let Some(ttl_ms) = ttl_ms {
                violations.at_least(path, ttl_ms, 1_000);
                violations.at_most(path, ttl_ms, 86_400_000);
            }
        }
        if let Some(extensions) = settings.max_extensions {
            violations.at_least("maxReservationExtensions", extensions, 0);
        }
        if let Some(Json::Object(metadata)) = &settings.metadata {
            violations.size("metadata", metadata.len(), 0, 32);
        }
        Ok(settings)
    }
}

pub(super) fn reply(tenant: &Tenant) -> TenantReply<'_> {
    let record = &tenant.record;
    TenantReply {
        tenant_id: &tenant.id,
        name: record.name.as_deref(),
        status: tenant.status,
        created_at: read::written(record.created_at),
        parent_tenant_id: record.parent.as_deref(),
        default_commit_overage_policy: tenant.default_policy.as_deref(),
        default_reservation_ttl_ms: tenant.default_ttl_ms,
        max_reservation_ttl_ms: tenant.max_ttl_ms,
        max_reservation_extensions: tenant.max_extensions,
        reservation_expiry_policy: record.expiry_policy,
        metadata: record.metadata.as_ref(),
        updated_at: read::written(record.updated_at),
        suspended_at: read::written(record.suspended_at),
        closed_at: read::written(record.closed_at),
    }
}

fn replace<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

const fn is_id_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')
}
