//! Balances of budget scopes.

use serde::{Deserialize, Serialize};

use super::amount::{Amount, SignedAmount};
use super::response_info::{ResponseInfo, shown_without_the_key};

/// What a budget holds in one unit (schema `Balance`).
///
/// Where all are given: remaining = allocated − spent − reserved − debt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Balance {
    /// The scope. The reference server gives its last segment only: `agent:bot`.
    pub scope: String,
    /// The whole path: `tenant:acme/agent:bot`, lower-cased by the server.
    pub scope_path: String,
    /// What new reservations may take; negative in overdraft.
    pub remaining: SignedAmount,
    /// What active reservations hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Amount>,
    /// What was charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Amount>,
    /// What was charged without cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debt: Option<Amount>,
    /// What the budget was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocated: Option<Amount>,
    /// The most debt that is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft_limit: Option<Amount>,
    /// Whether new reservations are blocked until an operator reconciles the scope; absent means no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_over_limit: Option<bool>,
}

/// A page of balances (schema `BalanceResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct BalanceResponse {
    /// The balances, in an order that the server chooses.
    pub balances: Vec<Balance>,
    /// Names the next page.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Whether there may be another page.
    #[serde(default)]
    pub has_more: Option<bool>,
    /// What the transport saw.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(BalanceResponse {
    balances,
    next_cursor,
    has_more,
    info
});
