//! Decisions without a hold: `POST /v1/decide`, and the verdict that dry runs share with it.

use super::Ledger;
use super::error::{Code, Refusal};
use super::replies::{Caps, DecideReply, Decision};
use super::reply::Reply;
use super::requests::DecideRequest;
use super::scope;
use super::shared_types::{Amount, Subject};
use super::wire_enums::Unit;

const KEPT_MS: i64 = 86_400_000;

/// The decision that a reservation would get.
pub(super) enum Verdict {
    Allow(Option<Caps>),
    Deny(&'static str),
}

impl Verdict {
    /// The decision, the caps and the reason of a DENY.
    pub(super) fn into_parts(self) -> (Decision, Option<Caps>, Option<&'static str>) {
        match self {
            Self::Allow(None) => (Decision::Allow, None, None),
            Self::Allow(caps) => (Decision::AllowWithCaps, caps, None),
            Self::Deny(reason) => (Decision::Deny, None, Some(reason)),
        }
    }
}

impl Ledger {
    /// Answers `POST /v1/decide`. Decisions, including DENY, are kept for replays for a day.
    pub(super) fn decide(
        &mut self,
        now: i64,
        tenant: &str,
        request: &DecideRequest,
    ) -> Result<Reply, Refusal> {
        check_subject(&request.subject, tenant)?;
        let key = (tenant.to_owned(), String::new(), request.idempotency_key.clone());
        if let Some(reply) = self.decided.recall(&key, request)? {
            return Reply::ok(&reply);
        }
        let scopes = scope::derive(&request.subject);
        let (decision, caps, reason_code) = self.verdict(tenant, &scopes, request.estimate)?.into_parts();
        let mut reply = DecideReply {
            decision,
            caps,
            reason_code,
            affected_scopes: scopes,
            cycles_evidence: None,
        };
        reply.cycles_evidence = self.evidence.attest("decide", now, None, request, &reply);
        self.decided
            .remember(key, request.clone(), reply.clone(), now.saturating_add(KEPT_MS));
        Reply::ok(&reply)
    }

    /// The decision that a reservation of `estimate` on `scopes` would get now. If no scope has the unit, the request
    /// is refused instead.
    pub(super) fn verdict(
        &self,
        tenant: &str,
        scopes: &[String],
        estimate: Amount,
    ) -> Result<Verdict, Refusal> {
        if self.tenants.is_closed(tenant)? {
            return Ok(Verdict::Deny(Code::TenantClosed.name()));
        }
        if let Some((code, _)) = self.books.first_block(scopes, estimate.unit, estimate.amount) {
            return Ok(Verdict::Deny(code.name()));
        }
        if self.books.budgeted(scopes, estimate.unit).is_empty() {
            return match self.books.other_unit(scopes, estimate.unit) {
                Some(details) => Err(Refusal::other_unit(details)),
                None => Ok(Verdict::Deny("BUDGET_NOT_FOUND")),
            };
        }
        self.caps(scopes, estimate.unit).map(Verdict::Allow)
    }

    /// The caps of the deepest scope, if that scope itself has a budget in `unit` with caps.
    pub(super) fn caps(&self, scopes: &[String], unit: Unit) -> Result<Option<Caps>, Refusal> {
        let account = self.books.account(scope::deepest(scopes), unit);
        match account.and_then(|account| account.caps_json.as_deref()) {
            None | Some("") => Ok(None),
            Some(text) => Caps::parse(text).map(Some).map_err(|_| Refusal::internal()),
        }
    }
}

/// Checks the tenant of a subject: it may be absent; otherwise it must be the caller's, in the same case.
pub(super) fn check_subject(subject: &Subject, tenant: &str) -> Result<(), Refusal> {
    match subject.tenant() {
        Some(named) if named != tenant => Err(Refusal::foreign_tenant()),
        Some(_) | None => Ok(()),
    }
}
