//! Iterators and readers whose items are paid for: a reservation that lives as long as they do.

use core::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use cycles_proto::meter::{End, Reading, Settle};
use cycles_proto::models::{Amount, CyclesMetrics, JsonObject};
use cycles_proto::{Error, Receipt};

use super::ReservationGuard;
use crate::context::GuardContext;
use crate::engine::{Life, block_on};
use crate::metering::{Ended, Live, Metering};

/// An iterator or a reader whose items pass through unchanged while they are charged to a reservation. The lease is
/// kept alive for as long as it lives; made by [`ReservationGuard::meter`], [`ReservationGuard::try_meter`] and
/// [`ReservationGuard::meter_read`].
///
/// | it … | … and this is committed |
/// |---|---|
/// | ends | what was consumed |
/// | reaches [a limit](Self::stop_at_tokens), with the item that does | what was consumed; the rest is dropped, and it is over |
/// | yields an error, which is its last item | what was consumed, marked `actual_source: "partial"` |
/// | is dropped before, in a panic too | the same |
///
/// One that fails or is dropped gives the budget back if no item had told a price by then, also where items were
/// read: tell what an item costs where it is read, or what was [spent](crate::ReservationGuard::spent). One that comes to its
/// end, and of which no item told a price, or only that all of it costs 0, costs what was estimated, marked
/// `actual_source: "estimate"`: a usage that is missing is not free. An item is charged when it is
/// yielded, before anybody sees it. The end waits until the cost is settled, or safe in its record after a first
/// attempt; a drop waits for the record only. [`settling`](Self::settling) tells what became of the cost.
#[must_use = "dropped, this gives the budget back"]
pub struct Metered<S, F> {
    metering: Metering<S>,
    read: F,
    /// What a reader failed with: one that asks again is not to take what it has for the whole.
    failed: Option<Failed>,
}

struct Failed {
    kind: io::ErrorKind,
    said: String,
}

impl ReservationGuard {
    /// Charges what `items` yields, by what `cost` says of each item: an [`Amount`] is what the item costs, a
    /// [`Reading`] can also be the total so far, as models tell it in their last chunk.
    ///
    /// ```
    /// # use cycles_client::{blocking::ReservationGuard, models::Amount};
    /// # fn answer(guard: ReservationGuard, words: Vec<String>) -> Result<(), cycles_client::Error> {
    /// let mut words = guard.meter(words, |word| Amount::tokens(word.len() as i64));
    /// let settling = words.settling();
    /// for word in words {
    ///     print!("{word}");
    /// }
    /// let receipt = settling.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn meter<I, F, C>(
        self,
        items: I,
        mut cost: F,
    ) -> Metered<I::IntoIter, impl FnMut(&I::Item) -> Option<Reading>>
    where
        I: IntoIterator,
        F: FnMut(&I::Item) -> C,
        C: Into<Reading>,
    {
        Metered::new(self, items.into_iter(), move |item: &I::Item| {
            Some(cost(item).into())
        })
    }

    /// As [`meter`](Self::meter) for an iterator of results: `cost` is asked of each value, and an error is the
    /// last item.
    pub fn try_meter<I, F, C, T, E>(
        self,
        items: I,
        mut cost: F,
    ) -> Metered<I::IntoIter, impl FnMut(&I::Item) -> Option<Reading>>
    where
        I: IntoIterator<Item = Result<T, E>>,
        F: FnMut(&T) -> C,
        C: Into<Reading>,
    {
        Metered::new(self, items.into_iter(), move |item: &Result<T, E>| {
            item.as_ref().ok().map(|value| cost(value).into())
        })
    }

    /// Charges what is read from `source`, by what `cost` says of the bytes of each read. An error ends it, and is
    /// what later reads return too, so that nobody takes a body that was cut for the whole. One that asks to read
    /// again ([`Interrupted`](io::ErrorKind::Interrupted), [`WouldBlock`](io::ErrorKind::WouldBlock)) is no end.
    pub fn meter_read<S, F, C>(
        self,
        source: S,
        mut cost: F,
    ) -> Metered<S, impl FnMut(&[u8]) -> Option<Reading>>
    where
        S: Read,
        F: FnMut(&[u8]) -> C,
        C: Into<Reading>,
    {
        Metered::new(self, source, move |bytes: &[u8]| Some(cost(bytes).into()))
    }
}

impl<S, F> Metered<S, F> {
    pub(crate) fn new(guard: ReservationGuard, source: S, read: F) -> Self {
        Self {
            metering: Metering::new(guard.into_inner(), source),
            read,
            failed: None,
        }
    }

    /// Ends with the item that reaches so many tokens: those of the items' amounts, or where these are in another
    /// unit, those that their [readings](Reading::with_tokens) say. For what a reservation's caps ask, see
    /// [`Caps::clamp_max_tokens`](cycles_proto::models::Caps::clamp_max_tokens).
    pub fn stop_at_tokens(mut self, most: i64) -> Self {
        if let Some(live) = self.metering.live() {
            live.meter.stop_at_tokens(most);
        }
        self
    }

    /// What goes with the commit, unless an item says [more](Reading::with_metrics). `latency_ms` is filled in.
    pub fn metrics(mut self, metrics: CyclesMetrics) -> Self {
        if let Some(live) = self.metering.live() {
            live.meter.notes_mut().set_metrics(metrics);
        }
        self
    }

    /// What is kept with the commit.
    pub fn metadata(mut self, metadata: impl Into<JsonObject>) -> Self {
        if let Some(live) = self.metering.live() {
            live.meter.notes_mut().set_metadata(metadata.into());
        }
        self
    }

    /// What the source finds as its context, and tells it, up to its end.
    pub(crate) fn within(mut self, context: Option<GuardContext>) -> Self {
        if let Some(live) = self.metering.live() {
            live.context = context;
        }
        self
    }

    /// What was consumed by now.
    pub fn consumed(&self) -> &Amount {
        self.metering.consumed()
    }

    /// The reservation, as long as this is not over.
    pub fn guard(&self) -> Option<&crate::ReservationGuard> {
        self.metering.guard()
    }

    /// To be asked what became of the cost, wherever this goes itself. Any number may be had, at any time.
    pub fn settling(&self) -> Settling {
        Settling(Arc::clone(self.metering.life()))
    }

    /// What is still to be consumed from; nothing once it is over.
    fn open(&mut self) -> Option<&mut Live<S>> {
        if self.metering.is_full() {
            self.end(End::Finished);
        }
        self.metering.live()
    }

    /// Counts an item, before anybody sees it.
    fn count(&mut self, reading: Option<Reading>) {
        match reading {
            Some(reading) => self.metering.count(reading),
            None => self.end(End::Failed),
        }
        if self.metering.is_full() {
            self.end(End::Finished);
        }
    }

    fn end(&mut self, end: End) {
        let Some(Ended {
            guard,
            settle,
            source,
        }) = self.metering.end(end)
        else {
            return;
        };
        let guard = ReservationGuard::new(guard);
        // What comes of it is for whoever asks.
        match settle {
            Settle::Commit(request) if end == End::Dropped => drop(guard.into_inner().commit(request)),
            Settle::Release(_) if end == End::Dropped => drop(guard),
            Settle::Commit(request) => drop(guard.commit(request)),
            Settle::Release(reason) => drop(guard.release(reason)),
        }
        drop(source);
    }
}

impl<S, F> Iterator for Metered<S, F>
where
    S: Iterator,
    F: FnMut(&S::Item) -> Option<Reading>,
{
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        self.open()?;
        let read = &mut self.read;
        let next = self.metering.live()?.within(|source, meter| {
            let item = source.next()?;
            let reading = meter.ask(|| read(&item));
            Some((item, reading))
        });
        let Some((item, reading)) = next else {
            self.end(End::Finished);
            return None;
        };
        self.count(reading);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.metering.source().map(|source| source.size_hint().1);
        (0, most.unwrap_or(Some(0)))
    }
}

impl<S, F> core::iter::FusedIterator for Metered<S, F>
where
    S: Iterator,
    F: FnMut(&S::Item) -> Option<Reading>,
{
}

impl<S, F> Read for Metered<S, F>
where
    S: Read,
    F: FnMut(&[u8]) -> Option<Reading>,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(Failed { kind, said }) = &self.failed {
            return Err(io::Error::new(*kind, format!("it has failed already: {said}")));
        }
        let Some(live) = self.open() else { return Ok(0) };
        match live.within(|source, _| source.read(buf)) {
            Ok(0) if !buf.is_empty() => {
                self.end(End::Finished);
                Ok(0)
            }
            Ok(read) => {
                let reading = buf.get(..read).filter(|bytes| !bytes.is_empty());
                let read_by = &mut self.read;
                let live = self.metering.live();
                let reading = reading
                    .zip(live)
                    .map(|(bytes, live)| live.within(|_, meter| meter.ask(|| read_by(bytes))));
                if let Some(reading) = reading {
                    self.count(reading);
                }
                Ok(read)
            }
            Err(error) => {
                let is_passing = matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                );
                if !is_passing {
                    self.failed = Some(Failed {
                        kind: error.kind(),
                        said: error.to_string(),
                    });
                    self.end(End::Failed);
                }
                Err(error)
            }
        }
    }
}

impl<S, F> Drop for Metered<S, F> {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

/// To be asked what became of a metered cost; see [`Metered::settling`].
#[derive(Clone)]
pub struct Settling(Arc<Life>);

impl Settling {
    /// Waits for the end of what is metered first, which has to come on another thread or to have come; and then
    /// until the cost is settled, or safe after a first attempt. Returns its receipt, or nothing if nothing was
    /// consumed, so that the budget was given back.
    ///
    /// # Errors
    /// Any [`Error`] if the cost was not taken, was refused, or is in no record.
    pub fn wait(&self) -> Result<Option<Receipt>, Error> {
        self.0.check()?;
        let settled = self.0.wait_for(|session, key| session.settled(key));
        block_on(self.0.shared(), settled)
    }
}

impl<S, F> fmt::Debug for Metered<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("guard", &self.guard())
            .field("consumed", self.consumed())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settling").finish_non_exhaustive()
    }
}
