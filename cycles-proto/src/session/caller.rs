//! In whose name something is asked.

use std::sync::Arc;

use crate::config::CyclesConfig;
use crate::keys::TraceParent;

/// A key and the tenant that it is for. Its journal, its pauses and what it is refused are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(pub(super) usize);

/// Who is told of events; what the number stands for is the driver's to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObserverId(pub u64);

/// One handle of a client: in whose name it asks, in which trace, and who is told of it.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) config: Arc<CyclesConfig>,
    pub(super) principal: Principal,
    pub(super) observer: ObserverId,
    pub(super) is_blocking: bool,
}

impl Caller {
    /// The configuration, with its key, its defaults and its trace.
    pub fn config(&self) -> &Arc<CyclesConfig> {
        &self.config
    }

    /// Whose key it is.
    pub fn principal(&self) -> Principal {
        self.principal
    }

    /// The same, but this observer is told.
    #[must_use]
    pub fn with_observer(self, observer: ObserverId) -> Self {
        Self { observer, ..self }
    }

    /// The same, but it blocks until it has what it asks for, and makes its calls on its own thread: they take no place.
    /// See [`Session::helps`](super::Session::helps).
    #[must_use]
    pub fn blocking(self) -> Self {
        let is_blocking = true;
        Self { is_blocking, ..self }
    }

    /// The same within this trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        Self {
            config: Arc::new(self.config.with_trace_parent(parent)),
            ..*self
        }
    }
}
