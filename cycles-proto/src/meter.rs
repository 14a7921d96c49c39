//! What a stream consumes, item by item: the adapters' metered streams count with it, and it says how they end.

use crate::guarded::CommitNotes;
use crate::models::{Amount, CommitRequest, CyclesMetrics, JsonObject, Unit};
use crate::outcome::{InvalidCommit, ReleaseReason};
use crate::time::Now;

/// What one item of a stream says about the cost of all.
///
/// An [`Amount`] by itself is [more](Self::more); an `Option` of one, where most items say nothing, is a reading too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a reading counts only when the meter's closure returns it"]
pub struct Reading {
    amount: Option<Amount>,
    is_total: bool,
    tokens: Option<i64>,
    metrics: Option<CyclesMetrics>,
}

impl Reading {
    /// The item says nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// The item costs this much, beside those before it.
    pub fn more(amount: Amount) -> Self {
        Self {
            amount: Some(amount),
            ..Self::default()
        }
    }

    /// All items up to this one cost this much, be that more or less than what was counted: the usage that a
    /// model tells in its last chunk. It covers the items before it that could not be counted, too. A total of 0
    /// often means that nothing was counted: it takes nothing back and covers nothing.
    pub fn total(amount: Amount) -> Self {
        Self {
            is_total: true,
            ..Self::more(amount)
        }
    }

    /// How many tokens that is, where the amount is not in tokens itself. It is what a limit on tokens looks at, and
    /// tells no price.
    pub fn with_tokens(mut self, tokens: i64) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// What goes with the commit, in place of what earlier items said.
    pub fn with_metrics(mut self, metrics: CyclesMetrics) -> Self {
        self.metrics = Some(metrics);
        self
    }
}

impl From<Amount> for Reading {
    fn from(amount: Amount) -> Self {
        Self::more(amount)
    }
}

impl<T: Into<Self>> From<Option<T>> for Reading {
    fn from(reading: Option<T>) -> Self {
        reading.map(Into::into).unwrap_or_default()
    }
}

/// Counts what a stream consumes, in the unit of its reservation; see
/// [`Session::meter`](crate::Session::meter).
#[derive(Clone, Debug)]
pub struct Meter {
    estimate: Amount,
    consumed: i64,
    tokens: i64,
    most_tokens: Option<i64>,
    /// Whether there was an item.
    has_read: bool,
    /// Whether an item told a price, be it 0.
    is_told: bool,
    /// Whether anything was consumed, even if a later reading took it back.
    has_counted: bool,
    uncounted: Option<Box<InvalidCommit>>,
    /// Whether an item is there of which nobody has said yet what it costs.
    is_asking: bool,
    notes: CommitNotes,
    began: Now,
}

/// How a metered stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It came to its end, or to its limit.
    Finished,
    /// It failed.
    Failed,
    /// Nobody wants the rest.
    Dropped,
}

/// What becomes of the reservation when its stream has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the reservation has to be settled"]
pub enum Settle {
    /// It is committed.
    Commit(CommitRequest),
    /// Nothing is known to be consumed: it is released.
    Release(ReleaseReason),
}

impl Meter {
    /// A meter that has counted nothing yet, of a stream that began then and was estimated to cost this much.
    pub fn new(estimate: Amount, began: Now) -> Self {
        Self {
            estimate,
            consumed: 0,
            tokens: 0,
            most_tokens: None,
            has_read: false,
            is_told: false,
            has_counted: false,
            uncounted: None,
            is_asking: false,
            notes: CommitNotes::default(),
            began,
        }
    }

    /// The stream ends with the item that reaches so many tokens.
    pub fn stop_at_tokens(&mut self, most: i64) {
        self.most_tokens = Some(most);
    }

    /// What goes with the commit, beside what items say.
    pub fn add_notes(&mut self, notes: CommitNotes) {
        let of_items = core::mem::replace(&mut self.notes, notes);
        self.notes.add(of_items);
    }

    /// What goes with the commit.
    pub fn notes_mut(&mut self) -> &mut CommitNotes {
        &mut self.notes
    }

    /// What was consumed by now.
    pub fn consumed(&self) -> Amount {
        Amount::new(self.estimate.unit.clone(), self.consumed)
    }

    /// Why an item was not counted, if one was not.
    pub fn uncounted(&self) -> Option<&InvalidCommit> {
        let untold = self.is_asking.then_some(&InvalidCommit::NotTold);
        self.uncounted.as_deref().or(untold)
    }

    /// Asks an item what it says: one that panics has been consumed all the same, and is not counted, unless a total
    /// after it covers it.
    pub fn ask<T>(&mut self, item: impl FnOnce() -> T) -> T {
        self.remember();
        self.is_asking = true;
        let said = item();
        self.is_asking = false;
        said
    }

    /// Nobody says any more what the item before cost, if that is not known yet.
    fn remember(&mut self) {
        if core::mem::take(&mut self.is_asking) {
            self.uncounted
                .get_or_insert_with(|| Box::new(InvalidCommit::NotTold));
        }
    }

    /// Whether the limit is reached, and the stream over.
    pub fn is_full(&self) -> bool {
        self.most_tokens.is_some_and(|most| self.tokens >= most)
    }

    /// As much was told to be spent.
    pub(crate) fn at_least(&mut self, spent: i64) {
        self.consumed = self.consumed.max(spent);
        self.has_counted |= spent > 0;
    }

    /// Counts an item. What comes back is to be told to the reservation as
    /// [counted](crate::Session::counted), also where that refuses it: then it knows that there is a cost.
    pub fn read(&mut self, reading: Reading) -> Option<Amount> {
        if let Some(metrics) = reading.metrics {
            self.notes.set_metrics(metrics);
        }
        let in_tokens = reading
            .amount
            .as_ref()
            .filter(|amount| amount.unit == Unit::Tokens);
        self.has_read = true;
        // A total of nothing replaces nothing.
        let before = |counted, said| if reading.is_total && said != 0 { 0 } else { counted };
        if let Some(tokens) = reading.tokens.or_else(|| in_tokens.map(|amount| amount.amount)) {
            self.tokens = before(self.tokens, tokens).saturating_add(tokens.max(0));
        }
        let given = reading.amount?;
        // A total of 0 is a price only where somebody counted: that of a model that is free.
        let is_counted = given.amount > 0 || reading.tokens.is_some_and(|tokens| tokens > 0);
        self.is_told |= !reading.is_total || is_counted;
        let is_countable = given.unit == self.estimate.unit && given.amount >= 0;
        let consumed = before(self.consumed, given.amount).checked_add(given.amount);
        match consumed.filter(|_| is_countable) {
            Some(consumed) => {
                self.consumed = consumed;
                self.has_counted |= consumed > 0;
                if reading.is_total && given.amount > 0 {
                    self.cover();
                }
                Some(self.consumed())
            }
            None => {
                self.uncounted = Some(Box::new(InvalidCommit::NotCounted {
                    given: given.clone(),
                    reserved: self.estimate.unit.clone(),
                }));
                Some(given)
            }
        }
    }

    /// What could not be counted before is in the total that was told now.
    fn cover(&mut self) {
        self.uncounted = None;
        self.is_asking = false;
    }

    /// The stream has ended: what was consumed is committed. Unless that is all of it, it is marked as a part,
    /// and a reservation of which nothing was counted is released. Items of which none told a price are not free:
    /// read to their end, they cost what was estimated.
    pub(crate) fn end(self, end: End, now: Now) -> Settle {
        let mut actual = self.consumed();
        let is_whole = end == End::Finished && self.uncounted().is_none();
        if !is_whole && !self.has_counted {
            return Settle::Release(match end {
                End::Failed => ReleaseReason::ACTION_FAILED,
                End::Finished | End::Dropped => ReleaseReason::ABANDONED,
            });
        }
        let mut notes = self.notes;
        if !is_whole {
            notes.insert_metadata(ACTUAL_SOURCE, PARTIAL);
        } else if self.has_read && !self.is_told && !self.has_counted {
            notes.insert_metadata(ACTUAL_SOURCE, ESTIMATE);
            actual = self.estimate;
        }
        let latency = now.mono.saturating_sub(self.began.mono);
        Settle::Commit(notes.commit(actual, latency))
    }
}

/// The metadata of a commit that is no more than a lower bound of the cost.
pub(crate) fn partial() -> JsonObject {
    JsonObject::new().with(ACTUAL_SOURCE, PARTIAL)
}

const ACTUAL_SOURCE: &str = "actual_source";
const PARTIAL: &str = "partial";
const ESTIMATE: &str = "estimate";

#[cfg(test)]
mod tests;
