//! The response bodies, with their members in the server's order.

use serde::Serialize;

use super::books::BudgetState;
use super::coerce::Members;
use super::evidence::{EvidenceRef, ReservationEvidence};
use super::json::{Json, Malformed};
use super::scope::leaf;
use super::shared_types::{Action, Amount, Subject};
use super::wire_enums::{ReservationStatus, Unit};

/// A budget, as shown to its owner: a debt of 0, a limit of 0 and a false flag are omitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct BalanceRow {
    scope: String,
    scope_path: String,
    remaining: Amount,
    reserved: Amount,
    spent: Amount,
    allocated: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    debt: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overdraft_limit: Option<Amount>,
    #[serde(skip_serializing_if = "is_false")]
    is_over_limit: bool,
}

impl BalanceRow {
    pub(super) fn new(scope_path: &str, unit: Unit, state: &BudgetState) -> Self {
        let amount = |amount| Amount { unit, amount };
        let positive = |value: i64| (value > 0).then(|| amount(value));
        Self {
            scope: leaf(scope_path).to_owned(),
            scope_path: scope_path.to_owned(),
            remaining: amount(state.remaining),
            reserved: amount(state.reserved),
            spent: amount(state.spent),
            allocated: amount(state.allocated),
            debt: positive(state.debt),
            overdraft_limit: positive(state.overdraft_limit),
            is_over_limit: state.is_over_limit,
        }
    }

    /// The numbers that almost every operation changes.
    pub(super) fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        let amounts = [&mut self.remaining, &mut self.reserved, &mut self.spent];
        let amounts = amounts.into_iter().chain(&mut self.debt);
        amounts.map(|amount| &mut amount.amount)
    }
}

/// The result of `decide`, and of live and dry reservations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Decision {
    Allow,
    AllowWithCaps,
    Deny,
}

/// The limits that come with `ALLOW_WITH_CAPS`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Caps {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_steps_remaining: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_allowlist: Option<Vec<Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_denylist: Option<Vec<Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown_ms: Option<i32>,
}

impl Caps {
    /// Caps from the text that the operator stored with a budget.
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        const KNOWN: &[&str] = &[
            "max_tokens",
            "max_steps_remaining",
            "tool_allowlist",
            "tool_denylist",
            "cooldown_ms",
        ];
        let json = Json::parse(text.as_bytes())?;
        let members = Members::of(&json, KNOWN)?;
        Ok(Self {
            max_tokens: members.int("max_tokens")?,
            max_steps_remaining: members.int("max_steps_remaining")?,
            tool_allowlist: members.texts("tool_allowlist")?,
            tool_denylist: members.texts("tool_denylist")?,
            cooldown_ms: members.int("cooldown_ms")?,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct DecideReply {
    pub(super) decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) caps: Option<Caps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason_code: Option<&'static str>,
    pub(super) affected_scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cycles_evidence: Option<EvidenceRef>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ReserveReply {
    pub(super) decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reservation_id: Option<String>,
    pub(super) affected_scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remaining_ttl_ms: Option<i64>,
    pub(super) scope_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reserved: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) caps: Option<Caps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) balances: Option<Vec<BalanceRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cycles_evidence: Option<EvidenceRef>,
}

/// The answer to a commit or a release. A release charges nothing, and a full commit releases nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct SettleReply {
    pub(super) status: ReservationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) charged: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) released: Option<Amount>,
    pub(super) balances: Vec<BalanceRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cycles_evidence: Option<EvidenceRef>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ExtendReply {
    pub(super) status: ReservationStatus,
    pub(super) expires_at_ms: i64,
    pub(super) remaining_ttl_ms: i64,
    pub(super) balances: Vec<BalanceRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct EventReply {
    /// Always `APPLIED`.
    pub(super) status: &'static str,
    pub(super) event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) charged: Option<Amount>,
    pub(super) balances: Vec<BalanceRow>,
}

/// A reservation in the answers of get and list.
#[derive(Debug, Serialize)]
pub(super) struct ReservationRow<'a> {
    pub(super) reservation_id: &'a str,
    pub(super) status: ReservationStatus,
    pub(super) idempotency_key: &'a str,
    pub(super) subject: &'a Subject,
    pub(super) action: &'a Action,
    pub(super) reserved: Amount,
    pub(super) created_at_ms: i64,
    pub(super) expires_at_ms: i64,
    pub(super) scope_path: &'a str,
    pub(super) affected_scopes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finalized_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) committed: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) committed_metadata: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evidence: Option<ReservationEvidence<'a>>,
}

/// A page of reservations; an absent cursor is an explicit null.
#[derive(Debug, Serialize)]
pub(super) struct ReservationPage<'a> {
    pub(super) reservations: Vec<ReservationRow<'a>>,
    pub(super) has_more: bool,
    pub(super) next_cursor: Option<String>,
}

/// A page of balances; an absent cursor is an explicit null.
#[derive(Debug, Serialize)]
pub(super) struct BalancePage {
    pub(super) balances: Vec<BalanceRow>,
    pub(super) has_more: bool,
    pub(super) next_cursor: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}
