//! Access to the admin plane: the admin key may do everything, an API key may read and change budgets.

use http::{HeaderMap, Method, StatusCode};

use super::refusal::AdminRefusal;
use crate::ledger::Ledger;
use crate::ledger::auth::{ADMIN_KEY, API_KEY, text};

/// The caller of the admin plane.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    /// Has the admin key, or calls a path that needs no key.
    Admin,
    /// Has an API key of this tenant that may do with budgets what the call does.
    Tenant {
        id: String,
        /// If not empty, a scope must have a segment that matches one of these.
        scope_filter: Vec<String>,
    },
}

impl Operator {
    /// Identifies the caller by method, path and headers, before anything else is checked.
    pub(super) fn of(
        ledger: &Ledger,
        now: i64,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Self, AdminRefusal> {
        let budgets = path.starts_with("/v1/admin/budgets");
        let status_change =
            path.starts_with("/v1/admin/budgets/freeze") || path.starts_with("/v1/admin/budgets/unfreeze");
        let for_admin = path.starts_with("/v1/admin/tenants")
            || path.starts_with("/v1/admin/api-keys")
            || budgets && method == Method::PATCH
            || status_change && method == Method::POST;
        let for_both = match *method {
            Method::GET => matches!(path, "/v1/admin/budgets" | "/v1/admin/budgets/lookup"),
            Method::POST => matches!(path, "/v1/admin/budgets" | "/v1/admin/budgets/fund"),
            _ => false,
        };
        let admin_key = text(headers, ADMIN_KEY).filter(|key| !key.trim().is_empty());
        if for_admin || for_both && admin_key.is_some() {
            check_admin(ledger, admin_key.as_deref())
        } else if budgets {
            check_tenant(ledger, now, method, text(headers, API_KEY).as_deref())
        } else {
            Ok(Self::Admin)
        }
    }

    /// Refuses scopes outside the scope filter of the caller's key. A blank scope names none.
    pub(super) fn check_scope(&self, scope: &str) -> Result<(), AdminRefusal> {
        match self {
            Self::Tenant { scope_filter, .. }
                if !scope.trim().is_empty()
                    && !scope_filter.is_empty()
                    && !scope_filter.iter().any(|filter| names(filter, scope)) =>
            {
                Err(AdminRefusal::forbidden(format!(
                    "The scope filter of this API key excludes {scope}"
                )))
            }
            Self::Tenant { .. } | Self::Admin => Ok(()),
        }
    }
}

fn check_admin(ledger: &Ledger, sent: Option<&str>) -> Result<Operator, AdminRefusal> {
    let unauthorized = |message| AdminRefusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    match (sent, &ledger.keys.admin) {
        (None, _) => Err(unauthorized("X-Admin-API-Key is missing")),
        (Some(_), None) => Err(AdminRefusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_ERROR",
            "This server has no admin key",
        )),
        (Some(sent), Some(key)) if sent == key => Ok(Operator::Admin),
        (Some(_), Some(_)) => Err(unauthorized("Invalid admin API key")),
    }
}

/// An invalid key is a 403 here; on the client-facing server it is a 401.
fn check_tenant(
    ledger: &Ledger,
    now: i64,
    method: &Method,
    sent: Option<&str>,
) -> Result<Operator, AdminRefusal> {
    let Some(sent) = sent.filter(|sent| !sent.trim().is_empty()) else {
        return Err(AdminRefusal::new(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "X-Cycles-API-Key is missing",
        ));
    };
    let key = ledger
        .keys
        .verify(now, sent, &ledger.tenants)
        .and_then(|key| {
            let known = ledger.tenants.record(&key.tenant).is_some();
            known.then_some(key).ok_or("TENANT_NOT_FOUND")
        })
        .map_err(|reason| AdminRefusal::forbidden(format!("Invalid API key: {reason}")))?;
    let permissions = match *method {
        Method::GET => Some(["budgets:read", "admin:read"]),
        Method::POST => Some(["budgets:write", "admin:write"]),
        _ => None,
    };
    if let Some([asked, implying]) = permissions
        && !key.permissions.iter().any(|has| has == asked || has == implying)
    {
        return Err(AdminRefusal::new(
            StatusCode::FORBIDDEN,
            "INSUFFICIENT_PERMISSIONS",
            format!("This API key lacks the permission {asked}"),
        ));
    }
    // A blank one matches no segment, but it counts: with nothing else, everything is refused.
    let filters = key.record.scope_filter.iter().flatten();
    Ok(Operator::Tenant {
        id: key.tenant.clone(),
        scope_filter: filters.map(|filter| filter.clone().unwrap_or_default()).collect(),
    })
}

/// Whether `filter` matches a segment: `agent:*` matches every agent, anything else only that segment.
fn names(filter: &str, scope: &str) -> bool {
    scope.split('/').any(|segment| match filter.strip_suffix('*') {
        Some(level) if level.len() > 1 && level.ends_with(':') => segment.starts_with(level),
        Some(_) | None => segment == filter,
    })
}
