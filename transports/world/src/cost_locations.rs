//! Tracks where every cost is at every moment, and checks the results of flushes against it.

use std::time::Duration;

use cycles_proto::Flushed;
use cycles_proto::record::{JournalRecord, file_name};

use super::audit::broken;
use super::job::{Job, JobId};
use super::marks::Decision;
use super::{CallerId, Rule, World};

/// The location of a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Location {
    Ledger,
    /// In a session that is still settling it.
    OnItsWay,
    /// In a record that will be sent.
    Record,
    /// In a file for a person.
    Aside,
    /// Lost with the only process that ever knew it.
    Gone,
    Nowhere,
}

impl World {
    /// Checks that every handed-over cost has a location or is counted as unrecorded, and that no flush would hide it.
    pub(super) fn check_cost_locations(&mut self) {
        let locations: Vec<_> = (0..self.jobs.len())
            .map(|index| self.locate(JobId(index)))
            .collect();
        let sessions: Vec<_> = self.living_sessions().map(|(index, _)| index).collect();
        for index in sessions {
            for caller_index in 0..self.sessions[index].callers.len() {
                let flushed = self.costs_left(index, caller_index);
                self.check_count(index, caller_index, &flushed, &locations);
            }
        }
        // Costs without a location whose process is gone, so that no process counts them.
        let is_forgotten = |(job, location): &(usize, &Option<Location>)| {
            **location == Some(Location::Nowhere) && self.live_origin(JobId(*job)).is_none()
        };
        if let Some((job, _)) = locations.iter().enumerate().find(is_forgotten) {
            let checked = broken(Rule::CostKept, "a recorded cost is no longer in any file");
            self.keep_violation(Some(JobId(job)), checked);
        }
    }

    /// Checks what a flush reports to a caller about its costs, including those left behind by ended processes.
    pub(super) fn check_flushed(
        &mut self,
        index: usize,
        caller_index: usize,
        flushed: &Flushed,
        since: Option<Duration>,
    ) {
        let locations: Vec<_> = (0..self.jobs.len())
            .map(|index| self.locate(JobId(index)))
            .collect();
        self.check_count(index, caller_index, flushed, &locations);
        let session = &self.sessions[index];
        let caller = &session.callers[caller_index];
        // A closed session reads its journal no more: it knows what its last scan found.
        let since = match session.closed {
            Some(_) => since.map(|since| since.min(caller.last_scan)),
            None => since,
        };
        if let Some(since) = since {
            let caller = CallerId {
                session: index,
                caller_index,
            };
            self.check_marks_counted(caller, flushed, since);
        }
        let Some(since) = since.filter(|_| flushed.is_complete()) else {
            return;
        };
        let caller = &self.sessions[index].callers[caller_index];
        let directory = &caller.journal.directory;
        let is_hidden = |job: &Job| {
            let has_ended = job.notes.ended.is_some_and(|ended| ended < since);
            let first = job.notes.first_record.as_ref();
            has_ended && !job.notes.was_put_back && first.is_some_and(|(of, _)| of == directory)
        };
        let hidden = locations
            .iter()
            .zip(&self.jobs)
            .position(|(location, job)| *location == Some(Location::Record) && is_hidden(job));
        if let Some(job) = hidden {
            let what = format!("the flush reports {flushed:?}, but there is a record of an ended process");
            self.keep_violation(Some(JobId(job)), broken(Rule::FlushIsTrue, what));
        }
    }

    fn check_count(
        &mut self,
        index: usize,
        caller_index: usize,
        flushed: &Flushed,
        locations: &[Option<Location>],
    ) {
        let ours: Vec<_> = locations
            .iter()
            .enumerate()
            .filter(|(job, _)| self.is_of(JobId(*job), index, caller_index))
            .collect();
        let caller = CallerId {
            session: index,
            caller_index,
        };
        self.check_marks_not_invented(caller, flushed.unknown);
        let nowhere = ours
            .iter()
            .filter(|(_, location)| **location == Some(Location::Nowhere))
            .count();
        let is_unknown = |job: &usize| {
            let notes = &self.jobs[*job].notes;
            notes.provider.reported.is_some() && notes.marks.decided_with(caller).is_none()
        };
        let unknown = ours.iter().filter(|(job, _)| is_unknown(job)).count();
        if nowhere > flushed.unrecorded {
            let what = format!("the flush reports {flushed:?}, but {nowhere} costs are nowhere");
            self.keep_violation(None, broken(Rule::CostKept, what));
        } else if nowhere + unknown > flushed.unrecorded {
            let what = format!("the flush reports {flushed:?}, but {unknown} costs are unknown");
            self.keep_violation(None, broken(Rule::FlushIsTrue, what));
        } else if flushed.is_complete()
            && let Some((job, location)) = ours
                .iter()
                .find(|(job, location)| self.is_open(JobId(*job), **location))
        {
            let what = format!("the flush reports {flushed:?}, but a cost is in {location:?}");
            self.keep_violation(Some(JobId(*job)), broken(Rule::FlushIsTrue, what));
        }
    }

    /// Whether this caller began the job.
    fn is_of(&self, job: JobId, index: usize, caller_index: usize) -> bool {
        let origin = self.jobs[job.0].notes.origin.map(|at| &self.reservations[at]);
        origin.is_some_and(|reservation| {
            (reservation.session, reservation.caller_index) == (index, caller_index)
        })
    }

    /// The number of this caller's costs that only the session knows.
    pub(super) fn only_here(&self, index: usize, caller_index: usize) -> usize {
        let is_only_here = |job: &JobId| {
            let of = &self.jobs[job.0];
            of.cost.is_some()
                && of.charges.is_empty()
                && !of.notes.was_durable
                && self.file_of(*job).is_none()
        };
        let jobs = (0..self.jobs.len()).map(JobId);
        jobs.filter(|job| self.is_of(*job, index, caller_index) && is_only_here(job))
            .count()
    }

    /// Whether this cost must keep a flush in the process that it was handed over to from being complete.
    fn is_open(&self, id: JobId, location: Option<Location>) -> bool {
        let job = &self.jobs[id.0];
        // A client cannot know that someone put a record back by hand.
        if job.notes.was_put_back {
            return false;
        }
        let receipt = job.notes.origin.and_then(|at| self.receipt_of(at));
        let is_missing = job.notes.untaken || job.notes.provider.owes_report.is_some();
        // A person has dealt with its mark, and this client knows that.
        let client = self.client_of(id);
        let decided = client.and_then(|client| job.notes.marks.decided_with(client));
        if decided == Some(Decision::Discarded) {
            // If it is taken back with another client, that reports it.
            return false;
        }
        let is_missing = is_missing && self.is_over(id) && decided.is_none();
        match location {
            None => is_missing,
            Some(Location::Ledger) => {
                let charged = job.charges.last().map(|last| last.amount);
                let is_less = charged < job.cost.as_ref().map(|cost| cost.amount);
                // If another process settled it, that process reports it.
                let is_ours = self.is_over(id) && receipt.is_some_and(|receipt| receipt.is_settled());
                is_missing || is_less && is_ours
            }
            // This also applies to a cost that was set aside, even if a hung change brings its record back.
            Some(Location::OnItsWay | Location::Record) if job.notes.was_set_aside && self.is_over(id) => {
                receipt.is_some_and(|receipt| receipt.is_set_aside())
            }
            Some(Location::Aside) => receipt.is_some_and(|receipt| receipt.is_set_aside()),
            Some(Location::OnItsWay | Location::Record | Location::Gone | Location::Nowhere) => true,
        }
    }

    /// The location of a job's cost, if it has one.
    fn locate(&self, id: JobId) -> Option<Location> {
        let job = &self.jobs[id.0];
        let is_left = || self.live_origin(id).is_none() && job.charges.is_empty();
        if job.cost.is_none() && job.notes.run.as_ref().is_some_and(|run| run.charged > 0) && is_left() {
            // The total that an ended process left is found by the next scan.
            return Some(self.file_of(id).unwrap_or(Location::Nowhere));
        }
        job.cost.as_ref()?;
        if !job.charges.is_empty() {
            return Some(Location::Ledger);
        }
        let has_it = |(at, reservation): (usize, &super::DrivenReservation)| {
            let is_its = |of: &usize| *of == at;
            reservation.job == id
                && (!reservation.is_done || self.sessions[reservation.session].writes.values().any(is_its))
        };
        let origin = self.live_origin(id).map(|at| (at, &self.reservations[at]));
        if origin.is_some_and(has_it) {
            return Some(Location::OnItsWay);
        }
        let file = self.file_of(id);
        // One process may have set the record aside while another is still trying to settle it.
        if file != Some(Location::Aside) && self.busy_reservations().any(has_it) {
            return Some(Location::OnItsWay);
        }
        if file.is_some() {
            return file;
        }
        let is_gone = self.live_origin(id).is_none() && !job.notes.was_durable;
        Some(if is_gone {
            Location::Gone
        } else {
            Location::Nowhere
        })
    }

    /// The kind of file that contains the cost of a job, if any.
    fn file_of(&self, id: JobId) -> Option<Location> {
        let job = &self.jobs[id.0];
        let name = job.reservation_id.as_ref().map(file_name).unwrap_or_default();
        let stem = name.trim_end_matches("json");
        // A record of another cost of the reservation does not count. A file that is not a record may contain this
        // cost, except a temporary file that is still being written, which will be removed.
        let is_ours = |name: &str, bytes: &[u8]| match (JournalRecord::parse(bytes), &job.notes.key) {
            // Nobody knows whether that is a cost.
            (Ok(mark), _) if mark.dispatched().is_some() => false,
            (Ok(record), Some(key)) => record.id().key.as_str() == key,
            (Ok(_), None) => true,
            (Err(_), _) => !name.ends_with(".tmp"),
        };
        let mut files = self
            .journal
            .files()
            .filter(|(_, name, bytes)| name.starts_with(stem) && is_ours(name, bytes))
            .peekable();
        files.peek()?;
        // The next scan resumes a complete record under a temporary name.
        let endings = [".json", ".waiting", ".run", ".dispatched", ".tmp", ".taken"];
        let is_record = files.any(|(_, name, _)| endings.iter().any(|ending| name.ends_with(ending)));
        Some(if is_record {
            Location::Record
        } else {
            Location::Aside
        })
    }
}
