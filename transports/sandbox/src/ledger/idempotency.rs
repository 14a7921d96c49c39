//! Remembered answers: the request under a key, its answer, and how long both are kept. `requests` defines when two
//! requests are equal; for commit and release, `settle` does.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Refusal;

/// Answers to requests of type `Q`, in a separate namespace of keys.
#[derive(Clone, Debug)]
pub(super) struct Answers<Q, R> {
    records: BTreeMap<Key, Record<Q, R>>,
    /// The same keys by the time at which they are forgotten.
    ends: BTreeSet<(i64, Key)>,
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
        }
    }
}

impl<Q: PartialEq, R> Answers<Q, R> {
    /// The answer given under `key`; an error if it was given to another request.
    pub(super) fn recall(&self, key: &Key, request: &Q) -> Result<Option<&R>, Refusal> {
        match self.records.get(key) {
            None => Ok(None),
            Some(record) if record.request == *request => Ok(Some(&record.reply)),
            Some(_) => Err(Refusal::mismatch()),
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

    /// Removes the request and the answer under `key`, if it is the one that is meant, and until when it was kept.
    pub(super) fn take_if(&mut self, key: &Key, is_meant: impl Fn(&R) -> bool) -> Option<(Q, R, i64)> {
        if !is_meant(&self.records.get(key)?.reply) {
            return None;
        }
        let record = self.records.remove(key)?;
        self.ends.remove(&(record.kept_until, key.clone()));
        Some((record.request, record.reply, record.kept_until))
    }

    /// The requests whose answers are remembered, in the order of their keys.
    pub(super) fn requests(&self) -> impl Iterator<Item = &Q> {
        self.records.values().map(|record| &record.request)
    }

    /// The requests and answers that are remembered, in the order of their keys.
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
    }
}
