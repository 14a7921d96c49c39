//! What a tenant was charged so far, and how many costs are still on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cycles_tokio::models::ReservationId;
use cycles_tokio::{Event, InvalidCommit, Observer, Receipt};

#[derive(Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<Costs>>);

#[derive(Default)]
struct Costs {
    /// What was charged for each reservation. A receipt and an event may both report it.
    charged: BTreeMap<ReservationId, i64>,
    pending: BTreeSet<ReservationId>,
}

impl Metrics {
    /// Counts the costs that are settled in the background.
    pub(crate) fn observer(&self) -> impl Observer + use<> {
        let metrics = self.clone();
        move |event: &Event| {
            if let Event::SettledLate {
                reservation_id,
                receipt,
                ..
            } = event
            {
                metrics.count(reservation_id, Ok(receipt));
            }
        }
    }

    /// Counts a receipt.
    pub(crate) fn count(&self, id: &ReservationId, receipt: Result<&Receipt, &InvalidCommit>) {
        let mut costs = self.costs();
        match receipt {
            Ok(receipt) if receipt.is_settled() => {
                let charged = receipt.charged().map_or(0, |charged| charged.amount);
                costs.charged.insert(id.clone(), charged);
                costs.pending.remove(id);
            }
            Ok(Receipt::Pending { .. }) if !costs.charged.contains_key(id) => {
                costs.pending.insert(id.clone());
            }
            // The log says what to do about a cost that was refused.
            Ok(_) | Err(_) => {}
        }
    }

    /// The tokens that were charged, and the number of costs that are pending.
    pub(crate) fn totals(&self) -> (i64, usize) {
        let costs = self.costs();
        (costs.charged.values().sum(), costs.pending.len())
    }

    fn costs(&self) -> MutexGuard<'_, Costs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
