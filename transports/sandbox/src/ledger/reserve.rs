//! `POST /v1/reservations`: holds, and dry runs.

use super::Ledger;
use super::decide::check_subject;
use super::error::Refusal;
use super::replies::{Decision, ReserveReply};
use super::reply::Reply;
use super::requests::ReserveRequest;
use super::reservations::Reservation;
use super::scope;
use super::tenants::Settings;
use super::wire_enums::{OveragePolicy, ReservationStatus};

const KEPT_AT_LEAST_MS: i64 = 86_400_000;

impl Ledger {
    /// Answers a reservation request. Live requests and dry runs share one namespace of keys, so one never replays the
    /// other.
    pub(super) fn reserve(
        &mut self,
        now: i64,
        tenant: &str,
        request: ReserveRequest,
    ) -> Result<Reply, Refusal> {
        check_subject(&request.subject, tenant)?;
        let settings = self.tenants.settings(tenant, now);
        let policy = if request.is_dry_run() {
            OveragePolicy::AllowIfAvailable
        } else {
            settings.policy(request.overage_policy)?
        };
        let key = (tenant.to_owned(), String::new(), request.idempotency_key.clone());
        if let Some(reply) = self.reserved.recall(&key, &request)? {
            return self.replay(now, reply);
        }
        if request.is_dry_run() {
            let mut reply = self.dry_run(tenant, &request)?;
            reply.cycles_evidence = self.evidence.attest("reserve", now, None, &request, &reply);
            let kept_until = now.saturating_add(KEPT_AT_LEAST_MS);
            self.reserved
                .remember(key, request, Some(reply.clone()), kept_until);
            return Reply::ok(&reply);
        }
        self.check_hold(tenant, &request)?;
        let reply = self.hold(now, tenant, &request, &settings, policy)?;
        let lease_ms = settings.ttl_ms(request.ttl_ms).saturating_add(request.grace_ms());
        let kept_until = now.saturating_add(lease_ms.max(KEPT_AT_LEAST_MS));
        match self.with_caps(reply, &request) {
            Ok(mut reply) => {
                reply.cycles_evidence = self.evidence.attest("reserve", now, None, &request, &reply);
                if let (Some(id), Some(evidence)) = (&reply.reservation_id, &reply.cycles_evidence) {
                    self.reservations.note_evidence(id, evidence.clone());
                }
                self.reserved
                    .remember(key, request, Some(reply.clone()), kept_until);
                Reply::ok(&reply)
            }
            // The hold is taken and the key is used, but a replay finds no answer to repeat.
            Err(refusal) => {
                self.reserved.remember(key, request, None, kept_until);
                Err(refusal)
            }
        }
    }

    fn dry_run(&self, tenant: &str, request: &ReserveRequest) -> Result<ReserveReply, Refusal> {
        let scopes = scope::derive(&request.subject);
        let verdict = self.verdict(tenant, &scopes, request.estimate)?;
        let (decision, caps, reason_code) = verdict.into_parts();
        let allowed = decision != Decision::Deny;
        Ok(ReserveReply {
            decision,
            reservation_id: None,
            expires_at_ms: None,
            remaining_ttl_ms: None,
            scope_path: scope::deepest(&scopes).to_owned(),
            reserved: allowed.then_some(request.estimate),
            caps,
            reason_code,
            balances: allowed.then(|| self.books.rows(&scopes, request.estimate.unit)),
            affected_scopes: scopes,
            cycles_evidence: None,
        })
    }

    fn check_hold(&self, tenant: &str, request: &ReserveRequest) -> Result<(), Refusal> {
        self.tenants.check_open(tenant)?;
        let (scopes, estimate) = (scope::derive(&request.subject), request.estimate);
        if let Some((code, scope)) = self.books.first_block(&scopes, estimate.unit, estimate.amount) {
            return Err(Refusal::blocked(code, scope));
        }
        if self.books.budgeted(&scopes, estimate.unit).is_empty() {
            return Err(self.no_budget(&scopes, estimate.unit));
        }
        Ok(())
    }

    fn hold(
        &mut self,
        now: i64,
        tenant: &str,
        request: &ReserveRequest,
        settings: &Settings,
        policy: OveragePolicy,
    ) -> Result<ReserveReply, Refusal> {
        let (scopes, estimate) = (scope::derive(&request.subject), request.estimate);
        let budgeted = self.books.budgeted(&scopes, estimate.unit);
        self.books.hold(&budgeted, estimate.unit, estimate.amount)?;
        let ttl_ms = settings.ttl_ms(request.ttl_ms);
        let (id, expires_at) = (self.seed.uuid(), now.saturating_add(ttl_ms));
        self.reservations.insert(Reservation {
            id: id.clone(),
            tenant: tenant.to_owned(),
            status: ReservationStatus::Active,
            idempotency_key: request.idempotency_key.clone(),
            subject: request.subject.clone(),
            action: request.action.clone(),
            estimate,
            affected_scopes: scopes.clone(),
            budgeted_scopes: budgeted,
            created_at: now,
            expires_at,
            grace_ms: request.grace_ms(),
            policy,
            extensions: 0,
            max_extensions: settings.max_extensions(),
            metadata: request.metadata.clone(),
            evidence: None,
            settlement: None,
        });
        Ok(ReserveReply {
            decision: Decision::Allow,
            reservation_id: Some(id),
            expires_at_ms: Some(expires_at),
            remaining_ttl_ms: Some(ttl_ms),
            scope_path: scope::deepest(&scopes).to_owned(),
            reserved: Some(estimate),
            caps: None,
            reason_code: None,
            balances: Some(self.books.rows(&scopes, estimate.unit)),
            affected_scopes: scopes,
            cycles_evidence: None,
        })
    }

    fn with_caps(&self, reply: ReserveReply, request: &ReserveRequest) -> Result<ReserveReply, Refusal> {
        let caps = self.caps(&reply.affected_scopes, request.estimate.unit)?;
        let decision = if caps.is_some() {
            Decision::AllowWithCaps
        } else {
            reply.decision
        };
        Ok(ReserveReply {
            decision,
            caps,
            ..reply
        })
    }

    /// The original answer with an updated time to live.
    fn replay(&self, now: i64, reply: Option<ReserveReply>) -> Result<Reply, Refusal> {
        let mut reply = reply.ok_or_else(Refusal::unavailable_answer)?;
        if let (Some(id), Some(expires_at)) = (&reply.reservation_id, reply.expires_at_ms) {
            reply.remaining_ttl_ms = Some(self.remaining_ttl_ms(now, id, expires_at));
        }
        Reply::ok(&reply)
    }

    /// The time left until `expires_at`, in milliseconds; 0 if the reservation is no longer active.
    pub(super) fn remaining_ttl_ms(&self, now: i64, id: &str, expires_at: i64) -> i64 {
        let status = self.reservations.get(id).map(|reservation| reservation.status);
        if status == Some(ReservationStatus::Active) {
            expires_at.saturating_sub(now).max(0)
        } else {
            0
        }
    }
}
