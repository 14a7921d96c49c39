//! Budgets as text: `SCOPE=UNIT:AMOUNT[,overdraft=N][,status=STATUS][,caps=JSON]`.

use std::fmt;
use std::str::FromStr;

use super::config::Budget;
use super::replies::Caps;
use super::scope;
use super::wire_enums::{BudgetStatus, Named, Unit};

/// The text is not a budget. The message says what a valid one looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetSyntax(String);

impl fmt::Display for BudgetSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BudgetSyntax {}

/// Reads `tenant:acme-corp/agent:a1=TOKENS:6000,overdraft=500`, `tenant:acme-corp=CREDITS:9,status=FROZEN`,
/// `tenant:acme-corp=TOKENS:100,caps={"max_tokens":50}`. The caps extend to the end of the text, so they come last.
impl FromStr for Budget {
    type Err = BudgetSyntax;

    fn from_str(text: &str) -> Result<Self, BudgetSyntax> {
        let (path, rest) = text.split_once('=').ok_or_else(|| {
            syntax(
                text,
                "is not SCOPE=UNIT:AMOUNT, such as tenant:acme-corp/agent:a1=TOKENS:6000",
            )
        })?;
        scope::check_path(path).map_err(BudgetSyntax)?;
        let (funds, mut options) = split_comma(rest);
        let (unit, allocated) = funds
            .split_once(':')
            .ok_or_else(|| syntax(funds, "is not UNIT:AMOUNT, such as TOKENS:6000"))?;
        let mut budget = Self::new(path, named::<Unit>(unit, "unit")?, amount(allocated)?);
        let mut seen = Vec::new();
        while let Some(option) = options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if seen.contains(&name) {
                return Err(syntax(name, "is given twice"));
            }
            seen.push(name);
            // Caps are JSON, which contains commas.
            let (value, rest) = if name == "caps" {
                (value, None)
            } else {
                split_comma(value)
            };
            options = rest;
            budget = match name {
                "overdraft" => budget.overdraft_limit(amount(value)?),
                "status" => budget.status(named::<BudgetStatus>(value, "status")?),
                "caps" => budget.caps_json(caps(value)?),
                _ => {
                    return Err(syntax(
                        option,
                        "is neither overdraft=N, status=STATUS nor caps=JSON",
                    ));
                }
            };
        }
        Ok(budget)
    }
}

fn split_comma(text: &str) -> (&str, Option<&str>) {
    text.split_once(',')
        .map_or((text, None), |(first, rest)| (first, Some(rest)))
}

fn named<T: Named>(text: &str, kind: &str) -> Result<T, BudgetSyntax> {
    T::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = T::ALL.iter().map(|value| value.wire_name()).collect();
        syntax(text, &format!("is not a {kind}: use {}", names.join(", ")))
    })
}

fn amount(text: &str) -> Result<i64, BudgetSyntax> {
    match text.parse() {
        Ok(amount) if amount >= 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(amount),
        _ => Err(syntax(
            text,
            &format!("is not a whole number from 0 to {}", i64::MAX),
        )),
    }
}

fn caps(text: &str) -> Result<&str, BudgetSyntax> {
    // The ledger reads the first value and ignores the rest; here, anything after it is a typing error.
    let whole = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if whole && Caps::parse(text).is_ok() {
        Ok(text)
    } else {
        Err(syntax(
            text,
            "is not valid caps: use a JSON object of max_tokens, max_steps_remaining, tool_allowlist, \
             tool_denylist and cooldown_ms, such as {\"max_tokens\":50}",
        ))
    }
}

fn syntax(text: &str, problem: &str) -> BudgetSyntax {
    BudgetSyntax(format!("`{text}` {problem}"))
}
