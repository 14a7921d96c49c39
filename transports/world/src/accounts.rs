//! Where every cost is at every moment, and what a flush would say.

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
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            if !process.is_alive {
                continue;
            }
            let has_journal = process.config.journal_enabled();
            let now = process.now(self.now);
            let flushed = Flushed::new(Some(&process.replayer), has_journal, now, &process.tally);
            let ours = |life: &Life| {
                let home = life.book.home.map(|seat| self.seats[seat].process.0);
                home == Some(index)
            };
            let ours: Vec<_> = places
                .iter()
                .enumerate()
                .filter(|(life, _)| ours(&self.lives[*life]))
                .collect();
            let nowhere = ours
                .iter()
                .filter(|(_, place)| **place == Some(Place::Nowhere))
                .count();
            if nowhere > flushed.unrecorded {
                let what = format!("{nowhere} costs are nowhere, and {flushed:?} is said");
                self.check(None, broken(Rule::CostKept, what));
                return;
            }
            if flushed.is_complete()
                && let Some((life, place)) = ours
                    .iter()
                    .find(|(life, place)| self.is_open(LifeId(*life), **place))
            {
                let (life, what) = (
                    LifeId(*life),
                    format!("{flushed:?} is said, and a cost is {place:?}"),
                );
                self.check(Some(life), broken(Rule::FlushIsTrue, what));
                return;
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

    /// Whether a flush of the process that the cost was handed over to has to tell of it.
    fn is_open(&self, id: LifeId, place: Option<Place>) -> bool {
        let life = &self.lives[id.0];
        // What somebody did to the journal by hand, no client can know.
        if life.book.was_put_back {
            return false;
        }
        let machine = life.book.home.map(|seat| &self.seats[seat].machine);
        let receipt = machine.and_then(|machine| machine.receipt());
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
            // So is one that was set aside there.
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
        let has_it =
            |seat: &super::Seat| seat.life == id && !seat.is_done && self.processes[seat.process.0].is_alive;
        if self.busy_seats().any(|(_, seat)| has_it(seat)) {
            return Some(Place::OnItsWay);
        }
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
        if files.peek().is_some() {
            // A whole one under a temporary name is taken up by the next scan.
            let endings = [".json", ".waiting", ".tmp", ".taken"];
            let is_record = files.any(|(_, name, _)| endings.iter().any(|ending| name.ends_with(ending)));
            return Some(if is_record { Place::Record } else { Place::Aside });
        }
        let is_gone = self.home(id).is_none() && !life.book.was_durable;
        Some(if is_gone { Place::Gone } else { Place::Nowhere })
    }
}
