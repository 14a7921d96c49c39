//! The scenarios that outlive a process: the cost is on disk, and a new process settles it from there.

use std::fs;
use std::time::{Duration, SystemTime};

use cycles_proto::UnixMillis;
use cycles_proto::record::{JournalRecord, Mode};
use cycles_sandbox::Operation::{CommitReservation, CreateEvent};
use cycles_sandbox::{ApiKey, DEFAULT_API_KEY, DEFAULT_TENANT, KeyStatus};

use super::setup::RecoverySetup;
use crate::{Adapter, Unsettled};

pub fn cr_durable_001_first_commit_is_journaled_before_it_leaves_the_process<A: Adapter>() {
    // Once with a commit that had reached the ledger when the process ended, once with one that had not.
    for has_arrived in [false, true] {
        let setup = RecoverySetup::<A>::new();
        let id = setup.crash_committing(40, has_arrived);
        // journal_write_precedes_first_settlement_request
        let first = &setup.settlements()[0];
        assert_eq!(first.has_arrived, has_arrived);
        let [record] = first.records.as_slice() else {
            panic!("one record is expected: {:?}", first.records)
        };
        assert_eq!((record.reservation_id(), record.mode()), (&id, Mode::Commit));
        assert_eq!(record.body().as_bytes(), first.body, "the bytes that were sent");
        // unresolved_record_survives_restart
        assert_eq!(setup.records().len(), 1);
        setup.flush();

        setup.assert_settlements(&[CommitReservation, CommitReservation]);
        // successful_replay_removes_record
        assert!(setup.files("json").is_empty());
        // settlement_occurs_at_most_once
        setup.assert_charged_once(&id, 40, CommitReservation);
    }
}

pub fn cr_durable_002_replayed_expired_commit_switches_durably_to_event_mode<A: Adapter>() {
    // The second process ends during the exchange of its event, which may or may not have reached the ledger.
    for has_arrived in [false, true] {
        let setup = RecoverySetup::<A>::new();
        let id = setup.crash_committing(40, false);
        setup.sandbox.advance(Duration::from_secs(600));
        if !has_arrived {
            setup.inject("event:lose-request@1");
        }
        let mut second = setup.process();
        let in_flight = setup.hold(CreateEvent);
        second.flush();
        in_flight.wait();
        second.kill();
        drop(in_flight);
        // event_mode_is_persisted_before_event_attempt
        let event = &setup.settlements()[2];
        let modes: Vec<_> = event.records.iter().map(JournalRecord::mode).collect();
        assert_eq!(
            (event.operation, modes.as_slice()),
            (CreateEvent, &[Mode::Event][..])
        );
        let left = setup.records();
        assert_eq!((left.len(), left[0].mode()), (1, Mode::Event), "and survives");
        setup.flush();

        // Once the record is in event mode, no process tries a commit again.
        setup.assert_settlements(&[CommitReservation, CommitReservation, CreateEvent, CreateEvent]);
        // successful_event_removes_record
        assert!(setup.files("json").is_empty());
        // settlement_occurs_at_most_once
        setup.assert_charged_once(&id, 40, CreateEvent);
    }
}

pub fn cr_durable_003_rate_limit_floor_survives_restart<A: Adapter>() {
    // Repeats with a longer pause if the machine is too slow to restart a process within the first pause.
    for pause in [2, 10] {
        let setup = RecoverySetup::<A>::new();
        setup.inject(&format!("commit:429={pause}@1"));
        let mut process = setup.process();
        let id = process.reserve();
        process.commit(40);
        setup.wait_until("the pause is recorded", || floor(&setup).is_some());
        let recorded = UnixMillis::from(SystemTime::now());
        process.kill();
        let floor = floor(&setup).unwrap();
        // The pause is the server's, counted from its answer, neither shorter nor longer.
        let (asked, wait) = (setup.settlements()[0].at, Duration::from_secs(pause));
        let (earliest, latest) = (asked.saturating_add(wait), recorded.saturating_add(wait));
        assert!(
            (earliest..=latest).contains(&floor),
            "{floor:?} is not between {earliest:?} and {latest:?}"
        );
        let mut fresh = setup.process();
        fresh.flush();
        if UnixMillis::from(SystemTime::now()) >= floor {
            continue;
        }
        assert_eq!(fresh.flushed(), Unsettled::NOTHING);

        setup.assert_settlements(&[CommitReservation, CommitReservation]);
        // no_retry_before_persisted_not_before
        let retried = setup.settlements()[1].at;
        assert!(retried >= floor, "{retried:?} is before {floor:?}");
        // successful_replay_removes_record
        assert!(setup.files("json").is_empty());
        setup.assert_charged_once(&id, 40, CommitReservation);
        return;
    }
    panic!("no process started within ten seconds");
}

pub fn cr_durable_004_tenant_journal_survives_api_key_rotation<A: Adapter>() {
    const NEW_KEY: &str = "cyc_live_rotated_0123456789abcdef";
    let setup = RecoverySetup::<A>::new();
    let id = setup.crash_committing(40, false);
    setup.sandbox.with_ledger(|ledger| {
        ledger.add_api_key(ApiKey::new(NEW_KEY, DEFAULT_TENANT));
        ledger
            .set_key_status(DEFAULT_API_KEY, KeyStatus::Revoked)
            .unwrap();
    });
    // old_api_key_is_not_stored
    let journal = setup.journal_text();
    assert!(
        journal.contains(id.as_str()) && !journal.contains(DEFAULT_API_KEY),
        "{journal}"
    );
    // new_tenant_credential_finds_record
    let mut fresh = setup.process_with(NEW_KEY);
    fresh.flush();
    assert_eq!(fresh.flushed(), Unsettled::NOTHING);

    setup.assert_settlements(&[CommitReservation, CommitReservation]);
    let seen = setup.settlements();
    assert_eq!(
        (seen[0].api_key.as_str(), seen[1].api_key.as_str()),
        (DEFAULT_API_KEY, NEW_KEY)
    );
    assert!(setup.files("json").is_empty());
    setup.assert_charged_once(&id, 40, CommitReservation);
}

pub fn cr_durable_005_corrupt_or_unsupported_journal_record_is_quarantined<A: Adapter>() {
    let setup = RecoverySetup::<A>::new();
    let id = setup.crash_committing(40, false);
    let (folder, valid) = (setup.folder(), setup.records()[0].to_json());
    let unsupported = valid.replace("\"version\":1", "\"version\":2");
    let torn = &valid[..valid.len() / 2];
    fs::write(folder.join("v2-newer.json"), &unsupported).unwrap();
    fs::write(folder.join("v2-torn.json"), torn).unwrap();
    let mut fresh = setup.process();
    fresh.flush();
    let left = Unsettled {
        set_aside: 2,
        ..Unsettled::NOTHING
    };
    assert_eq!(fresh.flushed(), left, "they may be costs");

    // corrupt_record_is_quarantined, unsupported_record_version_is_quarantined
    let kept = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(kept("v2-newer.corrupt"), unsupported);
    assert_eq!(kept("v2-torn.corrupt"), torn);
    // other_valid_records_still_replay
    assert!(setup.files("json").is_empty());
    setup.assert_settlements(&[CommitReservation, CommitReservation]);
    setup.assert_charged_once(&id, 40, CommitReservation);
    // corruption_is_reported
    let newer = fresh.wait_for_event(&["RecordUnreadable", "v2-newer"]);
    assert!(newer.contains("version 2"), "{newer}");
    fresh.wait_for_event(&["RecordUnreadable", "v2-torn"]);
}

pub fn cr_durable_006_concurrent_replay_remains_exactly_once<A: Adapter>() {
    one_of_two_workers_replays_while_the_other_waits_for_it::<A>();
    // Repeats with a slower server if the workers did not overlap.
    for wait in [1_000, 4_000] {
        let setup = RecoverySetup::<A>::new();
        let id = setup.crash_committing(40, false);
        setup.take_away_locks();
        let mut workers = [setup.process(), setup.process()];
        setup.inject(&format!("commit:delay={wait}ms"));
        for worker in &mut workers {
            worker.flush();
        }
        for worker in &mut workers {
            assert_eq!(worker.flushed(), Unsettled::NOTHING);
        }
        // Each request arrived at least `wait` before it was served, so the second arrived before the first was
        // answered.
        let served: Vec<_> = setup.settlements()[1..].iter().map(|seen| seen.at).collect();
        let &[first, second] = served.as_slice() else {
            continue;
        };
        if second.saturating_since(first) >= Duration::from_millis(wait) {
            continue;
        }
        setup.assert_settlements(&[CommitReservation; 3]);
        // settlement_occurs_at_most_once
        setup.assert_charged_once(&id, 40, CommitReservation);
        // terminal_record_is_removed
        assert!(setup.files("json").is_empty());
        return;
    }
    panic!("two workers never replay at the same time");
}

fn one_of_two_workers_replays_while_the_other_waits_for_it<A: Adapter>() {
    let setup = RecoverySetup::<A>::new();
    let id = setup.crash_committing(40, false);
    let mut workers = [setup.process(), setup.process()];
    setup.inject("commit:delay=500ms");
    for worker in &mut workers {
        worker.flush();
    }
    for worker in &mut workers {
        assert_eq!(worker.flushed(), Unsettled::NOTHING);
    }
    setup.assert_settlements(&[CommitReservation; 2]);
    setup.assert_charged_once(&id, 40, CommitReservation);
    assert!(setup.files("json").is_empty());
}

/// The earliest time of the next attempt according to the record, if it has one.
fn floor<A: Adapter>(setup: &RecoverySetup<A>) -> Option<UnixMillis> {
    setup.records().first()?.not_before(SystemTime::now().into())
}
