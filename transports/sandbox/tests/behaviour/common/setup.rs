//! The set-up that a test needs before its first request, in a form for both a ledger and a seeding program.
//!
//! For another server, each item is one line to the program that `CYCLES_SEED` names. The program reads lines from its
//! standard input, with the quoting of a shell, and answers each with one line on its standard output once it is done.
//! If it cannot execute a line, it exits with a status other than 0. The lines are:
//!
//! ```text
//! tenant ID [--status TEXT] [--overage-policy TEXT] [--default-ttl MS] [--max-ttl MS] [--max-extensions N]
//! key TENANT SECRET [--status ACTIVE|REVOKED|EXPIRED] [--expires-at ISO-8601]
//! budget SCOPE UNIT ALLOCATED [--overdraft N] [--status ACTIVE|FROZEN|CLOSED] [--caps JSON] [--debt N] [--over-limit]
//! patch-budget SCOPE UNIT FIELD=VALUE...
//! expire RESERVATION
//! ```
//!
//! `tenant`, `key` and `budget` create an object or replace it. A tenant's settings take effect from the next request,
//! so the server must not cache them. `SECRET` is the whole API key; its first 14 characters identify it. `SCOPE` is a
//! full path. `patch-budget` sets some of `status`, `allocated`, `remaining`, `debt`, `overdraft_limit` and
//! `is_over_limit`. `expire` moves the end of a reservation and of its grace period into the past, for the server's own
//! sweep to find.

use std::fmt;

use cycles_proto::time::UnixMillis;
use cycles_sandbox::{BudgetStatus, KeyStatus, Ledger, OveragePolicy, TenantStatus, Unit};

#[derive(Clone, Debug)]
pub enum Setup {
    Tenant(Tenant),
    Key(ApiKey),
    Budget(Budget),
    Status(String, Unit, BudgetStatus),
    /// Sets allocated, remaining and debt; the over-limit flag is cleared.
    Funds(String, Unit, [i64; 3]),
    Expire(String),
}

#[derive(Clone, Debug)]
pub struct Tenant {
    id: String,
    /// `None` is a record with an unknown status.
    status: Option<TenantStatus>,
    overage_policy: Option<String>,
    default_ttl_ms: Option<i64>,
    max_ttl_ms: Option<i64>,
    max_extensions: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct ApiKey {
    pub secret: String,
    tenant: String,
    status: KeyStatus,
    expires_at: Option<UnixMillis>,
}

#[derive(Clone, Debug)]
pub struct Budget {
    scope: String,
    unit: Unit,
    allocated: i64,
    overdraft_limit: i64,
    debt: i64,
    over_limit: bool,
    status: BudgetStatus,
    caps_json: Option<String>,
}

impl Tenant {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            status: Some(TenantStatus::Active),
            overage_policy: None,
            default_ttl_ms: None,
            max_ttl_ms: None,
            max_extensions: None,
        }
    }

    pub fn status(mut self, status: TenantStatus) -> Self {
        self.status = Some(status);
        self
    }

    pub fn malformed_status(mut self) -> Self {
        self.status = None;
        self
    }

    pub fn default_overage_policy(self, policy: OveragePolicy) -> Self {
        self.default_overage_policy_text(policy.name())
    }

    pub fn default_overage_policy_text(mut self, policy: &str) -> Self {
        self.overage_policy = Some(policy.to_owned());
        self
    }

    pub fn default_ttl_ms(mut self, ttl_ms: i64) -> Self {
        self.default_ttl_ms = Some(ttl_ms);
        self
    }

    pub fn max_ttl_ms(mut self, ttl_ms: i64) -> Self {
        self.max_ttl_ms = Some(ttl_ms);
        self
    }

    pub fn max_extensions(mut self, extensions: i64) -> Self {
        self.max_extensions = Some(extensions);
        self
    }
}

impl ApiKey {
    pub fn new(secret: &str, tenant: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            tenant: tenant.to_owned(),
            status: KeyStatus::Active,
            expires_at: None,
        }
    }

    pub fn status(mut self, status: KeyStatus) -> Self {
        self.status = status;
        self
    }

    pub fn expires_at(mut self, expires_at: UnixMillis) -> Self {
        self.expires_at = Some(expires_at);
        self
    }
}

impl Budget {
    pub fn new(scope: &str, unit: Unit, allocated: i64) -> Self {
        Self {
            scope: scope.to_owned(),
            unit,
            allocated,
            overdraft_limit: 0,
            debt: 0,
            over_limit: false,
            status: BudgetStatus::Active,
            caps_json: None,
        }
    }

    pub fn overdraft_limit(mut self, limit: i64) -> Self {
        self.overdraft_limit = limit;
        self
    }

    pub fn debt(mut self, debt: i64) -> Self {
        self.debt = debt;
        self
    }

    pub fn over_limit(mut self) -> Self {
        self.over_limit = true;
        self
    }

    pub fn status(mut self, status: BudgetStatus) -> Self {
        self.status = status;
        self
    }

    pub fn caps_json(mut self, caps: &str) -> Self {
        self.caps_json = Some(caps.to_owned());
        self
    }
}

/// The line for a seeding program.
impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => {
                let status = tenant.status.map_or("NO_SUCH_STATUS", TenantStatus::name);
                write!(f, "tenant {} --status {status}", quoted(&tenant.id))?;
                option(
                    f,
                    "--overage-policy",
                    tenant.overage_policy.as_deref().map(quoted),
                )?;
                option(f, "--default-ttl", tenant.default_ttl_ms)?;
                option(f, "--max-ttl", tenant.max_ttl_ms)?;
                option(f, "--max-extensions", tenant.max_extensions)
            }
            Self::Key(key) => {
                let (tenant, secret) = (quoted(&key.tenant), quoted(&key.secret));
                write!(f, "key {tenant} {secret} --status {}", key.status.name())?;
                option(f, "--expires-at", key.expires_at)
            }
            Self::Budget(budget) => {
                let (scope, unit) = (quoted(&budget.scope), budget.unit.name());
                write!(f, "budget {scope} {unit} {}", budget.allocated)?;
                write!(
                    f,
                    " --overdraft {} --debt {}",
                    budget.overdraft_limit, budget.debt
                )?;
                write!(f, " --status {}", budget.status.name())?;
                option(f, "--caps", budget.caps_json.as_deref().map(quoted))?;
                f.write_str(if budget.over_limit { " --over-limit" } else { "" })
            }
            Self::Status(scope, unit, status) => {
                let (scope, unit, status) = (quoted(scope), unit.name(), status.name());
                write!(f, "patch-budget {scope} {unit} status={status}")
            }
            Self::Funds(scope, unit, [allocated, remaining, debt]) => {
                let (scope, unit) = (quoted(scope), unit.name());
                write!(
                    f,
                    "patch-budget {scope} {unit} allocated={allocated} remaining={remaining}"
                )?;
                write!(f, " debt={debt} is_over_limit=false")
            }
            Self::Expire(id) => write!(f, "expire {id}"),
        }
    }
}

fn option(f: &mut fmt::Formatter<'_>, name: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {name} {value}"))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Setup {
    /// The same with other names.
    pub fn renamed(mut self, rename: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Tenant(Tenant { id: name, .. })
            | Self::Key(ApiKey { tenant: name, .. })
            | Self::Budget(Budget { scope: name, .. })
            | Self::Status(name, ..)
            | Self::Funds(name, ..)
            | Self::Expire(name) => *name = rename(name),
        }
        self
    }

    /// Applies it to a ledger of this process, as of `now`.
    pub fn apply(&self, ledger: &mut Ledger, now: UnixMillis) {
        match self {
            Self::Tenant(tenant) => ledger.add_tenant(tenant.record()),
            Self::Key(key) => {
                let record = cycles_sandbox::ApiKey::new(&*key.secret, &*key.tenant).status(key.status);
                ledger.add_api_key(match key.expires_at {
                    Some(end) => record.expires_at(end),
                    None => record,
                });
            }
            Self::Budget(budget) => ledger.add_budget(budget.record()),
            Self::Status(scope, unit, status) => ledger.set_budget_status(scope, *unit, *status).unwrap(),
            Self::Funds(..) => panic!("a ledger is funded through its own operator's side"),
            Self::Expire(id) => {
                let state = ledger.reservation(id).unwrap();
                let end = u64::try_from(state.expires_at_ms + state.grace_period_ms).unwrap();
                ledger.sweep(UnixMillis(end.max(now.0) + 1));
            }
        }
    }
}

impl Tenant {
    fn record(&self) -> cycles_sandbox::Tenant {
        let mut record = cycles_sandbox::Tenant::new(&*self.id);
        record = match self.status {
            Some(status) => record.status(status),
            None => record.malformed_status(),
        };
        if let Some(policy) = &self.overage_policy {
            record = record.default_overage_policy_text(policy);
        }
        if let Some(ttl_ms) = self.default_ttl_ms {
            record = record.default_ttl_ms(ttl_ms);
        }
        if let Some(ttl_ms) = self.max_ttl_ms {
            record = record.max_ttl_ms(ttl_ms);
        }
        match self.max_extensions {
            Some(extensions) => record.max_extensions(extensions),
            None => record,
        }
    }
}

impl Budget {
    fn record(&self) -> cycles_sandbox::Budget {
        let record = cycles_sandbox::Budget::new(&*self.scope, self.unit, self.allocated)
            .overdraft_limit(self.overdraft_limit)
            .debt(self.debt)
            .over_limit(self.over_limit)
            .status(self.status);
        match &self.caps_json {
            Some(caps) => record.caps_json(caps),
            None => record,
        }
    }
}
