//! The configuration file: tenants with their keys and budgets, and faults, in TOML. Its names are those of the admin plane.
//! Each error is a sentence that says where in the file it is; none quotes a key.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use cycles_sandbox::{ApiKey, Budget, FaultRule, KeyStatus, OveragePolicy, Tenant, TenantStatus};
use serde::Deserialize;
use toml::Spanned;

use crate::args::values::{id, usable_key};

/// The longest error message, in characters: it may quote a value, and values can be long.
const LONGEST: usize = 400;

/// What a configuration file says.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) admin_key: Option<String>,
    pub(crate) faults: Vec<FaultRule>,
    pub(crate) tenants: Vec<TenantSetup>,
}

/// A tenant with everything that it has from the start.
#[derive(Debug)]
pub(crate) struct TenantSetup {
    pub(crate) id: String,
    pub(crate) tenant: Tenant,
    pub(crate) keys: Vec<KeySetup>,
    pub(crate) budgets: Vec<Budget>,
}

impl TenantSetup {
    /// An active tenant without keys and budgets.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            tenant: Tenant::new(id),
            keys: Vec::new(),
            budgets: Vec::new(),
        }
    }

    /// Its first key that a client can use.
    pub(crate) fn active_key(&self) -> Option<&str> {
        let key = self.keys.iter().find(|key| key.is_active)?;
        Some(&key.secret)
    }
}

/// A key, and its secret.
pub(crate) struct KeySetup {
    pub(crate) secret: String,
    pub(crate) key: ApiKey,
    pub(crate) is_active: bool,
}

/// Omits the secret.
impl std::fmt::Debug for KeySetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
}

impl KeySetup {
    pub(crate) fn new(secret: &str, tenant: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            key: ApiKey::new(secret, tenant),
            is_active: true,
        }
    }

    /// What it is looked up by, as on the reference server.
    pub(crate) fn prefix(&self) -> &str {
        Self::prefix_of(&self.secret)
    }

    pub(crate) fn prefix_of(secret: &str) -> &str {
        // Secrets are ASCII.
        secret.get(..14).unwrap_or(secret)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a file with tenants and faults")]
struct File {
    admin_key: Option<Spanned<String>>,
    #[serde(default)]
    faults: Vec<Spanned<String>>,
    #[serde(default)]
    tenants: Vec<TenantTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with id")]
struct TenantTable {
    id: Spanned<String>,
    status: Option<Spanned<String>>,
    default_commit_overage_policy: Option<Spanned<String>>,
    default_reservation_ttl_ms: Option<Spanned<i64>>,
    max_reservation_ttl_ms: Option<Spanned<i64>>,
    max_reservation_extensions: Option<Spanned<i64>>,
    #[serde(default)]
    api_keys: Vec<KeyTable>,
    #[serde(default)]
    budgets: Vec<BudgetTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with secret")]
struct KeyTable {
    secret: Spanned<String>,
    permissions: Option<Vec<Spanned<String>>>,
    status: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with scope, unit and allocated")]
struct BudgetTable {
    scope: Spanned<String>,
    unit: String,
    allocated: i64,
    overdraft_limit: Option<i64>,
    status: Option<String>,
    caps: Option<toml::Table>,
}

impl ConfigFile {
    /// Reads a file.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("--config: {name} cannot be read: {error}"))?;
        Self::parse(&text).map_err(|problem| format!("--config: {name}, {problem}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let place = Place(text);
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().unwrap_or_default();
            // It may quote a value, which may be a key.
            place.problem(at.start, &without_values(error.message()))
        })?;
        let admin_key = file.admin_key.map(|key| place.secret(&key)).transpose()?;
        let faults = file
            .faults
            .iter()
            .map(|rule| place.parsed(rule.span().start, rule.get_ref()));
        let mut read = Self {
            admin_key,
            faults: faults.collect::<Result<_, _>>()?,
            tenants: Vec::new(),
        };
        let mut prefixes = BTreeSet::new();
        for table in file.tenants {
            let at = table.id.span().start;
            let tenant = place.tenant(table)?;
            if read.tenants.iter().any(|other| other.id == tenant.id) {
                return Err(place.problem(
                    at,
                    &format!("the tenant {} is there twice: give each once", tenant.id),
                ));
            }
            for key in &tenant.keys {
                if !prefixes.insert(key.prefix().to_owned()) {
                    let problem = "two keys have the same first 14 characters, by which keys are looked up: let them differ";
                    return Err(place.problem(at, problem));
                }
            }
            read.tenants.push(tenant);
        }
        Ok(read)
    }
}

/// The text, to say in which of its lines something is wrong.
#[derive(Clone, Copy)]
struct Place<'a>(&'a str);

impl Place<'_> {
    fn problem(self, at: usize, problem: &str) -> String {
        let before = self.0.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        // What looks like a key may be one, wherever it stands.
        let words = problem.split(' ');
        let words = words.map(|word| if word.contains("cyc_") { "`…`" } else { word });
        let problem = words.collect::<Vec<_>>().join(" ");
        let problem: String = problem.chars().take(LONGEST).collect();
        format!("line {line}: {problem}")
    }

    fn parsed<T: std::str::FromStr<Err: Display>>(self, at: usize, text: &str) -> Result<T, String> {
        text.parse()
            .map_err(|problem: T::Err| self.problem(at, &problem.to_string()))
    }

    fn secret(self, key: &Spanned<String>) -> Result<String, String> {
        usable_key("this", key.get_ref().clone()).map_err(|problem| self.problem(key.span().start, &problem))
    }

    fn one_of<T: Copy>(
        self,
        text: &Spanned<String>,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, String> {
        let found = all.iter().find(|value| name(**value) == text.get_ref());
        found.copied().ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|value| name(*value)).collect();
            // It is not quoted, because it may be a key in the wrong place.
            let problem = format!("this is not one of {}", names.join(", "));
            self.problem(text.span().start, &problem)
        })
    }

    fn between(self, number: &Spanned<i64>, least: i64, most: i64) -> Result<i64, String> {
        let value = *number.get_ref();
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            let problem = format!("{value} is not a number from {least} to {most}");
            Err(self.problem(number.span().start, &problem))
        }
    }

    fn tenant(self, table: TenantTable) -> Result<TenantSetup, String> {
        const DAY_MS: i64 = 86_400_000;
        let at = table.id.span().start;
        let id = id("id", table.id.into_inner()).map_err(|problem| self.problem(at, &problem))?;
        let mut tenant = Tenant::new(id.as_str());
        if let Some(status) = &table.status {
            let all = [
                TenantStatus::Active,
                TenantStatus::Suspended,
                TenantStatus::Closed,
            ];
            tenant = tenant.status(self.one_of(status, &all, TenantStatus::name)?);
        }
        if let Some(policy) = &table.default_commit_overage_policy {
            let all = [
                OveragePolicy::Reject,
                OveragePolicy::AllowIfAvailable,
                OveragePolicy::AllowWithOverdraft,
            ];
            tenant = tenant.default_overage_policy(self.one_of(policy, &all, OveragePolicy::name)?);
        }
        if let Some(ttl_ms) = &table.default_reservation_ttl_ms {
            tenant = tenant.default_ttl_ms(self.between(ttl_ms, 1_000, DAY_MS)?);
        }
        if let Some(ttl_ms) = &table.max_reservation_ttl_ms {
            tenant = tenant.max_ttl_ms(self.between(ttl_ms, 1_000, DAY_MS)?);
        }
        if let Some(extensions) = &table.max_reservation_extensions {
            tenant = tenant.max_extensions(self.between(extensions, 0, i32::MAX.into())?);
        }
        let keys = table.api_keys.into_iter().map(|key| self.key(key, &id));
        let keys = keys.collect::<Result<_, _>>()?;
        let budgets = table.budgets.iter().map(|table| self.budget(table));
        let budgets: Vec<Budget> = budgets.collect::<Result<_, _>>()?;
        check_budgets(&id, &budgets, "move it to its tenant").map_err(|(place, problem)| {
            let wrong = table.budgets.get(place);
            self.problem(wrong.map_or(at, |budget| budget.scope.span().start), &problem)
        })?;
        Ok(TenantSetup {
            id,
            tenant,
            keys,
            budgets,
        })
    }

    fn key(self, table: KeyTable, tenant: &str) -> Result<KeySetup, String> {
        let mut key = KeySetup::new(&self.secret(&table.secret)?, tenant);
        if let Some(permissions) = table.permissions {
            let is_known = |name: &Spanned<String>| ApiKey::PERMISSIONS.contains(&name.get_ref().as_str());
            if let Some(unknown) = permissions.iter().find(|name| !is_known(name)) {
                let problem = format!("this is not one of {}", ApiKey::PERMISSIONS.join(", "));
                return Err(self.problem(unknown.span().start, &problem));
            }
            let permissions = permissions.into_iter().map(Spanned::into_inner);
            key.key = key.key.permissions(permissions);
        }
        if let Some(status) = &table.status {
            let all = [KeyStatus::Active, KeyStatus::Revoked, KeyStatus::Expired];
            let status = self.one_of(status, &all, KeyStatus::name)?;
            key.is_active = status == KeyStatus::Active;
            key.key = key.key.status(status);
        }
        Ok(key)
    }

    /// A budget says what its flag says, so it is read as that.
    fn budget(self, table: &BudgetTable) -> Result<Budget, String> {
        let scope = table.scope.get_ref();
        let mut text = format!("{scope}={}:{}", table.unit, table.allocated);
        if let Some(limit) = table.overdraft_limit {
            text.push_str(&format!(",overdraft={limit}"));
        }
        if let Some(status) = &table.status {
            text.push_str(&format!(",status={status}"));
        }
        if let Some(caps) = &table.caps {
            // A table of TOML can always be written as JSON.
            let caps = serde_json::to_string(caps).unwrap_or_default();
            text.push_str(&format!(",caps={caps}"));
        }
        self.parsed(table.scope.span().start, &text)
    }
}

/// Checks that every budget belongs to the tenant and that no scope and unit is given twice. `or` is what else to do with a
/// budget of another tenant. The error has the place of the budget that is wrong.
pub(crate) fn check_budgets(tenant: &str, budgets: &[Budget], or: &str) -> Result<(), (usize, String)> {
    let root = format!("tenant:{}", tenant.to_lowercase());
    let below = format!("{root}/");
    let mut seen = BTreeSet::new();
    for (place, budget) in budgets.iter().enumerate() {
        let (scope, unit) = (budget.scope(), budget.unit().name());
        let problem = if scope != root && !scope.starts_with(&below) {
            format!(
                "a budget is for {scope}, but the tenant is {tenant}: begin the scope with {root}, or {or}"
            )
        } else if !seen.insert((scope, unit)) {
            format!("a budget is given twice for {unit} on {scope}: give each scope and unit once")
        } else {
            continue;
        };
        return Err((place, problem));
    }
    Ok(())
}

/// The text without the values that it quotes, because one may be a key. It keeps the names of members.
fn without_values(text: &str) -> String {
    let is_of_value = text.starts_with("invalid type") || text.starts_with("invalid value");
    let mark = if is_of_value && !text.contains('"') {
        '`'
    } else {
        '"'
    };
    let parts: Vec<&str> = text.split(mark).collect();
    if parts.len().is_multiple_of(2) {
        // A mark that is meant as it is.
        text.to_owned()
    } else {
        let outside = parts.into_iter().step_by(2);
        outside.collect::<Vec<_>>().join(&format!("{mark}…{mark}"))
    }
}

#[cfg(test)]
mod tests;
