//! What flags, the configuration file and the environment say together of tenants and keys: flags count more than the file,
//! and the file more than the environment.

use std::ffi::OsString;

use cycles_sandbox::{Budget, DEFAULT_API_KEY, DEFAULT_TENANT, default_budgets};

use super::values::{id, usable_key};
use crate::config_file::{KeySetup, TenantSetup, check_budgets};

/// What flags say.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) tenant: Option<String>,
    pub(super) api_key: Option<String>,
    pub(super) budgets: Vec<Budget>,
}

/// The tenants, and of which one and with which key the settings for clients are.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) tenants: Vec<TenantSetup>,
    pub(super) tenant: String,
    pub(super) api_key: String,
    /// What was made of the variables of the environment, in a line each.
    pub(super) variables: Vec<String>,
}

/// `tenants` are those of the configuration file.
pub(super) fn resolve(
    flags: Flags,
    mut tenants: Vec<TenantSetup>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Resolved, String> {
    let mut environment = Environment {
        variable,
        has_file: !tenants.is_empty(),
        used: Vec::new(),
    };
    let tenant = match (flags.tenant, tenants.first()) {
        (Some(tenant), _) => tenant,
        (None, Some(first)) => first.id.clone(),
        (None, None) => match environment.get("CYCLES_TENANT")? {
            Some(text) => id("CYCLES_TENANT", text)?,
            None => DEFAULT_TENANT.to_owned(),
        },
    };
    let mut budgets = flags.budgets;
    if tenants.is_empty() {
        if budgets.is_empty() {
            budgets.extend(default_budgets(&tenant));
        }
        tenants.push(TenantSetup::new(&tenant));
    }
    let api_key = exported_key(&mut tenants, &tenant, flags.api_key, &mut environment)?;
    add_budgets(exported(&mut tenants, &tenant)?, budgets)?;
    Ok(Resolved {
        tenants,
        tenant,
        api_key,
        variables: environment.said(),
    })
}

/// The tenant of which the settings are.
fn exported<'a>(tenants: &'a mut [TenantSetup], id: &str) -> Result<&'a mut TenantSetup, String> {
    let found = tenants.iter_mut().find(|tenant| tenant.id == id);
    found.ok_or_else(|| {
        format!("--tenant: the configuration file has no tenant {id}: add it there, or name one that is")
    })
}

/// The key for the settings: that of the flag, the first active one of the file, that of the environment, or the default.
fn exported_key(
    tenants: &mut [TenantSetup],
    id: &str,
    flag: Option<String>,
    environment: &mut Environment<impl Fn(&str) -> Option<OsString>>,
) -> Result<String, String> {
    let (of, secret) = match (flag, exported(tenants, id)?.active_key()) {
        (Some(secret), _) => ("--api-key", secret),
        (None, Some(secret)) => return Ok(secret.to_owned()),
        (None, None) => match environment.get("CYCLES_API_KEY")? {
            Some(text) => ("CYCLES_API_KEY", usable_key("CYCLES_API_KEY", text)?),
            None => ("the default key", DEFAULT_API_KEY.to_owned()),
        },
    };
    for tenant in tenants.iter() {
        for key in &tenant.keys {
            if tenant.id == id && key.secret == secret {
                return if key.is_active {
                    Ok(secret)
                } else {
                    Err(format!(
                        "{of} is a key that is not active, by the configuration file: name another one"
                    ))
                };
            }
            if key.prefix() == KeySetup::prefix_of(&secret) {
                return Err(format!(
                    "{of} begins with the same 14 characters as a key of {} in the configuration file, and keys are \
                     looked up by these: name another one",
                    tenant.id
                ));
            }
        }
    }
    exported(tenants, id)?.keys.push(KeySetup::new(&secret, id));
    Ok(secret)
}

/// Adds the budgets of flags to a tenant, in place of those with the same scope and unit.
fn add_budgets(tenant: &mut TenantSetup, budgets: Vec<Budget>) -> Result<(), String> {
    check_budgets(&tenant.id, &budgets, "give another --tenant")
        .map_err(|(_, problem)| format!("--budget: {problem}"))?;
    let is_given = |other: &Budget| {
        let mut given = budgets.iter();
        given.any(|budget| (other.scope(), other.unit()) == (budget.scope(), budget.unit()))
    };
    tenant.budgets.retain(|other| !is_given(other));
    tenant.budgets.extend(budgets);
    Ok(())
}

/// The variables of the environment.
struct Environment<F> {
    variable: F,
    /// Whether a configuration file has tenants.
    has_file: bool,
    used: Vec<&'static str>,
}

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    /// The value of a variable, unless it is missing or empty.
    fn get(&mut self, name: &'static str) -> Result<Option<String>, String> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        self.used.push(name);
        let value = value.into_string().map(Some);
        value.map_err(|_| format!("{name} of the environment is not UTF-8: correct or unset it"))
    }

    fn value(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// What was made of them, in a line each.
    fn said(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.used.is_empty() {
            lines.push(format!("{} of the environment: used", self.used.join(" and ")));
        }
        for name in ["CYCLES_TENANT", "CYCLES_API_KEY"] {
            if self.has_file && !self.used.contains(&name) && self.value(name).is_some() {
                lines.push(format!(
                    "{name} of the environment: not used, because of the configuration file"
                ));
            }
        }
        lines
    }
}
