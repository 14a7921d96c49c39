//! Checks of durable marks: they are on disk when the client says so, and everybody who reads the journal is told of
//! those that a client left, but of no others.

use cycles_proto::Event;
use cycles_proto::Ticket;
use cycles_proto::journal::JournalWrite;

use super::{CheckResult, broken};
use crate::job::{Job, JobId};
use crate::marks::{Mark, dispatched_steps};
use crate::rule::Rule;
use crate::{CallerId, World};

impl Job {
    /// Checks and notes what a change to the journal, by the session that runs the action, does to its mark.
    pub(super) fn check_mark_change(&mut self, ticket: Ticket, write: &JournalWrite) -> CheckResult {
        let checked = self.check_mark_of(write);
        if let (JournalWrite::Remove(_), Some(run)) = (write, &mut self.notes.run) {
            // If its record could not be written, what the total says about steps on hold goes with it.
            run.give_up_marks();
        }
        self.notes.marks.note_asked(ticket, write);
        checked
    }

    fn check_mark_of(&self, write: &JournalWrite) -> CheckResult {
        let provider = &self.notes.provider;
        match (write, &self.notes.run) {
            (JournalWrite::PutMark(mark), _) => {
                if self.notes.marks.is_replaced {
                    return broken(
                        Rule::MarkTrue,
                        "a mark is written although the record of the cost was to take its place",
                    );
                }
                let estimate = mark.dispatched().map(|estimate| estimate.amount);
                if estimate != Some(provider.estimate) {
                    let due = provider.estimate;
                    return broken(
                        Rule::MarkTold,
                        format!("a mark of {estimate:?}, but the estimate is {due}"),
                    );
                }
            }
            (JournalWrite::PutRun(total) | JournalWrite::Put(total), Some(run)) => {
                let (said, due) = (dispatched_steps(total), run.durably_dispatched());
                if said != due {
                    return broken(
                        Rule::MarkTold,
                        format!(
                            "a total says that steps which may cost {said} were dispatched, but it is {due}"
                        ),
                    );
                }
            }
            (JournalWrite::RemoveMark(_), None) => {
                let is_unknown = self.notes.is_running || provider.owes_report.is_some();
                // Requests that are not to be marked may follow those that were taken back.
                if is_unknown && provider.requests.is_durable() {
                    return broken(Rule::MarkTold, "a mark is removed although nobody knows the cost");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that a mark of what may have been spent is on disk, because the session has said so.
    pub(crate) fn check_marked(&self) -> CheckResult {
        let least = match &self.notes.run {
            Some(run) => run.marked(),
            None if self.notes.is_running && self.notes.provider.requests.is_marked() => {
                self.notes.provider.estimate
            }
            None => 0,
        };
        let possible = self.notes.marks.possible();
        let is_there = |mark: &Mark| mark.estimate().unwrap_or(0) >= least;
        match possible.iter().all(is_there) {
            true => Ok(()),
            false => broken(
                Rule::MarkStored,
                format!(
                    "requests that may cost {least} are said to be marked, but on disk there may be {possible:?}"
                ),
            ),
        }
    }
}

impl World {
    /// Notes that the client of this job ends now.
    pub(crate) fn note_orphaned(&mut self, job: JobId) {
        let notes = &mut self.jobs[job.0].notes.marks;
        notes.note_orphaned(self.now);
        self.counts.left_marks += u64::from(notes.left.is_some());
    }

    /// Before a client gets the results of a scan: notes which marks it has to tell of.
    pub(crate) fn note_marks_to_tell(&mut self, caller: CallerId, directory: &str) {
        let jobs = (0..self.jobs.len()).map(JobId);
        let owed = jobs.filter(|job| {
            let marks = &self.jobs[job.0].notes.marks;
            marks.is_certain()
                && !marks.told_by.contains(&caller)
                && self.client_of(*job) != Some(caller)
                && self.directory_of(*job) == Some(directory)
        });
        let owed: Vec<_> = owed.map(|job| (job, caller)).collect();
        self.sessions[caller.session].owes_marks.extend(owed);
    }

    /// Checks that the session has told of every mark that it found.
    pub(crate) fn check_marks_told(&mut self, index: usize) {
        if let Some((job, caller)) = self.sessions[index].owes_marks.pop_first() {
            let checked = broken(
                Rule::MarkTold,
                format!("{caller} has read the journal, but does not tell of the mark"),
            );
            self.keep_violation(Some(job), checked);
        }
    }

    /// Checks an event that tells of a mark.
    pub(crate) fn check_told_mark(&mut self, index: usize, event: &Event) {
        let Event::UnknownCostLeft { file, info, .. } = event else {
            return;
        };
        let estimate = info.as_ref().and_then(|info| info.estimate.as_ref());
        let estimate = estimate.map_or(0, |estimate| estimate.amount);
        let Some(id) = self.job_of_mark(file) else {
            let checked = broken(Rule::MarkTrue, format!("{file} is told of, but nobody marked it"));
            return self.keep_violation(None, checked);
        };
        self.counts.told_marks += 1;
        let teller = self.teller_of(index, id);
        let marks = &mut self.jobs[id.0].notes.marks;
        let found = marks.found();
        let checked = if !found.contains(&estimate) {
            broken(
                Rule::MarkTrue,
                format!(
                    "a mark of {estimate} is told of, but there can be {found:?}: {:?}",
                    marks.possible()
                ),
            )
        } else if let Some(decision) = marks.decision() {
            broken(Rule::MarkTrue, format!("a mark is told of that was {decision:?}"))
        } else if let Some(teller) = teller {
            marks.told_by.insert(teller);
            self.sessions[index].owes_marks.remove(&(id, teller));
            Ok(())
        } else {
            broken(
                Rule::MarkTrue,
                "a client tells of a mark twice, or of one of its own",
            )
        };
        self.keep_violation(Some(id), checked);
    }

    /// The client of a session that tells of this mark. Clients of one tenant share a directory, and the event does not say
    /// which of them it is from.
    fn teller_of(&self, index: usize, job: JobId) -> Option<CallerId> {
        let session = &self.sessions[index];
        let owed = session.owes_marks.iter().find(|(owed, _)| *owed == job);
        let callers = (0..session.callers.len()).map(|caller_index| CallerId {
            session: index,
            caller_index,
        });
        let may_tell = |caller: &CallerId| {
            let directory = &session.callers[caller.caller_index].journal.directory;
            self.directory_of(job) == Some(directory)
                && self.client_of(job) != Some(*caller)
                && !self.jobs[job.0].notes.marks.told_by.contains(caller)
        };
        let mut others = callers.filter(may_tell);
        owed.map(|(_, caller)| *caller).or_else(|| others.next())
    }

    /// Checks how many marks a flush counts, which began at `since`.
    pub(crate) fn check_marks_counted(
        &mut self,
        caller: CallerId,
        flushed: &cycles_proto::Flushed,
        since: std::time::Duration,
    ) {
        let directory = self.sessions[caller.session].callers[caller.caller_index]
            .journal
            .directory
            .clone();
        let is_due = |job: &JobId| {
            let marks = &self.jobs[job.0].notes.marks;
            marks.is_certain()
                && marks.left.is_some_and(|left| left < since)
                && self.client_of(*job) != Some(caller)
                && self.directory_of(*job) == Some(&*directory)
        };
        let due = (0..self.jobs.len()).map(JobId).filter(is_due).count();
        if flushed.is_certain && flushed.unknown < due {
            let checked = broken(
                Rule::MarkTold,
                format!("{due} marks were left, but the flush reports {flushed:?}"),
            );
            self.keep_violation(None, checked);
        }
    }

    /// Checks that a session counts no more marks than it can have found.
    pub(crate) fn check_marks_not_invented(&mut self, caller: CallerId, unknown: usize) {
        if unknown == 0 {
            return;
        }
        let state = &self.sessions[caller.session].callers[caller.caller_index];
        let (directory, last_scan) = (&state.journal.directory, state.last_scan);
        let may_be_counted = |job: &JobId| {
            let marks = &self.jobs[job.0].notes.marks;
            let is_decided = marks.decision().is_some()
                && marks
                    .decided
                    .is_some_and(|(_, at)| at < last_scan || marks.decided_with(caller).is_some());
            !is_decided && !marks.found().is_empty() && self.directory_of(*job) == Some(directory)
        };
        let most = (0..self.jobs.len()).map(JobId).filter(may_be_counted).count();
        if unknown > most {
            let checked = broken(
                Rule::MarkTrue,
                format!("{caller} counts {unknown} marks, but there are at most {most}"),
            );
            self.keep_violation(None, checked);
        }
    }

    /// Checks, once everything is over, that every mark that was left is still somewhere, and that somebody was told.
    pub(crate) fn check_marks_at_end(&mut self) {
        for id in (0..self.jobs.len()).map(JobId) {
            let marks = &self.jobs[id.0].notes.marks;
            let Some(key) = marks.key.as_deref().filter(|_| marks.left.is_some()) else {
                continue;
            };
            // Its estimate may be all that was ever sent for it.
            let is_charged = |job: &Job| {
                let own = job.notes.key.as_deref();
                job.reservation_id == self.jobs[id.0].reservation_id
                    && own.or(job.notes.marks.key.as_deref()) == Some(key)
                    && (!job.charges.is_empty() || job.notes.was_surfaced)
            };
            let is_kept = self.files_of_mark(id).next().is_some() || self.jobs.iter().any(is_charged);
            let is_served = self.living_sessions().any(|(index, session)| {
                // A change that hung may have been made after all scans.
                let callers = session.callers.iter();
                let callers = callers.filter(|caller| marks.left.is_some_and(|at| at < caller.last_scan));
                let mut directories = callers.map(|caller| caller.journal.directory.as_str());
                session.closed.is_none()
                    && self.client_of(id).is_some_and(|of| of.session != index)
                    && directories.any(|directory| self.directory_of(id) == Some(directory))
            });
            let is_told = !marks.told_by.is_empty() || marks.decided.is_some() || marks.by_hand > 0;
            let checked = if !is_kept {
                broken(Rule::MarkTold, "a mark that was left is nowhere any more")
            } else if is_served && !is_told {
                broken(Rule::MarkTold, "nobody is told of a mark that was left")
            } else {
                Ok(())
            };
            self.keep_violation(Some(id), checked);
        }
    }

    /// The files with the mark of a job, or with the cost that a person made of it.
    fn files_of_mark(&self, job: JobId) -> impl Iterator<Item = &str> {
        let marks = &self.jobs[job.0].notes.marks;
        let reservation = self.jobs[job.0].reservation_id.as_ref();
        let is_its = move |(_, name, bytes): &(&str, &str, &bytes::Bytes)| {
            let record = cycles_proto::record::JournalRecord::parse(bytes);
            marks.is_file(name)
                || record.is_ok_and(|record| {
                    Some(record.reservation_id()) == reservation
                        && Some(record.id().key.as_str()) == marks.key.as_deref()
                })
        };
        self.journal.files().filter(is_its).map(|(_, name, _)| name)
    }

    /// The job whose mark is in this file.
    pub(crate) fn job_of_mark(&self, file: &str) -> Option<JobId> {
        let is_its = |job: &Job| job.notes.marks.is_file(file);
        self.jobs.iter().position(is_its).map(JobId)
    }

    /// The client that began the job.
    pub(crate) fn client_of(&self, job: JobId) -> Option<CallerId> {
        let reservation = &self.reservations[self.jobs[job.0].notes.origin?];
        Some(CallerId {
            session: reservation.session,
            caller_index: reservation.caller_index,
        })
    }

    /// The directory with the records of the job.
    fn directory_of(&self, job: JobId) -> Option<&str> {
        let reservation = &self.reservations[self.jobs[job.0].notes.origin?];
        let caller = &self.sessions[reservation.session].callers[reservation.caller_index];
        Some(&caller.journal.directory)
    }
}
