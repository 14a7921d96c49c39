//! Streams whose items are paid for: a reservation that lives as long as its stream.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::Arc;

use cycles_proto::meter::{End, Reading, Settle};
use cycles_proto::models::{Amount, CyclesMetrics, JsonObject};
use cycles_proto::{Error, Receipt};
use futures::stream::{FusedStream, Stream};

use crate::context::GuardContext;
use crate::engine::Life;
use crate::guard::ReservationGuard;
use crate::metering::Metering;

/// A stream whose items pass through unchanged while they are charged to a reservation. The lease is kept alive
/// for as long as it lives; made by [`ReservationGuard::meter`] and [`ReservationGuard::try_meter`].
///
/// | it … | … and this is committed, at once and in the background |
/// |---|---|
/// | ends | what was consumed |
/// | reaches [a limit](Self::stop_at_tokens), with the item that does | what was consumed; the rest is dropped, and the stream is over |
/// | yields an error, which is its last item | what was consumed, marked `actual_source: "partial"` |
/// | is dropped before, in a panic too | the same |
///
/// A stream that fails or is dropped gives the budget back if no item had told a price by then, also where items were
/// read: tell what an item costs where it is read, or what was [spent](ReservationGuard::spent). One that comes to its
/// end, and of which no item told a price, or only that all of it costs 0, costs what was estimated, marked
/// `actual_source: "estimate"`: a usage that is missing is not free. An item is charged when it
/// is yielded, before anybody sees it. [`settling`](Self::settling) tells what became of the cost.
#[must_use = "streams do nothing unless polled; dropped, this gives the budget back"]
pub struct Metered<S, F> {
    metering: Metering<Pin<Box<S>>>,
    read: F,
}

impl ReservationGuard {
    /// Charges what `stream` yields, by what `cost` says of each item: an [`Amount`] is what the item costs, a
    /// [`Reading`] can also be the total so far, as models tell it in their last chunk.
    ///
    /// ```
    /// # use cycles_client::{ReservationGuard, models::Amount};
    /// # use futures::StreamExt as _;
    /// # async fn answer(guard: ReservationGuard, words: impl futures::Stream<Item = String>) -> Result<(), cycles_client::Error> {
    /// let mut words = guard.meter(words, |word| Amount::tokens(word.len() as i64));
    /// let settling = words.settling();
    /// while let Some(word) = words.next().await {
    ///     print!("{word}");
    /// }
    /// let receipt = settling.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn meter<S, F, C>(self, stream: S, mut cost: F) -> Metered<S, impl FnMut(&S::Item) -> Option<Reading>>
    where
        S: Stream,
        F: FnMut(&S::Item) -> C,
        C: Into<Reading>,
    {
        Metered::new(self, stream, move |item: &S::Item| Some(cost(item).into()))
    }

    /// As [`meter`](Self::meter) for a stream of results: `cost` is asked of each value, and an error is the
    /// last item.
    pub fn try_meter<S, F, C, T, E>(
        self,
        stream: S,
        mut cost: F,
    ) -> Metered<S, impl FnMut(&S::Item) -> Option<Reading>>
    where
        S: Stream<Item = Result<T, E>>,
        F: FnMut(&T) -> C,
        C: Into<Reading>,
    {
        Metered::new(self, stream, move |item: &Result<T, E>| {
            item.as_ref().ok().map(|value| cost(value).into())
        })
    }
}

impl<S, F> Metered<S, F> {
    pub(crate) fn new(guard: ReservationGuard, stream: S, read: F) -> Self {
        Self {
            metering: Metering::new(guard, Box::pin(stream)),
            read,
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

    /// What the stream finds as its context, and tells it, up to its end.
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

    /// The reservation, as long as the stream is not over.
    pub fn guard(&self) -> Option<&ReservationGuard> {
        self.metering.guard()
    }

    /// Waits for what becomes of the cost, wherever the stream itself goes. Any number may be had, at any time.
    pub fn settling(&self) -> Settling {
        Settling(Arc::clone(self.metering.life()))
    }

    fn end(&mut self, end: End) {
        let Some(ended) = self.metering.end(end) else {
            return;
        };
        // Both take effect in the call.
        match ended.settle {
            Settle::Commit(request) => drop(ended.guard.commit(request)),
            Settle::Release(reason) => drop(ended.guard.release(reason)),
        }
        drop(ended.source);
    }
}

/// Nothing in it is pinned in place.
impl<S, F> Unpin for Metered<S, F> {}

impl<S, F> Stream for Metered<S, F>
where
    S: Stream,
    F: FnMut(&S::Item) -> Option<Reading>,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = &mut *self;
        if this.metering.is_full() {
            this.end(End::Finished);
        }
        let Some(live) = this.metering.live() else {
            return Poll::Ready(None);
        };
        let read = &mut this.read;
        let next = live.within(|stream, meter| {
            let item = stream.as_mut().poll_next(cx);
            item.map(|item| {
                item.map(|item| {
                    let reading = meter.ask(|| read(&item));
                    (item, reading)
                })
            })
        });
        let Some((item, reading)) = ready!(next) else {
            this.end(End::Finished);
            return Poll::Ready(None);
        };
        match reading {
            Some(reading) => this.metering.count(reading),
            None => this.end(End::Failed),
        }
        if this.metering.is_full() {
            this.end(End::Finished);
        }
        Poll::Ready(Some(item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.metering.source().map(|stream| stream.size_hint().1);
        (0, most.unwrap_or(Some(0)))
    }
}

impl<S, F> FusedStream for Metered<S, F>
where
    S: Stream,
    F: FnMut(&S::Item) -> Option<Reading>,
{
    fn is_terminated(&self) -> bool {
        self.metering.is_over()
    }
}

impl<S, F> Drop for Metered<S, F> {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

/// Waits for what becomes of a metered stream's cost; see [`Metered::settling`]. It waits for the stream's end
/// first, so it is polled beside the stream or after it.
#[must_use = "the cost is settled without it; await this to learn what became of it"]
pub struct Settling(pub(crate) Arc<Life>);

impl Future for Settling {
    /// The receipt, as soon as the cost is settled or safe after a first attempt. Nothing if nothing was consumed,
    /// so that the budget was given back. An error if the cost was not taken, was refused, or is in no record.
    type Output = Result<Option<Receipt>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.check()?;
        self.0.poll_for(cx, |session, key| session.settled(key))
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
