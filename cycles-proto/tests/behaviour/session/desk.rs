//! A session in virtual time with a ledger, in which a test can hold things back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::journal::{JournalRecord, JournalWrite, RecordId, StoreFailure};
use cycles_proto::models::*;
use cycles_proto::session::{
    Caller, FlushKey, ObserverId, Principal, ReservationKey, Scanned, Session, Step,
};
use cycles_proto::{
    Call, CyclesConfig, Error, Failure, FailureKind, Now, Operation, Receipt, Seed, Ticket, UnixMillis,
};
use cycles_sandbox::{ApiKey, Budget, Ledger};

pub(super) const KEY: &str = "cyc_live_0123456789";
pub(super) const OTHER_KEY: &str = "cyc_live_9876543210";
const WALL: u64 = 1_795_000_000_000;

/// What happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    /// Kept until the test handles it.
    Held,
    Fails,
}

pub(super) struct Desk {
    pub(super) session: Session,
    pub(super) caller: Caller,
    pub(super) ledger: Ledger,
    pub(super) mono: Duration,
    /// How long the machine was asleep, which only the wall clock counts.
    pub(super) asleep: Duration,
    /// What happens to a call.
    pub(super) calls: fn(&Call) -> Fate,
    pub(super) stores: Fate,
    pub(super) scans: Fate,
    /// Calls that are handed out but not answered.
    pub(super) open: Vec<Call>,
    pub(super) open_stores: Vec<(Ticket, Principal, JournalWrite)>,
    pub(super) open_scans: Vec<(Ticket, Principal)>,
    pub(super) withdrawn: Vec<Ticket>,
    pub(super) events: Vec<(ObserverId, Event)>,
    /// The requests so far, as method and path.
    pub(super) sent: Vec<String>,
    pub(super) journal: BTreeMap<(Principal, RecordId), JournalRecord>,
    /// The totals of runs that have not ended, by key.
    pub(super) totals: BTreeMap<IdempotencyKey, JournalRecord>,
    /// The marks of requests that have left.
    pub(super) marks: Vec<JournalRecord>,
    /// The marks that were left behind.
    pub(super) left_marks: Vec<RecordId>,
    /// The principals whose journals it has the claim to.
    pub(super) claims: Vec<Principal>,
    /// The reservations made by `held`, in order.
    pub(super) ids: Vec<ReservationId>,
    seeds: u64,
}

pub(super) fn config() -> Arc<CyclesConfig> {
    let config = CyclesConfig::builder(KEY, "http://localhost:7878")
        .tenant("acme-corp")
        .build();
    Arc::new(config.unwrap())
}

pub(super) fn is_of(call: &Call, ending: &str) -> bool {
    call.request.uri().path().ends_with(ending)
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: Arc<CyclesConfig>) -> Self {
        let mut session = Session::new(Arc::clone(&config), Seed([1; 16]));
        let caller = session.caller(config).unwrap();
        let mut ledger = Ledger::new(1);
        for (key, tenant) in [(KEY, "acme-corp"), (OTHER_KEY, "globex")] {
            ledger.add_api_key(ApiKey::new(key, tenant));
            let scope = format!("tenant:{tenant}");
            ledger.add_budget(Budget::new(scope, cycles_sandbox::Unit::Tokens, 1_000_000));
        }
        Self {
            session,
            caller,
            ledger,
            mono: Duration::ZERO,
            asleep: Duration::ZERO,
            calls: |_| Fate::Done,
            stores: Fate::Done,
            scans: Fate::Done,
            open: Vec::new(),
            open_stores: Vec::new(),
            open_scans: Vec::new(),
            withdrawn: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            journal: BTreeMap::new(),
            totals: BTreeMap::new(),
            marks: Vec::new(),
            left_marks: Vec::new(),
            claims: Vec::new(),
            ids: Vec::new(),
            seeds: 1,
        }
    }

    /// A process a second after another one that left a cost of five in the journal. Its calls are held.
    pub(super) fn after_one_that_left_a_cost() -> Self {
        let mut earlier = Self::new();
        let key = earlier.held();
        earlier.calls = |_| Fate::Fails;
        earlier.commit(key, 5);
        earlier.pass_ms(100);
        assert_eq!(earlier.journal.len(), 1);
        Self {
            journal: earlier.journal,
            ledger: earlier.ledger,
            ids: earlier.ids,
            mono: earlier.mono + Duration::from_secs(1),
            calls: |_| Fate::Held,
            ..Self::new()
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono: self.mono,
            wall: UnixMillis(WALL).saturating_add(self.mono + self.asleep),
        }
    }

    pub(super) fn seed(&mut self) -> Seed {
        self.seeds += 1;
        Seed((u128::from(self.seeds) << 64).to_be_bytes())
    }

    /// Carries out all steps that are due. Returns when the session wants to be polled again.
    pub(super) fn settle(&mut self) -> Option<Duration> {
        for _ in 0..100_000 {
            match self.session.poll(self.now()) {
                Step::Send(call) => match (self.calls)(&call) {
                    Fate::Done => self.answer(call),
                    Fate::Held => self.open.push(call),
                    Fate::Fails => self.fail(&call, FailureKind::Lost),
                },
                Step::Withdraw(ticket) => self.withdrawn.push(ticket),
                Step::Store(ticket, principal, write) => match self.stores {
                    Fate::Done => self.store(ticket, principal, write),
                    Fate::Held => self.open_stores.push((ticket, principal, write)),
                    Fate::Fails => self.store_fails(ticket),
                },
                Step::Scan {
                    ticket, principal, ..
                } => match self.scans {
                    Fate::Done => self.scan(ticket, principal),
                    Fate::Held => self.open_scans.push((ticket, principal)),
                    Fate::Fails => drop(self.session.handle_scanned(self.now(), ticket, None)),
                },
                Step::Unclaim(principal) => self.claims.retain(|claim| *claim != principal),
                Step::Notify(observer, event) => self.events.push((observer, event)),
                Step::Wait(until) => {
                    let now = self.mono;
                    assert!(
                        until.is_none_or(|until| until > now),
                        "{until:?} is over at {now:?}"
                    );
                    return until;
                }
            }
        }
        panic!("it asks without end");
    }

    /// Lets time pass, and carries out all steps meanwhile.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.mono + time;
        while let Some(at) = self.settle().filter(|at| *at <= end) {
            self.mono = at;
        }
        self.mono = end;
        self.settle();
    }

    pub(super) fn pass_ms(&mut self, ms: u64) {
        self.pass(Duration::from_millis(ms));
    }

    /// Delivers the ledger's answer.
    pub(super) fn answer(&mut self, call: Call) {
        if !self.session.begun(self.now(), call.ticket) {
            return self.fail(&call, FailureKind::NotMade);
        }
        let response = self.reach(&call);
        self.session
            .handle(self.now(), call.ticket, call.reader.read(Ok(&response)));
    }

    /// Passes the request to the ledger.
    pub(super) fn reach(&mut self, call: &Call) -> http::Response<bytes::Bytes> {
        self.sent
            .push(format!("{} {}", call.request.method(), call.request.uri().path()));
        self.ledger.handle(self.now().wall, &call.request)
    }

    pub(super) fn fail(&mut self, call: &Call, kind: FailureKind) {
        let answer = call.reader.read(Err(Failure::new(kind)));
        self.session.handle(self.now(), call.ticket, answer);
    }

    /// Executes the oldest of the writes that were held back, and returns it.
    pub(super) fn store_next(&mut self) -> JournalWrite {
        let (ticket, principal, write) = self.open_stores.remove(0);
        self.store(ticket, principal, write.clone());
        write
    }

    pub(super) fn store(&mut self, ticket: Ticket, principal: Principal, write: JournalWrite) {
        match write {
            JournalWrite::Put(record) => {
                self.totals.remove(&record.id().key);
                // It takes the place of the mark.
                self.marks
                    .retain(|mark| mark.reservation_id() != record.reservation_id());
                self.journal.insert((principal, record.id().clone()), record);
            }
            JournalWrite::PutRun(total) => drop(self.totals.insert(total.id().key.clone(), total)),
            JournalWrite::PutMark(mark) => self.marks.push(mark),
            JournalWrite::RemoveMark(id) => {
                self.totals.remove(&id.key);
                self.marks.retain(|mark| *mark.id() != id);
            }
            JournalWrite::LeaveMark(mark) => self.left_marks.push(mark.id().clone()),
            JournalWrite::Remove(record) => drop(self.journal.remove(&(principal, record.id().clone()))),
            JournalWrite::SetAside(record, _) => drop(self.journal.remove(&(principal, record.id().clone()))),
        }
        self.session.handle_stored(self.now(), ticket, Ok(()));
    }

    pub(super) fn store_fails(&mut self, ticket: Ticket) {
        let failure = StoreFailure::new("no space left on device");
        self.session.handle_stored(self.now(), ticket, Err(failure));
    }

    pub(super) fn scan(&mut self, ticket: Ticket, principal: Principal) {
        let ours = self.journal.iter().filter(|((of, _), _)| *of == principal);
        let records = ours.map(|(_, record)| record.clone()).collect();
        if self
            .session
            .handle_scanned(self.now(), ticket, Some(Scanned::new(records, true)))
        {
            self.claims.push(principal);
        }
    }

    pub(super) fn reserve(&mut self) -> ReservationKey {
        let caller = self.caller.clone();
        self.reserve_as(&caller, request())
    }

    pub(super) fn reserve_as(
        &mut self,
        caller: &Caller,
        request: ReservationCreateRequest,
    ) -> ReservationKey {
        let seed = self.seed();
        self.session.reserve(self.now(), caller, request, seed).unwrap()
    }

    /// Makes a reservation that is held.
    pub(super) fn held(&mut self) -> ReservationKey {
        let key = self.reserve();
        self.settle();
        let (id, _) = self.session.granted(key).unwrap().unwrap();
        self.ids.push(id);
        key
    }

    pub(super) fn commit(&mut self, key: ReservationKey, amount: i64) {
        let cost = CommitRequest::builder().actual(Amount::tokens(amount)).build();
        self.session.commit(self.now(), key, cost).unwrap();
    }

    /// Begins a flush that may take this long.
    pub(super) fn flush(&mut self, time: Duration) -> FlushKey {
        let (now, caller) = (self.now(), self.caller.clone());
        self.session.flush(now, &caller, now.mono + time, false)
    }

    pub(super) fn health(&mut self) -> cycles_proto::session::CallKey<HealthResponse> {
        let seed = self.seed();
        let operation = Operation::health(self.caller.config(), seed).unwrap();
        let caller = self.caller.clone();
        self.session.call(self.now(), &caller, operation).unwrap()
    }

    pub(super) fn receipt(&self, key: ReservationKey) -> Option<Receipt> {
        self.session.receipt(key)
    }

    /// The amounts that the ledger charged to these reservations.
    pub(super) fn charged(&self) -> Vec<Option<i64>> {
        let charged = |id: &ReservationId| self.ledger.reservation(id.as_str())?.charged;
        self.ids.iter().map(charged).collect()
    }

    pub(super) fn told(&self, is_it: fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| is_it(event)).count()
    }

    /// The reason why there is no reservation.
    pub(super) fn refusal(&mut self, key: ReservationKey) -> Option<Error> {
        self.session.granted(key)?.err()
    }
}

pub(super) fn request() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::default())
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(1000))
        .build()
}

pub(super) fn is_transport(error: &Error, kind: FailureKind) -> bool {
    matches!(error, Error::Transport(error) if error.failure.kind() == kind)
}

impl Desk {
    /// Delivers the ledger's answer to a call whose beginning was reported long ago or never.
    pub(super) fn answer_late(&mut self, call: &Call) {
        let response = self.reach(call);
        self.session
            .handle(self.now(), call.ticket, call.reader.read(Ok(&response)));
    }
}
