//! A person who looks after a journal: lists its entries, and charges or discards the marks of actions whose costs nobody
//! knows. The file operations of each change are made one by one, while everything else goes on.

use std::time::Duration;

use cycles_proto::journal::{EntryChange, EntryError, EntryFailure, EntryKind, JournalEntry, Restored};

use super::audit::broken;
use super::journal::ChangeByHand;
use super::marks::Decision;
use super::schedule::ScheduledEvent;
use super::session::CallerId;
use super::{Rule, World};

impl World {
    /// Lists the journal of a caller, and checks what the list says about marks. Empty if the process does not live.
    pub fn list_entries(&mut self, caller: CallerId) -> Vec<JournalEntry> {
        let Some(now) = self.wake_up(caller.session) else {
            return Vec::new();
        };
        let state = &mut self.sessions[caller.session].callers[caller.caller_index];
        let mut entries = self.journal.entries(&state.journal, now.wall);
        let of = state.caller.clone();
        for entry in &entries {
            self.check_listed(entry);
        }
        let session = self.sessions[caller.session].machine.session_mut();
        session.complete_entries(now, &of, &mut entries);
        self.log(|| format!("a person lists {} entries of {caller}", entries.len()));
        entries
    }

    fn check_listed(&mut self, entry: &JournalEntry) {
        if entry.kind != EntryKind::Dispatched {
            return;
        }
        let file = entry.path.to_string_lossy();
        let does_owner_run = self.journal.does_owner_run(entry.path.as_os_str());
        let Some(id) = self.job_of_mark(&file) else {
            let checked = broken(Rule::MarkTrue, format!("{file} is listed, but nobody marked it"));
            return self.keep_violation(None, checked);
        };
        let marks = &self.jobs[id.0].notes.marks;
        let estimate = entry.actual.as_ref().map_or(0, |estimate| estimate.amount);
        let possible = marks.possible();
        let is_possible = possible.iter().any(|mark| mark.estimate() == Some(estimate));
        let checked = if !is_possible && !marks.may_be_of_action(estimate) {
            broken(
                Rule::MarkTrue,
                format!("a mark of {estimate} is listed, but there can be {possible:?}"),
            )
        } else if entry.is_in_progress != does_owner_run {
            broken(
                Rule::MarkTrue,
                format!("a mark is listed as one of a running process, which is {does_owner_run}"),
            )
        } else if let Some(decision) = marks.decision() {
            broken(Rule::MarkTrue, format!("a mark is listed that was {decision:?}"))
        } else {
            Ok(())
        };
        self.keep_violation(Some(id), checked);
    }

    /// A person charges or discards an entry, which may have been listed long before, in any process. An entry that does
    /// not permit this is left alone.
    pub fn change_by_hand(&mut self, caller: CallerId, entry: &JournalEntry, change: EntryChange) {
        let Some(now) = self.wake_up(caller.session) else {
            return;
        };
        let of = self.sessions[caller.session].callers[caller.caller_index]
            .caller
            .clone();
        let session = self.sessions[caller.session].machine.session_mut();
        let unforced = session.check_entry(now, &of, entry, EntryChange::ChargeEstimate { is_forced: false });
        let job = self.job_of_mark(&entry.path.to_string_lossy());
        let is_charged = job.is_some_and(|job| !self.jobs[job.0].charges.is_empty());
        let change = match (change, unforced) {
            // Before a person forces that, he looks for it in the ledger.
            (EntryChange::ChargeEstimate { .. }, Err(EntryError::MayCountTwice)) if is_charged => {
                EntryChange::ChargeEstimate { is_forced: false }
            }
            (change, _) => change,
        };
        let session = self.sessions[caller.session].machine.session_mut();
        if let Err(why) = session.check_entry(now, &of, entry, change) {
            return self.log(|| format!("a person may not do {change:?} to {:?}: {why}", entry.path));
        }
        self.log(|| format!("a person begins {change:?} of {:?} as {caller}", entry.path));
        if let Some(job) = self.job_of_mark(&entry.path.to_string_lossy()) {
            let marks = &mut self.jobs[job.0].notes.marks;
            marks.by_hand += 1;
            let charges = matches!(change, EntryChange::ChargeEstimate { .. });
            marks.may_be_charged |= charges;
            marks.may_be_taken_back |= charges && entry.kind == EntryKind::Discarded;
        }
        let change = ChangeByHand::new(entry.clone(), change, now.wall);
        self.go_on_by_hand(caller, change);
    }

    /// Makes the next operation of a person's change.
    pub(super) fn go_on_by_hand(&mut self, caller: CallerId, change: ChangeByHand) {
        let mut change = change;
        let client = &self.sessions[caller.session].callers[caller.caller_index].journal;
        let Some(result) = self.journal.go_on_by_hand(client, &mut change) else {
            // Mostly a few milliseconds; some disks are slow.
            let longest = if self.dice.chance(0.05) { 20_000 } else { 10 };
            let at = self.now + Duration::from_millis(self.dice.below(longest));
            return self.schedule_event(at, ScheduledEvent::PersonGoesOn(caller, Box::new(change)));
        };
        self.log(|| format!("a person's {:?}: {result:?}", change.change));
        self.check_owner_was_gone(&change, result.as_ref().err());
        match result {
            Ok(restored) => {
                self.note_decided(caller, &change);
                match restored {
                    Some(restored) => self.settle_by_hand(caller, &change, restored),
                    None => self.note_discarded(caller, &change),
                }
            }
            // A scan may have made it a mark again while the process that takes it back was asleep.
            Err(EntryFailure::Refused(EntryError::Gone)) if change.entry.kind == EntryKind::Discarded => {}
            Err(EntryFailure::Refused(_)) => {
                if let Some(job) = self.job_of_mark(&change.entry.path.to_string_lossy()) {
                    self.jobs[job.0].notes.marks.by_hand -= 1;
                }
            }
            // The mark may be anywhere between its old name and its new one.
            Err(_) => {}
        }
        self.drive(caller.session);
    }

    /// Checks that a mark whose owner runs is left alone, and only that.
    fn check_owner_was_gone(&mut self, change: &ChangeByHand, refused: Option<&EntryFailure>) {
        let does_owner_run = self.journal.does_owner_run(change.entry.path.as_os_str());
        let is_left_alone = matches!(refused, Some(EntryFailure::Refused(EntryError::OwnerRuns)));
        self.counts.left_to_owner += u64::from(is_left_alone);
        if does_owner_run && !is_left_alone {
            let what = format!("{:?} although its owner runs: {refused:?}", change.change);
            self.keep_violation(None, broken(Rule::MarkByHand, what));
        }
    }

    fn note_decided(&mut self, caller: CallerId, change: &ChangeByHand) {
        let Some(id) = self.job_of_mark(&change.entry.path.to_string_lossy()) else {
            return;
        };
        let decision = match matches!(change.change, EntryChange::Discard { .. }) {
            true => Decision::Discarded,
            false => Decision::Charged,
        };
        match decision {
            Decision::Charged => self.counts.charged_by_hand += 1,
            Decision::Discarded => self.counts.discarded += 1,
        }
        let marks = &mut self.jobs[id.0].notes.marks;
        marks.by_hand -= 1;
        let before = marks.decided.map(|(before, _)| before);
        // A discarded file can be charged before the one who has discarded it knows that this is durable.
        if before != Some(Decision::Charged) {
            marks.decided = Some((decision, self.now));
            marks.decided_in.push((caller, decision));
        }
        let is_twice = before == Some(Decision::Charged) && decision == Decision::Charged;
        let checked = match before {
            Some(before) if is_twice || !marks.may_be_taken_back => broken(
                Rule::MarkByHand,
                format!("a mark is {decision:?}, but it was {before:?} before"),
            ),
            _ => Ok(()),
        };
        self.keep_violation(Some(id), checked);
    }

    fn settle_by_hand(&mut self, caller: CallerId, change: &ChangeByHand, restored: Restored) {
        let now = self.time_of(caller.session);
        let session = &mut self.sessions[caller.session];
        let state = &mut session.callers[caller.caller_index];
        state.journal.note(&restored.changed);
        let record = restored.record;
        let id = record.id().clone();
        let of = state.caller.clone();
        let settling = session
            .machine
            .session_mut()
            .settle_entry(now, &of, record.clone(), change.change);
        match settling {
            Ok(key) => {
                state.scanned.insert(id.clone(), (record, None));
                self.add_reservation_by_hand(now, key, caller, id);
                // Nobody waits for the receipt. It is settled all the same.
                self.sessions[caller.session].machine.forget(now, key);
            }
            Err(why) => {
                self.log(|| format!("what a person charges is left to the replay: {why}"));
                if let Some(job) = self.job_of_mark(&change.entry.path.to_string_lossy()) {
                    self.jobs[job.0].notes.marks.decided_in.pop();
                }
            }
        }
    }

    fn note_discarded(&mut self, caller: CallerId, change: &ChangeByHand) {
        let session = &mut self.sessions[caller.session];
        let of = session.callers[caller.caller_index].caller.clone();
        session.machine.session_mut().note_discarded(&of, &change.entry);
    }
}
