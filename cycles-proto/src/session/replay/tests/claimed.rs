//! Records that another process is settling.

use super::*;

#[test]
fn what_another_process_is_at_is_left_to_it_for_half_a_minute_and_looked_at_now_and_then() {
    let mut replayer = replayer();
    let (mut now, mut looks) = (at(0), Vec::new());
    let settled_from_here = loop {
        let ticket = asks_to_scan(&mut replayer, now);
        looks.push(now.mono.as_secs());
        replayer.handle_claimed(now, ticket, [record("a"), record("b")]);
        let started = started(&mut replayer, now);
        if !started.is_empty() {
            break started;
        }
        assert_eq!(replayer.unsettled(), 2);
        assert!(replayer.is_complete(now) && !replayer.is_at_work());
        let pause = next_scan(&mut replayer, now);
        assert!(
            !replayer.is_quiet(now, now.mono + pause),
            "a flush that has the time waits"
        );
        now.mono += pause;
    };
    assert_eq!(settled_from_here, ["a", "b"]);
    assert_eq!(looks, [0, 1, 2, 4, 8, 16, 30]);
    assert!(replayer.is_at_work());
    replayer.handle_ended(now, &id("a"), Some(&settled()));
    replayer.handle_ended(now, &id("b"), Some(&Outcome::Settled(pending())));
    // The next time, it waits as long as before.
    now.mono += next_scan(&mut replayer, now);
    let ticket = asks_to_scan(&mut replayer, now);
    replayer.handle_claimed(now, ticket, [record("b")]);
    assert_eq!(next_scan(&mut replayer, now), SHORTEST);
}

#[test]
fn what_another_process_has_settled_is_not_waited_for_any_longer() {
    let mut replayer = replayer();
    replayer.force(at(0));
    for (now, records) in [(at(0), vec![record("a")]), (at(1), vec![])] {
        let Replay::Scan { ticket, with_stale } = replayer.poll(now) else {
            panic!("no scan")
        };
        assert!(with_stale, "it was not done yet");
        replayer.handle_claimed(now, ticket, records);
    }
    assert!(replayer.unsettled() == 0 && replayer.is_quiet(at(1), Duration::MAX));
    replayer.wake(at(2));
    let Replay::Scan { with_stale, .. } = replayer.poll(at(2)) else {
        panic!("no scan")
    };
    assert!(!with_stale, "nothing is forced long after it was asked for");
}
