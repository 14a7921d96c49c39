//! The invariants of every world, and their violations.

use core::fmt;
use std::time::Duration;

use super::JobId;

/// An invariant of every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A cost is in the ledger at most once.
    SettledOnce,
    /// No settlement is sent until its record is stored, or until storing it has failed or taken too long.
    StoredFirst,
    /// All settlements of a job use one idempotency key, across restarts.
    OneKey,
    /// A repeated request has the same bytes as the first one.
    SameBytes,
    /// Nothing is sent before the server's pause is over, and the pause of a settlement is stored first.
    NotBefore,
    /// Only costs that the caller handed over are settled, with their exact amounts.
    KnownCost,
    /// No event is sent while a commit of the same job may have been applied.
    NoEventWhileOpen,
    /// No event is sent if the server may have forgotten its key.
    NotStale,
    /// A job is settled or released, never both.
    NeverBoth,
    /// A wait ends in the future.
    WaitsAhead,
    /// A session waits without a deadline only if it waits for something outside: an answer, the journal or a caller.
    WaitsOnOutside,
    /// Every job ends, unless something outside keeps it waiting.
    Ends,
    /// No sixth beat leaves within 250 ms of the first, whatever the server answers.
    NoStorm,
    /// Every failed beat is reported as an event.
    BeatFailureReported,
    /// An action is ended only by its caller.
    ActionGoesOn,
    /// Every failed change to the journal is reported as an event.
    StoreFailureReported,
    /// At every moment, a known cost is in the ledger, in a file or on its way, or is reported and counted as lost.
    CostKept,
    /// A flush is complete only if every cost that was handed over to its process is in the ledger; it counts the actions
    /// whose cost nobody knows.
    FlushIsTrue,
    /// A cost that could not be accepted is reported.
    UntakenCostReported,
    /// Nothing is free in silence that may have cost something: if an action or a step ends without a cost after a request
    /// of it was dispatched, what it had spent is charged, else its estimate; or, if its policy says so, somebody is
    /// told.
    DispatchedNotFree,
    /// The session says that a request is marked only once its mark is on disk, and it stays there until the cost is
    /// known, or the request is taken back.
    MarkStored,
    /// Every client that reads a journal tells of each mark that an ended owner left or that was left behind, with its
    /// estimate, and a flush that is certain counts it, until a person has dealt with it.
    MarkTold,
    /// A client tells only of marks whose costs nobody knows: not while their owners live, not beside the record of the
    /// cost, not after a person has dealt with them, and each only once.
    MarkTrue,
    /// A mark is charged only because a person says so, only once, and not while its owner lives.
    MarkByHand,
    /// A charge says whether it is an estimate.
    EstimateMarked,
    /// A partial charge is reported with both amounts; a full charge is not.
    ShortfallReported,
    /// A settled cost leaves no record that would be sent again; the record of a refused or stale cost is set aside.
    RecordCleared,
    /// A step of a run counts as charged only once a total with its cost is stored, or storing it has failed or taken too
    /// long; and a total that a process left has every step that counts as charged.
    StepStored,
    /// The reported outcome of a job is true.
    TrueReceipt,
    /// The API key appears in no event, record or `Debug` output.
    SecretKept,
    /// A needless poll changes nothing.
    SpuriousPoll,
    /// While a lease is held, the session wakes in time for its next beat.
    BeatAwaited,
    /// No more exchanges run at once than there are places.
    PlacesKept,
    /// A quarter of the places is reserved for leases, and no beat fails for lack of a place while one of them is free.
    LeasesInTime,
    /// An attempt that was withdrawn before it began does not begin.
    WithdrawnNotSent,
    /// A session waits at most five seconds for a change to the journal.
    HungStore,
    /// A flush, and a session that is shut down, ends at its deadline, or a second later at the latest.
    FlushEnds,
    /// A panic in one reservation is reported, and affects no other reservation.
    PanicStaysAlone,
    /// Work of one key is sent under that key and changes only that key's journal.
    PrincipalsApart,
    /// A waiting caller is woken when the state that it is waiting for has changed.
    WaiterWoken,
    /// Records that another session has claimed are left to it for half a minute.
    ClaimsKept,
    /// A pass over the journal stops after the key was refused several times in a row.
    StopsAtRefusals,
    /// A closed session begins no work that its closing has ruled out.
    ClosedForGood,
    /// A closed session has kept every cost that was handed over to it.
    ClosedWithCosts,
    /// The ledger's books add up to the costs of the jobs.
    BooksBalance,
}

/// A violated invariant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// The invariant.
    pub rule: Rule,
    /// The time since the world's start.
    pub at: Duration,
    /// The job concerned, if any.
    pub job: Option<JobId>,
    /// A description of what happened.
    pub what: String,
    /// Everything that happened before, line by line, if the world was [traced](super::WorldBuilder::traced).
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "{:?} does not hold at {:?}", self.rule, self.at)?;
        if let Some(job) = self.job {
            write!(f, ", {job}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for Violation {}
