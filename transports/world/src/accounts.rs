//! Where every cost is at every moment, and what a flush would say.

use std::time::Duration;

use cycles_proto::Flushed;
use cycles_proto::record::{JournalRecord, file_name};

use super::audit::broken;
use super::life::{Life, LifeId};
use super::{Rule, World};

/// Where a cost is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Ledger,
    /// A machine has it.
    OnItsWay,
    /// In a record that will be sent.
    Record,
    /// In a file for a person.
    Aside,
    /// With the only process that ever knew it.
    Gone,
    Nowhere,
}

impl World {
    /// Checks that every cost that was handed over is somewhere, or counted as nowhere, and that no flush would
    /// hide it.
    pub(super) fn account(&mut self) {
        let places: Vec<_> = (0..self.lives.len())
            .map(|index| self.place(LifeId(index)))
            .collect();
        let sessions: Vec<_> = self.living_sessions().map(|(index, _)| index).collect();
        for index in sessions {
            for who in 0..self.sessions[index].callers.len() {
                let flushed = self.left(index, who);
                self.check_count(index, who, &flushed, &places);
            }
        }
        // Those of whom no living process counts anything.
        let is_forgotten = |(life, place): &(usize, &Option<Place>)| {
            **place == Some(Place::Nowhere) && self.home(LifeId(*life)).is_none()
        };
        if let Some((life, _)) = places.iter().enumerate().find(is_forgotten) {
            let held = broken(Rule::CostKept, "a cost that was recorded is in no file any more");
            self.check(Some(LifeId(life)), held);
        }
    }

    /// Checks that what a caller is told of its costs is so. A flush looks at those that ended processes left, too.
    pub(super) fn check_flushed(
        &mut self,
        index: usize,
        who: usize,
        flushed: &Flushed,
        since: Option<Duration>,
    ) {
        let places: Vec<_> = (0..self.lives.len())
            .map(|index| self.place(LifeId(index)))
            .collect();
        self.check_count(index, who, flushed, &places);
        let Some(since) = since.filter(|_| flushed.is_complete()) else {
            return;
        };
        let directory = &self.sessions[index].callers[who].journal.directory;
        let is_hidden = |life: &Life| {
            let has_ended = life.book.ended.is_some_and(|ended| ended < since);
            let first = life.book.first_record.as_ref();
            has_ended && !life.book.was_put_back && first.is_some_and(|(of, _)| of == directory)
        };
        let hidden = places
            .iter()
            .zip(&self.lives)
            .position(|(place, life)| *place == Some(Place::Record) && is_hidden(life));
        if let Some(life) = hidden {
            let what = format!("{flushed:?} is said, and there is a record of an ended process");
            self.check(Some(LifeId(life)), broken(Rule::FlushIsTrue, what));
        }
    }

    fn check_count(&mut self, index: usize, who: usize, flushed: &Flushed, places: &[Option<Place>]) {
        let ours: Vec<_> = places
            .iter()
            .enumerate()
            .filter(|(life, _)| self.is_of(LifeId(*life), index, who))
            .collect();
        let nowhere = ours
            .iter()
            .filter(|(_, place)| **place == Some(Place::Nowhere))
            .count();
        if nowhere > flushed.unrecorded {
            let what = format!("{nowhere} costs are nowhere, and {flushed:?} is said");
            self.check(None, broken(Rule::CostKept, what));
        } else if flushed.is_complete()
            && let Some((life, place)) = ours
                .iter()
                .find(|(life, place)| self.is_open(LifeId(*life), **place))
        {
            let what = format!("{flushed:?} is said, and a cost is {place:?}");
            self.check(Some(LifeId(*life)), broken(Rule::FlushIsTrue, what));
        }
    }

    /// Whether a life was begun by this caller.
    fn is_of(&self, life: LifeId, index: usize, who: usize) -> bool {
        let home = self.lives[life.0].book.home.map(|seat| &self.seats[seat]);
        home.is_some_and(|seat| (seat.session, seat.who) == (index, who))
    }

    /// How many costs of this caller nobody knows but the session.
    pub(super) fn only_here(&self, index: usize, who: usize) -> usize {
        let is_only_here = |life: &LifeId| {
            let of = &self.lives[life.0];
            of.cost.is_some()
                && of.settled.is_empty()
                && !of.book.was_durable
                && self.file_of(*life).is_none()
        };
        let lives = (0..self.lives.len()).map(LifeId);
        lives
            .filter(|life| self.is_of(*life, index, who) && is_only_here(life))
            .count()
    }

    /// Whether a flush of the process that the cost was handed over to has to tell of it.
    fn is_open(&self, id: LifeId, place: Option<Place>) -> bool {
        let life = &self.lives[id.0];
        // What somebody did to the journal by hand, no client can know.
        if life.book.was_put_back {
            return false;
        }
        let receipt = life.book.home.and_then(|seat| self.receipt_of(seat));
        let is_untaken = life.book.untaken && self.is_over(id);
        match place {
            None => is_untaken,
            Some(Place::Ledger) => {
                let charged = life.settled.last().map(|last| last.charged);
                let is_less = charged < life.cost.as_ref().map(|cost| cost.amount);
                // One that was settled by another process is told of there.
                let is_ours = self.is_over(id) && receipt.is_some_and(|receipt| receipt.is_settled());
                is_untaken || is_less && is_ours
            }
            // So is one that was set aside there, also if a change that hung brings its record back.
            Some(Place::OnItsWay | Place::Record) if life.book.was_set_aside && self.is_over(id) => {
                receipt.is_some_and(|receipt| receipt.is_set_aside())
            }
            Some(Place::Aside) => receipt.is_some_and(|receipt| receipt.is_set_aside()),
            Some(Place::OnItsWay | Place::Record | Place::Gone | Place::Nowhere) => true,
        }
    }

    /// Where the cost of a life is, if it has one.
    fn place(&self, id: LifeId) -> Option<Place> {
        let life = &self.lives[id.0];
        life.cost.as_ref()?;
        if !life.settled.is_empty() {
            return Some(Place::Ledger);
        }
        let has_it = |(at, seat): (usize, &super::Seat)| {
            let is_its = |of: &usize| *of == at;
            seat.life == id && (!seat.is_done || self.sessions[seat.session].writes.values().any(is_its))
        };
        let home = self.home(id).map(|at| (at, &self.seats[at]));
        if home.is_some_and(has_it) {
            return Some(Place::OnItsWay);
        }
        let file = self.file_of(id);
        // What one process has set aside another may be trying still.
        if file != Some(Place::Aside) && self.busy_seats().any(has_it) {
            return Some(Place::OnItsWay);
        }
        if file.is_some() {
            return file;
        }
        let is_gone = self.home(id).is_none() && !life.book.was_durable;
        Some(if is_gone { Place::Gone } else { Place::Nowhere })
    }

    /// In which kind of file the cost of a life is, if it is in one.
    fn file_of(&self, id: LifeId) -> Option<Place> {
        let life = &self.lives[id.0];
        let name = life.reservation_id.as_ref().map(file_name).unwrap_or_default();
        let stem = name.trim_end_matches("json");
        // A record of another cost of the reservation is not this one's; of what is no record nobody can tell, but
        // that one which is still being written will be removed.
        let is_ours = |name: &str, bytes: &[u8]| match (JournalRecord::parse(bytes), &life.book.key) {
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
        // A whole one under a temporary name is taken up by the next scan.
        let endings = [".json", ".waiting", ".tmp", ".taken"];
        let is_record = files.any(|(_, name, _)| endings.iter().any(|ending| name.ends_with(ending)));
        Some(if is_record { Place::Record } else { Place::Aside })
    }
}
