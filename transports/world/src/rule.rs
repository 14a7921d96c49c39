//! What holds in every world, and how it is told that something did not.

use core::fmt;
use std::time::Duration;

use super::LifeId;

/// An invariant of a reservation's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A cost is in the ledger at most once.
    SettledOnce,
    /// No settlement is sent before its record was stored, or could not be.
    StoredFirst,
    /// All settlements of a life are under one idempotency key, across restarts.
    OneKey,
    /// A repeated request has the bytes of the first.
    SameBytes,
    /// Nothing is sent before the server's pause is over, and the pause of a settlement is stored first.
    NotBefore,
    /// Nothing is settled but a cost that the caller handed over, in its amount.
    KnownCost,
    /// No event is sent while a commit of the same life may have been applied.
    NoEventWhileOpen,
    /// No event is sent that the server may have forgotten.
    NotStale,
    /// A life is settled or released, never both.
    NeverBoth,
    /// A wait ends in the future.
    WaitsAhead,
    /// A wait without end is one for somebody outside.
    WaitsOnOutside,
    /// Every life ends, unless somebody outside keeps it waiting.
    Ends,
    /// No sixth beat leaves within 250 ms of the first, whatever the server answers.
    NoStorm,
    /// Every failure of a heartbeat is told.
    BeatFailureTold,
    /// Nothing but its caller ends an action.
    ActionGoesOn,
    /// A change of the journal that failed is told.
    StoreFailureTold,
    /// A known cost is at every moment in the ledger, in a file, on its way there, or told as lost and counted so.
    CostKept,
    /// A flush is complete only if every cost that was handed over to its process is in the ledger.
    FlushIsTrue,
    /// A cost that could not be taken is told.
    UntakenTold,
    /// A cost that was charged for less is told, with both amounts, and no other is.
    ShortfallTold,
    /// What is settled leaves no record to be sent again, and what is refused or stale leaves it aside.
    RecordCleared,
    /// What a life says of its end is so.
    TrueReceipt,
    /// The API key is in no event, no record and no `Debug`.
    SecretKept,
    /// A needless poll changes nothing.
    SpuriousPoll,
    /// While a lease is held somebody wakes for its next beat.
    BeatAwaited,
    /// No more exchanges go on at once than there are places.
    PlacesKept,
    /// A quarter of the places is for leases, and none of them waits in vain while it is free.
    LeasesInTime,
    /// An attempt that was withdrawn before it began does not begin.
    WithdrawnNotSent,
    /// A change of the journal that nobody answers is waited for five seconds.
    HungStore,
    /// A flush ends when its time is over, and a second later at the latest.
    FlushEnds,
    /// A panic in one reservation is told, and ends no other.
    PanicStaysAlone,
    /// What is of one key is sent under that key, and changes that key's journal.
    PrincipalsApart,
    /// Whoever waits is woken when there is something to see.
    WaiterWoken,
    /// What another has the claim to is left to it, for half a minute.
    ClaimsKept,
    /// A pass over the journal stops where the key is refused several times in a row.
    StopsAtRefusals,
    /// Once a session is closed nothing of what that ends is begun.
    ClosedForGood,
    /// A session that was closed has kept every cost that was handed to it.
    ClosedWithCosts,
    /// The ledger's books add up to the costs of the lives.
    BooksBalance,
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// When, since the world's start.
    pub at: Duration,
    /// Whose life it was about, if it was about one.
    pub life: Option<LifeId>,
    /// What happened.
    pub what: String,
    /// What had happened before, line by line, if the world was [traced](super::WorldBuilder::traced).
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "{:?} does not hold at {:?}", self.rule, self.at)?;
        if let Some(life) = self.life {
            write!(f, ", {life}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for Violation {}
