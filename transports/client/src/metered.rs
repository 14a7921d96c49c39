//! What is consumed item by item, and charged to a reservation that lives as long, however the items come.

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
use crate::engine::Life;
use crate::guard::ReservationGuard;

/// A stream, an iterator or a reader whose items pass through unchanged while they are charged to a reservation. The lease is
/// kept alive for as long as it lives; made by a guard's `meter` and `try_meter`, and by `meter_read` of one that blocks.
///
/// | it … | … and this is committed |
/// |---|---|
/// | ends | what was consumed |
/// | reaches [a limit](Self::stop_at_tokens), with the item that does | what was consumed; the rest is dropped, and it is over |
/// | yields an error, which is its last item | what was consumed, marked `actual_source: "partial"` |
/// | is dropped before, in a panic too | the same |
///
/// One that fails or is dropped gives the budget back if no item had told a price by then, also where items were
/// read: tell what an item costs where it is read, or what was [spent](ReservationGuard::spent). One that comes to its
/// end, and of which no item told a price, or only that all of it costs 0, costs what was estimated, marked
/// `actual_source: "estimate"`: a usage that is missing is not free. An item is charged when it
/// is yielded, before anybody sees it.
///
/// A stream commits at once and in the background. An iterator or a reader waits at its end until the cost is settled, or safe in its
/// record after a first attempt; its drop waits for the record only. [`settling`](Self::settling) tells what became of the
/// cost.
#[must_use = "streams and iterators do nothing unless consumed; dropped, this gives the budget back"]
pub struct Metered<S, F, P = Pin<Box<S>>> {
    live: Option<Live<P>>,
    consumed: Amount,
    life: Arc<Life>,
    pub(crate) read: F,
    /// Whether who consumes the last item waits until its cost is settled.
    waits: bool,
    /// `P` is how the source is kept: a stream in its place, anything else as it is.
    source: PhantomData<fn() -> S>,
    /// What a reader failed with: one that asks again is not to take what it has for the whole.
    #[cfg(feature = "blocking")]
    pub(crate) failed: Option<(std::io::ErrorKind, String)>,
}

/// What there is until the end.
pub(crate) struct Live<P> {
    guard: ReservationGuard,
    meter: Meter,
    source: P,
    /// What the source runs under, if it is that of a guarded function.
    context: Option<GuardContext>,
}

impl<S, F, P> Metered<S, F, P> {
    pub(crate) fn new(guard: ReservationGuard, source: P, read: F, waits: bool) -> Self {
        let life = Arc::clone(&guard.held.life);
        let meter = life.meter();
        Self {
            consumed: meter.consumed(),
            life,
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

    /// Ends with the item that reaches so many tokens: those of the items' amounts, or where these are in another
    /// unit, those that their [readings](Reading::with_tokens) say. For what a reservation's caps ask, see
    /// [`Caps::clamp_max_tokens`](cycles_proto::models::Caps::clamp_max_tokens).
    pub fn stop_at_tokens(self, most: i64) -> Self {
        self.with(|live| live.meter.stop_at_tokens(most))
    }

    /// What goes with the commit, unless an item says [more](Reading::with_metrics). `latency_ms` is filled in.
    pub fn metrics(self, metrics: CyclesMetrics) -> Self {
        self.with(|live| live.meter.notes_mut().set_metrics(metrics))
    }

    /// What is kept with the commit.
    pub fn metadata(self, metadata: impl Into<JsonObject>) -> Self {
        self.with(|live| live.meter.notes_mut().set_metadata(metadata.into()))
    }

    /// What the source finds as its context, and tells it, up to its end.
    pub(crate) fn within(self, context: Option<GuardContext>) -> Self {
        self.with(|live| live.context = context)
    }

    fn with(mut self, change: impl FnOnce(&mut Live<P>)) -> Self {
        if let Some(live) = &mut self.live {
            change(live);
        }
        self
    }

    /// What was consumed by now.
    pub fn consumed(&self) -> &Amount {
        &self.consumed
    }

    /// The reservation, as long as this is not over.
    pub fn guard(&self) -> Option<&ReservationGuard> {
        self.live.as_ref().map(|live| &live.guard)
    }

    /// Waits for what becomes of the cost, wherever this goes itself. Any number may be had, at any time.
    pub fn settling(&self) -> Settling {
        Settling(Arc::clone(&self.life))
    }

    pub(crate) fn source(&self) -> Option<&P> {
        self.live.as_ref().map(|live| &live.source)
    }

    /// What is still to be consumed from, with who reads what an item costs; nothing once it is over.
    pub(crate) fn open(&mut self) -> Option<(&mut Live<P>, &mut F)> {
        if self.is_full() {
            self.end(End::Finished);
        }
        Some((self.live.as_mut()?, &mut self.read))
    }

    /// Counts an item, before anybody sees it. One that says nothing is an error, and the last.
    pub(crate) fn count(&mut self, reading: Option<Reading>) {
        match (reading, &mut self.live) {
            (Some(reading), Some(live)) => {
                if let Some(amount) = live.meter.read(reading) {
                    self.life.counted(&amount);
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

    /// Whether as much was consumed as may be.
    fn is_full(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.meter.is_full())
    }

    /// Nothing more is consumed, and what was is charged, once.
    pub(crate) fn end(&mut self, end: End) {
        let Some(live) = self.live.take() else { return };
        if self.life.check().is_err() {
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
            meter.add_notes(notes);
        }
        let settle = self.life.end_meter(meter, end);
        #[cfg(feature = "blocking")]
        if self.waits && end != End::Dropped {
            let guard = crate::blocking::ReservationGuard::new(guard);
            // What comes of it is for whoever asks.
            match settle {
                Settle::Commit(request) => drop(guard.commit(request)),
                Settle::Release(reason) => drop(guard.release(reason)),
            }
            return drop(source);
        }
        // Takes effect in the call.
        match settle {
            Settle::Release(_) if self.waits => drop(guard),
            Settle::Commit(request) => drop(guard.commit(request)),
            Settle::Release(reason) => drop(guard.release(reason)),
        }
        drop(source);
    }
}

impl<P> Live<P> {
    /// Runs `f` under the context that there is; where that was made by hand it is the caller's.
    pub(crate) fn within<O>(&mut self, f: impl FnOnce(&mut P, &mut Meter) -> O) -> O {
        let (source, meter) = (&mut self.source, &mut self.meter);
        if self.context.is_some() {
            ambient::enter(&CURRENT, &mut self.context, || f(source, meter))
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

/// Nothing in it is pinned in place.
impl<S, F, P> Unpin for Metered<S, F, P> {}

/// Waits for what becomes of a metered cost; see [`Metered::settling`]. It is ready when what is metered has ended and its cost is
/// settled: await it after the end, or beside the consumer.
#[derive(Clone, Debug)]
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

impl<S, F, P> fmt::Debug for Metered<S, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("guard", &self.guard())
            .field("consumed", self.consumed())
            .finish_non_exhaustive()
    }
}
