//! A sandbox, a client with a journal of its own, and eyes on all three.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cycles_proto::config::RetryPolicy;
use cycles_proto::models::{Action, Amount, CommitRequest, ReservationCreateRequest, ReservationId, Subject};
use cycles_proto::record::JournalRecord;
use cycles_proto::{CyclesConfig, CyclesConfigBuilder, Event, UnixMillis};

use super::{Adapter, Client as _, Left};
use crate::{
    BudgetState, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Operation, ReservationState,
    ReservationStatus, Sandbox, Unit,
};

/// No test waits so long unless it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Stage<A: Adapter> {
    pub(super) client: A::Client,
    /// Until it is [killed](Self::kill_server).
    sandbox: Mutex<Option<Sandbox>>,
    config: CyclesConfigBuilder,
    events: Arc<Mutex<Vec<Event>>>,
    commits: Arc<Mutex<Vec<String>>>,
    pub(super) dir: TempDir,
}

impl<A: Adapter> Stage<A> {
    pub(super) fn new() -> Self {
        Self::with(|config| config)
    }

    /// On which the journal cannot be written.
    pub(super) fn without_journal() -> Self {
        let dir = TempDir::new();
        let file = dir.path().join("a file");
        fs::write(&file, "in the way").unwrap();
        Self::set(dir, |config| config.journal_dir(file.join("journal")))
    }

    pub(super) fn with(change: impl FnOnce(CyclesConfigBuilder) -> CyclesConfigBuilder) -> Self {
        Self::set(TempDir::new(), change)
    }

    fn set(dir: TempDir, change: impl FnOnce(CyclesConfigBuilder) -> CyclesConfigBuilder) -> Self {
        let commits = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&commits);
        let sandbox = Sandbox::builder()
            .observe(move |exchange| {
                if exchange.operation == Operation::CommitReservation {
                    let body = String::from_utf8_lossy(exchange.request.body()).into_owned();
                    seen.lock().unwrap().push(body);
                }
            })
            .start()
            .unwrap();
        let mut retry = RetryPolicy::default();
        retry.max_attempts = 2;
        retry.initial_delay = Duration::from_millis(100);
        retry.max_delay = Duration::from_millis(100);
        let config = CyclesConfig::builder(DEFAULT_API_KEY, sandbox.base_url())
            .tenant(DEFAULT_TENANT)
            .journal_dir(dir.path())
            .retry(retry);
        let config = change(config);
        let events = Arc::new(Mutex::new(Vec::new()));
        Self {
            client: client::<A>(&config, &events),
            sandbox: Mutex::new(Some(sandbox)),
            config,
            events,
            commits,
            dir,
        }
    }

    /// Another client like the first, as after a restart.
    pub(super) fn another_client(&self) -> A::Client {
        client::<A>(&self.config, &self.events)
    }

    pub(super) fn server<T>(&self, work: impl FnOnce(&Sandbox) -> T) -> T {
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

    /// Makes something go wrong; see the sandbox's README for the words.
    pub(super) fn inject(&self, fault: &str) {
        self.server(|sandbox| sandbox.inject(fault.parse().unwrap()));
    }

    pub(super) fn clear_faults(&self) {
        self.server(Sandbox::clear_faults);
    }

    pub(super) fn advance(&self, by: Duration) {
        self.server(|sandbox| sandbox.advance(by));
    }

    pub(super) fn reservation(&self, id: &ReservationId) -> ReservationState {
        self.server(|sandbox| sandbox.with_ledger(|ledger| ledger.reservation(id.as_str())))
            .unwrap()
    }

    pub(super) fn status(&self, id: &ReservationId) -> ReservationStatus {
        self.reservation(id).status
    }

    /// The ids of all reservations.
    pub(super) fn reservations(&self) -> Vec<ReservationId> {
        self.server(|sandbox| {
            sandbox.with_ledger(|ledger| ledger.reservation_ids().map(ReservationId::from).collect())
        })
    }

    pub(super) fn budget(&self) -> BudgetState {
        self.server(|sandbox| sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens)))
            .unwrap()
    }

    /// Fails unless the ledger has exactly this spent and nothing held.
    #[track_caller]
    pub(super) fn assert_spent(&self, amount: i64) {
        let budget = self.budget();
        assert_eq!((budget.spent, budget.reserved), (amount, 0), "spent and held");
        assert_eq!(budget.remaining, budget.allocated - amount);
    }

    pub(super) fn events_applied(&self) -> u64 {
        self.server(|sandbox| sandbox.with_ledger(|ledger| ledger.events_applied()))
    }

    /// The bodies of the commits that the server saw.
    pub(super) fn commits(&self) -> Vec<String> {
        self.commits.lock().unwrap().clone()
    }

    /// What was told so far.
    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Fails unless exactly these events were told, by their names.
    #[track_caller]
    pub(super) fn assert_told(&self, names: &str) {
        let name = |event: &Event| format!("{event:?}").split(' ').next().unwrap().to_owned();
        let told: Vec<_> = self.events().iter().map(name).collect();
        assert_eq!(told.join(" "), names);
    }

    /// Waits until something was told.
    #[track_caller]
    pub(super) fn wait_for_event(&self, what: impl Fn(&Event) -> bool) {
        self.wait_until("the event is told", || self.events().iter().any(&what));
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

    /// Makes the one record in the journal one of an event that was recorded so long before.
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

    /// Fails unless the journal holds one record, of this reservation and this cost.
    #[track_caller]
    pub(super) fn assert_recorded(&self, id: &ReservationId, tokens: i64) {
        let records = self.records();
        let [record] = records.as_slice() else {
            panic!("one record is expected: {records:?}")
        };
        assert_eq!(record.reservation_id(), id);
        assert!(record.body().contains(&actual(tokens)), "{}", record.body());
    }

    /// Settles what is left and fails if anything stays.
    #[track_caller]
    pub(super) fn flush_everything(&self) {
        assert_eq!(self.client.flush(PATIENCE).unwrap(), Left::NOTHING);
        assert!(self.records().is_empty(), "{:?}", self.records());
    }

    /// The files of the journal with this ending, or all.
    pub(super) fn files(&self, ending: &str) -> Vec<PathBuf> {
        files(self.dir.path(), ending)
    }
}

/// The records with this ending (`json`, `rejected`, `stale`) in a journal's directory, whoever they belong to.
/// One that is removed meanwhile is none.
pub fn records(dir: &Path, ending: &str) -> Vec<JournalRecord> {
    let files = files(dir, ending).into_iter();
    files
        .filter_map(|path| fs::read(path).ok())
        .map(|bytes| JournalRecord::parse(&bytes).unwrap())
        .collect()
}

/// The files with this ending, or all, in a journal's directory, whoever they belong to.
pub(super) fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in fs::read_dir(dir).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            files.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    files.retain(|path| ending.is_empty() || path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}

fn client<A: Adapter>(config: &CyclesConfigBuilder, events: &Arc<Mutex<Vec<Event>>>) -> A::Client {
    let events = Arc::clone(events);
    A::client(config.clone().build().unwrap(), move |event| {
        events.lock().unwrap().push(event.clone());
    })
}

/// A reservation by the default tenant, for a minute.
pub fn request(tokens: i64) -> ReservationCreateRequest {
    request_for(tokens, 60_000)
}

/// A reservation by the default tenant.
pub fn request_for(tokens: i64, ttl_ms: u64) -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant(DEFAULT_TENANT))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(tokens))
        .ttl_ms(ttl_ms)
        .build()
}

/// What an action cost.
pub fn commit(tokens: i64) -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(tokens)).build()
}

/// How a body says what was spent.
pub(super) fn actual(tokens: i64) -> String {
    format!(r#""actual":{{"unit":"TOKENS","amount":{tokens}}}"#)
}

/// A directory that goes with the value.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// A fresh one.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cycles-suite-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
