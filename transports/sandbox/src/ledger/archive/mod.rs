//! What stays of an ended reservation once it is forgotten: what a repeated request needs. The protocol's keys live for a
//! day or a month, so a million of them have to fit into memory: each takes about 130 bytes here, and 4 KiB before.
//!
//! Records are packed, in the order in which they were forgotten, into chunks that are dropped as a whole.

mod bytes;
mod digest;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use self::bytes::Reader;
pub(super) use self::digest::Digest;
pub(super) use self::record::{Answered, Ended, Settled};
use self::record::{Before, Template};

/// Records in a chunk. To find one, those before it are skipped.
const CHUNK: usize = 256;

/// The ended reservations of which only the keys are remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive {
    chunks: VecDeque<Chunk>,
    /// By a hash of the reservation's id, and of the key of the request that made it. A hash stands for several
    /// records now and then, so each is looked at.
    by_id: BTreeSet<(u32, Place)>,
    by_key: BTreeSet<(u32, Place)>,
    /// How many were ever added.
    total: u64,
}

/// The number of a record. After four billion it begins again at 0.
type Place = u32;

#[derive(Clone, Debug, Default)]
struct Chunk {
    /// The number of its first record.
    first: Place,
    count: usize,
    /// When the last of its records is dropped.
    kept_until: i64,
    /// What many records have in common.
    templates: Vec<Template>,
    /// What its last record has.
    last: Before,
    bytes: Vec<u8>,
}

impl Archive {
    /// How many reservations were forgotten, ever.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// Adds what is left of a reservation.
    pub(super) fn add(&mut self, ended: Ended) {
        if self.chunks.back().is_none_or(|chunk| chunk.count == CHUNK) {
            let next = |chunk: &Chunk| chunk.first.wrapping_add(CHUNK as Place);
            let first = self.chunks.back_mut().map_or(0, |chunk| {
                chunk.bytes.shrink_to_fit();
                chunk.templates.shrink_to_fit();
                next(chunk)
            });
            self.chunks.push_back(Chunk {
                first,
                ..Chunk::default()
            });
        }
        let Some(chunk) = self.chunks.back_mut() else {
            return;
        };
        let place = chunk.first.wrapping_add(chunk.count as Place);
        self.by_id.insert((ended.id_hash(), place));
        if let Some(answered) = &ended.answered {
            self.by_key.insert((answered.key.short(), place));
        }
        chunk.kept_until = chunk.kept_until.max(ended.kept_until);
        let record = ended.pack(&mut chunk.templates, &mut chunk.last);
        bytes::put_block(&mut chunk.bytes, &record);
        chunk.count += 1;
        self.total += 1;
    }

    /// What is left of a reservation, through the end of its retention.
    pub(super) fn by_id(&self, id: &str) -> Option<Ended> {
        let candidates = self.candidates(&self.by_id, record::id_hash(id)?);
        candidates.into_iter().find(|ended| ended.id == id)
    }

    /// The request that was answered under a key, and its answer, as long as that key lives.
    pub(super) fn by_key(&self, now: i64, key: Digest) -> Option<Answered> {
        let candidates = self.candidates(&self.by_key, key.short());
        let answers = candidates.into_iter().filter_map(|ended| ended.answered);
        answers
            .into_iter()
            .find(|answered| answered.key == key && answered.kept_until >= now)
    }

    fn candidates(&self, index: &BTreeSet<(u32, Place)>, hash: u32) -> Vec<Ended> {
        let places = index.range((hash, Place::MIN)..=(hash, Place::MAX));
        places.filter_map(|(_, place)| self.record(*place)).collect()
    }

    fn record(&self, place: Place) -> Option<Ended> {
        let passed = place.wrapping_sub(self.chunks.front()?.first) as usize;
        let chunk = self.chunks.get(passed / CHUNK)?;
        chunk.records().nth(passed % CHUNK)
    }

    /// Drops the chunks whose last retention ended before `now`.
    pub(super) fn purge(&mut self, now: i64) {
        while self.chunks.front().is_some_and(|chunk| chunk.kept_until < now) {
            let Some(chunk) = self.chunks.pop_front() else {
                return;
            };
            for (passed, ended) in chunk.records().enumerate() {
                let place = chunk.first.wrapping_add(passed as Place);
                self.by_id.remove(&(ended.id_hash(), place));
                if let Some(answered) = &ended.answered {
                    self.by_key.remove(&(answered.key.short(), place));
                }
            }
        }
    }
}

impl Chunk {
    fn records(&self) -> impl Iterator<Item = Ended> {
        let mut reader = Reader::new(&self.bytes);
        let mut before = Before::default();
        core::iter::from_fn(move || Ended::unpack(reader.block()?, &self.templates, &mut before))
    }
}
