//! What is left after everything was settled that could be.

use core::time::Duration;

/// What a `flush` left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it tells whether costs are left to be settled"]
#[non_exhaustive]
pub struct Flushed {
    /// Reservations of this process that are still being settled or released.
    pub ending: usize,
    /// Records in the journal that are not settled; a later run settles them. Those that were set aside as stale
    /// count here after a `flush_stale`.
    pub recorded: usize,
    /// Costs of this process that are in no record, and in the ledger only if an attempt got through whose answer was lost:
    /// nothing more is tried. Either every attempt failed
    /// and there is no journal, or it could not be written; or a cost or an item of a stream could not be taken
    /// ([`Event::CostNotTaken`](super::Event::CostNotTaken)). Whoever handed them over was told, and so were observers.
    pub unrecorded: usize,
    /// Costs of this process for which less was charged than they were: the budget had no more, and the overage policy
    /// lets that pass, or the server charged another unit ([`Event::ChargedLess`](super::Event::ChargedLess)).
    pub charged_less: usize,
    /// Costs that are in no ledger and that nobody sends any more: since the client was made their records were set aside,
    /// as `*.rejected` or `*.stale`, or files that may be records as `*.corrupt`. A person decides, and observers were
    /// told of each.
    pub set_aside: usize,
    /// Whether there are no more records than these. If not, the time was over before the journal was read, or
    /// it could not be read, which observers are told.
    pub is_certain: bool,
}

impl Flushed {
    /// How long a flush whose time is over waits for a last look at the journal, if [that may
    /// help](crate::session::Session::flush), before it says that it is not [certain](Self::is_certain): other processes may have
    /// settled what was left to them.
    pub const LAST_LOOK: Duration = Duration::from_secs(1);

    /// Of a session that knows nothing of it.
    pub(crate) fn nothing() -> Self {
        Self {
            ending: 0,
            recorded: 0,
            unrecorded: 0,
            charged_less: 0,
            set_aside: 0,
            is_certain: true,
        }
    }

    /// Whether nothing is left: every cost that was handed over is settled, to its full amount.
    pub fn is_complete(&self) -> bool {
        let Self {
            ending,
            recorded,
            unrecorded,
            charged_less,
            set_aside,
            is_certain,
        } = *self;
        is_certain && [ending, recorded, unrecorded, charged_less, set_aside] == [0; 5]
    }
}
