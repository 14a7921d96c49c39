//! Balances of budget scopes.

use serde::{Deserialize, Serialize};

use super::amount::{Amount, SignedAmount};
use super::response_info::{ResponseInfo, shown_without_the_key};

/// The balance of a budget in one unit (schema `Balance`).
///
/// If all amounts are given: remaining = allocated − spent − reserved − debt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Balance {
    /// The scope. The reference server sends only its last segment: `agent:bot`.
    pub scope: String,
    /// The full path: `tenant:acme/agent:bot`, lower-cased by the server.
    pub scope_path: String,
    /// The amount that new reservations may take; negative in overdraft.
    pub remaining: SignedAmount,
    /// The amount that active reservations hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Amount>,
    /// The amount that was charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Amount>,
    /// The amount that was charged beyond the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debt: Option<Amount>,
    /// The amount that was allocated to the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocated: Option<Amount>,
    /// The maximum debt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft_limit: Option<Amount>,
    /// Whether new reservations are blocked until an operator reconciles the scope; `None` means no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_over_limit: Option<bool>,
}

/// A page of balances (schema `BalanceResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct BalanceResponse {
    /// The balances, in an order of the server's choice.
    pub balances: Vec<Balance>,
    /// The cursor of the next page.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Whether there may be another page.
    #[serde(default)]
    pub has_more: Option<bool>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(BalanceResponse {
    balances,
    next_cursor,
    has_more,
    info
});
