//! Leases that are checked repeatedly while their runtime is busy. The tests of each async adapter have
//! it as a module; `runcycles` is their crate.
#![allow(unreachable_pub, clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use cycles_conformance::request_for;
use cycles_sandbox::{ReservationState, ReservationStatus};
use runcycles::{CyclesClient, ReservationGuard};

use crate::scene::Scene;

pub async fn reserved(client: &CyclesClient, ttl_ms: u64) -> ReservationGuard {
    client.reserve(request_for(100, ttl_ms)).await.unwrap()
}

/// The state in the ledger.
pub fn state_of(scene: &Scene, guard: &ReservationGuard) -> ReservationState {
    let id = guard.reservation_id().as_str();
    scene
        .sandbox
        .with_ledger(|ledger| ledger.reservation(id).unwrap())
}

/// Blocks this thread for so long, and fails if one of the leases is lost at any moment of it, or was never extended.
#[track_caller]
pub fn assert_kept_for(scene: &Scene, guards: &[ReservationGuard], time: Duration) {
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    while began.elapsed() < time {
        let looked = Instant::now();
        for guard in guards {
            let state = state_of(scene, guard);
            assert_eq!(
                state.status,
                ReservationStatus::Active,
                "after {:?}: {state:?}",
                began.elapsed()
            );
            assert!(
                !guard.lease().is_lost(),
                "after {:?}, with {longest:?} between two looks: {state:?}",
                began.elapsed()
            );
        }
        thread::sleep(Duration::from_millis(20));
        longest = longest.max(looked.elapsed());
    }
    for guard in guards {
        let state = state_of(scene, guard);
        assert!(state.extensions >= 2, "{state:?}");
    }
}
