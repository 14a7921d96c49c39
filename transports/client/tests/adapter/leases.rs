//! Leases for minutes and hours of a time that passes as the test says: who keeps them alive is woken when he asked to be, and
//! at no other time. The tests of each adapter have it as a module; `runcycles` is their crate.

use std::time::Duration;

use bytes::Bytes;
use cycles_sandbox::{DEFAULT_TENANT, Operation, ReservationStatus};
use http::Response;
use runcycles::models::{Amount, Subject};
use runcycles::{CyclesClient, Error, Event, Receipt, ReservationGuard};

use crate::world::{Told, World, cost, request_for};

/// What an observer is told of a lease that is not as it should be.
fn is_trouble(event: &Event) -> bool {
    matches!(
        event,
        Event::LeaseLost { .. } | Event::BeatFailed { .. } | Event::HeartbeatStopped { .. }
    )
}

/// Fails if there was any trouble. Events are told in order, so this waits for those of one more reservation.
#[track_caller]
fn assert_no_trouble(client: &CyclesClient, told: &Told, what: &str) {
    let last = reserve(client, 60_000);
    let id = last.reservation_id().clone();
    told.wait_for(1, |event| event.reservation_id() == Some(&id));
    let trouble = told.of_kind(is_trouble);
    assert!(trouble.is_empty(), "{what}: {trouble:?}");
}

fn reserve(client: &CyclesClient, ttl_ms: u64) -> ReservationGuard {
    wait!(client.reserve(request_for(ttl_ms))).unwrap()
}

/// Holds a lease for one and a half times its length, and settles it.
fn live_long(world: &World, client: &CyclesClient, ttl_ms: u64) {
    let guard = reserve(client, ttl_ms);
    world.pass(Duration::from_millis(ttl_ms + ttl_ms / 2));
    assert!(!guard.lease().is_lost());
    let receipt = wait!(guard.commit(cost())).unwrap();
    assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
}

#[test]
fn an_action_that_is_over_takes_no_heartbeat_from_later_ones() {
    type End = (&'static str, fn(ReservationGuard));
    let ends: [End; 3] = [
        ("dropped", |guard| drop(guard)),
        ("released", |guard| {
            assert!(wait!(guard.release("not needed")).unwrap());
        }),
        ("committed", |guard| {
            assert!(wait!(guard.commit(cost())).unwrap().is_settled());
        }),
    ];
    for (how, end) in ends {
        later_ones_are_kept_alive(how, |world, client, ttl_ms, lives| {
            let guard = reserve(client, ttl_ms);
            world.pass_seconds(lives);
            end(guard);
        });
    }
}

/// Fails unless leases are kept alive after one of so many milliseconds has lived for so many seconds, and ended.
pub(crate) fn later_ones_are_kept_alive(how: &str, live: impl Fn(&World, &CyclesClient, u64, u64)) {
    // How long it lives and how long nothing does then, in seconds: around the pieces of a wait.
    for (ttl, lives, idle) in [
        (30, 2, 22),
        (30, 0, 14),
        (30, 14, 16),
        (60, 1, 55),
        (60, 29, 31),
        (3600, 1, 600),
        (20, 9, 1),
        (30, 13, 0),
    ] {
        let world = World::new();
        let (client, told) = world.client();
        live(&world, &client, ttl * 1_000, lives);
        world.pass_seconds(idle);
        for _ in 0..2 {
            live_long(&world, &client, ttl * 1_000);
        }
        assert_no_trouble(&client, &told, &format!("{how} {ttl} {lives} {idle}"));
    }
}

#[test]
fn a_lease_that_ended_while_the_process_stood_still_is_told_as_lost_once_whoever_notices_first() {
    type End = (&'static str, fn(&World, ReservationGuard));
    let ends: [End; 5] = [
        ("committed", |_, guard| drop(wait!(guard.commit(cost())))),
        ("released", |_, guard| drop(wait!(guard.release("too late")))),
        ("dropped", |_, guard| drop(guard)),
        ("extended", |_, guard| drop(wait!(guard.extend(30_000)))),
        ("left alone", |world, guard| {
            world.pass_seconds(1);
            drop(guard);
        }),
    ];
    for (how, end) in ends {
        for looks_first in ["the caller", "the thread that keeps the time", "nobody"] {
            let world = World::new();
            let (client, told) = world.client();
            let guard = reserve(&client, 30_000);
            world.pass_seconds(1);
            world.stop_for(Duration::from_secs(120));
            match looks_first {
                "the caller" => assert!(guard.lease().is_lost()),
                "nobody" => {}
                _ => world.pass(Duration::from_millis(1)),
            }
            end(&world, guard);
            world.pass_seconds(1);
            let is_loss = |event: &Event| matches!(event, Event::LeaseLost { .. });
            told.wait_for(1, is_loss);
            let last = reserve(&client, 60_000).reservation_id().clone();
            told.wait_for(1, |event| event.reservation_id() == Some(&last));
            assert_eq!(told.count(is_loss), 1, "{how}, first noticed by {looks_first}");
        }
    }
}

#[test]
fn a_replay_that_has_no_time_left_is_granted_only_once_it_was_prolonged() {
    // To the millisecond: the ledger extends a lease that ends now, but not one that has ended.
    for (late, is_granted) in [(0, true), (1, false), (4_000, false)] {
        let world = World::new();
        let (client, told) = world.client();
        let mut request = request_for(60_000);
        request.subject = Subject::tenant(DEFAULT_TENANT);
        request.idempotency_key = Some("job-1".into());
        wait!(client.create_reservation(&request)).unwrap();
        world.stop_for(Duration::from_millis(60_000 + late));
        let reserved = wait!(client.reserve(request));
        assert_eq!(world.sent(Operation::ExtendReservation), 1, "{late} ms late");
        // Nobody has swept it up.
        let status = world.with_ledger(|ledger| {
            let id = ledger.reservation_ids().next().unwrap().to_owned();
            ledger.reservation(&id).unwrap().status
        });
        assert_eq!(status, ReservationStatus::Active);
        match reserved {
            Ok(guard) if is_granted => {
                world.pass_seconds(200);
                assert!(!guard.lease().is_lost());
                assert!(wait!(guard.commit(cost())).unwrap().is_settled());
                assert_no_trouble(&client, &told, "it was prolonged");
            }
            Err(error) if !is_granted => {
                assert!(matches!(error, Error::StaleReplay { .. }), "{error:?}");
            }
            other => panic!("{late} ms late: {other:?}"),
        }
    }
}

/// Four a second at most, with one more at either end.
#[track_caller]
fn assert_no_storm(world: &World, seconds: u64, what: &str) {
    let sent = world.sent(Operation::ExtendReservation) as u64;
    assert!(
        (1..=4 * seconds + 2).contains(&sent),
        "{what}: {sent} in {seconds} s"
    );
}

#[test]
fn extensions_that_are_throttled_for_no_time_make_no_storm() {
    for ttl_ms in [2_000, 30_000, 600_000] {
        let world = World::new();
        let (client, _) = world.client();
        world.answer(|operation, _| {
            (operation == Operation::ExtendReservation).then(|| {
                let body = r#"{"error":"LIMIT_EXCEEDED","message":"Too many","request_id":"r"}"#;
                let response = Response::builder().status(429).header("retry-after", "0");
                response.body(Bytes::from_static(body.as_bytes())).unwrap()
            })
        });
        let _guard = reserve(&client, ttl_ms);
        let seconds = ttl_ms.div_ceil(1_000);
        world.pass_seconds(seconds);
        assert_no_storm(&world, seconds, &format!("for a lease of {ttl_ms} ms"));
    }
}

#[test]
fn a_lease_that_a_server_never_makes_longer_than_its_reserve_makes_no_storm() {
    // Around what is kept for two attempts and the margin.
    for remaining_ms in (250..8_000).step_by(250) {
        let world = World::new();
        let (client, _) = world.client();
        world.answer(move |operation, now| {
            (operation == Operation::ExtendReservation).then(|| {
                let expires_at = now.0 + remaining_ms;
                let body = format!(
                    r#"{{"status":"ACTIVE","expires_at_ms":{expires_at},"remaining_ttl_ms":{remaining_ms}}}"#
                );
                Response::new(body.into())
            })
        });
        let _guard = reserve(&client, remaining_ms.max(1_000));
        world.pass_seconds(60);
        assert_no_storm(&world, 60, &format!("{remaining_ms} ms"));
    }
}

#[test]
fn many_commits_that_take_a_second_cost_no_lease() {
    let world = World::new();
    let (client, _) = world.client();
    let leases: Vec<_> = (0..50).map(|_| reserve(&client, 30_000)).collect();
    let others: Vec<_> = (0..2_000).map(|_| reserve(&client, 3_600_000)).collect();
    world.slow(Operation::CommitReservation, Duration::from_secs(1));
    for guard in others {
        guard.spent(&Amount::tokens(1)).unwrap();
        drop(guard);
    }
    // Longer than any of the leases, and than the commits take in the places that there are.
    world.pass_seconds(60);
    assert_eq!(world.budget(), (2_000, 500));
    // More is told in no time than an observer's queue holds, so that it is not asked.
    assert!(leases.iter().all(|guard| !guard.lease().is_lost()));
}
