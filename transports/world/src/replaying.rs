//! A process and the journal: what it finds there, it settles.

use cycles_proto::lifecycle::Lifecycle;
use cycles_proto::models::{Amount, Unit};
use cycles_proto::record::{JournalRecord, RecordId};
use cycles_proto::replayer::Replay;

use super::audit::Watch;
use super::life::{Life, LifeId};
use super::{ProcessId, World};

impl World {
    /// Polls a process's replayer until it waits, and does what it asks.
    pub(super) fn replay(&mut self, id: ProcessId) {
        loop {
            let process = &mut self.processes[id.0];
            if !process.is_alive || !process.config.journal_enabled() || process.asleep_until > self.now {
                return;
            }
            let now = process.now(self.now);
            match process.replayer.poll(now) {
                Replay::Scan { ticket, .. } => {
                    let records = self.journal.scan(&mut process.journal);
                    process.has_scanned(now, &records);
                    process.replayer.handle_scanned(now, ticket, records);
                }
                Replay::Settle(record, lifecycle) => self.resume(id, &record, *lifecycle),
                Replay::Wait(at) => {
                    process.replay_at = at.map(|at| process.at(at));
                    return;
                }
            }
        }
    }

    fn resume(&mut self, process: ProcessId, id: &RecordId, lifecycle: Lifecycle) {
        let Some((record, pause)) = self.processes[process.0].scanned.get(id).cloned() else {
            return;
        };
        let id = self
            .life_of_record(&record)
            .unwrap_or_else(|| self.found(&record));
        // Somebody wrote it, also if its writer was told otherwise or the world did not see it.
        let life = &mut self.lives[id.0];
        life.book.was_durable = true;
        life.book.recorded_at.get_or_insert(record.recorded_at());
        life.cost = life.cost.take().or_else(|| cost(&record));
        let has_journal = self.processes[process.0].config.journal_enabled();
        let watch = Watch::resumed(&record, has_journal, pause);
        let machine = (self.make)(lifecycle);
        let index = self.sit(id, process, machine, watch);
        self.seats[index].record = Some(record.id().clone());
        self.note(|| format!("{id}: {process} takes up its record as machine {index}"));
        self.drive(index);
    }

    /// The life whose cost this is. A reservation may have several, where a job was done twice.
    fn life_of_record(&self, record: &JournalRecord) -> Option<LifeId> {
        let key = record.id().key.as_str();
        let is_its = |life: &Life| {
            life.reservation_id.as_ref() == Some(record.reservation_id())
                && life.book.key.as_deref() == Some(key)
        };
        let known = self.lives.iter().position(is_its).map(LifeId);
        known.or_else(|| {
            let id = *self.by_reservation.get(record.reservation_id())?;
            self.lives[id.0].book.key.is_none().then_some(id)
        })
    }

    /// A record that was there before the world knew of it.
    fn found(&mut self, record: &JournalRecord) -> LifeId {
        let life = Life {
            reservation_id: Some(record.reservation_id().clone()),
            ..Life::default()
        };
        let id = LifeId(self.lives.len());
        self.lives.push(life);
        self.by_reservation.insert(record.reservation_id().clone(), id);
        id
    }
}

/// The cost that a record is of.
fn cost(record: &JournalRecord) -> Option<Amount> {
    let said: serde_json::Value = serde_json::from_str(record.body()).ok()?;
    let unit = said["actual"]["unit"].as_str()?;
    Some(Amount::new(Unit::from(unit), said["actual"]["amount"].as_i64()?))
}
