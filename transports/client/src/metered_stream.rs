//! The metered stream, iterator or reader itself: it counts items, and charges them to its reservation.

use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use cycles_host::ambient;
use cycles_proto::meter::{End, Meter, Reading, Settle};
use cycles_proto::models::{Amount, CyclesMetrics, JsonObject};
use cycles_proto::{Error, Receipt};

use crate::context::{CURRENT, GuardContext};
use crate::engine::Handle;
use crate::guard::ReservationGuard;
use crate::span;

/// A stream, an iterator or a reader whose items are charged to a reservation. Items pass through unchanged, and the
/// lease is kept alive until the end or the drop. Made by a guard's `meter` and `try_meter`, and by `meter_read` of a
/// blocking guard.
///
/// | it … | … and commits |
/// |---|---|
/// | ends | what was consumed |
/// | reaches [a limit](Self::stop_at_tokens), which ends it after that item | what was consumed; the source is dropped |
/// | yields an error, which is its last item | what was consumed, marked `actual_source: "partial"` |
/// | is dropped before its end, including in a panic | what was consumed, marked `actual_source: "partial"` |
///
/// If it fails or is dropped before any item had a price, the budget is given back, even if items were read: return a
/// price for each item, or report what was [spent](ReservationGuard::spent). If the request for the stream was
/// [dispatched](ReservationGuard::dispatched), it is charged the estimate then, or as
/// [`set_on_error`](ReservationGuard::set_on_error) says. If it was read to its end and no item had
/// a price, or only a total of 0 was reported, the estimate is charged, marked `actual_source: "estimate"`: missing
/// usage is not free. An item is charged before it is yielded.
///
/// A stream commits at its end without blocking; the cost is settled in the background. An iterator or a reader blocks
/// at its end until the cost is settled, or safe after a first attempt; its drop waits only until the cost is on disk.
/// [`settling`](Self::settling) returns the receipt.
#[must_use = "streams and iterators do nothing unless consumed; if dropped, this gives the budget back"]
pub struct Metered<S, F, P = Pin<Box<S>>> {
    live: Option<Live<P>>,
    consumed: Amount,
    handle: Arc<Handle>,
    pub(crate) read: F,
    /// Whether its end blocks until the cost is settled.
    waits: bool,
    /// `P` is how the source is stored: a stream is pinned, anything else is not.
    source: PhantomData<fn() -> S>,
    /// The error of a reader, which later reads return too: a truncated body must not look complete.
    #[cfg(feature = "blocking")]
    pub(crate) failed: Option<(std::io::ErrorKind, String)>,
}

/// The parts that exist until the end.
pub(crate) struct Live<P> {
    guard: ReservationGuard,
    meter: Meter,
    source: P,
    /// The context to run the source in, if a guarded function made it.
    context: Option<GuardContext>,
}

impl<S, F, P> Metered<S, F, P> {
    pub(crate) fn new(guard: ReservationGuard, source: P, read: F, waits: bool) -> Self {
        let handle = Arc::clone(&guard.held.handle);
        let meter = handle.meter();
        Self {
            consumed: meter.consumed(),
            handle,
            live: Some(Live {
                guard,
                meter,
                source,
                context: None,
            }),
            read,
            waits,
            source: PhantomData,
            #[cfg(feature = "blocking")]
            failed: None,
        }
    }

    /// Ends after the item that reaches this many tokens; no limit by default. Counts the tokens of the items' amounts,
    /// or, if these are in another unit, the tokens of their [readings](Reading::with_tokens). To apply a reservation's
    /// caps, see [`Caps::clamp_max_tokens`](cycles_proto::models::Caps::clamp_max_tokens).
    pub fn stop_at_tokens(self, most: i64) -> Self {
        self.with(|live| live.meter.stop_at_tokens(most))
    }

    /// Sets the metrics to send with the commit; [metrics of items](Reading::with_metrics) take precedence.
    /// `latency_ms` is filled in if it is not set.
    pub fn metrics(self, metrics: CyclesMetrics) -> Self {
        self.with(|live| live.meter.notes_mut().set_metrics(metrics))
    }

    /// Sets the metadata of the commit.
    pub fn metadata(self, metadata: impl Into<JsonObject>) -> Self {
        self.with(|live| live.meter.notes_mut().set_metadata(metadata.into()))
    }

    /// Sets the context that the source runs in.
    pub(crate) fn within(self, context: Option<GuardContext>) -> Self {
        self.with(|live| live.context = context)
    }

    fn with(mut self, change: impl FnOnce(&mut Live<P>)) -> Self {
        if let Some(live) = &mut self.live {
            change(live);
        }
        self
    }

    /// Returns the amount consumed so far.
    pub fn consumed(&self) -> &Amount {
        &self.consumed
    }

    /// Returns the reservation, or `None` after the end.
    pub fn guard(&self) -> Option<&ReservationGuard> {
        self.live.as_ref().map(|live| &live.guard)
    }

    /// Returns a future for the receipt; the future does not borrow from `self`. May be called at any time, and more
    /// than once.
    pub fn settling(&self) -> Settling {
        Settling(Arc::clone(&self.handle))
    }

    pub(crate) fn source(&self) -> Option<&P> {
        self.live.as_ref().map(|live| &live.source)
    }

    /// The open parts and the function that reads an item's price; `None` after the end.
    pub(crate) fn open(&mut self) -> Option<(&mut Live<P>, &mut F)> {
        if self.is_full() {
            self.end(End::Finished);
        }
        Some((self.live.as_mut()?, &mut self.read))
    }

    /// Counts an item before it is yielded. An item without a reading is an error, and ends the metering.
    pub(crate) fn count(&mut self, reading: Option<Reading>) {
        match (reading, &mut self.live) {
            (Some(reading), Some(live)) => {
                if let Some(amount) = live.meter.read(reading) {
                    self.handle.count(&amount);
                    self.consumed = live.meter.consumed();
                }
            }
            (Some(_), None) => {}
            (None, _) => self.end(End::Failed),
        }
        if self.is_full() {
            self.end(End::Finished);
        }
    }

    /// Whether a limit is reached.
    fn is_full(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.meter.is_full())
    }

    /// Ends the metering and charges what was consumed, once.
    pub(crate) fn end(&mut self, end: End) {
        let Some(live) = self.live.take() else { return };
        if self.handle.check().is_err() {
            return;
        }
        let Live {
            guard,
            mut meter,
            source,
            context,
        } = live;
        if let Some(context) = context {
            let notes = context.notes().lock().clone();
            span::record(context.span(), notes.metrics());
            meter.add_notes(notes);
        }
        let settle = self.handle.end_meter(meter, end);
        #[cfg(feature = "blocking")]
        if self.waits && end != End::Dropped {
            let guard = crate::blocking::ReservationGuard::new(guard);
            // The outcome is reported by `settling`.
            match settle {
                Settle::Commit(request) => drop(guard.commit(request)),
                Settle::Release(reason) => drop(guard.release(reason)),
            }
            return drop(source);
        }
        // A commit takes effect when it is called: dropping its future loses nothing.
        match settle {
            Settle::Release(_) if self.waits => drop(guard),
            Settle::Commit(request) => drop(guard.commit(request)),
            Settle::Release(reason) => drop(guard.release(reason)),
        }
        drop(source);
    }
}

impl<P> Live<P> {
    /// Runs `f` in the function's context, or in the caller's if the guard was made by hand.
    pub(crate) fn within<O>(&mut self, f: impl FnOnce(&mut P, &mut Meter) -> O) -> O {
        let (source, meter) = (&mut self.source, &mut self.meter);
        if let Some(context) = &self.context {
            let span = context.span().clone();
            span.in_scope(|| ambient::enter(&CURRENT, &mut self.context, || f(source, meter)))
        } else {
            f(source, meter)
        }
    }
}

impl<S, F, P> Drop for Metered<S, F, P> {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

/// No field is structurally pinned.
impl<S, F, P> Unpin for Metered<S, F, P> {}

/// Waits for the receipt of a metered cost; see [`Metered::settling`]. Ready when the metered source has ended and its
/// cost is settled or safe: await it after the end, or concurrently with the consumer. May be dropped at any time.
#[derive(Clone, Debug)]
#[must_use = "the cost is settled even if this is not awaited; await it to learn what became of it"]
pub struct Settling(pub(crate) Arc<Handle>);

impl Future for Settling {
    /// The receipt, as soon as the cost is settled, or safe after a first attempt. `None` if nothing was consumed and
    /// the budget was given back. An error if the cost was not accepted, was refused, or is neither settled nor recorded.
    type Output = Result<Option<Receipt>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.check()?;
        self.0.poll_for(cx, None, |session, key| session.settled(key))
    }
}

impl<S, F, P> fmt::Debug for Metered<S, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("guard", &self.guard())
            .field("consumed", self.consumed())
            .finish_non_exhaustive()
    }
}
