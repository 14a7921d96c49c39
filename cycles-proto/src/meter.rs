//! The meter of a stream: counts what its items consume, and decides how its reservation ends.

use crate::dispatch::Dispatches;
use crate::models::{Amount, CommitRequest, CyclesMetrics, JsonObject, Unit};
use crate::outcome::{ActualSource, InvalidCommit, ReleaseReason};
use crate::time::Now;
use crate::with_cycles_config::CommitNotes;

/// What one item of a stream says about the cost of the stream.
///
/// An [`Amount`] converts into a reading of [more](Self::more), and so does an `Option` of one, for streams in which
/// most items report no cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a reading counts only when the meter's closure returns it"]
pub struct Reading {
    amount: Option<Amount>,
    is_total: bool,
    tokens: Option<i64>,
    metrics: Option<CyclesMetrics>,
}

impl Reading {
    /// Creates a reading that reports nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Creates a reading of an item that costs this much, in addition to the items before it.
    pub fn more(amount: Amount) -> Self {
        Self {
            amount: Some(amount),
            ..Self::default()
        }
    }

    /// Creates a reading of the total: all items up to this one cost this much, whether that is more or less than was
    /// counted so far. Models report such a total in their last chunk. It also covers earlier items that could not be
    /// counted. A total of 0 often means that nothing was counted, so it takes nothing back and covers nothing.
    pub fn total(amount: Amount) -> Self {
        Self {
            is_total: true,
            ..Self::more(amount)
        }
    }

    /// Adds the number of tokens, for amounts that are not in tokens themselves. They count toward a token limit, but
    /// have no effect on the cost.
    pub fn with_tokens(mut self, tokens: i64) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Sets the metrics of the commit, in place of those of earlier items.
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

/// Counts what a stream consumes, in the unit of its reservation. See [`Session::meter`](crate::Session::meter).
#[derive(Clone, Debug)]
pub struct Meter {
    estimate: Amount,
    consumed: i64,
    tokens: i64,
    most_tokens: Option<i64>,
    /// Whether there was an item.
    has_read: bool,
    /// Whether a request has left that may have to be paid for.
    is_dispatched: bool,
    /// Whether an item reported a price, even if it was 0.
    has_price: bool,
    /// Whether anything was consumed, even if a later reading took it back.
    has_counted: bool,
    uncounted: Option<Box<InvalidCommit>>,
    /// Whether an item was consumed whose cost is not known yet.
    is_asking: bool,
    notes: CommitNotes,
    began: Now,
}

/// How a metered stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The stream reached its end or its limit.
    Finished,
    /// The stream failed.
    Failed,
    /// The rest is no longer wanted.
    Dropped,
}

/// What to do with the reservation when its stream has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the reservation has to be settled"]
pub enum Settle {
    /// Commit this.
    Commit(CommitRequest),
    /// Release it: nothing is known to have been consumed. If the action was
    /// [dispatched](crate::Session::dispatched), the session then charges by its policy.
    Release(ReleaseReason),
}

impl Meter {
    /// Creates a meter for a stream that began at this time and is estimated to cost this much.
    pub fn new(estimate: Amount, began: Now) -> Self {
        Self {
            estimate,
            consumed: 0,
            tokens: 0,
            most_tokens: None,
            has_read: false,
            is_dispatched: false,
            has_price: false,
            has_counted: false,
            uncounted: None,
            is_asking: false,
            notes: CommitNotes::default(),
            began,
        }
    }

    /// Sets a limit: the stream ends with the item that reaches this many tokens.
    pub fn stop_at_tokens(&mut self, most: i64) {
        self.most_tokens = Some(most);
    }

    /// Adds notes to the commit. Those of the items take precedence.
    pub fn add_notes(&mut self, notes: CommitNotes) {
        let of_items = core::mem::replace(&mut self.notes, notes);
        self.notes.add(of_items);
    }

    /// The notes that go with the commit.
    pub fn notes_mut(&mut self) -> &mut CommitNotes {
        &mut self.notes
    }

    /// The amount consumed so far.
    pub fn consumed(&self) -> Amount {
        Amount::new(self.estimate.unit.clone(), self.consumed)
    }

    /// Why an item could not be counted; `None` if there was no such item.
    pub fn uncounted(&self) -> Option<&InvalidCommit> {
        let untold = self.is_asking.then_some(&InvalidCommit::NotTold);
        self.uncounted.as_deref().or(untold)
    }

    /// Runs `item`, which reads the cost of an item. If it panics, the item was consumed anyway and is not counted,
    /// unless a later total covers it.
    pub fn ask<T>(&mut self, item: impl FnOnce() -> T) -> T {
        self.give_up_on_previous();
        self.is_asking = true;
        let said = item();
        self.is_asking = false;
        said
    }

    /// Notes that the cost of the previous item will stay unknown, if it is still unknown.
    fn give_up_on_previous(&mut self) {
        if core::mem::take(&mut self.is_asking) {
            self.uncounted
                .get_or_insert_with(|| Box::new(InvalidCommit::NotTold));
        }
    }

    /// Whether the limit is reached, so that the stream is over.
    pub fn is_full(&self) -> bool {
        self.most_tokens.is_some_and(|most| self.tokens >= most)
    }

    /// Raises the amount consumed to at least this much.
    pub(crate) fn raise_to(&mut self, spent: i64) {
        self.consumed = self.consumed.max(spent);
        self.has_counted |= spent > 0;
    }

    /// Counts an item. Report the returned amount to the reservation as [counted](crate::Session::counted), even if it
    /// may be refused: the report says that there is a cost.
    pub fn read(&mut self, reading: Reading) -> Option<Amount> {
        if let Some(metrics) = reading.metrics {
            self.notes.set_metrics(metrics);
        }
        let in_tokens = reading
            .amount
            .as_ref()
            .filter(|amount| amount.unit == Unit::Tokens);
        self.has_read = true;
        // A total of 0 replaces nothing.
        let before = |counted, said| if reading.is_total && said != 0 { 0 } else { counted };
        if let Some(tokens) = reading.tokens.or_else(|| in_tokens.map(|amount| amount.amount)) {
            self.tokens = before(self.tokens, tokens).saturating_add(tokens.max(0));
        }
        let given = reading.amount?;
        // A total of 0 is a price only if tokens were counted: the model is free.
        let is_counted = given.amount > 0 || reading.tokens.is_some_and(|tokens| tokens > 0);
        self.has_price |= !reading.is_total || is_counted;
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

    /// Notes whether a request has left that may have to be paid for.
    pub(crate) fn note_dispatched(&mut self, dispatches: Dispatches) {
        self.is_dispatched = dispatches.is_any_open();
    }

    /// Forgets the items that could not be counted, because the total covers them.
    fn cover(&mut self) {
        self.uncounted = None;
        self.is_asking = false;
    }

    /// Ends the stream and commits what was consumed. If the stream did not finish or an item could not be counted, the
    /// commit is marked as partial, or the reservation is released if nothing was counted. A stream that was read to
    /// its end without any price is not free: it costs the estimate. A stream without an item, after a request has left,
    /// ends like an action without a cost.
    pub(crate) fn end(self, end: End, now: Now) -> Settle {
        let mut actual = self.consumed();
        let is_whole = end == End::Finished && self.uncounted().is_none();
        // An answer without an item is no answer.
        let is_unanswered = self.is_dispatched && !self.has_read;
        if (!is_whole || is_unanswered) && !self.has_counted {
            return Settle::Release(match end {
                End::Failed => ReleaseReason::ACTION_FAILED,
                End::Finished | End::Dropped => ReleaseReason::ABANDONED,
            });
        }
        let mut notes = self.notes;
        if !is_whole {
            notes.insert_metadata(ActualSource::NAME, PARTIAL);
        } else if self.has_read && !self.has_price && !self.has_counted {
            notes.insert_metadata(ActualSource::NAME, ESTIMATE);
            actual = self.estimate;
        }
        let latency = now.mono.saturating_sub(self.began.mono);
        Settle::Commit(notes.commit(actual, latency))
    }
}

/// The metadata of a commit that is only a lower bound of the cost.
pub(crate) fn partial() -> JsonObject {
    JsonObject::new().with(ActualSource::NAME, PARTIAL)
}

/// The metadata of a commit of the estimate, because the cost is not known.
pub(crate) fn estimated() -> JsonObject {
    JsonObject::new().with(ActualSource::NAME, ESTIMATE)
}

const PARTIAL: &str = "partial";
const ESTIMATE: &str = "estimate";

#[cfg(test)]
mod tests;
