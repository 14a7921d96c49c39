//! `POST /v1/events`: costs without a reservation.

use http::StatusCode;

use super::Ledger;
use super::books::Charge;
use super::decide::check_subject;
use super::error::Refusal;
use super::replies::EventReply;
use super::reply::Reply;
use super::requests::EventRequest;
use super::scope;
use super::shared_types::Amount;
use super::wire_enums::Unit;

const KEPT_MS: i64 = 7 * 86_400_000;

impl Ledger {
    /// Charges the actual cost at once. Neither debt nor an over-limit scope blocks it.
    pub(super) fn record(&mut self, now: i64, tenant: &str, request: EventRequest) -> Result<Reply, Refusal> {
        check_subject(&request.subject, tenant)?;
        let policy = self
            .tenants
            .settings(tenant, now)
            .policy(request.overage_policy)?;
        let key = (tenant.to_owned(), String::new(), request.idempotency_key.clone());
        if let Some(reply) = self.recorded.recall(&key, &request)? {
            return Reply::json(StatusCode::CREATED, &reply);
        }
        self.tenants.check_open(tenant)?;
        let Amount { unit, amount } = request.actual;
        let scopes = scope::derive(&request.subject);
        let charge = Charge {
            hold: None,
            actual: amount,
            policy,
        };
        if let Some((code, scope)) = self.books.first_event_block(&scopes, unit, charge) {
            return Err(Refusal::blocked(code, scope));
        }
        if self.books.budgeted(&scopes, unit).is_empty() {
            return Err(self.no_budget(&scopes, unit));
        }
        let charged = self.books.charge(&scopes, unit, charge)?;
        self.events_applied += 1;
        let reply = EventReply {
            status: "APPLIED",
            event_id: self.seed.uuid(),
            charged: (charged < amount).then_some(Amount {
                unit,
                amount: charged,
            }),
            balances: self.books.rows(&scopes, unit),
        };
        self.recorded
            .remember(key, request, reply.clone(), now.saturating_add(KEPT_MS));
        Reply::json(StatusCode::CREATED, &reply)
    }

    /// The refusal if none of `scopes` has a budget in `unit`.
    pub(super) fn no_budget(&self, scopes: &[String], unit: Unit) -> Refusal {
        match self.books.other_unit(scopes, unit) {
            Some(details) => Refusal::other_unit(details),
            None => Refusal::no_budget(scope::deepest(scopes)),
        }
    }
}
