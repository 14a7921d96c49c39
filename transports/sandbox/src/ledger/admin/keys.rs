//! Creating and revoking API keys.

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::{Request, StatusCode, Uri};
use serde::Serialize;

use super::records::KeyRecord;
use super::refusal::AdminRefusal;
use super::{Done, done, read};
use crate::ledger::Ledger;
use crate::ledger::config::ApiKey;
use crate::ledger::json::Json;
use crate::ledger::query::Params;
use crate::ledger::wire_enums::{KeyStatus, TenantStatus};

/// The lifetime of a key without `expires_at`: 90 days.
const DEFAULT_LIFETIME_MS: i64 = 90 * 86_400_000;

#[derive(Debug)]
struct NewKey {
    tenant: String,
    name: String,
    description: Option<String>,
    permissions: Option<Vec<Option<String>>>,
    scope_filter: Option<Vec<Option<String>>>,
    expires_at: Option<i64>,
    metadata: Option<Json>,
}

/// The answer to the creation of a key: the only one that contains the secret.
#[derive(Serialize)]
struct NewKeyReply<'a> {
    key_id: &'a str,
    key_secret: &'a str,
    key_prefix: String,
    tenant_id: &'a str,
    permissions: &'a [String],
    created_at: Option<String>,
    expires_at: Option<String>,
}

/// A key in every other answer.
#[derive(Serialize)]
pub(super) struct KeyReply<'a> {
    key_id: &'a str,
    tenant_id: &'a str,
    key_prefix: String,
    status: KeyStatus,
    created_at: Option<String>,
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    permissions: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    scope_filter: Option<&'a [Option<String>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json>,
}

impl Ledger {
    pub(super) fn create_key(&mut self, now: i64, secret: [u8; 24], request: &Request<Bytes>) -> Done {
        let new = NewKey::read(request)?;
        let status = self.tenants.status(&new.tenant);
        if status == Some(Some(TenantStatus::Closed)) {
            return Err(AdminRefusal::tenant_closed(&new.tenant));
        }
        let permissions = known_permissions(new.permissions)?;
        match status {
            None => return Err(AdminRefusal::no_tenant(&new.tenant)),
            Some(Some(TenantStatus::Suspended)) => {
                let message = format!("Tenant {} is suspended", new.tenant);
                return Err(AdminRefusal::invalid(message));
            }
            Some(Some(TenantStatus::Active | TenantStatus::Closed) | None) => {}
        }
        let expires_at = new.expires_at.unwrap_or(now.saturating_add(DEFAULT_LIFETIME_MS));
        let mut key = ApiKey::new(self.unused_secret(secret)?, new.tenant)
            .permissions(permissions)
            .expires_at(UnixMillis(u64::try_from(expires_at).unwrap_or(0)));
        let id = format!("key_{}", self.seed.uuid().get(..16).unwrap_or_default());
        key.record = KeyRecord {
            id,
            name: Some(new.name),
            description: new.description,
            scope_filter: new.scope_filter,
            metadata: new.metadata,
            created_at: Some(now),
            ..KeyRecord::default()
        };
        let reply = NewKeyReply {
            key_id: &key.record.id,
            key_secret: &key.secret,
            key_prefix: key.shown_prefix(),
            tenant_id: &key.tenant,
            permissions: &key.permissions,
            created_at: read::written(key.record.created_at),
            expires_at: read::written(Some(expires_at)),
        };
        let done = done(StatusCode::CREATED, &reply);
        self.keys.insert(key);
        done
    }

    /// Revokes a key. A revoked key stays revoked.
    pub(super) fn revoke_key(&mut self, now: i64, id: &str, uri: &Uri) -> Done {
        let key = self.keys.by_id_mut(id).ok_or_else(|| AdminRefusal::no_key(id))?;
        if self.tenants.status(&key.tenant) == Some(Some(TenantStatus::Closed)) {
            return Err(AdminRefusal::tenant_closed(&key.tenant));
        }
        if key.status == KeyStatus::Revoked {
            let message = format!("API key {id} is already revoked");
            return Err(AdminRefusal::conflict("KEY_REVOKED", message));
        }
        let reason = Params::of(uri).get("reason").map(str::to_owned);
        key.status = KeyStatus::Revoked;
        key.record.revoked_at = Some(now);
        key.record.revoked_reason = reason.filter(|reason| !reason.is_empty());
        done(StatusCode::OK, &reply(key))
    }

    /// The secret made from `bytes`. A new key with the prefix of an existing one would replace it, so the bytes are
    /// rotated until the prefix is unused.
    fn unused_secret(&self, mut bytes: [u8; 24]) -> Result<String, AdminRefusal> {
        for _ in 0..bytes.len() {
            let secret = format!("cyc_live_{}", base64url(&bytes));
            if !self.keys.has_prefix_of(&secret) {
                return Ok(secret);
            }
            bytes.rotate_left(1);
        }
        Err(AdminRefusal::internal())
    }
}

impl NewKey {
    fn read(request: &Request<Bytes>) -> Result<Self, AdminRefusal> {
        const KNOWN: &[&str] = &[
            "tenant_id",
            "name",
            "description",
            "permissions",
            "scope_filter",
            "expires_at",
            "metadata",
        ];
        read::body(request, KNOWN, |members, violations| {
            Ok(Self {
                tenant: read::required_text(members, "tenant_id", "tenantId", usize::MAX, violations)?,
                name: read::required_text(members, "name", "name", 256, violations)?,
                description: read::limited_text(members, "description", "description", 1_024, violations)?,
                permissions: members.texts("permissions")?,
                scope_filter: members.texts("scope_filter")?,
                expires_at: read::time(members, "expires_at")?,
                metadata: members.map("metadata")?,
            })
        })
    }
}

fn known_permissions(asked: Option<Vec<Option<String>>>) -> Result<Vec<String>, AdminRefusal> {
    let Some(asked) = asked else {
        return Ok(ApiKey::DEFAULT_PERMISSIONS.map(str::to_owned).to_vec());
    };
    let known = asked.into_iter().map(|permission| match permission {
        Some(permission) if ApiKey::PERMISSIONS.contains(&permission.as_str()) => Ok(permission),
        Some(unknown) => Err(AdminRefusal::invalid(format!("{unknown} is not a permission"))),
        None => Err(AdminRefusal::invalid("null is not a permission")),
    });
    known.collect()
}

pub(super) fn reply(key: &ApiKey) -> KeyReply<'_> {
    let record = &key.record;
    KeyReply {
        key_id: &record.id,
        tenant_id: &key.tenant,
        key_prefix: key.shown_prefix(),
        status: key.status,
        created_at: read::written(record.created_at),
        expires_at: read::written(key.end()),
        name: record.name.as_deref(),
        description: record.description.as_deref(),
        permissions: &key.permissions,
        scope_filter: record.scope_filter.as_deref(),
        revoked_at: read::written(record.revoked_at),
        revoked_reason: record.revoked_reason.as_deref(),
        metadata: record.metadata.as_ref(),
    }
}

/// Encodes three bytes as four characters; 24 bytes leave no remainder.
fn base64url(bytes: &[u8; 24]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let triples = bytes.chunks_exact(3);
    let digits = triples.flat_map(|triple| {
        let bits = triple
            .iter()
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]))
    });
    digits.collect()
}
