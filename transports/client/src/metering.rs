//! What is consumed item by item, and charged to a reservation, however the items come.

use std::sync::Arc;

use cycles_host::ambient;
use cycles_proto::Reading;
use cycles_proto::meter::{End, Meter, Settle};
use cycles_proto::models::Amount;

use crate::context::{CURRENT, GuardContext};
use crate::engine::Life;
use crate::guard::ReservationGuard;

/// Counts, up to the end.
pub(crate) struct Metering<S> {
    live: Option<Live<S>>,
    consumed: Amount,
    life: Arc<Life>,
}

/// What there is until the end.
pub(crate) struct Live<S> {
    guard: ReservationGuard,
    pub(crate) meter: Meter,
    source: S,
    /// What the source runs under, if it is that of a guarded function.
    pub(crate) context: Option<GuardContext>,
}

/// What is left of it at its end.
pub(crate) struct Ended<S> {
    pub(crate) guard: ReservationGuard,
    pub(crate) settle: Settle,
    /// To be dropped once that has begun.
    pub(crate) source: S,
}

impl<S> Metering<S> {
    pub(crate) fn new(guard: ReservationGuard, source: S) -> Self {
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
        }
    }

    pub(crate) fn live(&mut self) -> Option<&mut Live<S>> {
        self.live.as_mut()
    }

    pub(crate) fn consumed(&self) -> &Amount {
        &self.consumed
    }

    pub(crate) fn guard(&self) -> Option<&ReservationGuard> {
        self.live.as_ref().map(|live| &live.guard)
    }

    pub(crate) fn source(&self) -> Option<&S> {
        self.live.as_ref().map(|live| &live.source)
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    #[cfg(feature = "async")]
    pub(crate) fn is_over(&self) -> bool {
        self.live.is_none()
    }

    /// Whether as much was consumed as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.meter.is_full())
    }

    /// Counts an item, before anybody sees it.
    pub(crate) fn count(&mut self, reading: Reading) {
        let Some(live) = &mut self.live else { return };
        if let Some(amount) = live.meter.read(reading) {
            self.life.counted(&amount);
            self.consumed = live.meter.consumed();
        }
    }

    /// Nothing more is consumed. What becomes of it, once.
    pub(crate) fn end(&mut self, end: End) -> Option<Ended<S>> {
        let live = self.live.take()?;
        self.life.check().ok()?;
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
        Some(Ended {
            guard,
            settle,
            source,
        })
    }
}

impl<S> Live<S> {
    /// Runs `f` under the context that there is; where that was made by hand it is the caller's.
    pub(crate) fn within<O>(&mut self, f: impl FnOnce(&mut S, &mut Meter) -> O) -> O {
        let (source, meter) = (&mut self.source, &mut self.meter);
        if self.context.is_some() {
            ambient::enter(&CURRENT, &mut self.context, || f(source, meter))
        } else {
            f(source, meter)
        }
    }
}
