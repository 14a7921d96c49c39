//! What the statistics of a session say while it goes on.

use std::time::Duration;

use cycles_proto::Stats;
use cycles_proto::models::*;
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::stats::TenantStats;

use super::desk::{Desk, Fate, is_of, request};

fn stats(desk: &Desk) -> Stats {
    desk.session.stats().snapshot(desk.now().wall)
}

fn acme(desk: &Desk) -> TenantStats {
    stats(desk).tenant("acme-corp").unwrap().clone()
}

fn tokens(amounts: cycles_proto::stats::Amounts) -> i64 {
    amounts.of(&Unit::Tokens)
}

#[test]
fn a_reservation_is_live_and_held_until_its_cost_is_in_the_ledger() {
    let mut desk = Desk::new();
    let keys = [desk.held(), desk.held()];
    let held = acme(&desk);
    assert_eq!((held.reserved, held.live, held.pending), (2, 2, 0));
    let estimate = tokens(held.held) / 2;
    assert!(estimate > 0, "{held:?}");
    desk.calls = |call| {
        if is_of(call, "/commit") {
            Fate::Held
        } else {
            Fate::Done
        }
    };
    desk.commit(keys[0], 5);
    desk.settle();
    desk.pass_ms(2_000);
    let settling = acme(&desk);
    assert_eq!((settling.live, settling.pending, settling.committed), (2, 1, 0));
    assert!(
        settling.oldest_pending >= Some(Duration::from_secs(2)),
        "{settling:?}"
    );
    assert_eq!(stats(&desk).calls_in_flight, 1);
    let call = desk.open.pop().unwrap();
    desk.answer(call);
    desk.settle();
    let settled = acme(&desk);
    assert_eq!((settled.live, settled.pending, settled.committed), (1, 0, 1));
    assert_eq!((tokens(settled.charged), tokens(settled.held)), (5, estimate));
    assert_eq!((settled.oldest_pending, stats(&desk).calls_in_flight), (None, 0));
}

#[test]
fn what_is_charged_is_what_the_ledger_says_whatever_way_it_went() {
    let mut desk = Desk::new();
    let (committed, partial, released) = (desk.held(), desk.held(), desk.held());
    desk.commit(committed, 5);
    desk.session.spent(partial, &Amount::tokens(3)).unwrap();
    desk.session.abandon(desk.now(), partial);
    desk.session
        .release(desk.now(), released, ReleaseReason::ACTION_FAILED);
    desk.settle();
    // A lease that ended long ago is charged by an event.
    let late = desk.held();
    desk.calls = |call| {
        if is_of(call, "/extend") {
            Fate::Fails
        } else {
            Fate::Done
        }
    };
    desk.pass(Duration::from_secs(600));
    desk.commit(late, 7);
    desk.settle();
    let acme = acme(&desk);
    assert_eq!(
        (acme.committed, acme.committed_partial, acme.committed_by_event),
        (3, 1, 1)
    );
    assert_eq!(
        (acme.released, acme.lost_leases, acme.live),
        (1, 1, 0),
        "{acme:?}"
    );
    assert!(acme.failed_beats > 0 && tokens(acme.held) == 0, "{acme:?}");
    let spent = desk
        .ledger
        .budget("tenant:acme-corp", cycles_sandbox::Unit::Tokens)
        .unwrap()
        .spent;
    assert_eq!((tokens(acme.charged), spent), (15, 15));
}

#[test]
fn a_denial_is_counted_under_its_reason_and_an_outage_is_none() {
    let mut desk = Desk::new();
    let caller = desk.caller.clone();
    let mut large = request();
    large.estimate = Amount::tokens(9_000_000);
    desk.reserve_as(&caller, large);
    desk.settle();
    desk.calls = |_| Fate::Fails;
    desk.reserve_as(&caller, request());
    desk.settle();
    let acme = acme(&desk);
    assert_eq!(acme.denied.of(&DecisionReasonCode::BudgetExceeded), 1, "{acme:?}");
    assert_eq!((acme.denied.total(), acme.not_reserved, acme.reserved), (1, 1, 0));
    assert_eq!(acme.retries, 1, "the lost answer was asked for again");
}

#[test]
fn a_cost_that_an_earlier_run_left_is_pending_until_it_is_in_the_ledger() {
    let mut desk = Desk::after_one_that_left_a_cost();
    let _ = desk.flush(Duration::from_secs(60));
    desk.settle();
    let left = acme(&desk);
    assert_eq!((left.pending, left.committed, left.live), (1, 0, 0), "{left:?}");
    assert!(left.oldest_pending >= Some(Duration::from_secs(1)), "{left:?}");
    desk.calls = |_| Fate::Done;
    for call in std::mem::take(&mut desk.open) {
        desk.answer(call);
    }
    desk.settle();
    let settled = acme(&desk);
    assert_eq!(
        (settled.pending, settled.committed, tokens(settled.charged)),
        (0, 1, 5)
    );
}

#[cfg(feature = "parts")]
#[test]
fn a_reservation_that_is_lost_in_a_panic_is_live_no_more() {
    let mut desk = Desk::new();
    let key = desk.held();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.session.panic_in(key)));
    assert!(panicked.is_err());
    desk.settle();
    let acme = acme(&desk);
    assert_eq!((acme.live, tokens(acme.held)), (0, 0), "{acme:?}");
}

#[test]
fn a_direct_debit_is_charged_in_full_unless_the_ledger_says_less() {
    let mut desk = Desk::new();
    let caller = desk.caller.clone();
    let request = EventCreateRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("api.call", "geocode"))
        .actual(Amount::tokens(9))
        .build();
    let seed = desk.seed();
    let operation = cycles_proto::Operation::create_event(caller.config(), &request, seed).unwrap();
    let key = desk.session.call(desk.now(), &caller, operation).unwrap();
    desk.settle();
    desk.session.answer(key).unwrap().unwrap();
    let acme = acme(&desk);
    assert_eq!((acme.events, tokens(acme.charged), acme.committed), (1, 9, 0));
}
