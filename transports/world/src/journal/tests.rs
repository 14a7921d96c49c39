use cycles_proto::UnixMillis;
use std::sync::Arc;

use cycles_proto::journal::Aside;
use cycles_proto::journal::record::{Purpose, legacy_file_name, waiting_file_name};
use cycles_proto::models::{Action, Amount, CommitRequest, ReservationId, Subject};

use super::*;
use crate::World;

fn fresh() -> (Journal, Client) {
    (Journal::default(), Client::new(&World::config(), 0))
}

fn record(id: &str) -> JournalRecord {
    record_with_key(id, "key")
}

fn record_with_key(id: &str, key: &str) -> JournalRecord {
    let commit = CommitRequest::builder().actual(Amount::tokens(1)).build();
    let purpose = Purpose {
        subject: Subject::tenant("acme"),
        action: Action::new("k", "n"),
    };
    let config = World::config();
    JournalRecord::new(
        &config.base_url,
        &id.into(),
        &Arc::new(purpose),
        key.into(),
        commit,
        UnixMillis(0),
    )
    .unwrap()
}

#[test]
fn what_is_settled_takes_its_old_file_with_it_and_nobody_elses() {
    let [slash, line] = ["rsv/a", "rsv_a"].map(ReservationId::from);
    let (mut journal, mut client) = fresh();
    journal.put_file(
        &client.directory,
        &legacy_file_name(&slash),
        record("rsv/a").to_json(),
    );
    journal
        .apply(&mut client, &JournalWrite::Put(record("rsv_a")))
        .unwrap();
    journal
        .apply(&mut client, &JournalWrite::Remove(record(line.as_str())))
        .unwrap();
    assert_eq!(
        journal.pending(),
        ["rsv_a.json"],
        "the old file belongs to the other one"
    );
    journal
        .apply(&mut client, &JournalWrite::Remove(record(slash.as_str())))
        .unwrap();
    assert_eq!(journal.files().count(), 0);
}

#[test]
fn a_change_of_one_cost_leaves_another_of_the_same_reservation_alone() {
    let [first, second] = ["K1", "K2"].map(|key| record_with_key("r", key));
    let put = |record: &JournalRecord| JournalWrite::Put(record.clone());
    let keys = |journal: &mut Journal, client: &mut Client| -> Vec<String> {
        let records = journal.scan(client).records;
        records
            .iter()
            .map(|record| record.id().key.as_str().to_owned())
            .collect()
    };
    let (mut journal, mut client) = fresh();
    for record in [&first, &second, &second, &first] {
        journal.apply(&mut client, &put(record)).unwrap();
    }
    assert_eq!(keys(&mut journal, &mut client), ["K1", "K2"]);
    assert!(
        journal
            .files()
            .any(|(_, name, _)| name == waiting_file_name(second.id()))
    );
    journal
        .apply(&mut client, &JournalWrite::Remove(first.clone()))
        .unwrap();
    assert_eq!(keys(&mut journal, &mut client), ["K2"]);
    assert_eq!(
        journal.pending(),
        [file_name(&"r".into())],
        "and has the name by now"
    );
    for record in [&second, &first] {
        let aside = JournalWrite::SetAside(record.clone(), Aside::Rejected);
        journal.apply(&mut client, &aside).unwrap();
    }
    let rejected = journal.files().filter(|(_, name, _)| name.ends_with(".rejected"));
    assert_eq!(rejected.count(), 2);
    assert!(journal.is_quiet());
}

#[test]
fn a_torn_write_leaves_the_record_that_was_there() {
    let (mut journal, mut client) = fresh();
    let put = JournalWrite::Put(record("r"));
    journal.apply(&mut client, &put).unwrap();
    journal.crash_during(&client, &put, Remains::Torn, 7);
    assert_eq!(journal.scan(&mut client).records.len(), 1);
    assert!(journal.quarantined().is_empty());
    let (mut journal, mut client) = fresh();
    journal.crash_during(&client, &put, Remains::Torn, 7);
    assert!(journal.scan(&mut client).records.is_empty());
    assert_eq!(journal.quarantined().len(), 1);
    assert!(journal.files().all(|(_, name, _)| name.ends_with(".corrupt")));
}

#[test]
fn a_crash_between_two_operations_leaves_the_old_record_or_the_new_one_to_the_next_process() {
    let old = record("r");
    let new = old.clone().into_event().unwrap();
    for operations in 0..12 {
        let (mut journal, mut client) = fresh();
        journal
            .apply(&mut client, &JournalWrite::Put(old.clone()))
            .unwrap();
        let put = JournalWrite::Put(new.clone());
        journal.crash_during(&client, &put, Remains::After(operations), 7);
        journal.end(&client);
        let mut next = Client::new(&World::config(), 1);
        let found = journal.scan(&mut next).records;
        let found: Vec<_> = found.iter().map(JournalRecord::to_json).collect();
        assert!(
            found == [old.to_json()] || found == [new.to_json()],
            "{operations}: {found:?}"
        );
        assert_eq!(
            journal.pending(),
            [file_name(old.reservation_id())],
            "{operations}"
        );
    }
}

#[test]
fn a_journal_that_fails_writes_nothing_and_one_that_lies_writes_all() {
    let (mut journal, mut client) = fresh();
    let put = JournalWrite::Put(record("r"));
    journal.set_health(JournalHealth::Fails);
    assert!(journal.apply(&mut client, &put).is_err());
    assert_eq!(journal.files().count(), 0);
    journal.set_health(JournalHealth::WorksButReportsFailure);
    assert!(journal.apply(&mut client, &put).is_err());
    assert_eq!(journal.pending().len(), 1);
}

#[test]
fn records_of_another_server_are_left_alone() {
    let (mut journal, mut client) = fresh();
    journal
        .apply(&mut client, &JournalWrite::Put(record("r")))
        .unwrap();
    let elsewhere = CyclesConfig::new("cyc_live_1", "http://elsewhere.test").unwrap();
    let mut elsewhere = Client {
        directory: client.directory,
        ..Client::new(&elsewhere, 1)
    };
    assert!(journal.scan(&mut elsewhere).records.is_empty());
    assert_eq!(journal.pending().len(), 1);
}
