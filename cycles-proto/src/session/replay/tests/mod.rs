mod claimed;
mod left;
mod refused;

use super::*;
use crate::journal::tests::record_of;
use crate::models::{Amount, CommitResponse};
use crate::outcome::{ActualSource, CallContext, Charged, Failure, FailureKind, OperationKind};
use crate::time::UnixMillis;
use crate::wire::reply::verdict;

const WALL: u64 = 1_795_000_000_000;

fn at(seconds: u64) -> Now {
    Now {
        mono: Duration::from_secs(seconds),
        wall: UnixMillis(WALL + seconds * 1_000),
    }
}

fn replayer() -> Replayer {
    let config = CyclesConfig::new("cyc_live_0123456789", "http://h").unwrap();
    Replayer::new(Arc::new(config), Seed([3; 16]))
}

/// The id of the cost in [`record`].
fn id(reservation: &str) -> RecordId {
    record(reservation).id().clone()
}

fn record(id: &str) -> JournalRecord {
    record_with_key(id, "key")
}

fn record_with_key(id: &str, key: &str) -> JournalRecord {
    record_of("http://h", id, key)
}

#[track_caller]
fn asks_to_scan(replayer: &mut Replayer, now: Now) -> Ticket {
    match replayer.poll(now) {
        Replay::Scan { ticket, .. } => ticket,
        other @ (Replay::Settle(..) | Replay::Wait(_)) => panic!("no scan but {other:?}"),
    }
}

fn context() -> CallContext {
    CallContext {
        is_recorded: false,
        server: "http://ledger".into(),
        operation: OperationKind::CommitReservation,
        reservation_id: None,
        idempotency_key: None,
        trace_id: None,
        unit: None,
        info: None,
    }
}

fn out_of_reach() -> Error {
    Error::transport(context(), Failure::new(FailureKind::Connect), false)
}

fn refused(status: u16, code: &str) -> Error {
    let body = format!(r#"{{"error":"{code}","message":"no","request_id":"q"}}"#);
    let response = http::Response::builder()
        .status(status)
        .body(body.into())
        .unwrap();
    let kind = OperationKind::CommitReservation;
    Error::of(context(), verdict::<CommitResponse>(kind, &response), false).unwrap_err()
}

fn settled() -> Outcome {
    Outcome::Settled(Receipt::Committed(Charged::new(None, ActualSource::Action)))
}

fn pending() -> Receipt {
    Receipt::Pending {
        error: None,
        is_recorded: true,
    }
}

#[track_caller]
fn scan(replayer: &mut Replayer, now: Now, records: impl IntoIterator<Item = JournalRecord>) {
    let ticket = asks_to_scan(replayer, now);
    replayer.handle_scanned(now, ticket, records);
}

/// The reservations that are started now.
fn started(replayer: &mut Replayer, now: Now) -> Vec<String> {
    let mut ids = Vec::new();
    while let Replay::Settle(id, _) = replayer.poll(now) {
        ids.push(id.reservation.as_str().to_owned());
    }
    ids
}

#[track_caller]
fn next_scan(replayer: &mut Replayer, now: Now) -> Duration {
    match replayer.poll(now) {
        Replay::Wait(Some(at)) => at - now.mono,
        other @ (Replay::Settle(..) | Replay::Scan { .. } | Replay::Wait(None)) => {
            panic!("no pause but {other:?}")
        }
    }
}

#[test]
fn it_scans_at_first_use_and_rests_when_nothing_is_left() {
    let mut replayer = replayer();
    scan(&mut replayer, at(0), [record("a")]);
    assert_eq!(started(&mut replayer, at(0)), ["a"]);
    assert!(matches!(replayer.poll(at(1)), Replay::Wait(None)));
    replayer.handle_ended(at(1), &id("a"), Some(&settled()));
    assert!(matches!(replayer.poll(at(9_999_999)), Replay::Wait(None)));
    assert!(replayer.unsettled() == 0 && replayer.is_quiet(at(9_999_999), Duration::MAX));
}

#[test]
fn what_is_left_is_tried_again_after_longer_and_longer_pauses_up_to_a_quarter_of_an_hour() {
    let mut replayer = replayer();
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        scan(&mut replayer, now, [record("a")]);
        started(&mut replayer, now);
        replayer.handle_ended(now, &id("a"), Some(&Outcome::Settled(pending())));
        let pause = next_scan(&mut replayer, now);
        pauses.push(pause.as_secs());
        now.mono += pause;
    }
    for (pause, whole) in pauses.iter().zip([30, 60, 120, 240, 480, 900, 900, 900]) {
        assert!((whole / 2..=whole).contains(pause), "{pauses:?}");
    }
    // Clients that failed together do not come back together.
    assert!(pauses[5] != pauses[6] && pauses[6] != pauses[7], "{pauses:?}");
}

#[test]
fn only_a_few_are_settled_at_a_time() {
    let mut replayer = replayer();
    scan(&mut replayer, at(0), (0..20).map(|n| record(&format!("r{n}"))));
    assert_eq!(started(&mut replayer, at(0)).len(), AT_A_TIME);
    assert_eq!(replayer.unsettled(), 20);
    replayer.handle_ended(at(1), &id("r0"), Some(&settled()));
    assert_eq!(started(&mut replayer, at(1)), ["r8"]);
}

#[test]
fn what_nobody_drives_any_more_is_looked_for_at_once_and_what_failed_later() {
    for (receipt, is_at_once) in [(None, true), (Some(pending()), false)] {
        let mut replayer = replayer();
        let ticket = asks_to_scan(&mut replayer, at(0));
        replayer.live(id("a"));
        replayer.handle_scanned(at(0), ticket, []);
        replayer.ended(at(1), &id("a"), receipt.as_ref());
        assert_eq!(replayer.unsettled(), 1);
        assert_eq!(replayer.is_quiet(at(1), Duration::ZERO), !is_at_once);
        assert_eq!(matches!(replayer.poll(at(1)), Replay::Scan { .. }), is_at_once);
    }
}

#[test]
fn a_reservation_that_lives_here_settles_its_own_record() {
    let mut replayer = replayer();
    replayer.live(id("a"));
    scan(&mut replayer, at(0), [record("a"), record("b")]);
    assert_eq!(started(&mut replayer, at(0)), ["b"]);
    replayer.handle_ended(at(0), &id("b"), Some(&settled()));
    // A cost that it could not settle is left for a later scan.
    replayer.ended(at(5), &id("a"), Some(&pending()));
    assert_eq!(replayer.unsettled(), 1);
    let pause = next_scan(&mut replayer, at(5));
    let later = Now {
        mono: at(5).mono + pause,
        ..at(5)
    };
    scan(&mut replayer, later, [record("a")]);
    assert_eq!(started(&mut replayer, later), ["a"]);
}

#[test]
fn what_the_server_asked_to_be_left_alone_is_left_alone_until_then() {
    let mut replayer = replayer();
    let busy = record("a").with_not_before(UnixMillis(WALL + 10_000));
    scan(&mut replayer, at(0), [busy.clone()]);
    assert_eq!(started(&mut replayer, at(0)), [""; 0]);
    assert_eq!(next_scan(&mut replayer, at(0)), Duration::from_secs(10));
    scan(&mut replayer, at(10), [busy]);
    assert_eq!(started(&mut replayer, at(10)), ["a"]);
}

#[test]
fn a_pause_is_an_hour_at_most_also_when_the_clock_that_it_was_written_by_has_gone_back() {
    let mut replayer = replayer();
    let stuck = |floor_ms: u64| record("a").with_not_before(UnixMillis(WALL + floor_ms));
    let day_ms = 86_400_000;
    let mut now = at(0);
    scan(&mut replayer, now, [stuck(day_ms)]);
    while now.mono < Duration::from_secs(3_600) {
        now.mono += next_scan(&mut replayer, now);
        scan(&mut replayer, now, [stuck(day_ms)]);
    }
    assert_eq!(now.mono, Duration::from_secs(3_600));
    let Replay::Settle(_, mut reservation) = replayer.poll(now) else {
        panic!()
    };
    assert!(
        matches!(reservation.poll(now), crate::step::Step::Send(_)),
        "and then at once"
    );
}

#[test]
fn who_has_the_time_waits_until_a_pause_is_over_but_not_for_another_try() {
    let mut replayer = replayer();
    let paused = record("a").with_not_before(UnixMillis(WALL + 20_000));
    scan(&mut replayer, at(0), [paused.clone()]);
    assert!(replayer.is_quiet(at(0), at(19).mono), "over too late");
    assert!(!replayer.is_quiet(at(0), at(20).mono));
    scan(&mut replayer, at(20), [paused]);
    assert_eq!(started(&mut replayer, at(20)), ["a"]);
    replayer.handle_ended(at(21), &id("a"), Some(&Outcome::Settled(pending())));
    assert!(
        replayer.is_quiet(at(21), Duration::MAX),
        "tried, and left for later"
    );
}

#[test]
fn another_pause_for_the_same_record_is_kept() {
    let mut replayer = replayer();
    let paused = |ms| record("a").with_not_before(UnixMillis(WALL + ms));
    scan(&mut replayer, at(0), [paused(20_000)]);
    let now = at(20);
    scan(&mut replayer, now, [paused(50_000)]);
    assert!(started(&mut replayer, now).is_empty());
    assert_eq!(next_scan(&mut replayer, now), Duration::from_secs(30));
}

#[test]
fn once_the_server_can_be_reached_again_what_is_left_is_tried_at_once() {
    let mut replayer = replayer();
    scan(&mut replayer, at(0), [record("a")]);
    started(&mut replayer, at(0));
    replayer.observe(at(1), Some(&out_of_reach()));
    replayer.handle_ended(at(1), &id("a"), Some(&Outcome::Settled(pending())));
    replayer.observe(at(2), Some(&out_of_reach()));
    assert!(next_scan(&mut replayer, at(2)) > Duration::ZERO);
    replayer.observe(at(3), None);
    scan(&mut replayer, at(3), []);
    // The server was reachable all the time, and nothing is left, so there is no reason to scan.
    replayer.observe(at(4), None);
    replayer.observe(at(5), Some(&out_of_reach()));
    replayer.observe(at(6), None);
    assert!(matches!(replayer.poll(at(6)), Replay::Wait(None)));
}

#[test]
fn once_the_key_is_taken_again_what_is_left_is_tried_at_once() {
    let is_tried_after = |error: Error| {
        let mut replayer = replayer();
        scan(&mut replayer, at(0), [record("a")]);
        started(&mut replayer, at(0));
        replayer.observe(at(1), Some(&error));
        replayer.handle_ended(at(1), &id("a"), Some(&Outcome::Settled(pending())));
        replayer.observe(at(2), None);
        matches!(replayer.poll(at(2)), Replay::Scan { .. })
    };
    assert!(is_tried_after(refused(401, "UNAUTHORIZED")));
    // A key that may reserve but not commit was never out of reach.
    assert!(!is_tried_after(refused(403, "FORBIDDEN")));
}

#[test]
fn a_scan_that_was_not_asked_for_and_an_end_that_is_not_known_change_nothing() {
    let mut replayer = replayer();
    let ticket = asks_to_scan(&mut replayer, at(0));
    assert!(
        matches!(replayer.poll(at(0)), Replay::Wait(None)),
        "one scan at a time"
    );
    replayer.handle_scanned(at(0), Ticket(99), [record("x")]);
    assert_eq!(replayer.unsettled(), 0);
    replayer.handle_scanned(at(0), ticket, [record("a"), record("a")]);
    assert_eq!(
        started(&mut replayer, at(0)),
        ["a"],
        "one reservation for a reservation"
    );
    replayer.handle_scanned(at(0), ticket, [record("b")]);
    replayer.handle_ended(at(0), &id("b"), Some(&settled()));
    assert_eq!(replayer.unsettled(), 1);
}

#[test]
fn two_costs_of_a_reservation_are_two_whatever_becomes_of_one() {
    let two = || ["K1", "K2"].map(|key| record_with_key("a", key));
    let key = |key: &str| record_with_key("a", key).id().clone();
    let mut replayer = replayer();
    scan(&mut replayer, at(0), two());
    assert_eq!(started(&mut replayer, at(0)), ["a", "a"]);
    replayer.handle_ended(at(1), &key("K1"), Some(&settled()));
    assert_eq!(replayer.unsettled(), 1);
    replayer.handle_ended(at(1), &key("K2"), Some(&Outcome::Settled(pending())));
    assert_eq!(replayer.unsettled(), 1);

    // One of them is settled by its own reservation while the journal is read, and the other is left.
    replayer.live(key("K1"));
    replayer.wake(at(2));
    let ticket = asks_to_scan(&mut replayer, at(2));
    replayer.ended(
        at(2),
        &key("K1"),
        Some(&Receipt::Committed(Charged::new(None, ActualSource::Action))),
    );
    replayer.handle_scanned(at(3), ticket, two());
    let Replay::Settle(id, _) = replayer.poll(at(3)) else {
        panic!("nothing to settle")
    };
    assert_eq!(id, key("K2"));
    assert!(matches!(replayer.poll(at(3)), Replay::Wait(_)));

    // The pause of one record holds up only that record.
    replayer.handle_ended(at(4), &key("K2"), None);
    replayer.wake(at(4));
    let [first, second] = two();
    let paused = first.with_not_before(at(100).wall);
    scan(&mut replayer, at(4), [paused, second]);
    let Replay::Settle(id, _) = replayer.poll(at(4)) else {
        panic!("nothing to settle")
    };
    assert_eq!(id, key("K2"));
    assert!(matches!(replayer.poll(at(4)), Replay::Wait(_)));
}

#[test]
fn a_wake_waits_for_what_is_on_its_way() {
    let mut replayer = replayer();
    scan(&mut replayer, at(0), [record("a")]);
    started(&mut replayer, at(0));
    replayer.wake(at(1));
    assert!(matches!(replayer.poll(at(1)), Replay::Wait(None)));
    replayer.handle_ended(at(2), &id("a"), None);
    assert!(!replayer.is_quiet(at(2), Duration::ZERO), "a scan is due");
    scan(&mut replayer, at(2), []);
}

#[test]
fn a_record_that_is_being_settled_is_not_taken_for_a_reservation_that_lives_here() {
    let mut replayer = replayer();
    scan(&mut replayer, at(0), [record("a")]);
    assert_eq!(started(&mut replayer, at(0)), ["a"]);
    // The reservation writes its record once more, with a pause, and gives up.
    replayer.live(id("a"));
    replayer.ended(at(1), &id("a"), Some(&pending()));
    replayer.handle_ended(at(1), &id("a"), Some(&Outcome::Settled(pending())));
    assert_eq!(replayer.unsettled(), 1);
}

#[test]
fn a_journal_that_cannot_be_read_is_read_again_and_nothing_is_certain_until_then() {
    let mut replayer = replayer();
    assert!(!replayer.is_complete(at(0)));
    let ticket = asks_to_scan(&mut replayer, at(0));
    replayer.handle_unreadable(at(0), ticket);
    assert!(replayer.is_quiet(at(0), Duration::ZERO) && !replayer.is_complete(at(0)));
    let next = next_scan(&mut replayer, at(0));
    let now = Now { mono: next, ..at(0) };
    scan(&mut replayer, now, []);
    assert!(replayer.is_complete(now));
}

#[test]
fn a_wake_while_the_journal_is_read_has_it_read_again() {
    let mut replayer = replayer();
    let ticket = asks_to_scan(&mut replayer, at(0));
    replayer.wake(at(1));
    replayer.handle_scanned(at(2), ticket, []);
    assert!(!replayer.is_quiet(at(2), Duration::ZERO) && !replayer.is_complete(at(2)));
    scan(&mut replayer, at(2), []);
    assert!(replayer.is_complete(at(2)));
}

#[test]
fn what_a_life_settled_while_the_journal_was_read_is_not_settled_once_more() {
    let mut replayer = replayer();
    let ticket = asks_to_scan(&mut replayer, at(0));
    for name in ["settled", "left", "living"] {
        replayer.live(id(name));
    }
    replayer.ended(
        at(1),
        &id("settled"),
        Some(&Receipt::Committed(Charged::new(None, ActualSource::Action))),
    );
    replayer.ended(at(1), &id("left"), Some(&pending()));
    replayer.handle_scanned(at(2), ticket, ["settled", "left", "living", "old"].map(record));
    // While these are being settled, the reservation of this process ends well.
    replayer.ended(
        at(2),
        &id("living"),
        Some(&Receipt::Committed(Charged::new(None, ActualSource::Action))),
    );
    assert_eq!(started(&mut replayer, at(2)), ["left", "old"]);
    // The record may have been written after the directory was read, so the journal is read again.
    replayer.handle_ended(at(3), &id("left"), Some(&settled()));
    replayer.handle_ended(at(3), &id("old"), Some(&settled()));
    scan(&mut replayer, at(3), [record("settled")]);
    assert_eq!(started(&mut replayer, at(3)), ["settled"]);
}

#[test]
fn what_is_left_while_the_journal_is_read_is_tried_by_the_next_scan() {
    let mut replayer = replayer();
    replayer.live(id("b"));
    let ticket = asks_to_scan(&mut replayer, at(0));
    // Its record was written after the files were listed.
    replayer.ended(at(1), &id("b"), Some(&pending()));
    replayer.handle_scanned(at(2), ticket, [record("a")]);
    assert_eq!(started(&mut replayer, at(2)), ["a"]);
    replayer.handle_ended(at(3), &id("a"), Some(&settled()));
    scan(&mut replayer, at(3), [record("b")]);
    assert_eq!(started(&mut replayer, at(3)), ["b"]);
}

#[test]
fn what_is_too_old_is_sent_once_when_it_is_forced_and_what_stays_is_known() {
    let mut replayer = replayer();
    scan(&mut replayer, at(0), []);
    replayer.force(at(1));
    let Replay::Scan {
        ticket,
        with_stale: true,
    } = replayer.poll(at(1))
    else {
        panic!("no scan of what is set aside")
    };
    let old = |id: &str| {
        let event = record(id).into_event().unwrap().to_json();
        let long_ago = (WALL - 7 * 86_400_000).to_string();
        JournalRecord::parse(event.replace(&WALL.to_string(), &long_ago).as_bytes()).unwrap()
    };
    // The last cost has two records, one of them set aside.
    let records = [record("b"), old("a"), old("b")];
    replayer.handle_scanned(at(1), ticket, records);
    let mut sent = Vec::new();
    while let Replay::Settle(id, mut reservation) = replayer.poll(at(1)) {
        assert!(
            matches!(reservation.poll(at(1)), crate::step::Step::Send(_)),
            "{id}"
        );
        sent.push(id.reservation.to_string());
    }
    assert_eq!(sent, ["b", "a"]);
    replayer.handle_ended(at(2), &id("b"), Some(&settled()));
    replayer.handle_ended(at(2), &id("a"), Some(&Outcome::Settled(Receipt::Stale)));
    assert_eq!(replayer.unsettled(), 1);
    assert!(replayer.is_complete(at(2)));
    replayer.wake(at(3));
    let Replay::Scan {
        ticket,
        with_stale: false,
    } = replayer.poll(at(3))
    else {
        panic!("once is once")
    };
    replayer.handle_scanned(at(3), ticket, [old("c")]);
    let Replay::Settle(_, mut reservation) = replayer.poll(at(3)) else {
        panic!()
    };
    assert!(
        matches!(reservation.poll(at(3)), crate::step::Step::Store(..)),
        "set aside"
    );
    replayer.handle_ended(at(3), &id("c"), Some(&Outcome::Settled(Receipt::Stale)));
    assert_eq!(replayer.unsettled(), 0);
}

#[test]
fn a_record_of_another_server_is_left_alone() {
    let mut replayer = replayer();
    let foreign = record("b")
        .to_json()
        .replace("\"http://h\"", "\"http://elsewhere\"");
    let foreign = JournalRecord::parse(foreign.as_bytes()).unwrap();
    scan(&mut replayer, at(0), [foreign, record("a")]);
    assert_eq!(started(&mut replayer, at(0)), ["a"]);
    assert_eq!(replayer.unsettled(), 1);
}
