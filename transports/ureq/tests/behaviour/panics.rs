//! Panics at every point of a lifecycle, with a server that fails meanwhile: once it granted there is one commit,
//! or one release, or one record on disk.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::world::{World, builder, commit, guarded, recorded, reserve};
use cycles_sandbox::{ReservationState, ReservationStatus, Sandbox};
use cycles_ureq::models::{Amount, CommitRequest, CyclesMetrics};
use cycles_ureq::proto::outcome::ReleaseReason;
use cycles_ureq::{BoxError, CyclesClient, Error, Event, ReservationGuard, with_cycles};
use tracing::span;

/// The cost of a successful action, and the amount that it reports as spent before.
const COST: i64 = 42;
const PART: i64 = 7;

/// What the server does meanwhile.
const FAULTS: [&str; 8] = [
    "health:500",
    "reserve:lose-response@1",
    "extend:lose-request",
    "commit:lose-request",
    "commit:lose-response@1",
    "commit:500",
    "commit:410",
    "release:500",
];

/// It hangs for longer than an attempt may take.
const HANGS: [&str; 2] = ["commit:delay=30s@1", "release:delay=30s@1"];

/// Half of what an attempt may take where the server hangs.
const HANGING: Duration = Duration::from_millis(400);

/// Panics at its n-th point, and keeps account of the costs that are known by then.
struct Script {
    points_left: Cell<usize>,
    known: Cell<[i64; 2]>,
}

/// A panic that is part of the test, without a word on stderr.
struct OnPurpose;

impl Script {
    fn new(points: usize) -> Self {
        Self {
            points_left: Cell::new(points),
            known: Cell::default(),
        }
    }

    fn point(&self) {
        let left = self.points_left.get().checked_sub(1);
        self.points_left
            .set(left.unwrap_or_else(|| resume_unwind(Box::new(OnPurpose))));
    }

    /// From here on the first, or second, reservation has cost so much.
    fn known(&self, number: usize, cost: i64) {
        let mut known = self.known.get();
        known[number] = cost;
        self.known.set(known);
    }

    /// The cost of an action, which it takes work to find out.
    fn commit(&self, cost: i64) -> CommitRequest {
        self.point();
        commit(cost)
    }
}

/// The user's values that are converted in the middle of a call.
struct Converted<'a>(&'a Script);

impl From<Converted<'_>> for serde_json::Value {
    fn from(value: Converted<'_>) -> Self {
        value.0.point();
        "r-1".into()
    }
}

impl From<Converted<'_>> for ReleaseReason {
    fn from(value: Converted<'_>) -> Self {
        value.0.point();
        "enough".into()
    }
}

/// By hand: reserve, spend, extend, commit.
fn by_hand(client: &CyclesClient, script: &Script) -> Result<(), Error> {
    script.point();
    let guard = client.reserve(reserve(100, 60_000))?;
    script.point();
    guard.spent(&Amount::tokens(PART))?;
    script.known(0, PART);
    script.point();
    let _ = guard.extend(10_000);
    script.point();
    let commit = script.commit(COST);
    script.known(0, COST);
    guard.commit(commit)?;
    script.point();
    Ok(())
}

/// The same by `with_cycles`.
fn wrapped(client: &CyclesClient, script: &Script) -> Result<(), Error> {
    script.point();
    with_cycles(client, guarded(100), |ctx| {
        script.point();
        ctx.spent(&Amount::tokens(PART))?;
        script.known(0, PART);
        script.point();
        ctx.set_metrics(CyclesMetrics::default());
        ctx.insert_metadata("run", Converted(script));
        script.point();
        script.known(0, COST);
        Ok(((), Amount::tokens(COST)))
    })?;
    script.point();
    Ok(())
}

/// Reserves, spends something, and gives it back, which charges what was spent.
fn given_back(client: &CyclesClient, script: &Script) -> Result<(), Error> {
    let guard = client.reserve(reserve(100, 60_000))?;
    script.point();
    guard.spent(&Amount::tokens(COST))?;
    script.known(0, COST);
    script.point();
    guard.release(Converted(script))?;
    script.point();
    Ok(())
}

/// An action in an action.
fn nested(client: &CyclesClient, script: &Script) -> Result<(), Error> {
    with_cycles(client, guarded(100), |outer| {
        script.point();
        with_cycles(client, guarded(100), |inner| {
            script.point();
            inner.spent(&Amount::tokens(PART))?;
            script.known(1, PART);
            script.point();
            outer.spent(&Amount::tokens(PART))?;
            script.known(0, PART);
            script.point();
            script.known(1, COST);
            Ok::<_, BoxError>(((), Amount::tokens(COST)))
        })?;
        script.point();
        script.known(0, COST);
        Ok(((), Amount::tokens(COST)))
    })
}

/// Commits in its drop, and runs another action there, whether or not its thread panics.
struct AtLast<'a> {
    client: &'a CyclesClient,
    script: &'a Script,
    guard: Option<ReservationGuard>,
}

impl Drop for AtLast<'_> {
    fn drop(&mut self) {
        let Some(guard) = self.guard.take() else { return };
        self.script.known(0, COST);
        let _ = guard.commit(commit(COST));
        let _ = with_cycles(self.client, guarded(100), |_| {
            self.script.known(1, COST);
            Ok(((), Amount::tokens(COST)))
        });
    }
}

/// What unwinding itself settles, with another guard alive.
fn unwound(client: &CyclesClient, script: &Script) -> Result<(), Error> {
    let mut at_last = AtLast {
        client,
        script,
        guard: None,
    };
    script.point();
    at_last.guard = Some(client.reserve(reserve(100, 60_000))?);
    script.point();
    let other = client.reserve(reserve(100, 60_000))?;
    script.point();
    drop(other);
    script.point();
    Ok(())
}

fn world(fault: &str) -> World {
    let hangs = fault.contains("delay");
    let world = World::with(Sandbox::builder(), |builder| {
        if hangs {
            builder.connect_timeout(HANGING).read_timeout(HANGING)
        } else {
            builder
        }
    });
    world.sandbox.inject(fault.parse().unwrap());
    world
}

/// Makes a scenario panic at its n-th point, for every n, with every fault. Scenarios mostly wait, so the faults run in parallel.
fn sweep(
    faults: &[&str],
    life: impl Fn(&CyclesClient, &Script) -> Result<(), Error> + Sync,
    is_client_gone: bool,
) {
    thread::scope(|scope| {
        for fault in faults {
            scope.spawn(|| sweep_points(fault, &life, is_client_gone));
        }
    });
}

/// The scenario's client settles the rest, or, if that is gone, the next one that uses the journal.
fn sweep_points(
    fault: &str,
    life: impl Fn(&CyclesClient, &Script) -> Result<(), Error>,
    is_client_gone: bool,
) {
    for points in 0.. {
        let what = format!("{fault}, panic at point {points}");
        let (mut world, script) = (world(fault), Script::new(points));
        let client = world.client.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| life(&client, &script)));
        assert_recorded(&world, &script, &what);
        world.sandbox.clear_faults();
        drop(client);
        if is_client_gone {
            let (url, key) = (world.sandbox.base_url(), world.sandbox.api_key());
            world.client = builder(&url, key, world.journal.path()).build();
        }
        world.flush();
        // No other client repeats a failed release: the lease ends.
        let may_be_held = fault == "commit:410" || is_client_gone && fault.starts_with("release");
        assert_ended_once(&world, &script, may_be_held, &what);
        match ended {
            Ok(ended) => {
                ended.unwrap();
                assert!(points > 3, "{what}: the sweep covers something");
                break;
            }
            Err(panic) => assert!(panic.is::<OnPurpose>(), "{what}"),
        }
    }
}

fn reservations(world: &World) -> Vec<ReservationState> {
    world.sandbox.with_ledger(|ledger| {
        let ids: Vec<_> = ledger.reservation_ids().collect();
        ids.iter().map(|id| ledger.reservation(id).unwrap()).collect()
    })
}

fn events(world: &World) -> usize {
    usize::try_from(world.sandbox.with_ledger(|ledger| ledger.events_applied())).unwrap()
}

/// Fails unless every known cost is in the ledger or on disk, and nothing else is.
#[track_caller]
fn assert_recorded(world: &World, script: &Script, what: &str) {
    let known = script.known.get().into_iter().filter(|cost| *cost > 0).count();
    let charged = reservations(world)
        .iter()
        .filter(|it| it.charged.is_some())
        .count();
    let settled = charged + events(world);
    let recorded = recorded(&world.journal);
    assert!(
        settled <= known && recorded <= known,
        "{what}: {settled} settled, {recorded} recorded"
    );
    assert!(
        settled + recorded >= known,
        "{what}: {settled} settled, {recorded} recorded, {known} known"
    );
}

/// Fails unless each reservation has one end: the cost if one was known, else nothing.
#[track_caller]
fn assert_ended_once(world: &World, script: &Script, may_be_held: bool, what: &str) {
    let reservations = reservations(world);
    let known: Vec<i64> = script.known.get().into_iter().filter(|cost| *cost > 0).collect();
    let (spent, _) = world.spent_and_held();
    assert_eq!(spent, known.iter().sum::<i64>(), "{what}: {reservations:?}");
    let committed = reservations
        .iter()
        .filter(|it| it.status == ReservationStatus::Committed);
    assert_eq!(
        committed.count() + events(world),
        known.len(),
        "{what}: {reservations:?}"
    );
    let held = reservations
        .iter()
        .filter(|it| it.status == ReservationStatus::Active);
    assert!(may_be_held || held.count() == 0, "{what}: {reservations:?}");
    assert_eq!(recorded(&world.journal), 0, "{what}");
}

#[test]
fn a_panic_anywhere_beside_a_guard_ends_it_once() {
    sweep(&FAULTS, by_hand, false);
    sweep(&FAULTS, by_hand, true);
}

#[test]
fn a_panic_anywhere_in_a_guarded_action_ends_it_once() {
    sweep(&FAULTS, wrapped, false);
    sweep(&FAULTS, wrapped, true);
}

#[test]
fn a_panic_anywhere_while_the_server_hangs_ends_a_life_once() {
    sweep(&HANGS, by_hand, true);
    sweep(&HANGS, wrapped, false);
}

#[test]
fn a_panic_anywhere_around_a_release_charges_what_was_spent() {
    sweep(&FAULTS, given_back, false);
    sweep(&FAULTS, given_back, true);
}

#[test]
fn a_panic_through_two_guarded_actions_ends_both_once() {
    sweep(&FAULTS, nested, false);
    sweep(&FAULTS, nested, true);
}

#[test]
fn what_a_drop_settles_while_its_thread_panics_is_settled_once() {
    sweep(&FAULTS, unwound, false);
    sweep(&FAULTS, unwound, true);
}

/// Panics when it is told something for the n-th time.
#[derive(Clone)]
struct Listener(Arc<AtomicUsize>);

impl Listener {
    fn new(nth: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(nth + 1)))
    }

    fn hear(&self) {
        let before = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if before == Ok(1) {
            resume_unwind(Box::new(OnPurpose));
        }
    }

    fn has_panicked(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// As a log that cannot write its line.
impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        // What the test itself logs, and what is told after an end, is no part of this.
        if event.metadata().target() == "cycles" {
            self.hear();
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Runs a whole scenario with each fault and a listener that panics at the n-th event, for every n.
fn sweep_listeners(listen: impl Fn(&mut World, Listener, &dyn Fn(&CyclesClient)) + Sync) {
    thread::scope(|scope| {
        for fault in FAULTS {
            let listen = &listen;
            scope.spawn(move || sweep_events(fault, listen));
        }
    });
}

fn sweep_events(fault: &str, listen: impl Fn(&mut World, Listener, &dyn Fn(&CyclesClient))) {
    for nth in 0.. {
        let what = format!("{fault}, panic at event {nth}");
        let (mut world, listener, script) = (world(fault), Listener::new(nth), Script::new(usize::MAX));
        listen(&mut world, listener.clone(), &|client| {
            by_hand(client, &script).unwrap()
        });
        assert_recorded(&world, &script, &what);
        world.sandbox.clear_faults();
        world.flush();
        assert_ended_once(&world, &script, fault == "commit:410", &what);
        // Observers run on a thread of their own, which may be late.
        let patience = Duration::from_secs(if nth == 0 { 20 } else { 1 });
        let began = Instant::now();
        while !listener.has_panicked() && began.elapsed() < patience {
            thread::sleep(Duration::from_millis(1));
        }
        if !listener.has_panicked() {
            assert!(nth > 0, "{what}: the sweep covers something");
            break;
        }
    }
}

#[test]
fn an_observer_that_panics_at_any_event_changes_nothing() {
    sweep_listeners(|world, listener, live| {
        world.client = world
            .client
            .clone()
            .with_observer(move |_: &Event| listener.hear());
        live(&world.client);
    });
}

#[test]
fn a_log_that_panics_at_any_event_changes_nothing() {
    // With a single listener, tracing asks only the first thread whether there is one.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    sweep_listeners(|world, listener, live| {
        tracing::subscriber::with_default(listener, || live(&world.client));
    });
}
