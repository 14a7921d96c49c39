//! What two replies of each kind differ in.

use core::iter;

use super::answer::{Own, Reply};
use crate::ledger::admin::FundReply;
use crate::ledger::replies::{BalanceRow, DecideReply, EventReply, ExtendReply, ReserveReply, SettleReply};
use crate::ledger::reservations::Ended;
use crate::ledger::scope;

impl<R: Reply> Reply for Option<R> {
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        self.iter_mut().flat_map(R::numbers)
    }

    fn take_own(&mut self) -> Own {
        self.as_mut().map(R::take_own).unwrap_or_default()
    }

    fn give_own(&mut self, own: Own) {
        if let Some(reply) = self {
            reply.give_own(own);
        }
    }
}

impl Reply for DecideReply {
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        iter::empty()
    }

    fn take_own(&mut self) -> Own {
        Own {
            path: core::mem::take(&mut self.affected_scopes).pop(),
            evidence: self.cycles_evidence.take(),
            ..Own::default()
        }
    }

    fn give_own(&mut self, own: Own) {
        self.affected_scopes = own.path.as_deref().map(scope::up_to).unwrap_or_default();
        self.cycles_evidence = own.evidence;
    }
}

impl Reply for ReserveReply {
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        let amounts = self.reserved.iter_mut().map(|reserved| &mut reserved.amount);
        let balances = self.balances.iter_mut().flatten();
        let times = self.expires_at_ms.iter_mut();
        times.chain(amounts).chain(balances.flat_map(BalanceRow::numbers))
    }

    fn take_own(&mut self) -> Own {
        self.affected_scopes.clear();
        Own {
            path: Some(core::mem::take(&mut self.scope_path)),
            id: self.reservation_id.take(),
            evidence: self.cycles_evidence.take(),
            ..Own::default()
        }
    }

    fn give_own(&mut self, own: Own) {
        self.scope_path = own.path.unwrap_or_default();
        self.affected_scopes = scope::up_to(&self.scope_path);
        self.reservation_id = own.id;
        self.cycles_evidence = own.evidence;
    }
}

impl Reply for SettleReply {
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        let amounts = self.charged.iter_mut().chain(&mut self.released);
        let amounts = amounts.map(|amount| &mut amount.amount);
        amounts.chain(self.balances.iter_mut().flat_map(BalanceRow::numbers))
    }

    fn take_own(&mut self) -> Own {
        Own {
            evidence: self.cycles_evidence.take(),
            ..Own::default()
        }
    }

    fn give_own(&mut self, own: Own) {
        self.cycles_evidence = own.evidence;
    }
}

impl Reply for Ended {
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        self.reply.numbers()
    }

    fn take_own(&mut self) -> Own {
        Own {
            digest: self.settled_under.take(),
            ..self.reply.take_own()
        }
    }

    fn give_own(&mut self, own: Own) {
        self.settled_under = own.digest;
        self.reply.give_own(own);
    }
}

impl Reply for ExtendReply {
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        let times = [&mut self.expires_at_ms, &mut self.remaining_ttl_ms];
        let balances = self.balances.iter_mut().flat_map(BalanceRow::numbers);
        times.into_iter().chain(balances)
    }

    fn take_own(&mut self) -> Own {
        Own::default()
    }

    fn give_own(&mut self, _: Own) {}
}

impl Reply for EventReply {
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        let charged = self.charged.iter_mut().map(|charged| &mut charged.amount);
        charged.chain(self.balances.iter_mut().flat_map(BalanceRow::numbers))
    }

    fn take_own(&mut self) -> Own {
        Own {
            id: Some(core::mem::take(&mut self.event_id)),
            ..Own::default()
        }
    }

    fn give_own(&mut self, own: Own) {
        self.event_id = own.id.unwrap_or_default();
    }
}

/// Operators fund seldom, so each reply is a template of its own.
impl Reply for FundReply {
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        iter::empty()
    }

    fn take_own(&mut self) -> Own {
        Own::default()
    }

    fn give_own(&mut self, _: Own) {}
}
