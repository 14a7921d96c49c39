//! The scenarios of the SDK recovery profile 0.3, by their ids, in virtual time: the order of their requests and all of
//! their assertions.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Event;
use cycles_proto::models::{Amount, CommitRequest, JsonObject, ReservationCreateRequest, ReservationId};
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::outcome::Stop;
use cycles_proto::record::{InvalidRecord, Mode, Partition, file_name, legacy_file_name};
use cycles_proto::{CyclesConfig, Receipt, UnixMillis};
use cycles_proto::{InvalidCommit, Outcome};
use cycles_sandbox::Operation::{
    CommitReservation, CreateEvent, CreateReservation, ExtendReservation, ReleaseReservation,
};
use cycles_sandbox::{ApiKey, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, KeyStatus, Unit};
use cycles_world::{Journal, Remains, World};
use serde_json::{Value, from_value, json};

use crate::story::{IDS, Story, floor, is_switch, mode, name_of, reason, record_of};

#[test]
fn cr_core_001_lost_commit_response_reuses_the_same_key() {
    let mut story = Story::with_faults(&["commit:lose-response@1"]);
    story.commit(40);
    story.finish();

    assert_eq!(story.settlements(), [CommitReservation, CommitReservation]);
    // settlement_occurs_at_most_once
    assert_eq!(story.charges(), [(CommitReservation, 40)]);
    // retry_uses_original_idempotency_key
    assert_eq!(story.keys().len(), 1);
    assert_eq!(story.bodies(CommitReservation).len(), 1, "and the same bytes");
}

#[test]
fn cr_core_002_expired_commit_falls_back_to_an_event() {
    let subject = json!({
        "tenant": DEFAULT_TENANT,
        "workspace": "Research",
        "app": "desk",
        "workflow": "triage",
        "agent": "reader",
        "toolset": "search",
        "dimensions": {"run": "Run 7", "team": "\u{e9}quipe"},
    });
    let action = json!({"kind": "llm.completion", "name": "gpt-4o", "tags": ["nightly", "a b"]});
    let metrics = json!({
        "tokens_input": 30,
        "tokens_output": 10,
        "latency_ms": 1_234,
        "model_version": "2026-01",
        "custom": {"cache": {"hits": 3}},
    });
    let mut metadata = json!({"order": "A-1", "lines": [1, 2.5, null]});
    let request = ReservationCreateRequest::builder()
        .subject(from_value(subject.clone()).unwrap())
        .action(from_value(action.clone()).unwrap())
        .estimate(Amount::tokens(100))
        .build();
    let cost = CommitRequest::builder()
        .actual(Amount::tokens(40))
        .metrics(from_value(metrics.clone()).unwrap())
        .metadata(from_value::<JsonObject>(metadata.clone()).unwrap())
        .build();
    let mut story = Story::of(request, &[]);
    story.outlive_the_lease();
    story.world.commit(story.job, cost).unwrap();
    story.finish();

    assert_eq!(story.settlements(), [CommitReservation, CreateEvent]);
    assert_eq!(story.keys().len(), 1);
    // event_carries_original_subject_action_actual, and whatever else the commit had
    let event: Value = serde_json::from_slice(&story.bodies(CreateEvent)[0]).unwrap();
    metadata["recovered_reservation_id"] = story.reservation().as_str().into();
    metadata["recovery_reason"] = "commit_after_reservation_expired".into();
    assert_eq!(
        event,
        json!({
            "idempotency_key": story.keys().first(),
            "subject": subject,
            "action": action,
            "actual": {"unit": "TOKENS", "amount": 40},
            "metrics": metrics,
            "metadata": metadata,
        })
    );
    // settlement_occurs_at_most_once
    assert_eq!(story.charges(), [(CreateEvent, 40)]);
    assert!(matches!(
        story.job().outcome(),
        Some(Outcome::Settled(Receipt::RecoveredViaEvent(_)))
    ));
}

#[test]
fn cr_core_003_heartbeat_transport_failure_is_observable_and_non_fatal() {
    let mut story = Story::with_faults(&["extend:reset-request@1"]);
    story.world.run_for(Duration::from_secs(70)).unwrap();
    // guarded_action_continues_under_warn_policy
    assert!(story.world.is_held(story.job));
    story.commit(40);
    story.finish();

    let requests = story.job().operations();
    assert_eq!(
        requests,
        [
            CreateReservation,
            ExtendReservation,
            ExtendReservation,
            CommitReservation
        ]
    );
    let extends: Vec<_> = story
        .requests(ExtendReservation)
        .map(|sent| (&sent.key, &sent.body))
        .collect();
    assert_eq!(extends[0], extends[1], "the same key");
    // heartbeat_failure_reports_reservation_and_disposition
    let mut events = story.job().events.iter();
    let failed = events.find_map(|reported| {
        let Event::BeatFailed {
            reservation_id,
            retry_in,
            ..
        } = &reported.event
        else {
            return None;
        };
        Some((reservation_id, *retry_in))
    });
    let (reservation, retry_in) = failed.expect("the failure is reported");
    assert_eq!(reservation, story.reservation());
    assert!(retry_in > Duration::ZERO);
    // final_settlement_is_attempted
    assert_eq!(story.charges(), [(CommitReservation, 40)]);

    // The same with a heartbeat that stops.
    let mut story = Story::with_faults(&["extend:400"]);
    story.world.run_for(Duration::from_secs(59)).unwrap();
    assert!(story.world.is_held(story.job));
    let id = story.reservation();
    assert!(story.has_event(|event| matches!(
        event,
        Event::HeartbeatStopped { reservation_id, reason: Stop::Refused, error: Some(_), .. } if reservation_id == id
    )));
    story.commit(40);
    story.finish();
    assert_eq!(
        story.job().operations(),
        [CreateReservation, ExtendReservation, CommitReservation]
    );
    assert_eq!(story.charges(), [(CommitReservation, 40)]);
}

#[test]
fn cr_core_004_protocol_invalid_settlement_success_remains_ambiguous() {
    for fault in [
        "commit:after=201@1",
        "commit:after=202@1",
        "commit:after=503@1",
        "commit:garbage@1",
        "commit:trailed@1",
        "commit:saying=ACTIVE@1",
        "commit:saying=RELEASED@1",
        "commit:without=status@1",
        "commit:without=charged@1",
    ] {
        let mut story = Story::with_faults(&[fault]);
        story.commit(40);
        story.finish();
        story.assert_settled_at_the_second_attempt(fault, &[CommitReservation; 2]);
        assert!(matches!(
            story.job().outcome(),
            Some(Outcome::Settled(Receipt::Committed(done))) if done.response.is_some()
        ));
    }
    for fault in [
        "event:after=200@1",
        "event:after=202@1",
        "event:garbage@1",
        "event:trailed@1",
        "event:saying=PENDING@1",
        "event:without=status@1",
        "event:without=event_id@1",
    ] {
        let mut story = Story::with_faults(&[fault]);
        story.outlive_the_lease();
        story.commit(40);
        story.finish();
        story.assert_settled_at_the_second_attempt(fault, &[CommitReservation, CreateEvent, CreateEvent]);
        assert!(matches!(
            story.job().outcome(),
            Some(Outcome::Settled(Receipt::RecoveredViaEvent(_)))
        ));
    }
}

#[test]
fn cr_durable_001_first_commit_is_journaled_before_it_leaves_the_process() {
    let mut story = Story::with_faults(&["commit:delay=60s@1"]);
    story.commit(40);
    let sends = |world: &World, job| world.job(job).operations().contains(&CommitReservation);
    let job = story.job;
    story.world.run_until(|world| sends(world, job)).unwrap();
    // journal_write_precedes_first_settlement_request: a world in which a send precedes its store fails; and the record
    // is in the journal now.
    assert_eq!(story.world.journal().pending(), [file_name(story.reservation())]);
    story.world.crash(story.process);
    story.world.run_for(Duration::from_secs(600)).unwrap();
    // unresolved_record_survives_restart
    assert_eq!(story.world.journal().pending().len(), 1);
    story.world.restart(story.process);
    story.finish();

    assert_eq!(story.settlements(), [CommitReservation, CommitReservation]);
    assert_eq!(
        (story.keys().len(), story.bodies(CommitReservation).len()),
        (1, 1)
    );
    // successful_replay_removes_record
    assert_eq!(story.world.journal().files().count(), 0);
    // settlement_occurs_at_most_once
    assert_eq!(story.charges(), [(CommitReservation, 40)]);
}

#[test]
fn cr_durable_002_replayed_expired_commit_switches_durably_to_event_mode() {
    let mut story = Story::new();
    story.crash_with_commit_in_the_journal(40);
    story.world.run_for(Duration::from_secs(600)).unwrap();
    let second = story.world.restart(story.process);
    let job = story.job;
    let switches = |world: &World| {
        world
            .job(job)
            .events
            .iter()
            .any(|reported| is_switch(&reported.event))
    };
    assert!(story.world.run_until(switches).unwrap());
    story.world.crash_leaving(second, Remains::All);
    // event_mode_is_persisted_before_event_attempt
    assert_eq!(story.settlements(), [CommitReservation]);
    assert_eq!(
        story
            .world
            .journal()
            .files()
            .map(|(.., bytes)| mode(bytes))
            .collect::<Vec<_>>(),
        [Some(Mode::Event)]
    );
    let third = story.world.restart(second);
    story.finish();

    assert_eq!(story.settlements(), [CommitReservation, CreateEvent]);
    assert_eq!(story.requests(CreateEvent).next().unwrap().process, third);
    assert_eq!(story.keys().len(), 1);
    // successful_event_removes_record
    assert_eq!(story.world.journal().files().count(), 0);
    // settlement_occurs_at_most_once
    assert_eq!(story.charges(), [(CreateEvent, 40)]);
}

#[test]
fn cr_durable_003_rate_limit_floor_survives_restart() {
    let mut story = Story::with_faults(&["commit:429=120@1"]);
    story.commit(40);
    let has_floor = |world: &World| world.journal().files().any(|(.., bytes)| floor(bytes).is_some());
    assert!(story.world.run_until(has_floor).unwrap());
    let throttled = story.world.now();
    story.world.crash(story.process);
    story.world.run_for(Duration::from_secs(10)).unwrap();
    story.world.restart(story.process);
    story.finish();

    assert_eq!(story.settlements()[..2], [CommitReservation, CommitReservation]);
    assert_eq!(story.keys().len(), 1);
    // no_retry_before_persisted_not_before
    let retried = story.requests(CommitReservation).nth(1).unwrap().at;
    assert!(
        retried >= throttled + Duration::from_secs(119),
        "{throttled:?} to {retried:?}"
    );
    // successful_replay_removes_record
    assert_eq!(story.world.journal().files().count(), 0);
    assert_eq!(story.charges().len(), 1);
}

#[test]
fn cr_durable_004_tenant_journal_survives_api_key_rotation() {
    const NEW_KEY: &str = "cyc_live_rotated_0123456789abcdef";
    let mut story = Story::new();
    story.crash_with_commit_in_the_journal(40);
    let ledger = story.world.ledger_mut();
    ledger.add_api_key(ApiKey::new(NEW_KEY, DEFAULT_TENANT));
    ledger
        .set_key_status(DEFAULT_API_KEY, KeyStatus::Revoked)
        .unwrap();
    let rotated = CyclesConfig::builder(NEW_KEY, World::config().base_url.clone())
        .tenant(DEFAULT_TENANT)
        .build()
        .unwrap();
    // new_tenant_credential_finds_record
    let (before, after) = (Partition::of(&World::config()), Partition::of(&rotated));
    assert!(
        before == after,
        "the tenant names the partition, and the address salts it"
    );
    assert_eq!(
        (before.password.as_str(), Partition::ROUNDS),
        ("tenant\nacme-corp", 30_000)
    );
    assert_eq!(
        before.salt,
        format!("runcycles-commit-journal\n{}", rotated.base_url)
    );
    // old_api_key_is_not_stored
    for (directory, name, bytes) in story.world.journal().files() {
        let text = format!("{directory}/{name}: {}", String::from_utf8_lossy(bytes));
        assert!(!text.contains(DEFAULT_API_KEY), "{text}");
    }
    let fresh = story.world.start_process_with(rotated);
    story.world.run_for(Duration::from_secs(5)).unwrap();

    assert_eq!(story.settlements(), [CommitReservation]);
    assert_eq!(story.requests(CommitReservation).next().unwrap().process, fresh);
    assert_eq!(story.charges(), [(CommitReservation, 40)]);
    assert_eq!(story.world.journal().files().count(), 0);
}

#[test]
fn cr_durable_005_corrupt_or_unsupported_journal_record_is_quarantined() {
    let mut story = Story::new();
    story.crash_with_commit_in_the_journal(40);
    let directory = Journal::directory(&World::config());
    let valid = story.world.journal().files().next().unwrap().2.clone();
    let unsupported = String::from_utf8_lossy(&valid).replace("\"version\":1", "\"version\":2");
    let journal = story.world.journal_mut();
    journal.put_file(&directory, "v2-torn.json", valid.slice(..valid.len() / 2));
    journal.put_file(&directory, "v2-newer.json", unsupported);
    story.world.restart(story.process);
    story.finish();

    let names: Vec<_> = story.world.journal().files().map(|(_, name, _)| name).collect();
    // corrupt_record_is_quarantined, unsupported_record_version_is_quarantined
    assert_eq!(names, ["v2-newer.corrupt", "v2-torn.corrupt"]);
    // other_valid_records_still_replay
    assert_eq!(story.charges(), [(CommitReservation, 40)]);
    // corruption_is_reported
    let reports = story.world.journal().quarantined().iter();
    let reports: Vec<_> = reports
        .map(|file| (file.name.as_str(), file.problem.clone()))
        .collect();
    assert_eq!(reports[0], ("v2-newer.json", InvalidRecord::Version("2".into())));
    assert!(matches!(
        reports[1],
        ("v2-torn.json", InvalidRecord::Truncated(_))
    ));
}

#[test]
fn cr_durable_006_concurrent_replay_remains_exactly_once() {
    let mut story = Story::new();
    story.crash_with_commit_in_the_journal(40);
    let workers = [(); 2].map(|()| story.world.restart(story.process));
    let sent: Vec<_> = story
        .requests(CommitReservation)
        .map(|sent| (sent.process, sent.at))
        .collect();
    assert_eq!(
        sent,
        workers.map(|worker| (worker, story.world.now())),
        "both before either is answered"
    );
    story.finish();

    assert_eq!(story.settlements(), [CommitReservation, CommitReservation]);
    assert_eq!(
        (story.keys().len(), story.bodies(CommitReservation).len()),
        (1, 1)
    );
    // settlement_occurs_at_most_once
    assert_eq!(story.charges(), [(CommitReservation, 40)]);
    // terminal_record_is_removed
    assert_eq!(story.world.journal().files().count(), 0);
}

#[test]
fn cr_durable_007_journal_filenames_preserve_distinct_arbitrary_reservation_identifiers() {
    let directory = Journal::directory(&World::config());
    let mut world = World::new(1);
    let mut names = BTreeSet::new();
    for (place, id) in IDS.into_iter().enumerate() {
        // standard_filename_is_sha256_of_exact_utf8_identifier
        let name = name_of(id);
        assert_eq!(file_name(&id.into()), name, "{id:?}");
        let event = record_of(&id.into(), world.server_time(), 1 << place).into_event();
        world
            .journal_mut()
            .put_file(&directory, &name, event.unwrap().to_json());
        // distinct_identifiers_never_share_a_journal_file
        assert!(names.insert(name), "{id:?}");
    }
    world.start_process();
    world.run_for(Duration::from_secs(60)).unwrap();
    world.finish().unwrap();
    assert_eq!(world.journal().files().count(), 0);
    // Each costs a different power of two, so that the sum shows which of them were charged.
    let budget = world.ledger().budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap();
    assert_eq!(
        (world.ledger().events_applied(), budget.spent),
        (IDS.len() as u64, (1 << IDS.len()) - 1)
    );

    // matching_legacy_record_migrates_without_deleting_collision
    let [slash, line] = &["rsv/a", "rsv_a"].map(ReservationId::from);
    let legacy = legacy_file_name(slash);
    assert_eq!(legacy, legacy_file_name(line), "they collide under the old names");
    let mut world = World::new(1);
    // Paused, so that nothing is sent.
    let paused = |id: &ReservationId| {
        record_of(id, World::new(1).server_time(), 5)
            .with_not_before(UnixMillis(u64::MAX))
            .to_json()
    };
    world.journal_mut().put_file(&directory, &legacy, paused(slash));
    world
        .journal_mut()
        .put_file(&directory, &file_name(line), paused(line));
    world.start_process();
    let files: Vec<_> = world
        .journal()
        .files()
        .map(|(_, name, bytes)| (name.to_owned(), bytes.clone()))
        .collect();
    let mut expected = [(file_name(slash), paused(slash)), (file_name(line), paused(line))];
    expected.sort();
    assert_eq!(files, expected.map(|(name, json)| (name, Bytes::from(json))));
    assert_eq!(world.jobs().map(|(_, job)| job.requests.len()).sum::<usize>(), 0);
}

#[test]
fn cr_boundary_001_missing_actual_is_surfaced_without_settlement() {
    // The caller goes away, fails, or hands over a cost that is not valid for this reservation.
    let endings: [fn(&mut Story); 4] = [
        |story| story.world.abandon(story.job),
        |story| story.world.release(story.job, ReleaseReason::ACTION_FAILED),
        |story| {
            let wrong = CommitRequest::builder().actual(Amount::credits(40)).build();
            let refused = story.world.commit(story.job, wrong);
            // missing_actual_or_guarded_action_failure_is_surfaced
            assert!(
                matches!(refused, Err(InvalidCommit::WrongUnit { .. })),
                "{refused:?}"
            );
            story.world.abandon(story.job);
        },
        |story| {
            story.world.crash(story.process);
            story.world.restart(story.process);
        },
    ];
    for (index, end) in endings.into_iter().enumerate() {
        let mut story = Story::new();
        end(&mut story);
        story.finish();
        // no_commit_or_event_without_known_actual
        assert_eq!(story.settlements(), [], "{index}");
        assert_eq!(
            (story.charges(), story.world.journal().files().count()),
            (vec![], 0)
        );
        // missing_actual_or_guarded_action_failure_is_surfaced
        let is_reported = matches!(story.job().outcome(), Some(Outcome::Released(_)));
        assert_eq!(is_reported, index < 3, "a process that crashed reports nothing");
        // The ledger or the observer gets the reason.
        let reasons: Vec<_> = story.requests(ReleaseReservation).map(reason).collect();
        let expected: [&[&str]; 4] = [&["abandoned"], &["action_failed"], &[], &[]];
        assert_eq!(reasons, expected[index]);
        assert_eq!(
            story.has_event(|event| matches!(event, Event::CostNotTaken { .. })),
            index == 2
        );
    }
}
