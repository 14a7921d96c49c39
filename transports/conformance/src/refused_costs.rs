//! Costs that the ledger refuses, and two costs of one reservation: each ends in a file, or is reported as unrecorded.

use cycles_proto::models::{Amount, ReservationCreateRequest};
use cycles_proto::{Event, Receipt};

use super::test_setup::{PATIENCE, TestSetup};
use super::{Adapter, Client as _, Guard as _, commit, request};

/// The request of a job, with the same key for every delivery.
fn job() -> ReservationCreateRequest {
    let mut job = request(1_000);
    job.idempotency_key = Some("job-7".into());
    job
}

pub fn a_job_that_was_done_twice_has_both_costs_in_the_ledger_or_in_a_file<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("commit:503");
    let first = setup.client.reserve(job()).unwrap();
    let id = first.reservation_id();
    let receipt = first.commit(commit(100)).unwrap();
    assert!(matches!(receipt, Receipt::Pending { .. }), "{receipt:?}");
    // The process is gone, and the job is delivered again while its lease is still held.
    let another = setup.another_client();
    let again = another.reserve(job()).unwrap();
    assert_eq!(again.reservation_id(), id);
    let receipt = again.commit(commit(250)).unwrap();
    assert!(matches!(receipt, Receipt::Pending { .. }), "{receipt:?}");
    setup.assert_recorded(&id, 100);
    assert_eq!(setup.set_aside("waiting").len(), 1, "the second waits");

    let left = another.flush(PATIENCE).unwrap();
    assert_eq!(
        (left.ending, left.recorded, left.set_aside),
        (0, 2, 0),
        "{left:?}"
    );
    setup.wait_for_event(
        |event| matches!(event, Event::SecondCost { reservation_id, .. } if *reservation_id == id),
    );
    setup.clear_faults();
    let left = setup.another_client().flush(PATIENCE).unwrap();
    assert_eq!(
        (left.ending, left.recorded, left.set_aside),
        (0, 0, 1),
        "{left:?}"
    );
    let rejected = setup.set_aside("rejected");
    let [rejected] = rejected.as_slice() else {
        panic!("{rejected:?}")
    };
    let kept = rejected.actual().unwrap().amount;
    assert_eq!(
        (setup.budget().spent, kept).max((kept, setup.budget().spent)),
        (250, 100)
    );
    assert!(setup.records().is_empty() && setup.set_aside("waiting").is_empty());
}

pub fn a_cost_that_is_refused_and_in_no_file_is_told_and_counted<A: Adapter>() {
    for setup in [
        TestSetup::<A>::without_journal(),
        TestSetup::<A>::with(|config| config.journal_enabled(false)),
    ] {
        setup.inject("commit:409");
        let guard = setup.client.reserve(request(100)).unwrap();
        let id = guard.reservation_id();
        let receipt = guard.commit(commit(42)).unwrap_err();
        assert_eq!(receipt.status(), Some(409));
        let left = setup.client.flush(PATIENCE).unwrap();
        assert_eq!(
            (left.ending, left.unrecorded, left.set_aside),
            (0, 1, 0),
            "{left:?}"
        );
        setup.wait_for_event(|event| {
            matches!(event, Event::CostUnrecorded { reservation_id, actual, .. }
                if *reservation_id == id && *actual == Some(Amount::tokens(42)))
        });
        assert!(
            !setup
                .events()
                .iter()
                .any(|event| matches!(event, Event::SetAside { .. }))
        );
    }
}
