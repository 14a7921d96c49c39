//! `extend`: more time for an active reservation.

use super::Ledger;
use super::auth::Caller;
use super::error::{Code, Refusal};
use super::packed::Answer;
use super::replies::ExtendReply;
use super::reply::Reply;
use super::requests::ExtendRequest;
use super::wire_enums::ReservationStatus;

impl Ledger {
    /// Adds to the current expiry, however far away that already is; only the number of extensions is limited. An
    /// extension after the expiry is refused, even within the grace period. The key is remembered until the new expiry.
    pub(super) fn extend(
        &mut self,
        now: i64,
        caller: &Caller,
        id: &str,
        request: ExtendRequest,
    ) -> Result<Reply, Refusal> {
        let (tenant, status) = self.owner_and_status(caller, id)?;
        let key = (tenant, id.to_owned(), request.idempotency_key.clone());
        if let Some(reply) = self.extended.recall(&key, &request)? {
            let remaining_ttl_ms = self.remaining_ttl_ms(now, id, reply.expires_at_ms);
            return Reply::ok(&ExtendReply {
                remaining_ttl_ms,
                ..reply
            });
        }
        self.check_settleable(&key.0, status)?;
        let reservation = self.owned(caller, id)?;
        if now > reservation.expires_at {
            return Err(Refusal::expired());
        }
        if reservation.extensions >= reservation.max_extensions {
            let message = format!(
                "Maximum reservation extensions ({}) reached",
                reservation.max_extensions
            );
            return Err(Refusal::new(Code::MaxExtensionsExceeded, message));
        }
        let expires_at = reservation.expires_at.saturating_add(request.extend_by_ms);
        let reply = ExtendReply {
            status: ReservationStatus::Active,
            expires_at_ms: expires_at,
            remaining_ttl_ms: expires_at.saturating_sub(now),
            balances: self
                .books
                .rows(&reservation.budgeted_scopes, reservation.estimate.unit),
        };
        self.reservations.extend(id, expires_at);
        self.extended.remember(key, request, reply.clone(), expires_at);
        Reply::ok(&reply)
    }

    /// The tenant and the status of a reservation of the caller's, even if it is forgotten but for its keys.
    fn owner_and_status(&self, caller: &Caller, id: &str) -> Result<(String, ReservationStatus), Refusal> {
        match self.reservations.ended(id) {
            Some(Answer { reply: ended, .. }) => {
                caller.check_owner(&ended.tenant)?;
                Ok((ended.tenant, ended.status))
            }
            None => {
                let reservation = self.owned(caller, id)?;
                Ok((reservation.tenant.clone(), reservation.status))
            }
        }
    }
}
