#![doc = include_str!("../README.md")]

mod audit;
mod builder;
mod callers;
mod cost_locations;
mod driver;
mod finish;
mod flush_and_close;
mod job;
mod journal;
mod machine;
mod marking;
mod marks;
mod network;
mod person;
mod process;
mod process_control;
mod provider;
mod reservations;
mod rule;
mod runs;
mod scenario;
mod schedule;
mod session;
mod time;

use std::collections::BTreeMap;
use std::time::Duration;

use cycles_proto::models::ReservationId;
use cycles_proto::outcome::Grant;
use cycles_proto::{CyclesConfig, Receipt, Ticket, UnixMillis};
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, FaultPlan, FaultRule, Ledger, Seed};

pub use self::builder::{Driver, MakeMachine, WatchLedger, WorldBuilder};
pub use self::job::{Charge, Job, JobId, ProcessId, ReportedEvent, SentRequest};
pub use self::journal::{Journal, JournalHealth, Quarantined, Remains};
pub use self::machine::Machine;
use self::marking::PendingMarking;
use self::process::{Process, shifted};
pub use self::rule::{Rule, Violation};
pub use self::scenario::{RandomScenario, ScenarioFailure, Tally};
use self::schedule::ScheduledEvent;
pub use self::session::CallerId;
use self::session::{DrivenReservation, DrivenSession};

/// A simulated world of clients and their server.
pub struct World {
    now: Duration,
    dice: Seed,
    driver: Driver,
    without_remaining_ttl: f64,
    make: MakeMachine,
    watch: WatchLedger,
    ledger: Ledger,
    faults: FaultPlan,
    is_server_down: bool,
    /// How far the server's clock is ahead of the correct time, in milliseconds.
    server_ahead_ms: i64,
    journal: Journal,
    /// Whether directories can be claimed. If not, as on systems that cannot lock files, every session has the claim.
    has_claims: bool,
    /// The session that has the claim to a directory.
    claims: BTreeMap<String, usize>,
    places: usize,
    processes: Vec<Process>,
    sessions: Vec<DrivenSession>,
    reservations: Vec<DrivenReservation>,
    jobs: Vec<Job>,
    by_reservation: BTreeMap<ReservationId, JobId>,
    /// The scheduled events, by time and in the order in which they were scheduled.
    schedule: BTreeMap<(Duration, u64), ScheduledEvent>,
    events_scheduled: u64,
    /// The requests that leave once their marks are on disk.
    markings: Vec<PendingMarking>,
    steps: u64,
    /// The tickets of all sessions, for answers under unknown tickets.
    tickets: Vec<Ticket>,
    counts: Counts,
    violation: Option<Violation>,
    trace: Option<Vec<String>>,
}

/// Counts of rare events.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    panicked: u64,
    written_off: u64,
    queued: u64,
    not_begun: u64,
    hung: u64,
    yielded: u64,
    closed: u64,
    shut_down: u64,
    answered_calls: u64,
    marked: u64,
    not_marked: u64,
    left_marks: u64,
    told_marks: u64,
    charged_by_hand: u64,
    discarded: u64,
    left_to_owner: u64,
}

impl World {
    /// The world for this seed, with the tenant, API key and budgets of a default sandbox, and a well-behaved driver.
    pub fn new(seed: u64) -> Self {
        Self::builder(seed).build()
    }

    /// A builder for a world with this seed.
    pub fn builder(seed: u64) -> WorldBuilder {
        WorldBuilder::new(seed)
    }

    /// The configuration of a client for the default tenant.
    ///
    /// # Panics
    /// Never: the default key and tenant are valid.
    pub fn config() -> CyclesConfig {
        let config = CyclesConfig::builder(DEFAULT_API_KEY, BASE_URL)
            .tenant(DEFAULT_TENANT)
            .build();
        #[expect(
            clippy::expect_used,
            reason = "all values are constants, and a test builds it"
        )]
        config.expect("the default configuration is valid")
    }

    fn begin(builder: WorldBuilder) -> Self {
        Self {
            now: Duration::ZERO,
            dice: builder.dice,
            driver: builder.driver,
            without_remaining_ttl: builder.without_remaining_ttl,
            make: builder.make,
            watch: builder.watch,
            ledger: builder.ledger,
            faults: FaultPlan::default(),
            is_server_down: false,
            server_ahead_ms: 0,
            journal: Journal::default(),
            has_claims: builder.has_claims,
            claims: BTreeMap::new(),
            places: builder.places,
            processes: Vec::new(),
            sessions: Vec::new(),
            reservations: Vec::new(),
            jobs: Vec::new(),
            by_reservation: BTreeMap::new(),
            schedule: BTreeMap::new(),
            events_scheduled: 0,
            markings: Vec::new(),
            steps: 0,
            tickets: Vec::new(),
            counts: Counts::default(),
            violation: None,
            trace: builder.is_traced.then(Vec::new),
        }
    }

    /// The time since the world's start.
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// The number of steps that its sessions have handed out.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The server.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The server, for an operator's changes, such as funding, freezing and revoking.
    pub const fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// The time on the server's clock.
    pub fn server_time(&self) -> UnixMillis {
        shifted(self.now, self.server_ahead_ms)
    }

    /// The journal that all processes share.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The journal, for injecting faults.
    pub const fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// A job, as observed by the world.
    pub fn job(&self, job: JobId) -> &Job {
        &self.jobs[job.0]
    }

    /// All jobs, in the order in which the world first saw them.
    pub fn jobs(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.jobs
            .iter()
            .enumerate()
            .map(|(index, job)| (JobId(index), job))
    }

    /// The job that a reservation pays for, even if the world only knows the reservation's record.
    pub fn job_of(&self, reservation: &ReservationId) -> Option<JobId> {
        self.by_reservation.get(reservation).copied()
    }

    /// Whether the reservation is held: its action may run, or its cost is being settled.
    pub fn is_held(&self, job: JobId) -> bool {
        self.live_origin(job)
            .is_some_and(|at| self.grant_of(at).is_some())
    }

    /// Whether the reservation has ended in the session that made it, normally or in a crash.
    pub fn is_over(&self, job: JobId) -> bool {
        self.live_origin(job)
            .is_none_or(|at| self.reservations[at].is_done)
    }

    /// Injects a fault from now on. If several rules match a call, the first one applies.
    pub fn inject(&mut self, rule: FaultRule) {
        self.faults.add(rule);
    }

    /// Removes all network faults.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Everything that has happened so far, line by line; empty if the world is not [traced](WorldBuilder::traced).
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>14.3} {}", self.now.as_secs_f64(), line()));
        }
    }

    /// Keeps the first violation, which stops the world.
    fn keep_violation(&mut self, job: Option<JobId>, checked: audit::CheckResult) {
        if let (Err((rule, what)), None) = (checked, &self.violation) {
            self.violation = Some(Violation {
                rule,
                at: self.now,
                job,
                what,
                trace: self.trace().to_vec(),
            });
        }
    }

    /// The busy reservations of living processes, with their indices.
    fn busy_reservations(&self) -> impl Iterator<Item = (usize, &DrivenReservation)> {
        self.living_sessions()
            .flat_map(|(_, session)| session.busy.iter().map(|&at| (at, &self.reservations[at])))
    }

    /// The sessions of living processes, with their indices.
    fn living_sessions(&self) -> impl Iterator<Item = (usize, &DrivenSession)> {
        let is_alive = |(_, session): &(usize, &DrivenSession)| self.processes[session.process.0].is_alive;
        self.sessions.iter().enumerate().filter(is_alive)
    }

    /// The grant of a reservation.
    fn grant_of(&self, at: usize) -> Option<&Grant> {
        let reservation = &self.reservations[at];
        self.sessions[reservation.session].machine.grant(reservation.key?)
    }

    /// The receipt that a caller waiting for a reservation's cost would get now.
    fn receipt_of(&self, at: usize) -> Option<Receipt> {
        let reservation = &self.reservations[at];
        self.sessions[reservation.session]
            .machine
            .receipt(reservation.key?)
    }

    /// The reservation with which the job began, if its process is alive.
    fn live_origin(&self, job: JobId) -> Option<usize> {
        let at = self.jobs[job.0].notes.origin?;
        let process = self.reservations[at].process;
        self.processes[process.0].is_alive.then_some(at)
    }
}

/// The server's URL in the clients' configurations.
const BASE_URL: &str = "http://world.test";

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .field("jobs", &self.jobs.len())
            .field("steps", &self.steps)
            .field("violation", &self.violation)
            .finish_non_exhaustive()
    }
}
