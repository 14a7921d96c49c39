//! Remembered answers: the request under a key, its answer, and how long both are kept. `requests` defines when two
//! requests are equal; for commit and release, `settle` does. If there are many, the older ones are packed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::error::Refusal;
use super::packed::{Answer, Digest, Packed, Reply};

/// Answers to requests of type `Q`, in a separate namespace of keys.
#[derive(Clone, Debug)]
pub(super) struct Answers<Q, R> {
    records: BTreeMap<Key, Record<Q, R>>,
    /// The same keys by the time at which they are forgotten.
    ends: BTreeSet<(i64, Key)>,
    packed: Packed<R>,
}

/// Owner, object (empty if the operation has none) and idempotency key.
pub(super) type Key = (String, String, String);

#[derive(Clone, Debug)]
struct Record<Q, R> {
    request: Q,
    reply: R,
    kept_until: i64,
}

impl<Q, R> Default for Answers<Q, R> {
    fn default() -> Self {
        Self {
            records: BTreeMap::new(),
            ends: BTreeSet::new(),
            packed: Packed::default(),
        }
    }
}

impl<Q: PartialEq + Serialize, R: Reply> Answers<Q, R> {
    /// The answer given under `key`; an error if it was given to another request.
    pub(super) fn recall(&self, key: &Key, request: &Q) -> Result<Option<R>, Refusal> {
        let (is_same, reply) = match self.records.get(key) {
            Some(record) => (record.request == *request, record.reply.clone()),
            None => match self.packed.find(Digest::of(key)) {
                Some(answer) => (answer.request == Digest::of(request), answer.reply),
                None => return Ok(None),
            },
        };
        if is_same {
            Ok(Some(reply))
        } else {
            Err(Refusal::mismatch())
        }
    }

    /// Remembers an answer through `kept_until`.
    pub(super) fn remember(&mut self, key: Key, request: Q, reply: R, kept_until: i64) {
        self.ends.insert((kept_until, key.clone()));
        if let Some(old) = self.records.insert(
            key.clone(),
            Record {
                request,
                reply,
                kept_until,
            },
        ) && old.kept_until != kept_until
        {
            self.ends.remove(&(old.kept_until, key));
        }
    }

    /// Packs the answers that are forgotten first, so that no more than `whole` are kept whole. `look` sees their requests.
    pub(super) fn pack_surplus(&mut self, whole: usize, mut look: impl FnMut(&Q)) {
        while self.records.len() > whole {
            let Some((kept_until, key)) = self.ends.pop_first() else {
                return;
            };
            if let Some(record) = self.records.remove(&key) {
                look(&record.request);
                self.packed.add(Answer {
                    key: Digest::of(&key),
                    request: Digest::of(&record.request),
                    kept_until,
                    reply: record.reply,
                });
            }
        }
    }

    #[cfg(test)]
    pub(super) const fn packed_answers(&self) -> &Packed<R> {
        &self.packed
    }

    /// How many were ever packed.
    pub(super) const fn packed(&self) -> u64 {
        self.packed.total()
    }

    /// The requests whose answers are kept whole, in the order of their keys.
    pub(super) fn requests(&self) -> impl Iterator<Item = &Q> {
        self.records.values().map(|record| &record.request)
    }

    /// The requests and answers that are kept whole, in the order of their keys.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&Q, &R)> {
        self.records
            .values()
            .map(|record| (&record.request, &record.reply))
    }

    /// Forgets the answers whose time ended before `now`.
    pub(super) fn purge(&mut self, now: i64) {
        while self.ends.first().is_some_and(|(kept_until, _)| *kept_until < now) {
            if let Some((_, key)) = self.ends.pop_first() {
                self.records.remove(&key);
            }
        }
        self.packed.purge(now);
    }
}
