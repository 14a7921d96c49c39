//! Answers that are too many to be kept whole: what repeated requests need of them. The protocol's keys live for a day, a week
//! or a month, so a million of them have to fit into memory: an answer takes about 50 bytes here, and 2 KiB before.
//!
//! Answers are packed in the order in which they come, into chunks that are dropped as a whole.

mod answer;
mod bytes;
mod digest;
mod replies;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use self::answer::Before;
pub(super) use self::answer::{Answer, Reply};
use self::bytes::Reader;
pub(super) use self::digest::Digest;

/// Answers in a chunk. To find one, those before it are skipped.
const CHUNK: usize = 256;

/// Packed answers.
#[derive(Clone, Debug)]
pub(super) struct Packed<R> {
    chunks: VecDeque<Chunk<R>>,
    /// By a part of the key. It stands for several answers now and then, so each is looked at.
    index: BTreeSet<(u32, Place)>,
    /// How many were ever added.
    total: u64,
    /// Through when answers were kept at least, at the last purge.
    purged_at: i64,
}

/// The number of an answer. After four billion it begins again at 0.
type Place = u32;

#[derive(Clone, Debug)]
struct Chunk<R> {
    /// The number of its first answer.
    first: Place,
    count: usize,
    /// Through when the last of its answers is kept.
    kept_until: i64,
    /// What many answers have in common.
    templates: Vec<R>,
    /// What its last answer has.
    last: Before,
    bytes: Vec<u8>,
}

impl<R> Default for Packed<R> {
    fn default() -> Self {
        Self {
            chunks: VecDeque::new(),
            index: BTreeSet::new(),
            total: 0,
            purged_at: i64::MIN,
        }
    }
}

impl<R: Reply> Packed<R> {
    /// How many were added, ever.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn add(&mut self, answer: Answer<R>) {
        if self.chunks.back().is_none_or(|chunk| chunk.count == CHUNK) {
            let after = |chunk: &mut Chunk<R>| {
                chunk.bytes.shrink_to_fit();
                chunk.templates.shrink_to_fit();
                chunk.first.wrapping_add(CHUNK as Place)
            };
            let first = self.chunks.back_mut().map_or(0, after);
            self.chunks.push_back(Chunk::beginning_at(first));
        }
        let Some(chunk) = self.chunks.back_mut() else {
            return;
        };
        let place = chunk.first.wrapping_add(chunk.count as Place);
        self.index.insert((answer.key.short(), place));
        chunk.add(answer);
        self.total += 1;
    }

    /// The answer under a key, if it is still kept.
    pub(super) fn find(&self, key: Digest) -> Option<Answer<R>> {
        let places = self
            .index
            .range((key.short(), Place::MIN)..=(key.short(), Place::MAX));
        let mut answers = places.filter_map(|(_, place)| self.at(*place));
        answers.find(|answer| answer.key == key && answer.kept_until >= self.purged_at)
    }

    fn at(&self, place: Place) -> Option<Answer<R>> {
        let passed = place.wrapping_sub(self.chunks.front()?.first) as usize;
        let chunk = self.chunks.get(passed / CHUNK)?;
        chunk.answers().nth(passed % CHUNK)
    }

    /// Drops the answers that are kept no longer than until `now`.
    pub(super) fn purge(&mut self, now: i64) {
        self.purged_at = now;
        while self.chunks.front().is_some_and(|chunk| chunk.kept_until < now) {
            let Some(chunk) = self.chunks.pop_front() else {
                return;
            };
            for (passed, answer) in chunk.answers().enumerate() {
                let place = chunk.first.wrapping_add(passed as Place);
                self.index.remove(&(answer.key.short(), place));
            }
        }
    }
}

impl<R: Reply> Chunk<R> {
    fn beginning_at(first: Place) -> Self {
        Self {
            first,
            count: 0,
            kept_until: i64::MIN,
            templates: Vec::new(),
            last: Before::default(),
            bytes: Vec::new(),
        }
    }

    fn add(&mut self, answer: Answer<R>) {
        self.kept_until = self.kept_until.max(answer.kept_until);
        let packed = answer.pack(&mut self.templates, &mut self.last);
        bytes::put_block(&mut self.bytes, &packed);
        self.count += 1;
    }

    fn answers(&self) -> impl Iterator<Item = Answer<R>> {
        let mut reader = Reader::new(&self.bytes);
        let mut before = Before::default();
        core::iter::from_fn(move || Answer::unpack(reader.block()?, &self.templates, &mut before))
    }
}
