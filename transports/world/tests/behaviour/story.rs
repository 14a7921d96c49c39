//! A world with one reservation, and the assertions of the recovery profile's scenarios.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Event;
use cycles_proto::UnixMillis;
use cycles_proto::models::{Action, Amount, CommitRequest, ReservationCreateRequest, ReservationId, Subject};
use cycles_proto::record::{JournalRecord, Mode, Purpose, file_name};
use cycles_sandbox::Operation::{CommitReservation, CreateEvent};
use cycles_sandbox::{DEFAULT_TENANT, Operation, ReservationStatus};
use cycles_world::{Job, JobId, ProcessId, Remains, SentRequest, World};
use sha2::{Digest as _, Sha256};

/// A world with one reservation, which is held.
pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) process: ProcessId,
    pub(crate) job: JobId,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self::with_faults(&[])
    }

    pub(crate) fn with_faults(faults: &[&str]) -> Self {
        let request = ReservationCreateRequest::builder()
            .subject(Subject::tenant(DEFAULT_TENANT))
            .action(Action::new("llm.completion", "model"))
            .estimate(Amount::tokens(100))
            .ttl_ms(60_000_u64)
            .build();
        Self::of(request, faults)
    }

    pub(crate) fn of(request: ReservationCreateRequest, faults: &[&str]) -> Self {
        let mut world = World::builder(11).traced().build();
        for fault in faults {
            world.inject(fault.parse().unwrap());
        }
        let process = world.start_process();
        let job = world.reserve(process, request).unwrap();
        assert!(world.run_until(|world| world.is_held(job)).unwrap());
        Self { world, process, job }
    }

    pub(crate) fn commit(&mut self, tokens: i64) {
        let request = CommitRequest::builder().actual(Amount::tokens(tokens)).build();
        self.world.commit(self.job, request).unwrap();
    }

    /// The process ends between the store of the cost and the first attempt.
    pub(crate) fn crash_with_commit_in_the_journal(&mut self, tokens: i64) {
        self.commit(tokens);
        self.world.crash_leaving(self.process, Remains::All);
        assert_eq!(self.world.journal().pending(), [file_name(self.reservation())]);
    }

    /// The lease and its grace period end while the server cannot be reached.
    pub(crate) fn outlive_the_lease(&mut self) {
        self.world.inject("extend:lose-request".parse().unwrap());
        self.world.run_for(Duration::from_secs(600)).unwrap();
        let state = self
            .world
            .ledger()
            .reservation(self.reservation().as_str())
            .unwrap();
        assert_ne!(state.status, ReservationStatus::Committed);
    }

    /// Lets a minute pass before the faults stop.
    pub(crate) fn finish(&mut self) {
        self.world.run_for(Duration::from_secs(60)).unwrap();
        if let Err(violation) = self.world.finish() {
            panic!("{violation}");
        }
    }

    pub(crate) fn job(&self) -> &Job {
        self.world.job(self.job)
    }

    pub(crate) fn reservation(&self) -> &ReservationId {
        self.job().reservation_id.as_ref().expect("it was granted")
    }
}

impl Story {
    pub(crate) fn requests(&self, operation: Operation) -> impl Iterator<Item = &SentRequest> {
        self.job()
            .requests
            .iter()
            .filter(move |sent| sent.operation == operation)
    }

    /// The attempts to settle, in order.
    pub(crate) fn settlements(&self) -> Vec<Operation> {
        let operations = self.job().operations().into_iter();
        operations
            .filter(|operation| SETTLEMENTS.contains(operation))
            .collect()
    }

    /// The keys of all attempts to settle.
    pub(crate) fn keys(&self) -> BTreeSet<&str> {
        let settlements = SETTLEMENTS
            .into_iter()
            .flat_map(|operation| self.requests(operation));
        settlements
            .map(|sent| sent.key.as_deref().expect("it has a key"))
            .collect()
    }

    /// The distinct bodies of an operation.
    pub(crate) fn bodies(&self, operation: Operation) -> Vec<Bytes> {
        let bodies: BTreeSet<_> = self.requests(operation).map(|sent| sent.body.clone()).collect();
        bodies.into_iter().collect()
    }

    /// The charges of the ledger, and their operations.
    pub(crate) fn charges(&self) -> Vec<(Operation, i64)> {
        self.job()
            .charges
            .iter()
            .map(|charge| (charge.by, charge.amount))
            .collect()
    }

    /// The first answer was not a success, although the ledger had executed the request.
    #[track_caller]
    pub(crate) fn assert_settled_at_the_second_attempt(&self, fault: &str, settlements: &[Operation]) {
        assert_eq!(self.settlements(), settlements, "{fault}");
        // only_schema_valid_expected_status_is_terminal_success
        assert!(self.has_event(|event| matches!(
            event,
            Event::SettlementFailed {
                retry_in: Some(_),
                ..
            }
        )));
        // ambiguous_success_retains_original_idempotency_key
        let by = settlements[settlements.len() - 1];
        assert_eq!((self.keys().len(), self.bodies(by).len()), (1, 1), "{fault}");
        assert_eq!(self.charges(), [(by, 40)], "{fault}");
    }

    pub(crate) fn has_event(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        self.job().events.iter().any(|reported| is_it(&reported.event))
    }
}

const SETTLEMENTS: [Operation; 2] = [CommitReservation, CreateEvent];

/// Ids that would collide if a client sanitised names for paths, folded case, trimmed, or normalised.
pub(crate) const IDS: [&str; 12] = [
    "rsv/a",
    "rsv_a",
    "rsv a",
    "rsv_A",
    "RSV_A",
    "rsv_a ",
    " rsv_a",
    "rsv_\u{e4}",
    "rsv_a\u{308}",
    "rsv_\u{c4}",
    "rsv_\u{ff41}",
    "../../etc",
];

/// The name of a reservation's file, computed from the profile rather than by the client.
pub(crate) fn name_of(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v2-{hex}.json")
}

/// Uses a different key for each cost.
pub(crate) fn record_of(id: &ReservationId, now: UnixMillis, tokens: i64) -> JournalRecord {
    let purpose = Purpose {
        subject: Subject::tenant(DEFAULT_TENANT),
        action: Action::new("llm.completion", "model"),
    };
    let commit = CommitRequest::builder().actual(Amount::tokens(tokens)).build();
    let config = World::config();
    JournalRecord::new(
        config.base_url(),
        id,
        &Arc::new(purpose),
        format!("key-{tokens}").into(),
        commit,
        now,
    )
    .unwrap()
}

/// The reason in a release.
pub(crate) fn reason(sent: &SentRequest) -> String {
    let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    body["reason"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn is_switch(event: &Event) -> bool {
    matches!(event, Event::SettlingByEvent { .. })
}

pub(crate) fn mode(bytes: &Bytes) -> Option<Mode> {
    JournalRecord::parse(bytes).ok().map(|record| record.mode())
}

pub(crate) fn floor(bytes: &Bytes) -> Option<UnixMillis> {
    JournalRecord::parse(bytes).ok()?.not_before(UnixMillis(0))
}
