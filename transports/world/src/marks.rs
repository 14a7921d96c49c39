//! The durable marks of a job: what the files can say about its requests, as far as that can be known from outside.

use std::collections::BTreeSet;
use std::time::Duration;

use super::job::Job;
use super::session::CallerId;
use cycles_proto::Ticket;
use cycles_proto::journal::{JournalRecord, JournalWrite, RecordId, mark_file_name};
use sha2::{Digest as _, Sha256};

/// The mark on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Nothing,
    /// One of this estimate, which belongs to the client that runs the action.
    Owned(i64),
    /// One of this estimate, which that client has left behind.
    Left(i64),
}

/// What a change to the journal does to a mark.
#[derive(Clone, Copy, Debug)]
pub(super) enum MarkChange {
    Put(i64),
    Remove,
    Leave,
    /// A record takes its place. What a run's record still says about dispatched steps becomes a mark of its own.
    Replace(i64),
}

/// What a person has done with a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Charged,
    Discarded,
}

/// The audit's notes about the marks of a job.
#[derive(Debug)]
pub(super) struct MarkNotes {
    /// The key under which its mark would be charged.
    pub(super) key: Option<String>,
    /// How the names of the files begin that have its mark.
    stems: Vec<String>,
    /// The marks that may be on disk, apart from the changes that are not answered yet.
    known: BTreeSet<Mark>,
    unanswered: Vec<(Ticket, MarkChange)>,
    /// What the marks may say that it had before it became a run.
    of_action: BTreeSet<i64>,
    /// Whether its client has asked for the record that takes its place.
    pub(super) is_replaced: bool,
    /// When its client ended.
    pub(super) orphaned: Option<Duration>,
    /// Since when there is a mark for sure, and no client owns it.
    pub(super) left: Option<Duration>,
    /// The clients that have told of it.
    pub(super) told_by: BTreeSet<CallerId>,
    /// What a person has done with it, and when.
    pub(super) decided: Option<(Decision, Duration)>,
    /// The clients with which persons did that, in that order.
    pub(super) decided_in: Vec<(CallerId, Decision)>,
    /// How many changes by persons are being made, or were interrupted.
    pub(super) by_hand: usize,
    /// Whether a person ever began to charge it.
    pub(super) may_be_charged: bool,
    /// Whether its process may have settled another cost under its key before a person charged it.
    pub(super) has_another_cost: bool,
    /// Whether a person ever began to take it back after another one had discarded it.
    pub(super) may_be_taken_back: bool,
}

impl Default for MarkNotes {
    fn default() -> Self {
        Self {
            key: None,
            stems: Vec::new(),
            known: BTreeSet::from([Mark::Nothing]),
            unanswered: Vec::new(),
            of_action: BTreeSet::new(),
            is_replaced: false,
            orphaned: None,
            left: None,
            told_by: BTreeSet::new(),
            decided: None,
            decided_in: Vec::new(),
            by_hand: 0,
            may_be_charged: false,
            has_another_cost: false,
            may_be_taken_back: false,
        }
    }
}

impl Mark {
    pub(super) const fn estimate(self) -> Option<i64> {
        match self {
            Self::Nothing => None,
            Self::Owned(estimate) | Self::Left(estimate) => Some(estimate),
        }
    }

    /// What this mark may be after a change that was made.
    fn after(self, change: MarkChange) -> Vec<Self> {
        match (change, self) {
            (MarkChange::Put(0), _)
            | (MarkChange::Remove, Self::Owned(_))
            | (MarkChange::Replace(0), Self::Owned(_)) => vec![Self::Nothing],
            (MarkChange::Put(estimate), _) => vec![Self::Owned(estimate)],
            (MarkChange::Leave, Self::Owned(estimate)) => vec![Self::Left(estimate)],
            (MarkChange::Replace(estimate), Self::Owned(_)) => vec![Self::Left(estimate)],
            // There may be a total that says nothing about dispatched steps, or no total.
            (MarkChange::Replace(estimate), Self::Nothing) if estimate > 0 => {
                vec![Self::Left(estimate), Self::Nothing]
            }
            (MarkChange::Remove | MarkChange::Leave | MarkChange::Replace(_), _) => vec![self],
        }
    }
}

impl MarkChange {
    pub(super) fn of(write: &JournalWrite) -> Option<Self> {
        match write {
            JournalWrite::PutMark(mark) => Some(Self::Put(mark.dispatched()?.amount)),
            JournalWrite::PutRun(total) => Some(Self::Put(dispatched_steps(total))),
            JournalWrite::Put(record) | JournalWrite::SetAside(record, _) | JournalWrite::Remove(record) => {
                Some(Self::Replace(dispatched_steps(record)))
            }
            JournalWrite::RemoveMark(_) => Some(Self::Remove),
            JournalWrite::LeaveMark(mark) if mark.dispatched().is_some() => Some(Self::Leave),
            JournalWrite::LeaveMark(total) => Some(Self::Replace(dispatched_steps(total))),
        }
    }
}

/// What the total of a run says about the estimates of its dispatched steps.
pub(super) fn dispatched_steps(total: &JournalRecord) -> i64 {
    let body: serde_json::Value = serde_json::from_str(total.body()).unwrap_or_default();
    body["metadata"]["cycles_run"]["dispatched"].as_i64().unwrap_or(0)
}

impl MarkNotes {
    /// Notes a change that the client of the job asks for.
    pub(super) fn note_asked(&mut self, ticket: Ticket, write: &JournalWrite) {
        if let JournalWrite::PutMark(mark) | JournalWrite::PutRun(mark) = write {
            let is_run = matches!(write, JournalWrite::PutRun(_));
            let key = mark.id().key.as_str();
            let key = if is_run { key_of_steps(key) } else { key.to_owned() };
            if self.key.as_ref() != Some(&key) {
                // The mark of an action that has become a run may not have been removed.
                self.of_action = self.possible().into_iter().filter_map(Mark::estimate).collect();
                let id = RecordId::new(mark.reservation_id().clone(), key.as_str(), None);
                self.stems.push(stem(&id));
                self.key = Some(key);
            }
        }
        self.is_replaced |= matches!(write, JournalWrite::Put(_) | JournalWrite::SetAside(..));
        if let Some(change) = MarkChange::of(write) {
            self.unanswered.push((ticket, change));
        }
    }

    /// Notes the answer to such a change.
    pub(super) fn note_answered(&mut self, now: Duration, ticket: Ticket, is_made: bool) {
        let Some(place) = self.unanswered.iter().position(|(asked, _)| *asked == ticket) else {
            return;
        };
        // Changes are made in order, but the answers to those before may never come.
        for (before, change) in self.unanswered.drain(..=place).collect::<Vec<_>>() {
            let after: BTreeSet<_> = self.known.iter().flat_map(|mark| mark.after(change)).collect();
            match before == ticket && is_made {
                true => self.known = after,
                false => self.known.extend(after),
            }
        }
        let is_left = self.possible().iter().all(|mark| matches!(mark, Mark::Left(_)));
        if is_left {
            self.left.get_or_insert(now);
        }
    }

    /// Notes that the client of the job has ended.
    pub(super) fn note_orphaned(&mut self, now: Duration) {
        self.orphaned.get_or_insert(now);
        if self.possible().iter().all(|mark| *mark != Mark::Nothing) {
            self.left.get_or_insert(now);
        }
    }

    /// The marks that may be on disk, unless a person has changed that.
    pub(super) fn possible(&self) -> BTreeSet<Mark> {
        let mut possible = self.known.clone();
        for (_, change) in &self.unanswered {
            let after: Vec<_> = possible.iter().flat_map(|mark| mark.after(*change)).collect();
            possible.extend(after);
        }
        possible
    }

    /// What a person has done with it, unless somebody may be about to change that.
    pub(super) fn decision(&self) -> Option<Decision> {
        let (decision, _) = self.decided.filter(|_| self.by_hand == 0)?;
        Some(decision)
    }

    /// What a person did with it last with that client.
    pub(super) fn decided_with(&self, client: CallerId) -> Option<Decision> {
        let with_it = self.decided_in.iter().rev().find(|(with, _)| *with == client)?;
        Some(with_it.1)
    }

    /// Whether there is no mark for sure.
    pub(super) fn is_gone(&self) -> bool {
        self.possible().iter().all(|mark| *mark == Mark::Nothing)
    }

    /// The marks that a client may find now.
    pub(super) fn found(&self) -> BTreeSet<i64> {
        let is_found = |mark: &Mark| self.orphaned.is_some() || matches!(mark, Mark::Left(_));
        let found = self.possible().into_iter().filter(is_found);
        let of_action = self.of_action.iter().copied().filter(|_| self.orphaned.is_some());
        found.filter_map(Mark::estimate).chain(of_action).collect()
    }

    /// Whether it may be the mark of an action that has become a run.
    pub(super) fn may_be_of_action(&self, estimate: i64) -> bool {
        self.of_action.contains(&estimate)
    }

    /// Whether every client that reads the journal finds a mark.
    pub(super) fn is_certain(&self) -> bool {
        self.left.is_some() && self.decided.is_none() && self.by_hand == 0
    }

    /// Whether a file has the mark of this job.
    pub(super) fn is_file(&self, file: &str) -> bool {
        let name = file.rsplit('/').next().unwrap_or_default();
        self.stems.iter().any(|stem| name.starts_with(stem.as_str()))
    }
}

impl Job {
    /// Whether somebody was told that nobody knows its cost.
    pub(super) fn is_told(&self) -> bool {
        self.notes.provider.reported.is_some() || !self.notes.marks.told_by.is_empty()
    }
}

/// The key of the mark of steps, for the run that is settled under this key.
fn key_of_steps(key: &str) -> String {
    let digest = Sha256::digest(format!("{key}\ndispatched"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How the names of all files of a mark begin.
fn stem(id: &RecordId) -> String {
    let name = mark_file_name(id, "");
    name.trim_end_matches(".dispatched").to_owned()
}
