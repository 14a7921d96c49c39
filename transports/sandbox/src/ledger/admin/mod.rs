//! The admin plane: the operator's HTTP interface, which the reference runs as a separate server. It has tenants, API
//! keys and budgets, but no policies, webhooks, audit log or bulk actions.

mod access;
mod budgets;
mod funding;
mod keys;
mod lists;
mod paging;
mod read;
mod records;
mod refusal;
mod tenants;

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use self::access::Operator;
use self::refusal::AdminRefusal;
use super::{Ledger, millis, public, trace};

pub(super) use self::funding::{FundReply, FundRequest};
pub(super) use self::records::{BudgetRecord, KeyRecord, TenantRecord};

/// A success: its status and its body.
type Done = Result<(StatusCode, Bytes), AdminRefusal>;

/// A call of the admin plane, with the id from its path.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    ListTenants,
    CreateTenant,
    GetTenant(String),
    UpdateTenant(String),
    ListKeys,
    CreateKey,
    RevokeKey(String),
    ListBudgets,
    LookUpBudget,
    CreateBudget,
    UpdateBudget,
    Fund,
    Freeze,
    Unfreeze,
    Health,
    Unknown,
}

impl Call {
    /// The call, or the refusal of a method that its path does not have.
    fn of(method: &Method, path: &str) -> Result<Self, AdminRefusal> {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let id = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        // The HTTP server omits the body of the answer.
        let method = if *method == Method::HEAD {
            "GET"
        } else {
            method.as_str()
        };
        Ok(match (method, segments.as_slice()) {
            ("GET", ["v1", "admin", "tenants"]) => Self::ListTenants,
            ("POST", ["v1", "admin", "tenants"]) => Self::CreateTenant,
            (_, ["v1", "admin", "tenants"]) => return Err(AdminRefusal::method("GET, POST")),
            (_, ["v1", "admin", "tenants" | "api-keys", ""]) => Self::Unknown,
            ("GET", ["v1", "admin", "tenants", tenant]) => Self::GetTenant(id(tenant)),
            ("PATCH", ["v1", "admin", "tenants", tenant]) => Self::UpdateTenant(id(tenant)),
            (_, ["v1", "admin", "tenants", _]) => return Err(AdminRefusal::method("GET, PATCH")),
            ("GET", ["v1", "admin", "api-keys"]) => Self::ListKeys,
            ("POST", ["v1", "admin", "api-keys"]) => Self::CreateKey,
            (_, ["v1", "admin", "api-keys"]) => return Err(AdminRefusal::method("GET, POST")),
            ("DELETE", ["v1", "admin", "api-keys", key]) => Self::RevokeKey(id(key)),
            (_, ["v1", "admin", "api-keys", _]) => return Err(AdminRefusal::method("DELETE")),
            ("GET", ["v1", "admin", "budgets"]) => Self::ListBudgets,
            ("POST", ["v1", "admin", "budgets"]) => Self::CreateBudget,
            ("PATCH", ["v1", "admin", "budgets"]) => Self::UpdateBudget,
            (_, ["v1", "admin", "budgets"]) => return Err(AdminRefusal::method("GET, PATCH, POST")),
            ("GET", ["v1", "admin", "budgets", "lookup"]) => Self::LookUpBudget,
            (_, ["v1", "admin", "budgets", "lookup"]) => return Err(AdminRefusal::method("GET")),
            ("POST", ["v1", "admin", "budgets", "fund"]) => Self::Fund,
            ("POST", ["v1", "admin", "budgets", "freeze"]) => Self::Freeze,
            ("POST", ["v1", "admin", "budgets", "unfreeze"]) => Self::Unfreeze,
            (_, ["v1", "admin", "budgets", "fund" | "freeze" | "unfreeze"]) => {
                return Err(AdminRefusal::method("POST"));
            }
            ("GET", ["actuator", "health"] | ["actuator", "health", "liveness" | "readiness"]) => {
                Self::Health
            }
            (_, ["actuator", "health"] | ["actuator", "health", "liveness" | "readiness"]) => {
                return Err(AdminRefusal::method("GET"));
            }
            _ => Self::Unknown,
        })
    }
}

impl Ledger {
    /// Answers a request to the admin plane as of `now`. If the request creates an API key, `secret` becomes its
    /// secret: it must be unpredictable if others can reach the ledger.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use cycles_proto::time::UnixMillis;
    /// use cycles_sandbox::{Ledger, Tenant};
    ///
    /// let mut ledger = Ledger::new(1);
    /// ledger.set_admin_key("admin-bootstrap-key");
    /// ledger.add_tenant(Tenant::new("acme-corp"));
    /// let request = http::Request::post("/v1/admin/api-keys")
    ///     .header("X-Admin-API-Key", "admin-bootstrap-key")
    ///     .header("Content-Type", "application/json")
    ///     .body(Bytes::from_static(br#"{"tenant_id":"acme-corp","name":"dev-key"}"#))?;
    /// let response = ledger.handle_admin(UnixMillis(1_795_000_000_000), [7; 24], &request);
    /// assert_eq!(response.status(), 201);
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn handle_admin(
        &mut self,
        now: UnixMillis,
        secret: [u8; 24],
        request: &Request<Bytes>,
    ) -> Response<Bytes> {
        let now = millis(now);
        self.pass_time(now);
        let headers = request.headers();
        let sent_id = headers.get("x-request-id").filter(|id| !id.is_empty());
        let request_id = sent_id
            .and_then(|id| id.to_str().ok())
            .map_or_else(|| self.seed.uuid(), str::to_owned);
        let trace_id = trace::select(headers).unwrap_or_else(|| self.seed.trace_id());
        let outcome = self.administer(now, secret, request);
        render(&request_id, &trace_id, outcome)
    }

    fn administer(&mut self, now: i64, secret: [u8; 24], request: &Request<Bytes>) -> Done {
        let path = request.uri().path();
        let call = Call::of(request.method(), path)?;
        let operator = Operator::of(self, now, request.method(), path, request.headers())?;
        match call {
            Call::ListTenants => self.list_tenants(request.uri()),
            Call::CreateTenant => self.create_tenant(now, request),
            Call::GetTenant(id) => self.get_tenant(&id),
            Call::UpdateTenant(id) => self.update_tenant(now, &id, request),
            Call::ListKeys => self.list_keys(request.uri()),
            Call::CreateKey => self.create_key(now, secret, request),
            Call::RevokeKey(id) => self.revoke_key(now, &id, request.uri()),
            Call::ListBudgets => self.list_budgets(&operator, request.uri()),
            Call::LookUpBudget => self.look_up_budget(&operator, request.uri()),
            Call::CreateBudget => self.create_budget(now, &operator, request),
            Call::UpdateBudget => self.update_budget(now, request),
            Call::Fund => self.fund_budget(now, &operator, request),
            Call::Freeze => self.freeze_budget(now, request),
            Call::Unfreeze => self.unfreeze_budget(now, request),
            Call::Health => Ok((StatusCode::OK, public::health()?.body)),
            Call::Unknown => Err(AdminRefusal::internal()),
        }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    message: &'a str,
    request_id: &'a str,
    trace_id: &'a str,
}

/// A success with a JSON body. If the body cannot be serialised, the answer is a 500.
fn done(status: StatusCode, body: &impl Serialize) -> Done {
    let body = serde_json::to_vec(body).map_err(|_| AdminRefusal::internal())?;
    Ok((status, body.into()))
}

fn render(request_id: &str, trace_id: &str, outcome: Done) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, text) in [("x-request-id", request_id), ("x-cycles-trace-id", trace_id)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
    if let Err(AdminRefusal {
        only_by: Some(methods),
        ..
    }) = &outcome
    {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    let (status, body) = outcome.unwrap_or_else(|refusal| {
        let body = ErrorBody {
            error: refusal.error,
            message: &refusal.message,
            request_id,
            trace_id,
        };
        // Strings always serialise; the fallback is unreachable.
        (
            refusal.status,
            serde_json::to_vec(&body).unwrap_or_default().into(),
        )
    });
    *response.status_mut() = status;
    *response.body_mut() = body;
    response
}
