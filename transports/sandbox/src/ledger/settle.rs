//! `commit` and `release`: the two ways to settle a reservation.

use super::Ledger;
use super::auth::Caller;
use super::books::Charge;
use super::error::Refusal;
use super::packed::{Answer, Digest};
use super::replies::SettleReply;
use super::reply::Reply;
use super::requests::{CommitRequest, ReleaseRequest};
use super::reservations::{Ended, Reservation, SettleRequest, Settlement};
use super::shared_types::Amount;
use super::wire_enums::ReservationStatus;

impl Ledger {
    /// Charges the actual cost. Allowed until the end of the grace period, inclusive, and on budgets in any state.
    pub(super) fn commit(
        &mut self,
        now: i64,
        caller: &Caller,
        id: &str,
        request: CommitRequest,
    ) -> Result<Reply, Refusal> {
        let actual = request.actual;
        let request = SettleRequest::Commit(request);
        if let Some(ended) = self.reservations.ended(id) {
            return self.settle_again(caller, ended, &request);
        }
        let reservation = self.owned(caller, id)?;
        if let Some(reply) = replay(reservation, &request)? {
            return Reply::ok(&reply);
        }
        self.check_settleable(&reservation.tenant, reservation.status)?;
        let estimate = reservation.estimate;
        if actual.unit != estimate.unit {
            return Err(Refusal::commit_unit());
        }
        check_grace(now, reservation)?;
        let scopes = reservation.budgeted_scopes.clone();
        let charge = Charge {
            hold: Some(estimate.amount),
            actual: actual.amount,
            policy: reservation.policy,
        };
        let charged = self.books.charge(&scopes, estimate.unit, charge)?;
        let returned = estimate.amount.saturating_sub(charged);
        let reply = SettleReply {
            status: ReservationStatus::Committed,
            charged: Some(Amount {
                unit: estimate.unit,
                amount: charged,
            }),
            released: (returned > 0).then_some(Amount {
                unit: estimate.unit,
                amount: returned,
            }),
            balances: self.books.rows(&scopes, estimate.unit),
            cycles_evidence: None,
        };
        self.settle(now, id, request, reply)
    }

    /// Gives the hold back. Allowed until the end of the grace period, inclusive; the admin may release any
    /// reservation.
    pub(super) fn release(
        &mut self,
        now: i64,
        caller: &Caller,
        id: &str,
        request: ReleaseRequest,
    ) -> Result<Reply, Refusal> {
        let request = SettleRequest::Release(request);
        if let Some(ended) = self.reservations.ended(id) {
            return self.settle_again(caller, ended, &request);
        }
        let reservation = self.owned(caller, id)?;
        if let Some(reply) = replay(reservation, &request)? {
            return Reply::ok(&reply);
        }
        self.check_settleable(&reservation.tenant, reservation.status)?;
        check_grace(now, reservation)?;
        let (estimate, scopes) = (reservation.estimate, reservation.budgeted_scopes.clone());
        self.books.give_back(&scopes, estimate.unit, estimate.amount)?;
        let reply = SettleReply {
            status: ReservationStatus::Released,
            charged: None,
            released: Some(estimate),
            balances: self.books.rows(&scopes, estimate.unit),
            cycles_evidence: None,
        };
        self.settle(now, id, request, reply)
    }

    /// The reservation; 404 if it does not exist, 403 if it is not the caller's.
    pub(super) fn owned(&self, caller: &Caller, id: &str) -> Result<&Reservation, Refusal> {
        let reservation = self
            .reservations
            .get(id)
            .ok_or_else(|| Refusal::no_resource(id))?;
        caller.check_owner(&reservation.tenant)?;
        Ok(reservation)
    }

    /// The checks that commit, release and extend share: first the tenant, then the state.
    pub(super) fn check_settleable(&self, tenant: &str, status: ReservationStatus) -> Result<(), Refusal> {
        self.tenants.check_open(tenant)?;
        match status {
            ReservationStatus::Active => Ok(()),
            ReservationStatus::Expired => Err(Refusal::expired()),
            ReservationStatus::Committed | ReservationStatus::Released => Err(Refusal::finalized()),
        }
    }

    /// Answers for a reservation that is forgotten but for its keys: the original answer if it was settled by the same
    /// request, and otherwise what its status says.
    fn settle_again(
        &self,
        caller: &Caller,
        ended: Answer<Ended>,
        request: &SettleRequest,
    ) -> Result<Reply, Refusal> {
        let Ended {
            tenant,
            status,
            settled_under,
            reply,
        } = ended.reply;
        caller.check_owner(&tenant)?;
        let key = Digest::of(&request.idempotency_key());
        match reply.filter(|_| settled_under == Some(key) && request.leads_to(status)) {
            Some(reply) if ended.request == Digest::of(&Some(request)) => Reply::ok(&reply),
            Some(_) => Err(Refusal::mismatch()),
            None => {
                self.check_settleable(&tenant, status)?;
                Err(Refusal::finalized())
            }
        }
    }

    fn settle(
        &mut self,
        now: i64,
        id: &str,
        request: SettleRequest,
        mut reply: SettleReply,
    ) -> Result<Reply, Refusal> {
        let artifact = match request {
            SettleRequest::Commit(_) => "commit",
            SettleRequest::Release(_) => "release",
        };
        reply.cycles_evidence = self.evidence.attest(artifact, now, Some(id), &request, &reply);
        let response = Reply::ok(&reply)?;
        self.reservations.finish(
            id,
            now,
            reply.status,
            Some(Settlement {
                at: now,
                request,
                reply,
            }),
        );
        Ok(response)
    }
}

/// The original answer, if the same operation settled the reservation under the same key. A request with another
/// operation or key is not a replay: the reservation's state decides.
fn replay(reservation: &Reservation, request: &SettleRequest) -> Result<Option<SettleReply>, Refusal> {
    let Some(settlement) = &reservation.settlement else {
        return Ok(None);
    };
    let same_operation = core::mem::discriminant(&settlement.request) == core::mem::discriminant(request);
    if !same_operation || settlement.request.idempotency_key() != request.idempotency_key() {
        Ok(None)
    } else if settlement.request == *request {
        Ok(Some(settlement.reply.clone()))
    } else {
        Err(Refusal::mismatch())
    }
}

fn check_grace(now: i64, reservation: &Reservation) -> Result<(), Refusal> {
    if now > reservation.grace_end() {
        Err(Refusal::expired())
    } else {
        Ok(())
    }
}
