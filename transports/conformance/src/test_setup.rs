//! A sandbox, a client with its own journal, and access to the state of all three.

use std::fs;
use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cycles_proto::config::RetryPolicy;
use cycles_proto::models::{Action, Amount, CommitRequest, ReservationCreateRequest, ReservationId, Subject};
use cycles_proto::record::JournalRecord;
use cycles_proto::{CyclesConfig, CyclesConfigBuilder, Event, Receipt, UnixMillis};
use cycles_sandbox::{
    ApiKey, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, ReservationStatus, Sandbox, Unit,
};
use http::Request;

use super::external_server::ExternalServer;
use super::files::{TempDir, files, records};
use super::{Adapter, Client as _, Unsettled};

/// A test that waits longer than this has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct TestSetup<A: Adapter> {
    pub(super) client: A::Client,
    /// `None` once it has been [killed](Self::kill_server).
    sandbox: Mutex<Option<Sandbox>>,
    /// The external server, if one answers in place of the sandbox's ledger.
    external: Option<Arc<ExternalServer>>,
    config: CyclesConfigBuilder,
    events: Arc<Mutex<Vec<Event>>>,
    seen: Arc<Mutex<Vec<Request<Bytes>>>>,
    pub(super) dir: TempDir,
}

/// A reservation's state on the server.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    pub(super) status: ReservationStatus,
    /// The charged amount, once the reservation is committed.
    pub(super) charged: Option<i64>,
    /// Milliseconds since 1970.
    pub(super) expires_at_ms: i64,
    pub(super) extensions: usize,
}

/// The tenant's budget, in tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenBudget {
    pub(super) allocated: i64,
    pub(super) remaining: i64,
    pub(super) reserved: i64,
    pub(super) spent: i64,
}

impl<A: Adapter> TestSetup<A> {
    pub(super) fn new() -> Self {
        Self::with(|config| config)
    }

    /// A setup whose journal cannot be written.
    pub(super) fn without_journal() -> Self {
        let dir = TempDir::new();
        let file = dir.path().join("a file");
        fs::write(&file, "in the way").unwrap();
        Self::set(dir, DEFAULT_API_KEY, |config| {
            config.journal_dir(file.join("journal"))
        })
    }

    /// A setup with another API key of the tenant; `None` if that key cannot be set up on the server.
    pub(super) fn with_key(key: &str) -> Option<Self> {
        let setup = Self::set(TempDir::new(), key, |config| config);
        if setup.external.is_none() {
            return Some(setup);
        }
        drop(writeln!(
            stderr(),
            "external server: left out, because no API key can be set there: {key}"
        ));
        None
    }

    pub(super) fn with(change: impl FnOnce(CyclesConfigBuilder) -> CyclesConfigBuilder) -> Self {
        Self::set(TempDir::new(), DEFAULT_API_KEY, change)
    }

    fn set(dir: TempDir, key: &str, change: impl FnOnce(CyclesConfigBuilder) -> CyclesConfigBuilder) -> Self {
        let seen: Arc<Mutex<Vec<Request<Bytes>>>> = Arc::default();
        let log = Arc::clone(&seen);
        let external = ExternalServer::start().map(Arc::new);
        let mut sandbox = Sandbox::builder();
        if key != DEFAULT_API_KEY {
            sandbox = sandbox.api_key(ApiKey::new(key, DEFAULT_TENANT));
        }
        if let Some(external) = external.clone() {
            sandbox = sandbox.answered_by(move |request| external.answer(request));
        }
        let sandbox = sandbox
            .observe(move |exchange| log.lock().unwrap().push(exchange.request.clone()))
            .start()
            .unwrap();
        let mut retry = RetryPolicy::default();
        retry.max_attempts = 2;
        retry.initial_delay = Duration::from_millis(100);
        retry.max_delay = Duration::from_millis(100);
        let config = CyclesConfig::builder(key, sandbox.base_url())
            .tenant(DEFAULT_TENANT)
            .journal_dir(dir.path())
            .retry(retry);
        let config = change(config);
        let events = Arc::new(Mutex::new(Vec::new()));
        Self {
            client: client::<A>(&config, &events),
            sandbox: Mutex::new(Some(sandbox)),
            external,
            config,
            events,
            seen,
            dir,
        }
    }

    /// A second client with the same configuration, as after a restart.
    pub(super) fn another_client(&self) -> A::Client {
        client::<A>(&self.config, &self.events)
    }

    fn server<T>(&self, work: impl FnOnce(&Sandbox) -> T) -> T {
        work(
            self.sandbox
                .lock()
                .unwrap()
                .as_ref()
                .expect("the server was killed"),
        )
    }

    pub(super) fn kill_server(&self) {
        *self.sandbox.lock().unwrap() = None;
    }

    /// Injects a fault; the sandbox's README describes the syntax.
    pub(super) fn inject(&self, fault: &str) {
        self.server(|sandbox| sandbox.inject(fault.parse().unwrap()));
    }

    pub(super) fn clear_faults(&self) {
        self.server(Sandbox::clear_faults);
    }

    /// Lets time pass; `by` must be longer than every lease including its grace period.
    pub(super) fn advance(&self, by: Duration) {
        match &self.external {
            Some(external) => external.expire(),
            None => self.server(|sandbox| sandbox.advance(by)),
        }
    }

    /// Sets the caps of the tenant's budget. Returns whether the server supports that.
    pub(super) fn cap(&self, caps: &str) -> bool {
        if self.external.is_some() {
            drop(writeln!(
                stderr(),
                "external server: left out, because no caps can be set there: {caps}"
            ));
            return false;
        }
        let budget = format!("{DEFAULT_TENANT_SCOPE}=TOKENS:1000000,caps={caps}");
        self.server(|sandbox| sandbox.with_ledger(|ledger| ledger.add_budget(budget.parse().unwrap())));
        true
    }

    /// The time on the server's clock.
    pub(super) fn now(&self) -> UnixMillis {
        match &self.external {
            Some(_) => SystemTime::now().into(),
            None => self.server(Sandbox::now),
        }
    }

    pub(super) fn reservation(&self, id: &ReservationId) -> Reservation {
        if let Some(external) = &self.external {
            return external.reservation(id);
        }
        let state = self.server(|sandbox| sandbox.with_ledger(|ledger| ledger.reservation(id.as_str())));
        let state = state.unwrap();
        Reservation {
            status: state.status,
            charged: state.charged,
            expires_at_ms: state.expires_at_ms,
            extensions: state.extensions.try_into().unwrap(),
        }
    }

    pub(super) fn status(&self, id: &ReservationId) -> ReservationStatus {
        self.reservation(id).status
    }

    /// The ids of all reservations.
    pub(super) fn reservations(&self) -> Vec<ReservationId> {
        if let Some(external) = &self.external {
            return external.reservations();
        }
        self.server(|sandbox| {
            sandbox.with_ledger(|ledger| ledger.reservation_ids().map(ReservationId::from).collect())
        })
    }

    pub(super) fn budget(&self) -> TokenBudget {
        if let Some(external) = &self.external {
            return external.budget();
        }
        let budget = self.server(|sandbox| {
            sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens))
        });
        let budget = budget.unwrap();
        TokenBudget {
            allocated: budget.allocated,
            remaining: budget.remaining,
            reserved: budget.reserved,
            spent: budget.spent,
        }
    }

    /// Asserts that exactly this amount is spent in the ledger, and nothing is held.
    #[track_caller]
    pub(super) fn assert_spent(&self, amount: i64) {
        let budget = self.budget();
        assert_eq!((budget.spent, budget.reserved), (amount, 0), "spent and held");
        assert_eq!(budget.remaining, budget.allocated - amount);
    }

    pub(super) fn events_applied(&self) -> u64 {
        if let Some(external) = &self.external {
            return external.events_applied();
        }
        self.server(|sandbox| sandbox.with_ledger(|ledger| ledger.events_applied()))
    }

    /// The requests that the server received.
    pub(super) fn seen(&self) -> Vec<Request<Bytes>> {
        self.seen.lock().unwrap().clone()
    }

    /// The bodies of the commits that the server received.
    pub(super) fn commits(&self) -> Vec<String> {
        let mut seen = self.seen();
        seen.retain(|request| request.uri().path().ends_with("/commit"));
        seen.iter()
            .map(|request| String::from_utf8_lossy(request.body()).into_owned())
            .collect()
    }

    /// The events so far.
    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Asserts that exactly the events with these names were reported.
    #[track_caller]
    pub(super) fn assert_told(&self, names: &str) {
        let name = |event: &Event| format!("{event:?}").split(' ').next().unwrap().to_owned();
        let told: Vec<_> = self.events().iter().map(name).collect();
        assert_eq!(told.join(" "), names);
    }

    /// Waits for an event.
    #[track_caller]
    pub(super) fn wait_for_event(&self, what: impl Fn(&Event) -> bool) {
        self.wait_until("the event is reported", || self.events().iter().any(&what));
    }

    #[track_caller]
    pub(super) fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !is_so() {
            assert!(
                since.elapsed() < PATIENCE,
                "waited until {what}; told: {:#?}",
                self.events()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The records in the journal.
    pub(super) fn records(&self) -> Vec<JournalRecord> {
        records(self.dir.path(), "json")
    }

    /// Turns the only record in the journal into an event's record that was recorded this much earlier.
    pub(super) fn age_record(&self, by: Duration) {
        let (file, records) = (self.files("json").remove(0), self.records());
        let recorded_at = records[0].recorded_at();
        let before = UnixMillis(recorded_at.0 - by.as_millis() as u64);
        let event = records[0].clone().into_event().unwrap().to_json();
        fs::write(
            file,
            event.replace(&recorded_at.0.to_string(), &before.0.to_string()),
        )
        .unwrap();
    }

    /// The records that were set aside under this ending.
    pub(super) fn set_aside(&self, ending: &str) -> Vec<JournalRecord> {
        records(self.dir.path(), ending)
    }

    /// Asserts that the journal has exactly one record, which has this reservation and this cost.
    #[track_caller]
    pub(super) fn assert_recorded(&self, id: &ReservationId, tokens: i64) {
        let records = self.records();
        let [record] = records.as_slice() else {
            panic!("one record is expected: {records:?}")
        };
        assert_eq!(record.reservation_id(), id);
        assert!(record.body().contains(&actual(tokens)), "{}", record.body());
    }

    /// Flushes, and asserts that nothing is left.
    #[track_caller]
    pub(super) fn flush_everything(&self) {
        assert_eq!(self.client.flush(PATIENCE).unwrap(), Unsettled::NOTHING);
        assert!(self.records().is_empty(), "{:?}", self.records());
    }

    /// Flushes, and asserts that exactly this number of costs is unrecorded, and nothing else is left.
    #[track_caller]
    pub(super) fn flush_all_but(&self, unrecorded: usize) {
        let left = self.client.flush(PATIENCE).unwrap();
        assert_eq!(left, Unsettled::NOTHING.unrecorded(unrecorded));
        let told = self.events();
        let told = told
            .iter()
            .filter(|event| matches!(event, Event::CostNotTaken { .. }))
            .count();
        assert!(told <= unrecorded, "each is counted");
        assert!(self.records().is_empty(), "{:?}", self.records());
    }

    /// The journal's files with this ending; all files if it is empty.
    pub(super) fn files(&self, ending: &str) -> Vec<PathBuf> {
        files(self.dir.path(), ending)
    }
}

fn client<A: Adapter>(config: &CyclesConfigBuilder, events: &Arc<Mutex<Vec<Event>>>) -> A::Client {
    let events = Arc::clone(events);
    A::client(config.clone().build().unwrap(), move |event| {
        events.lock().unwrap().push(event.clone());
    })
}

/// A request by the default tenant for a reservation of one minute.
pub fn request(tokens: i64) -> ReservationCreateRequest {
    request_for(tokens, 60_000)
}

/// A request by the default tenant for a reservation with this time to live.
pub fn request_for(tokens: i64, ttl_ms: u64) -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant(DEFAULT_TENANT))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(tokens))
        .ttl_ms(ttl_ms)
        .build()
}

/// The commit of a cost.
pub fn commit(tokens: i64) -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(tokens)).build()
}

/// Asserts that the cost is not settled yet, but safe in its record.
#[track_caller]
pub(super) fn assert_pending_and_recorded(receipt: &Receipt) {
    let is_kept = matches!(
        receipt,
        Receipt::Pending {
            is_recorded: true,
            ..
        }
    );
    assert!(is_kept, "{receipt:?}");
}

/// The member `actual` of a body.
pub(super) fn actual(tokens: i64) -> String {
    format!(r#""actual":{{"unit":"TOKENS","amount":{tokens}}}"#)
}
