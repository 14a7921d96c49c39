//! Callers: the configuration, principal and observer of a request.

use std::sync::Arc;

use crate::config::{CyclesConfig, Mode};
use crate::trace_parent::TraceParent;

/// One API key and its tenant. Each principal has its own journal and its own replay. If the server answers a replayed
/// cost with a request for a pause, or with a refusal of the API key, only the rest of that replay waits: calls and new
/// reservations are sent as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(pub(super) usize);

/// The id of an observer of events. Its meaning is up to the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObserverId(pub u64);

/// One handle of a client: its configuration and principal, its trace, and its observer.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) config: Arc<CyclesConfig>,
    pub(super) principal: Principal,
    pub(super) observer: ObserverId,
    pub(super) is_blocking: bool,
    pub(super) mode: Mode,
}

impl Caller {
    /// The configuration, with the API key, the defaults and the trace.
    pub fn config(&self) -> &Arc<CyclesConfig> {
        &self.config
    }

    /// The principal.
    pub fn principal(&self) -> Principal {
        self.principal
    }

    /// Returns the same caller with this observer.
    #[must_use]
    pub fn with_observer(self, observer: ObserverId) -> Self {
        Self { observer, ..self }
    }

    /// Returns the same caller as one that blocks and makes its calls on its own thread, so that they take no place.
    /// See [`Session::helps`](super::Session::helps).
    #[must_use]
    pub fn blocking(self) -> Self {
        let is_blocking = true;
        Self { is_blocking, ..self }
    }

    /// The mode of the reservations that this caller makes: that of its configuration, unless it was
    /// [set](Self::in_mode).
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the same caller with another mode for the reservations that it makes; `None` changes nothing.
    #[must_use]
    pub fn in_mode(self, mode: Option<Mode>) -> Self {
        let mode = mode.unwrap_or(self.mode);
        Self { mode, ..self }
    }

    /// Returns the same caller within this trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        Self {
            config: Arc::new(self.config.with_trace_parent(parent)),
            ..*self
        }
    }
}
