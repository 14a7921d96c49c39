//! What a person does with costs in the journal, as the session sees it.

use std::time::Duration;

use cycles_proto::journal::{self, EntryError, EntryKind, JournalEntry, JournalRecord, Memory, RecordId};
use cycles_proto::record::file_name;
use cycles_proto::session::{EntryChange, ReservationKey};
use cycles_proto::{Call, Event, Receipt, UnixMillis};

use super::desk::{Desk, Fate, is_of};

const URL: &str = "http://localhost:7878";
const RETRY: EntryChange = EntryChange::Retry { is_forced: false };
const FORCED: EntryChange = EntryChange::Retry { is_forced: true };
const AS_EVENT: EntryChange = EntryChange::AsEvent { is_forced: false };
const DISCARD: EntryChange = EntryChange::Discard { is_forced: false };

impl Desk {
    /// The entry of a record whose file ends like this, as a listing shows it now.
    fn listed(&mut self, record: &JournalRecord, ending: &str) -> JournalEntry {
        let mut files = Memory::default();
        let name = file_name(record.reservation_id()).replace(".json", ending);
        files.insert(name, record.to_json());
        let now = self.now();
        let mut listed = journal::entries(URL, now.wall)
            .run(|op| files.execute(1, op))
            .unwrap();
        let caller = self.caller.clone();
        self.session.complete_entries(now, &caller, &mut listed.entries);
        listed.entries.remove(0)
    }

    fn record(&self) -> JournalRecord {
        self.journal.values().next().unwrap().clone()
    }

    fn check(&mut self, entry: &JournalEntry, change: EntryChange) -> Result<(), EntryError> {
        let (now, caller) = (self.now(), self.caller.clone());
        self.session.check_entry(now, &caller, entry, change)
    }

    fn settle_entry(
        &mut self,
        record: JournalRecord,
        change: EntryChange,
    ) -> Result<ReservationKey, EntryError> {
        let (now, caller) = (self.now(), self.caller.clone());
        self.journal
            .insert((caller.principal(), record.id().clone()), record.clone());
        self.session.settle_entry(now, &caller, record, change)
    }

    /// Answers a call with a refusal of the ledger.
    fn refuse(&mut self, call: &Call, code: &str) {
        assert!(self.session.begun(self.now(), call.ticket));
        let body = format!(r#"{{"error":"{code}","message":"no","request_id":"q-1"}}"#);
        let response = http::Response::builder()
            .status(409)
            .header("content-type", "application/json");
        let response = response.body(body.into()).unwrap();
        self.session
            .handle(self.now(), call.ticket, call.reader.read(Ok(&response)));
    }

    fn sent_to(&self, ending: &str) -> usize {
        self.sent.iter().filter(|sent| sent.ends_with(ending)).count()
    }

    /// Later, when the lease of the earlier run and its grace period are over.
    fn after_the_lease(&mut self) {
        self.mono += Duration::from_secs(300);
    }
}

/// A process after another one that left a cost; all its calls are answered.
fn next_process() -> (Desk, JournalRecord) {
    let mut desk = Desk::after_one_that_left_a_cost();
    desk.calls = |_| Fate::Done;
    let record = desk.record();
    (desk, record)
}

#[test]
fn a_record_that_is_sent_again_is_settled_once_although_the_replay_finds_it_too() {
    for is_read_first in [false, true] {
        let (mut desk, record) = next_process();
        desk.scans = Fate::Held;
        if is_read_first {
            desk.flush(Duration::from_secs(10));
            desk.settle();
            assert_eq!(desk.open_scans.len(), 1, "the journal is being read");
        }
        desk.calls = |_| Fate::Held;
        let key = desk.settle_entry(record, RETRY).unwrap();
        desk.settle();
        assert_eq!(desk.open.len(), 1);
        if let Some((ticket, principal)) = desk.open_scans.pop() {
            desk.scan(ticket, principal);
            desk.settle();
            assert_eq!(desk.open.len(), 1, "the scan starts it no second time");
        }
        desk.scans = Fate::Done;
        assert!(desk.session.entry_receipt(key).is_none());
        desk.calls = |_| Fate::Done;
        let call = desk.open.remove(0);
        desk.answer(call);
        desk.settle();
        let receipt = desk.session.entry_receipt(key).unwrap().unwrap();
        assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
        let flush = desk.flush(Duration::from_secs(10));
        desk.settle();
        assert!(desk.session.flushed(flush).unwrap().is_complete());
        assert_eq!((desk.charged(), desk.sent_to("/commit")), (vec![Some(5)], 1));
        assert!(desk.journal.is_empty());
        let now = desk.now();
        desk.session.forget(now, key);
    }
}

#[test]
fn what_a_person_sends_again_and_cannot_reach_is_left_to_the_replay() {
    let (mut desk, record) = next_process();
    desk.calls = |call| match is_of(call, "/commit") {
        true => Fate::Fails,
        false => Fate::Done,
    };
    let key = desk.settle_entry(record.clone(), RETRY).unwrap();
    desk.settle();
    let receipt = desk.session.entry_receipt(key).unwrap().unwrap();
    assert!(
        matches!(
            receipt,
            Receipt::Pending {
                is_recorded: true,
                ..
            }
        ),
        "{receipt:?}"
    );
    let entry = desk.listed(&record, ".json");
    assert!(entry.is_in_progress && entry.next_attempt.is_some(), "{entry}");
    assert!(entry.last_error.is_some(), "{entry}");
    for change in [RETRY, AS_EVENT, DISCARD] {
        assert!(matches!(desk.check(&entry, change), Err(EntryError::InProgress)));
    }
    assert!(matches!(
        desk.settle_entry(record.clone(), RETRY),
        Err(EntryError::InProgress)
    ));
    // Nobody waits for it any more.
    let now = desk.now();
    desk.session.forget(now, key);
    desk.pass(Duration::from_secs(60));
    let entry = desk.listed(&record, ".json");
    assert!(!entry.is_in_progress && entry.next_attempt.is_some(), "{entry}");
    desk.calls = |_| Fate::Done;
    desk.pass(Duration::from_secs(1_000));
    assert_eq!(desk.told(|event| matches!(event, Event::SettledLate { .. })), 1);
    assert!(desk.listed(&record, ".json").last_error.is_none(), "settled");
}

#[test]
fn a_cost_is_charged_as_an_event_without_another_commit_once_the_lookup_says_that_its_reservation_has_expired()
 {
    let (mut desk, record) = next_process();
    desk.after_the_lease();
    let key = desk.settle_entry(record, AS_EVENT).unwrap();
    desk.settle();
    let receipt = desk.session.entry_receipt(key).unwrap().unwrap();
    assert!(matches!(receipt, Receipt::RecoveredViaEvent(_)), "{receipt:?}");
    assert_eq!((desk.sent_to("/commit"), desk.sent_to("/v1/events")), (0, 1));
    assert_eq!(
        desk.told(|event| matches!(event, Event::SettlingByEvent { .. })),
        1
    );
    assert!(desk.journal.is_empty());
}

#[test]
fn only_an_expired_reservation_allows_an_event() {
    let detail = |status: &str| {
        let text = serde_json::json!({
            "reservation_id": "r", "status": status, "subject": {"tenant": "t"},
            "action": {"kind": "k", "name": "n"}, "reserved": {"unit": "TOKENS", "amount": 1},
            "created_at_ms": 1, "expires_at_ms": 2, "scope_path": "s", "affected_scopes": ["s"],
        });
        serde_json::from_value(text).unwrap()
    };
    assert!(JournalEntry::check_expired(Ok(detail("EXPIRED"))).is_ok());
    for status in ["ACTIVE", "COMMITTED", "RELEASED", "ARCHIVED"] {
        let refused = JournalEntry::check_expired(Ok(detail(status))).unwrap_err();
        assert!(
            matches!(&refused, EntryError::NotExpired(found) if found.as_str() == status),
            "{refused}"
        );
        assert!(refused.to_string().contains(status), "{refused}");
    }
}

#[test]
fn an_old_event_is_sent_again_only_if_that_is_forced() {
    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    let (mut desk, record) = next_process();
    desk.mono += WEEK;
    let commit = desk.listed(&record, ".rejected");
    assert!(
        !commit.may_count_twice,
        "a commit names its reservation: {commit}"
    );
    assert!(desk.check(&commit, RETRY).is_ok());
    assert!(matches!(
        desk.check(&commit, AS_EVENT),
        Err(EntryError::MayCountTwice)
    ));
    let record = record.into_event().unwrap();
    let entry = desk.listed(&record, ".stale");
    assert!(
        entry.may_count_twice && entry.to_string().contains("may count twice"),
        "{entry}"
    );
    assert!(matches!(
        desk.check(&entry, RETRY),
        Err(EntryError::MayCountTwice)
    ));
    assert!(desk.check(&entry, DISCARD).is_ok());
    assert!(desk.check(&entry, FORCED).is_ok());
    desk.journal.clear();
    let key = desk.settle_entry(record, FORCED).unwrap();
    desk.settle();
    assert!(desk.session.entry_receipt(key).unwrap().unwrap().is_settled());
}

#[test]
fn a_mark_of_a_week_is_charged_only_if_that_is_forced_because_its_process_may_have_done_so() {
    const CHARGE: EntryChange = EntryChange::ChargeEstimate { is_forced: false };
    const DAY: Duration = Duration::from_secs(86_400);

    let mut desk = Desk::new();
    let key = desk.held();
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.settle();
    let mark = desk.marks[0].clone();
    let ending = format!(".{}.1.dispatched", "0".repeat(32));
    desk.mono += 5 * DAY;
    let entry = desk.listed(&mark, &ending);
    assert_eq!(
        (entry.kind, entry.may_count_twice),
        (EntryKind::Dispatched, false)
    );
    desk.mono += 2 * DAY;
    let entry = desk.listed(&mark, &ending);
    assert!(entry.may_count_twice, "{entry}");
    assert!(matches!(
        desk.check(&entry, CHARGE),
        Err(EntryError::MayCountTwice)
    ));
    assert!(
        desk.check(&entry, EntryChange::ChargeEstimate { is_forced: true })
            .is_ok()
    );
    assert!(desk.check(&entry, DISCARD).is_ok());
}

#[test]
fn a_file_of_a_run_is_left_alone_unless_that_is_forced_and_one_that_is_being_written_always() {
    let (mut desk, record) = next_process();
    let run = desk.listed(&record, ".1.00000001.run");
    assert_eq!(run.kind, EntryKind::Run);
    for change in [RETRY, AS_EVENT, DISCARD] {
        let refused = desk.check(&run, change);
        assert!(
            matches!(refused, Err(EntryError::NotByHand(EntryKind::Run))),
            "{refused:?}"
        );
    }
    assert!(desk.check(&run, FORCED).is_ok());
    let temporary = desk.listed(&record, ".json.1.00000001.taken");
    let refused = desk.check(&temporary, FORCED);
    assert!(
        matches!(refused, Err(EntryError::NotByHand(EntryKind::Temporary))),
        "{refused:?}"
    );
}

#[test]
fn a_pause_that_the_server_asked_for_is_not_waited_for_by_hand() {
    let (mut desk, record) = next_process();
    let later = UnixMillis(desk.now().wall.0 + 1_800_000);
    let record = record.with_not_before(later);
    assert_eq!(desk.listed(&record, ".json").next_attempt, Some(later));
    let key = desk.settle_entry(record, RETRY).unwrap();
    desk.settle();
    assert!(desk.session.entry_receipt(key).unwrap().unwrap().is_settled());
}

#[test]
fn a_cost_that_was_set_aside_and_is_discarded_or_settled_by_hand_does_not_count_any_more() {
    for is_discarded in [false, true] {
        let (mut desk, record) = next_process();
        desk.after_the_lease();
        desk.calls = |call| match is_of(call, "/v1/events") {
            true => Fate::Held,
            false => Fate::Done,
        };
        let flush = desk.flush(Duration::from_secs(10));
        desk.settle();
        let event = desk.open.remove(0);
        desk.refuse(&event, "BUDGET_EXCEEDED");
        desk.settle();
        let left = desk.session.flushed(flush).unwrap();
        assert_eq!((left.set_aside, left.is_complete()), (1, false), "{left:?}");
        let entry = desk.listed(&record, ".rejected");
        let error = entry.last_error.as_ref().unwrap().to_string();
        assert!(error.contains("BUDGET_EXCEEDED"), "{error}");
        if is_discarded {
            desk.check(&entry, DISCARD).unwrap();
            let caller = desk.caller.clone();
            desk.session.note_discarded(&caller, &entry);
        } else {
            desk.calls = |_| Fate::Done;
            let key = desk.settle_entry(record.into_event().unwrap(), RETRY).unwrap();
            desk.settle();
            assert!(desk.session.entry_receipt(key).unwrap().unwrap().is_settled());
        }
        let flush = desk.flush(Duration::from_secs(10));
        desk.settle();
        let left = desk.session.flushed(flush).unwrap();
        assert!(left.is_complete(), "{left:?}");
    }
}

#[test]
fn a_flush_waits_for_a_record_that_is_sent_again_and_that_nobody_waits_for_any_more() {
    let (mut desk, record) = next_process();
    desk.stores = Fate::Held;
    let key = desk.settle_entry(record, RETRY).unwrap();
    desk.settle();
    // The receipt is there before the record is removed.
    assert!(desk.session.entry_receipt(key).unwrap().unwrap().is_settled());
    let now = desk.now();
    desk.session.forget(now, key);
    let flush = desk.flush(Duration::from_secs(10));
    desk.settle();
    assert!(desk.session.flushed(flush).is_none());
    desk.stores = Fate::Done;
    desk.store_next();
    desk.settle();
    assert!(desk.session.flushed(flush).unwrap().is_complete());
}

#[test]
fn a_closed_session_sends_nothing_by_hand() {
    let (mut desk, record) = next_process();
    let now = desk.now();
    desk.session.close(now, cycles_proto::session::Close::WhenDone);
    let entry = desk.listed(&record, ".json");
    assert!(matches!(desk.check(&entry, RETRY), Err(EntryError::Client(_))));
    let _: &RecordId = entry.id().unwrap();
    assert!(matches!(
        desk.settle_entry(record, RETRY),
        Err(EntryError::Client(_))
    ));
}
