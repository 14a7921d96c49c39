//! A person looks after the costs in the journal. The tests of each adapter have it as a module; `runcycles` is their
//! crate.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use cycles_conformance::{TempDir, commit, records};
use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Funding, Operation, Unit};
use runcycles::models::{CommitOveragePolicy, ReservationStatus};
use runcycles::{CyclesClient, CyclesClientBuilder, EntryError, EntryKind, JournalEntry, Receipt};

use crate::world::{World, builder, request};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the whole budget is, and more.
const BUDGET: i64 = 100_000;
const COST: i64 = 100_500;

fn with_journal(dir: &TempDir) -> CyclesClientBuilder {
    builder().journal_enabled(true).journal_dir(dir.path())
}

/// A world, and a client in it whose commit was refused under this policy. The lease lasts a minute.
fn refused(policy: CommitOveragePolicy) -> (World, TempDir, CyclesClient) {
    let (world, dir) = (World::new(), TempDir::new());
    let (client, _) = world.client_of(with_journal(&dir));
    world.with_ledger(|ledger| {
        ledger.add_budget(Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, BUDGET).overdraft_limit(100));
    });
    let mut request = request();
    request.overage_policy = Some(policy);
    let guard = wait!(client.reserve(request)).unwrap();
    let error = wait!(guard.commit(commit(COST))).unwrap_err();
    assert_eq!(error.status(), Some(409), "{error}");
    // The record is set aside after that.
    assert_eq!(wait!(client.flush(PATIENCE)).unwrap().set_aside, 1);
    (world, dir, client)
}

/// The answer of a server that is down.
fn unavailable() -> http::Response<bytes::Bytes> {
    http::Response::builder().status(503).body("".into()).unwrap()
}

fn top_up(world: &World) {
    let funded =
        world.with_ledger(|ledger| ledger.fund(DEFAULT_TENANT_SCOPE, Unit::Tokens, Funding::Credit(BUDGET)));
    funded.unwrap();
}

#[track_caller]
fn only_entry(client: &CyclesClient) -> JournalEntry {
    let entries = wait!(client.journal().entries()).unwrap();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    entry.clone()
}

/// The files that may be costs, by their endings.
fn endings(dir: &Path) -> Vec<String> {
    let mut endings = Vec::new();
    for partition in fs::read_dir(dir)
        .unwrap()
        .filter_map(|it| fs::read_dir(it.unwrap().path()).ok())
    {
        for file in partition {
            let path = file.unwrap().path();
            endings.extend(
                path.extension()
                    .map(|ending| ending.to_string_lossy().into_owned()),
            );
        }
    }
    endings.retain(|ending| ending != "lock");
    endings
}

#[track_caller]
fn assert_complete(client: &CyclesClient) {
    let left = wait!(client.flush(PATIENCE)).unwrap();
    assert!(left.is_complete(), "{left:?}");
}

#[test]
fn a_refused_cost_is_listed_with_its_reason_and_settled_once_when_the_budget_was_topped_up() {
    let (world, dir, client) = refused(CommitOveragePolicy::AllowWithOverdraft);
    let entry = only_entry(&client);
    assert_eq!(
        (entry.kind, entry.actual.as_ref().unwrap().amount),
        (EntryKind::Rejected, COST)
    );
    assert!(
        entry.path.starts_with(dir.path()) && entry.path.exists(),
        "{entry}"
    );
    let error = entry.last_error.as_ref().unwrap().to_string();
    assert!(error.contains("OVERDRAFT_LIMIT_EXCEEDED"), "{error}");
    let line = entry.to_string();
    for part in [
        "rejected",
        &format!("{COST} TOKENS"),
        "tenant:acme-corp",
        &error[..20],
        ".rejected",
    ] {
        assert!(line.contains(part), "{line} has no {part}");
    }
    // Once more in vain: the ledger's answer is in the receipt.
    let receipt = wait!(client.journal().retry(&entry)).unwrap();
    assert!(
        matches!(
            receipt,
            Receipt::Rejected {
                is_recorded: true,
                ..
            }
        ),
        "{receipt:?}"
    );
    assert_eq!(wait!(client.flush(PATIENCE)).unwrap().set_aside, 1);
    assert_eq!(
        (endings(dir.path()), world.budget().0),
        (vec!["rejected".to_owned()], 0)
    );

    top_up(&world);
    // An operator's program: it knows only what is on the disk.
    let (operator, _) = world.client_of(with_journal(&dir));
    let entry = only_entry(&operator);
    assert!(entry.last_error.is_none());
    let receipt = wait!(operator.journal().retry(&entry)).unwrap();
    assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
    // Its record is removed after that.
    assert_complete(&operator);
    let again = wait!(client.journal().retry(&entry));
    assert!(matches!(again, Err(EntryError::Gone)), "{again:?}");
    assert_eq!((endings(dir.path()).len(), world.budget()), (0, (COST, 0)));
}

#[test]
fn a_cost_becomes_an_event_only_when_its_reservation_has_expired() {
    let (world, dir, client) = refused(CommitOveragePolicy::Reject);
    top_up(&world);
    let entry = only_entry(&client);
    let commits = world.sent(Operation::CommitReservation);
    let early = wait!(client.journal().as_event(&entry));
    assert!(
        matches!(&early, Err(EntryError::NotExpired(ReservationStatus::Active))),
        "{early:?}"
    );
    assert!(early.unwrap_err().to_string().contains("ACTIVE"));
    assert_eq!(endings(dir.path()), ["rejected"], "nothing is changed");

    world.pass_seconds(600);
    let receipt = wait!(client.journal().as_event(&entry)).unwrap();
    assert!(receipt.is_recovered_via_event(), "{receipt:?}");
    assert_eq!(
        (
            world.sent(Operation::CommitReservation),
            world.sent(Operation::CreateEvent)
        ),
        (commits, 1)
    );
    assert_complete(&client);
    let again = wait!(client.journal().as_event(&entry));
    assert!(matches!(again, Err(EntryError::Gone)), "{again:?}");
    assert_eq!((endings(dir.path()).len(), world.budget()), (0, (COST, 0)));
}

#[test]
fn what_is_discarded_is_kept_is_no_longer_counted_and_can_be_taken_back() {
    let (world, dir, client) = refused(CommitOveragePolicy::AllowWithOverdraft);
    let entry = only_entry(&client);
    let path = wait!(client.journal().discard(&entry)).unwrap();
    assert!(path.exists() && !entry.path.exists());
    assert_eq!(endings(dir.path()), ["discarded"]);
    assert_complete(&client);
    assert!(matches!(
        wait!(client.journal().discard(&entry)),
        Err(EntryError::Gone)
    ));

    let entry = only_entry(&client);
    assert_eq!((entry.kind, &entry.path), (EntryKind::Discarded, &path));
    top_up(&world);
    let receipt = wait!(client.journal().retry(&entry)).unwrap();
    assert!(receipt.is_settled(), "{receipt:?}");
    assert_complete(&client);
    assert_eq!((endings(dir.path()).len(), world.budget()), (0, (COST, 0)));
}

#[test]
fn a_pending_cost_that_another_client_settles_meanwhile_counts_once() {
    let (world, dir) = (World::new(), TempDir::new());
    let (client, _) = world.client_of(with_journal(&dir));
    let guard = wait!(client.reserve(request())).unwrap();
    world.answer(|operation, _| (operation == Operation::CommitReservation).then(unavailable));
    let receipt = wait!(guard.commit(commit(7))).unwrap();
    assert!(matches!(receipt, Receipt::Pending { .. }), "{receipt:?}");
    let entry = only_entry(&client);
    assert!(
        entry.is_in_progress && entry.last_error.is_some() && entry.next_attempt.is_some(),
        "{entry}"
    );
    for refused in [
        wait!(client.journal().retry(&entry)).map(drop),
        wait!(client.journal().discard(&entry)).map(drop),
    ] {
        assert!(matches!(refused, Err(EntryError::InProgress)), "{refused:?}");
    }
    world.answer(|_, _| None);
    // Another client does not know that, and sends it under the same key.
    let (operator, _) = world.client_of(with_journal(&dir));
    let entry = only_entry(&operator);
    assert_eq!((entry.kind, entry.is_in_progress), (EntryKind::Pending, false));
    let receipt = wait!(operator.journal().retry(&entry)).unwrap();
    assert!(receipt.is_settled(), "{receipt:?}");
    world.pass_seconds(60);
    // Either of them may be the last to remove the record.
    assert_complete(&client);
    assert_complete(&operator);
    assert_eq!((records(dir.path(), "json").len(), world.budget()), (0, (7, 0)));
}

#[test]
fn of_clients_that_do_different_things_with_one_entry_at_once_one_does_it() {
    for round in 0..8 {
        let (world, dir, client) = refused(CommitOveragePolicy::AllowWithOverdraft);
        top_up(&world);
        let entry = only_entry(&client);
        let others = [(); 4].map(|()| world.client_of(with_journal(&dir)).0);
        let done: Vec<Result<bool, EntryError>> = thread::scope(|scope| {
            let threads = others.iter().enumerate().map(|(number, client)| {
                let (journal, entry) = (client.journal(), &entry);
                scope.spawn(move || match number % 2 == round % 2 {
                    true => wait!(journal.retry(entry)).map(|receipt| receipt.is_settled()),
                    false => wait!(journal.discard(entry)).map(|_| false),
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let charged = done.iter().any(|done| matches!(done, Ok(true)));
        let discarded = done.iter().any(|done| matches!(done, Ok(false)));
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
        let gone = |done: &Result<bool, EntryError>| matches!(done, Ok(_) | Err(EntryError::Gone));
        assert!(done.iter().all(gone), "{done:?}");
        for client in &others {
            assert_complete(client);
        }
        assert_eq!(world.budget().0, if charged { COST } else { 0 });
        let left = if discarded {
            vec!["discarded".to_owned()]
        } else {
            Vec::new()
        };
        assert_eq!(endings(dir.path()), left);
    }
}

#[test]
fn costs_of_another_address_are_told_with_their_number_and_left_alone() {
    let (world, dir) = (World::new(), TempDir::new());
    let (client, _) = world.client_of(with_journal(&dir));
    assert!(wait!(client.journal().elsewhere()).unwrap().is_empty());
    let guards = [(); 2].map(|()| wait!(client.reserve(request())).unwrap());
    world.answer(|_, _| Some(unavailable()));
    for guard in guards {
        wait!(guard.commit(commit(7))).unwrap();
    }
    // The same server under another name, which the journal cannot know.
    let renamed = CyclesClient::builder(cycles_sandbox::DEFAULT_API_KEY, "http://localhost:9")
        .tenant(cycles_sandbox::DEFAULT_TENANT)
        .journal_dir(dir.path());
    let (renamed, _) = world.client_of(renamed);
    assert!(wait!(renamed.journal().entries()).unwrap().is_empty());
    let elsewhere = wait!(renamed.journal().elsewhere()).unwrap();
    let [elsewhere] = elsewhere.as_slice() else {
        panic!("{elsewhere:?}")
    };
    assert_eq!((elsewhere.records, elsewhere.set_aside), (2, 0));
    assert!(elsewhere.directory.starts_with(dir.path()) && elsewhere.directory.is_dir());
    assert!(elsewhere.to_string().contains("2 to settle"), "{elsewhere}");
    assert_eq!(wait!(client.journal().entries()).unwrap().len(), 2);
}

#[test]
fn files_that_are_not_records_are_listed_without_being_renamed_and_can_be_discarded() {
    let (_world, dir, client) = refused(CommitOveragePolicy::Reject);
    let entry = only_entry(&client);
    let torn = entry.path.with_file_name("v2-torn.json");
    fs::write(&torn, "{\"version\":1,").unwrap();
    let entries = wait!(client.journal().entries()).unwrap();
    let corrupt = entries
        .iter()
        .find(|entry| entry.kind == EntryKind::Corrupt)
        .unwrap();
    assert_eq!((corrupt.path.as_path(), torn.exists()), (torn.as_path(), true));
    let sent = wait!(client.journal().retry(corrupt));
    assert!(matches!(sent, Err(EntryError::NotARecord)), "{sent:?}");
    let path = wait!(client.journal().discard(corrupt)).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"{\"version\":1,");
    assert!(!torn.exists());
    let mut left = endings(dir.path());
    left.sort();
    assert_eq!(left, ["discarded", "rejected"]);
}

#[test]
fn a_client_without_a_journal_says_so() {
    let world = World::new();
    let (client, _) = world.client();
    let off = wait!(client.journal().entries()).unwrap_err();
    assert!(matches!(&off, EntryError::Unavailable(_)), "{off:?}");
    assert!(off.to_string().contains("switched off"), "{off}");
}
