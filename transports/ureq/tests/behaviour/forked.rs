//! A forked child, for the blocking API; the rest is in `after_a_fork`.

use crate::support::world::{PATIENCE, World, guarded, reserve};
use cycles_host::Process;
use cycles_ureq::models::Amount;
use cycles_ureq::{ConfigError, Error, ReservationGuard, with_cycles};

#[test]
fn an_action_does_not_run_in_the_child() {
    let world = World::start();
    // Operations that send something block.
    world.sandbox.inject("*:delay=3600s".parse().unwrap());
    Process::as_if_forked(|| {
        let ended = with_cycles(&world.client, guarded(10), |_| -> Result<((), _), _> {
            panic!("it must not run")
        });
        let error = ended.unwrap_err();
        assert!(matches!(error, Error::Config(ConfigError::Forked)), "{error:?}");
    });
}

#[test]
fn nobody_waits_in_the_child_and_nothing_that_is_metered_there_is_charged() {
    type InChild = (&'static str, fn(ReservationGuard));
    let in_child: [InChild; 2] = [
        ("waited for", |guard| {
            assert!(guard.lease().wait_lost(PATIENCE));
        }),
        ("metered", |guard| {
            let mut items = guard.meter([1, 2], |_: &i32| Amount::tokens(1));
            assert_eq!(items.next(), Some(1));
            let settling = items.settling();
            drop(items);
            settling.wait().unwrap_err();
        }),
    ];
    for (what, act) in in_child {
        let world = World::start();
        let guard = world.client.reserve(reserve(10, 60_000)).unwrap();
        Process::as_if_forked(|| act(guard));
        world.flush();
        assert_eq!(world.spent_and_held(), (0, 10), "{what}");
    }
}
