//! The value of a successful action is always returned, whatever happens to its cost. The cost is in the ledger, in a
//! record, or reported for a person.

use cycles_proto::models::{Amount, ReservationId};
use cycles_proto::outcome::ActualSource;
use cycles_proto::record::Mode;
use cycles_proto::{Event, InvalidCommit, Receipt};
use cycles_sandbox::ReservationStatus;

use super::test_setup::{PATIENCE, TestSetup};
use super::{Adapter, Client as _, Unsettled};

/// Runs an action that costs 42 of 100 tokens, and calls `trouble` before it ends.
fn run<A: Adapter>(setup: &TestSetup<A>, trouble: impl FnOnce()) -> (ReservationId, Receipt) {
    let outcome = setup.client.with_cycles(Amount::tokens(100), |action| {
        trouble();
        Ok((action.reservation_id(), Amount::tokens(42)))
    });
    let (id, receipt): (_, Result<Receipt, InvalidCommit>) = outcome.expect("the value comes back");
    (id, receipt.expect("the cost is taken"))
}

#[track_caller]
fn assert_pending(receipt: &Receipt, expected: bool) {
    assert!(
        matches!(receipt, Receipt::Pending { is_recorded, .. } if *is_recorded == expected),
        "{receipt:?}"
    );
}

pub fn the_value_comes_back_when_the_server_died_before_the_commit<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let (id, receipt) = run(&setup, || setup.kill_server());
    assert_pending(&receipt, true);
    setup.assert_recorded(&id, 42);
    let left = setup.client.flush(PATIENCE).unwrap();
    assert_eq!((left.ending, left.recorded, left.is_certain), (0, 1, true));
    setup.assert_recorded(&id, 42);
}

pub fn the_value_comes_back_through_server_errors_and_the_cost_is_settled_later<A: Adapter>() {
    for fault in [
        "commit:500",
        "commit:503",
        "commit:after=500",
        "commit:garbage",
        "commit:cut",
    ] {
        let setup = TestSetup::<A>::new();
        let (id, receipt) = run(&setup, || setup.inject(fault));
        assert_pending(&receipt, true);
        setup.assert_recorded(&id, 42);
        setup.clear_faults();
        setup.flush_everything();
        assert_eq!(setup.reservation(&id).charged, Some(42), "{fault}");
        setup.assert_spent(42);
        // After a pending receipt, an event reports the settlement.
        setup.wait_for_event(|event| matches!(event, Event::SettledLate { .. }));
        let ends = setup.events().into_iter().filter(|event| {
            matches!(event, Event::SettledLate { reservation_id, receipt, .. }
                if *reservation_id == id && receipt.is_settled())
        });
        assert_eq!(ends.count(), 1, "{fault}");
    }
}

pub fn the_value_comes_back_when_the_key_is_refused_and_nothing_is_released<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let (id, receipt) = run(&setup, || setup.inject("commit:401"));
    assert_pending(&receipt, true);
    assert!(receipt.error().is_some_and(|error| error.status() == Some(401)));
    setup.assert_recorded(&id, 42);
    assert_eq!(setup.status(&id), ReservationStatus::Active);
    setup.clear_faults();
    setup.flush_everything();
    setup.assert_spent(42);
}

pub fn the_value_comes_back_when_the_reservation_is_over_and_an_event_takes_the_cost<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let (_, receipt) = run(&setup, || setup.inject("commit:410"));
    assert!(matches!(receipt, Receipt::RecoveredViaEvent(_)), "{receipt:?}");
    assert_eq!(receipt.source(), Some(ActualSource::Action));
    setup.flush_everything();
    assert_eq!((setup.events_applied(), setup.budget().spent), (1, 42));

    // The event's answer is lost: the record is in event mode, and the cost counts once.
    let setup = TestSetup::<A>::new();
    setup.inject("event:lose-response");
    let (id, receipt) = run(&setup, || setup.inject("commit:410"));
    assert_pending(&receipt, true);
    let records = setup.records();
    assert!(records.len() == 1 && records[0].reservation_id() == &id && records[0].mode() == Mode::Event);
    setup.clear_faults();
    setup.flush_everything();
    assert_eq!((setup.events_applied(), setup.budget().spent), (1, 42));
}

pub fn the_value_comes_back_when_the_cost_is_refused_and_a_person_finds_it<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let (id, receipt) = run(&setup, || setup.inject("commit:409"));
    assert!(matches!(receipt, Receipt::Rejected { .. }), "{receipt:?}");
    assert!(receipt.error().is_some_and(|error| error.status() == Some(409)));
    let left = setup.client.flush(PATIENCE).unwrap();
    assert_eq!(
        (left.ending, left.recorded, left.set_aside),
        (0, 0, 1),
        "{left:?}"
    );
    let rejected = setup.set_aside("rejected");
    assert!(
        rejected.len() == 1 && rejected[0].reservation_id() == &id,
        "{rejected:?}"
    );
    assert_eq!(setup.budget().spent, 0);
    // The refusal is reported once, and so is the record that was set aside; the next run reports nothing.
    assert_eq!(
        setup.another_client().flush(PATIENCE).unwrap(),
        Unsettled::NOTHING
    );
    setup.wait_for_event(|event| matches!(event, Event::SetAside { .. }));
    setup.assert_told("Granted SettlementFailed SetAside");
}

pub fn the_value_comes_back_when_the_journal_cannot_be_written<A: Adapter>() {
    let setup = TestSetup::<A>::without_journal();
    let (_, receipt) = run(&setup, || {});
    assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
    setup.assert_spent(42);
    setup.wait_for_event(|event| matches!(event, Event::JournalFailed { .. }));
    assert!(setup.files("").is_empty());
}

pub fn the_value_comes_back_with_neither_server_nor_journal<A: Adapter>() {
    let setup = TestSetup::<A>::without_journal();
    let (id, receipt) = run(&setup, || setup.inject("commit:500"));
    // There is no record, so the caller waited for all attempts.
    assert_pending(&receipt, false);
    assert_eq!(setup.commits().len(), 3);
    assert_eq!(setup.status(&id), ReservationStatus::Active, "it is not released");
    assert!(setup.files("").is_empty());
    let left = setup.client.flush(PATIENCE).unwrap();
    assert_eq!(
        (left.ending, left.recorded, left.unrecorded),
        (0, 0, 1),
        "{left:?}"
    );
}

pub fn the_value_comes_back_when_a_foreign_page_answers_and_the_cost_is_settled_later<A: Adapter>() {
    for fault in ["commit:page=404", "commit:page=403", "commit:page=502"] {
        let setup = TestSetup::<A>::new();
        let (id, receipt) = run(&setup, || setup.inject(fault));
        assert_pending(&receipt, true);
        setup.assert_recorded(&id, 42);
        assert!(setup.set_aside("rejected").is_empty() && setup.set_aside("stale").is_empty());
        setup.clear_faults();
        setup.flush_everything();
        setup.assert_spent(42);
    }
}
