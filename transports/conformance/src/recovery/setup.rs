//! A sandbox, a journal, and a log of all requests, each with the journal's records at the time.

use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cycles_proto::config::RetryPolicy;
use cycles_proto::models::ReservationId;
use cycles_proto::record::JournalRecord;
use cycles_proto::{CyclesConfig, CyclesConfigBuilder, Event, UnixMillis};
use cycles_sandbox::{
    DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Exchange, Operation, ReservationState, Sandbox,
    Unit,
};
use http::Request;

use super::process::Process;
use crate::files::{TempDir, files, records};
use crate::test_setup::PATIENCE;
use crate::{Adapter, Unsettled};

pub(super) struct RecoverySetup<A: Adapter> {
    /// Declared before `sandbox`, so that it is dropped first: a held request would keep the sandbox's thread from
    /// ending.
    hold: Arc<Mutex<Option<Hold>>>,
    pub(super) sandbox: Sandbox,
    pub(super) dir: TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    events: Arc<Mutex<Vec<Event>>>,
    adapter: PhantomData<A>,
}

/// A request, as the server received it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) operation: Operation,
    pub(super) path: String,
    pub(super) key: String,
    pub(super) api_key: String,
    pub(super) body: Bytes,
    /// Whether the request got past the faults and reached the ledger.
    pub(super) has_arrived: bool,
    pub(super) at: UnixMillis,
    /// The journal's records on disk at that time.
    pub(super) records: Vec<JournalRecord>,
}

/// Holds the next request of this operation: its arrival is reported, and it is not answered before it is released.
struct Hold {
    operation: Operation,
    told: Sender<()>,
    let_go: Receiver<()>,
}

/// A request that the server holds.
pub(super) struct InFlight {
    told: Receiver<()>,
    _let_go: Sender<()>,
}

impl InFlight {
    /// Waits until the request has arrived at the server.
    #[track_caller]
    pub(super) fn wait(&self) {
        self.told.recv_timeout(PATIENCE).expect("the request comes");
    }
}

impl<A: Adapter> RecoverySetup<A> {
    pub(super) fn new() -> Self {
        let dir = TempDir::new();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let hold: Arc<Mutex<Option<Hold>>> = Arc::default();
        let (log, held, journal) = (Arc::clone(&seen), Arc::clone(&hold), dir.path().to_owned());
        let sandbox = Sandbox::builder()
            .observe(move |exchange| {
                let seen = Seen::of(exchange, &journal);
                log.lock().unwrap().push(seen);
                let held = held
                    .lock()
                    .unwrap()
                    .take_if(|hold| hold.operation == exchange.operation);
                if let Some(hold) = held {
                    // An error means that the waiting test has already failed.
                    let _ = hold.told.send(());
                    let _ = hold.let_go.recv_timeout(PATIENCE);
                }
            })
            .start()
            .unwrap();
        Self {
            hold,
            sandbox,
            dir,
            seen,
            events: Arc::default(),
            adapter: PhantomData,
        }
    }

    /// A client in this process.
    pub(super) fn client(&self) -> A::Client {
        let events = Arc::clone(&self.events);
        let config = config(&self.sandbox.base_url(), DEFAULT_API_KEY, self.dir.path());
        A::client(config.build().unwrap(), move |event| {
            events.lock().unwrap().push(event.clone());
        })
    }

    /// A process with its own client.
    pub(super) fn process(&self) -> Process {
        self.process_with(DEFAULT_API_KEY)
    }

    pub(super) fn process_with(&self, key: &str) -> Process {
        Process::start(&self.sandbox.base_url(), key, self.dir.path())
    }

    /// Kills a process while its first commit is unanswered; `has_arrived` is whether the commit reaches the ledger.
    pub(super) fn crash_committing(&self, tokens: i64, has_arrived: bool) -> ReservationId {
        if !has_arrived {
            self.inject("commit:lose-request@1");
        }
        let mut process = self.process();
        let id = process.reserve();
        let in_flight = self.hold(Operation::CommitReservation);
        process.commit(tokens);
        in_flight.wait();
        process.kill();
        self.sandbox.clear_faults();
        id
    }

    /// Settles everything in a new process, and asserts that nothing is left.
    #[track_caller]
    pub(super) fn flush(&self) {
        let mut process = self.process();
        process.flush();
        assert_eq!(process.flushed(), Unsettled::NOTHING);
    }

    pub(super) fn hold(&self, operation: Operation) -> InFlight {
        let (told, is_told) = channel();
        let (let_go, is_let_go) = channel();
        *self.hold.lock().unwrap() = Some(Hold {
            operation,
            told,
            let_go: is_let_go,
        });
        InFlight {
            told: is_told,
            _let_go: let_go,
        }
    }

    pub(super) fn inject(&self, fault: &str) {
        self.sandbox.inject(fault.parse().unwrap());
    }

    /// All requests of these operations.
    pub(super) fn seen(&self, operations: &[Operation]) -> Vec<Seen> {
        let mut seen = self.seen.lock().unwrap().clone();
        seen.retain(|seen| operations.contains(&seen.operation));
        seen
    }

    /// The commits and events, in the order in which they were sent.
    pub(super) fn settlements(&self) -> Vec<Seen> {
        self.seen(&[Operation::CommitReservation, Operation::CreateEvent])
    }

    /// Asserts that these are all the settlements, all under one key, and that those of one operation have the same
    /// bytes.
    #[track_caller]
    pub(super) fn assert_settlements(&self, expected: &[Operation]) {
        let seen = self.settlements();
        let operations: Vec<_> = seen.iter().map(|seen| seen.operation).collect();
        assert_eq!(operations, expected);
        for one in &seen {
            assert_eq!(one.key, seen[0].key, "one key");
            let mut others = seen.iter().filter(|other| other.operation == one.operation);
            assert!(others.all(|other| other.body == one.body), "the same bytes");
        }
    }

    /// The reasons of all attempts to release this reservation.
    pub(super) fn release_reasons(&self, id: &ReservationId) -> Vec<String> {
        let mut releases = self.seen(&[Operation::ReleaseReservation]);
        releases.retain(|seen| seen.path.contains(id.as_str()));
        let reason = |seen: &Seen| {
            let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
            body["reason"].as_str().unwrap_or_default().to_owned()
        };
        releases.iter().map(reason).collect()
    }

    pub(super) fn reservation(&self, id: &ReservationId) -> ReservationState {
        let state = self.sandbox.with_ledger(|ledger| ledger.reservation(id.as_str()));
        state.unwrap()
    }

    /// Asserts that the ledger has charged this cost once, by this operation, and holds nothing.
    #[track_caller]
    pub(super) fn assert_charged_once(&self, id: &ReservationId, tokens: i64, by: Operation) {
        let commits = (by == Operation::CommitReservation).then_some(tokens);
        assert_eq!(self.reservation(id).charged, commits);
        let (events, budget) = self.sandbox.with_ledger(|ledger| {
            let budget = ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens);
            (ledger.events_applied(), budget.unwrap())
        });
        assert_eq!(events, u64::from(by == Operation::CreateEvent));
        assert_eq!((budget.spent, budget.reserved), (tokens, 0), "spent and held");
    }

    pub(super) fn records(&self) -> Vec<JournalRecord> {
        records(self.dir.path(), "json")
    }

    /// The journal's files with this ending; all files if it is empty.
    pub(super) fn files(&self, ending: &str) -> Vec<PathBuf> {
        files(self.dir.path(), ending)
    }

    /// The journal's folder for this server and tenant; it must have been created.
    pub(super) fn folder(&self) -> PathBuf {
        let files = self.files("");
        files.first().and_then(|file| file.parent()).unwrap().to_owned()
    }

    /// Simulates a file system without locks, where no process waits for another's replay.
    pub(super) fn take_away_locks(&self) {
        let lock = self.folder().join("claim.lock");
        let _ = fs::remove_file(&lock);
        fs::create_dir(lock).unwrap();
    }

    /// The whole journal: names and contents.
    pub(super) fn journal_text(&self) -> String {
        let files = self.files("").into_iter();
        let texts = files.map(|file| {
            let content = fs::read(&file).unwrap_or_default();
            format!("{}: {}\n", file.display(), String::from_utf8_lossy(&content))
        });
        texts.collect()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    #[track_caller]
    pub(super) fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(
                Instant::now() < end,
                "waited until {what}; told: {:#?}",
                self.events()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Seen {
    fn of(exchange: &Exchange<'_>, journal: &Path) -> Self {
        use cycles_sandbox::Fault::{ForeignPage, LoseRequest, ResetRequest, Status};
        let request = exchange.request;
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let is_lost = matches!(
            exchange.fault,
            Some(LoseRequest | ResetRequest | Status { .. } | ForeignPage(_))
        );
        Self {
            operation: exchange.operation,
            path: request.uri().path().to_owned(),
            key: body["idempotency_key"].as_str().unwrap_or_default().to_owned(),
            api_key: header(request, "x-cycles-api-key"),
            body: request.body().clone(),
            has_arrived: !is_lost,
            at: SystemTime::now().into(),
            records: records(journal, "json"),
        }
    }
}

/// The configuration of every client in these scenarios.
pub(super) fn config(url: &str, key: &str, dir: &Path) -> CyclesConfigBuilder {
    let mut retry = RetryPolicy::default();
    retry.max_attempts = 2;
    retry.initial_delay = Duration::from_millis(100);
    retry.max_delay = Duration::from_millis(100);
    CyclesConfig::builder(key, url)
        .tenant(DEFAULT_TENANT)
        .journal_dir(dir)
        .retry(retry)
}

fn header(request: &Request<Bytes>, name: &str) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
