//! Leases that are kept alive, and extensions that are not answered.

use std::time::Duration;

use cycles_proto::{Event, RawRequest};
use cycles_sandbox::ReservationStatus;

use super::test_setup::{TestSetup, commit, request_for};
use super::{Adapter, Client, Guard as _};

pub fn a_heartbeat_keeps_a_lease_alive_beyond_its_length<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request_for(100, 4_000)).unwrap();
    assert_kept_alive(&setup, guard);
}

pub fn a_lease_so_short_that_its_first_beat_is_due_with_the_grant_is_kept_alive<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    // Shorter than an attempt plus the margin, so the first beat cannot wait.
    let guard = setup.client.reserve(request_for(100, 2_000)).unwrap();
    assert_kept_alive(&setup, guard);
}

pub fn a_reservation_that_is_asked_for_again_with_little_time_left_is_kept_alive<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let mut request = request_for(100, 4_000);
    request.idempotency_key = Some("job-1".into());
    let first = setup.client.raw(RawRequest::CreateReservation(&request)).unwrap();
    assert!(first.is_success(), "{first:?}");
    let asked_at = setup.now();
    setup.wait_until("half of the lease is over", || {
        setup.now().saturating_since(asked_at) >= Duration::from_millis(2_100)
    });
    let guard = setup.client.reserve(request).unwrap();
    assert_eq!(setup.reservations(), [guard.reservation_id()]);
    assert_kept_alive(&setup, guard);
}

/// Asserts that the lease outlives its first expiry, and that its cost is committed.
fn assert_kept_alive<A: Adapter>(setup: &TestSetup<A>, guard: <A::Client as Client>::Guard) {
    let id = guard.reservation_id();
    let first_end = setup.reservation(&id).expires_at_ms;
    setup.wait_until("the lease would be over", || {
        i64::try_from(setup.now().0).unwrap() > first_end
    });
    let reservation = setup.reservation(&id);
    assert_eq!(reservation.status, ReservationStatus::Active);
    assert!(reservation.extensions > 0, "{reservation:?}");
    let receipt = guard.commit(commit(42)).unwrap();
    assert!(
        matches!(receipt, cycles_proto::Receipt::Committed(_)),
        "{receipt:?}"
    );
    setup.assert_spent(42);
}

/// Runs more extensions at once than an adapter may have threads: the time in a queue does not count as part of an
/// attempt.
pub fn many_leases_are_kept_alive_though_each_extension_takes_long<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("extend:delay=500ms");
    let guards: Vec<_> = (0..100)
        .map(|_| setup.client.reserve(request_for(10, 4_000)).unwrap())
        .collect();
    let asked_at = setup.now();
    setup.wait_until("each lease would have run out twice", || {
        setup.now().saturating_since(asked_at) >= Duration::from_secs(9)
    });
    for guard in guards {
        let reservation = setup.reservation(&guard.reservation_id());
        assert_eq!(reservation.status, ReservationStatus::Active);
        assert!(guard.release("done").unwrap());
    }
    assert!(
        !setup
            .events()
            .iter()
            .any(|event| matches!(event, Event::LeaseLost { .. }))
    );
}

/// A user's tasks may compute or block, so no lease may depend on them.
pub fn a_lease_is_kept_alive_while_all_threads_of_the_runtime_are_busy<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request_for(100, 4_000)).unwrap();
    A::occupy(Duration::from_secs(6));
    assert_kept_alive(&setup, guard);
}

pub fn an_extension_that_hangs_does_not_delay_the_commit<A: Adapter>() {
    // The lease is so short that it is extended at once, and that attempt takes at most a second. If the commit waited
    // for the attempt, it would take that second every time; on a slow machine it takes that long only sometimes.
    for _ in 0..5 {
        let setup = TestSetup::<A>::new();
        setup.inject("extend:delay=60s");
        let guard = setup.client.reserve(request_for(100, 2_000)).unwrap();
        let receipt = guard.commit(commit(42)).unwrap();
        let was_delayed = setup
            .events()
            .iter()
            .any(|event| matches!(event, Event::BeatFailed { .. } | Event::HeartbeatStopped { .. }));
        assert!(receipt.is_settled(), "{receipt:?}");
        setup.assert_spent(42);
        if !was_delayed {
            return;
        }
    }
    panic!("the commit waits for the extension");
}
