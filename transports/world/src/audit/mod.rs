//! The invariants, checked from the outside: from what machines hand out and what they are told. Nothing here
//! uses the machine's own judgement of an answer, so that what the two agree on was understood twice.

mod answers;
mod end;
mod lease;
mod outcome;
mod requests;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Event;
use cycles_proto::journal::JournalWrite;
use cycles_proto::outcome::{Aside, StoreFailure};
use cycles_proto::record::{JournalRecord, Mode};
use cycles_proto::time::UnixMillis;
use cycles_proto::{Now, Receipt, Ticket};
use cycles_sandbox::Operation;

pub(super) use self::answers::{Heard, is_refused};
pub(super) use self::end::books;
use self::lease::LeaseWatch;
pub(super) use self::session::{SessionWatch, is_queued};
use super::life::Life;
use super::rule::Rule;

/// A rule that was broken, and how.
pub(super) type Held = Result<(), (Rule, String)>;

pub(super) fn broken<T>(rule: Rule, what: impl Into<String>) -> Result<T, (Rule, String)> {
    Err((rule, what.into()))
}

/// What is known of one reservation of a session.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Its attempts that were not answered yet.
    pub(super) attempts: BTreeMap<Ticket, Attempt>,
    /// Its changes of the journal that were not answered yet.
    pub(super) stores: BTreeMap<Ticket, Store>,
    /// How long its lease lasts.
    lease: LeaseWatch,
    /// What was told of its end.
    pub(super) told_receipt: Option<Receipt>,
    /// Whether it began with a record.
    pub(super) is_resumed: bool,
    /// Whether it keeps records.
    pub(super) has_journal: bool,
    /// Whether it was told that its record is stored. What another process finds may have been stored all the same.
    has_stored: bool,
    /// Whether the cost was in the ledger when its settlement was attempted last, by whomever.
    was_settled: bool,
    /// The mode and the body of its record, as it was answered last.
    record: Option<(Mode, String)>,
    /// What it asked the journal to do with the record at the end.
    cleared: Option<Cleared>,
    /// The server's word that an event is in order.
    may_charge_event: bool,
    /// Before when no settlement is sent.
    settle_floor: Option<Duration>,
    /// What a record has to say of the pause before the next settlement.
    owed_pause: Option<UnixMillis>,
    beat_floor: Option<Duration>,
    /// When its last beats left.
    beats: VecDeque<Duration>,
    release_floor: Option<Duration>,
    /// Whether it told of a cost that it could not take.
    has_told_untaken: bool,
    /// What it told to be charged in place of the whole cost.
    told_shortfall: Option<(i64, i64)>,
    /// A heartbeat failed, and it was not told yet.
    owes_beat_event: bool,
    /// A change of the journal failed, and it was not told yet.
    owes_store_event: bool,
    /// Whether a defect ended the work on it.
    was_lost: bool,
}

/// A change of the journal that was handed out.
#[derive(Debug)]
pub(super) struct Store {
    write: JournalWrite,
    asked: Duration,
    /// Whether it is not waited for any more.
    is_late: bool,
}

/// How a record goes out of the way of later replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cleared {
    Removed,
    Aside(Aside),
}

/// How long a change of the journal is waited for.
const STORE_DEADLINE: Duration = Duration::from_secs(5);

/// An attempt that was handed out.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) operation: Operation,
    /// When it was handed out, or left if that is known.
    sent: Duration,
    pub(super) deadline: Duration,
    is_beat: bool,
}

impl Watch {
    pub(super) fn fresh(has_journal: bool) -> Self {
        Self {
            has_journal,
            ..Self::default()
        }
    }

    /// A machine that begins with a record, which asks for a pause until then.
    pub(super) fn resumed(record: &JournalRecord, has_journal: bool, pause: Option<Duration>) -> Self {
        Self {
            is_resumed: true,
            has_journal,
            has_stored: true,
            record: Some((record.mode(), record.body().to_owned())),
            may_charge_event: record.mode() == Mode::Event,
            settle_floor: pause,
            ..Self::default()
        }
    }

    /// A change of the journal is asked for.
    pub(super) fn storing(
        &mut self,
        life: &mut Life,
        now: Now,
        ticket: Ticket,
        write: &JournalWrite,
        is_journal_late: bool,
    ) -> Held {
        match write {
            JournalWrite::Put(record) => {
                if let Err(problem) = JournalRecord::parse(record.to_json().as_bytes()) {
                    return broken(Rule::CostKept, format!("a record that cannot be read: {problem}"));
                }
                let key = record
                    .idempotency_key()
                    .map_or_else(String::new, |key| key.as_str().to_owned());
                let amount = requests::amount(record.body().as_bytes());
                if life.cost.is_none() || life.cost.as_ref().map(|cost| cost.amount) != amount {
                    return broken(
                        Rule::KnownCost,
                        format!("a record of {amount:?}, which nobody handed over"),
                    );
                }
                if life.book.key.get_or_insert_with(|| key.clone()) != &key {
                    return broken(Rule::OneKey, format!("a record under the key {key}"));
                }
                if let Some(pause) = self.owed_pause
                    && record.not_before(now.wall).is_some_and(|floor| floor >= pause)
                {
                    self.owed_pause = None;
                }
                life.book.recorded_at.get_or_insert(record.recorded_at());
            }
            JournalWrite::Remove(_) if life.settled.is_empty() => {
                return broken(
                    Rule::CostKept,
                    "the record of a cost is removed that is not in the ledger",
                );
            }
            JournalWrite::Remove(_) => self.cleared = Some(Cleared::Removed),
            JournalWrite::SetAside(_, reason) => {
                self.cleared = Some(Cleared::Aside(*reason));
                life.book.was_surfaced = true;
                life.book.was_set_aside = true;
            }
        }
        let store = Store {
            write: write.clone(),
            asked: now.mono,
            is_late: false,
        };
        self.stores.insert(ticket, store);
        if is_journal_late {
            self.note_late_stores(Duration::MAX);
        }
        Ok(())
    }

    /// Whether a change of the journal is not waited for any more since it was asked for so long ago.
    fn note_late_stores(&mut self, now: Duration) -> bool {
        let mut is_any_late = false;
        let has_stored = self.has_stored;
        for store in self.stores.values_mut() {
            if store.is_late || store.asked.saturating_add(STORE_DEADLINE) > now {
                continue;
            }
            store.is_late = true;
            is_any_late = true;
            let is_needless = matches!(store.write, JournalWrite::Remove(_)) && !has_stored;
            self.owes_store_event |= !is_needless;
            if let JournalWrite::Put(record) = &store.write {
                self.record = Some((record.mode(), record.body().to_owned()));
            }
        }
        is_any_late
    }

    /// The session is polled: what nobody waits for any more counts as answered. Whether a change of the journal does.
    pub(super) fn is_polled(&mut self, now: Now, is_held: bool, life: &Life) -> bool {
        self.polling(now, is_held, life);
        self.note_late_stores(now.mono)
    }

    /// A change of the journal is answered. Only the first answer counts.
    pub(super) fn stored(&mut self, life: &mut Life, ticket: Ticket, stored: &Result<(), StoreFailure>) {
        let Some(Store { write, is_late, .. }) = self.stores.remove(&ticket) else {
            return;
        };
        // Where nothing was stored, a removal that fails is nothing to tell.
        let is_needless = matches!(write, JournalWrite::Remove(_)) && !self.has_stored;
        if !is_late {
            self.owes_store_event = stored.is_err() && !is_needless;
        }
        if let JournalWrite::Put(record) = write {
            self.has_stored |= stored.is_ok();
            life.book.was_durable |= stored.is_ok();
            if !is_late {
                self.record = Some((record.mode(), record.body().to_owned()));
            }
        }
    }

    /// Whether what is told can be its own, if it is of several that are settled for one reservation: whatever has an end
    /// has asked for that of its record before.
    pub(super) fn may_tell(&self, event: &Event) -> bool {
        let asked = if let Event::SettledLate { .. } = event {
            Cleared::Removed
        } else if let Event::SetAside { reason, .. } = event {
            Cleared::Aside(*reason)
        } else {
            return true;
        };
        self.cleared == Some(asked)
    }

    /// Something is told.
    pub(super) fn told(&mut self, life: &mut Life, event: &Event) {
        let tells_of_beat = matches!(event, Event::BeatFailed { .. } | Event::HeartbeatStopped { .. });
        self.owes_beat_event &= !tells_of_beat;
        self.owes_store_event &= !matches!(event, Event::JournalFailed { .. });
        self.has_told_untaken |= matches!(event, Event::CostNotTaken { .. });
        if let Event::ChargedLess { actual, charged, .. } = event {
            self.told_shortfall = Some((actual.amount, charged.amount));
        }
        if matches!(event, Event::Granted { .. }) {
            life.book.is_running = true;
        }
        self.lease.told(event);
        if let Event::SettledLate { receipt, .. }
        | Event::SetAside { receipt, .. }
        | Event::CostUnrecorded { receipt, .. } = event
        {
            self.told_receipt = Some(Receipt::clone(receipt));
        }
        if let Event::LeaseExtended { ticket, .. } = event {
            self.beat_floor = None;
            // One that was asked for by hand plans the heartbeat anew.
            if ticket.is_some() {
                self.beats.clear();
            }
        }
    }

    /// The session waits, and the reservation has not ended. Where all places are taken something may wait for one.
    pub(super) fn waits(
        &self,
        life: &Life,
        now: Now,
        until: Option<Duration>,
        is_held: bool,
        is_full: bool,
    ) -> Held {
        self.has_told()?;
        if until.is_none() && self.attempts.is_empty() && self.stores.is_empty() && !life.book.is_running {
            return broken(
                Rule::WaitsOnOutside,
                "a wait without end, and nobody outside has anything to do",
            );
        }
        self.waits_for_stores(until)?;
        let is_extending = |attempt: &Attempt| attempt.operation == Operation::ExtendReservation;
        if is_held && !is_full && !self.attempts.values().any(is_extending) {
            self.lease.waits(now, until, self.beat_floor)?;
        }
        Ok(())
    }

    /// No change of the journal is waited for longer than is right.
    fn waits_for_stores(&self, until: Option<Duration>) -> Held {
        let waited_for = self.stores.values().filter(|store| !store.is_late);
        for store in waited_for {
            let end = store.asked.saturating_add(STORE_DEADLINE);
            if until.is_none_or(|until| until > end) {
                return broken(
                    Rule::HungStore,
                    format!(
                        "a wait until {until:?} for a change of the journal whose time is over at {end:?}"
                    ),
                );
            }
        }
        Ok(())
    }

    /// A wait ends in the future.
    pub(super) fn waits_ahead(now: Now, until: Option<Duration>) -> Held {
        match until {
            Some(at) if at <= now.mono => broken(
                Rule::WaitsAhead,
                format!("a wait until {at:?}, and it is {:?}", now.mono),
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// The reservation has ended. A grant that comes later still is released as one of its own.
    pub(super) fn gives_up_releasing(&mut self) {
        self.release_floor = None;
    }

    /// A defect ended the work on it: nobody is there to tell more.
    pub(super) fn is_lost(&mut self) {
        self.was_lost = true;
    }

    /// Nothing that had to be told was kept back.
    pub(super) fn has_told(&self) -> Held {
        if self.was_lost {
            return Ok(());
        }
        if self.owes_beat_event {
            return broken(
                Rule::BeatFailureTold,
                "a heartbeat failed, and no event told of it",
            );
        }
        if self.owes_store_event {
            return broken(
                Rule::StoreFailureTold,
                "the journal could not be changed, and no event told of it",
            );
        }
        Ok(())
    }
}

/// The ledger took a cost: it must not have had it.
pub(super) fn settled(life: &Life, by: Operation, now: UnixMillis) -> Held {
    /// How long the server remembers the key of an event.
    const KEPT: Duration = Duration::from_secs(7 * 86_400);
    match life.settled.last() {
        None => Ok(()),
        // By its own clock the machine was in time (that is a rule of its own), and by the server's it was not:
        // nobody can tell.
        Some(last) if (last.by, by) == FORGETFUL && now.saturating_since(last.at) > KEPT => Ok(()),
        Some(last) => broken(
            Rule::SettledOnce,
            format!(
                "{} after {}: the cost is in the ledger twice",
                by.name(),
                last.by.name()
            ),
        ),
    }
}

/// What the server takes once more when it has forgotten the first time.
const FORGETFUL: (Operation, Operation) = (Operation::CreateEvent, Operation::CreateEvent);

/// Whether the secret can be read in it.
pub(super) fn keeps_secret(what: &str, text: &str, secret: &str) -> Held {
    if text.contains(secret) {
        return broken(Rule::SecretKept, format!("the API key is in {what}"));
    }
    Ok(())
}

/// The first request under these names, or whether this one has other bytes.
fn same_bytes(life: &mut Life, operation: Operation, key: &str, body: &Bytes) -> Held {
    let first = life
        .book
        .bytes
        .entry((operation, key.to_owned()))
        .or_insert_with(|| body.clone());
    if first != body {
        return broken(
            Rule::SameBytes,
            format!("{} was repeated with other bytes", operation.name()),
        );
    }
    Ok(())
}
