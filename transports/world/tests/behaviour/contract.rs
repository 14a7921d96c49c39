//! Random scenarios: every request that a session sends, in the worst of worlds, is valid by the protocol's own
//! description (`CYCLES_OPENAPI`), and so is every answer of the ledger. `CYCLES_CONTRACT_SEED` repeats a run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cycles_conformance::contract::{self, Spec, spec_or_say};
use cycles_proto::Now;
use cycles_proto::session::{Session, Step};
use cycles_sandbox::Operation;
use cycles_world::{Machine, RandomScenario};
use http::Request;

use crate::scenarios::number;

const SCENARIOS: u64 = 600;

#[test]
fn whatever_a_session_sends_is_valid_and_so_is_the_answer() {
    let Some(spec) = spec_or_say() else { return };
    let seed = number("CYCLES_CONTRACT_SEED", 1);
    println!("CYCLES_CONTRACT_SEED={seed}");
    let (sent, done) = (Times::default(), Times::default());
    for seed in seed..seed + SCENARIOS {
        let (sent, done) = (Arc::clone(&sent), Arc::clone(&done));
        let scenario = RandomScenario::new(seed)
            .machines(Arc::new(move |inner| {
                let sent = Arc::clone(&sent);
                Box::new(Watched { inner, spec, sent })
            }))
            .watch_ledger(Arc::new(move |request, response| {
                contract::check_answer(request, response);
                if response.status().is_success() {
                    count(&done, request);
                }
            }));
        if let Err(failed) = scenario.run() {
            panic!("{failed}");
        }
    }
    let (sent, done) = (sent.lock().unwrap(), done.lock().unwrap());
    println!("sent: {sent:?}\ndone: {done:?}");
    for (operation, least) in [
        ("reserve", 200),
        ("commit", 100),
        ("release", 20),
        ("extend", 100),
        ("event", 5),
        ("get", 1),
    ] {
        let times = done.get(operation).copied().unwrap_or(0);
        assert!(times >= least, "{operation} is done {times} times");
    }
}

/// The number of calls of each operation.
type Times = Arc<Mutex<BTreeMap<&'static str, u64>>>;

fn count(times: &Times, request: &Request<Bytes>) {
    let operation = Operation::of(request.method(), request.uri().path());
    *times.lock().unwrap().entry(operation.name()).or_default() += 1;
}

/// A session whose requests are checked.
struct Watched {
    inner: Session,
    spec: &'static Spec,
    sent: Times,
}

/// The state that a needless poll must not change.
impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Machine for Watched {
    fn session(&self) -> &Session {
        &self.inner
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.inner
    }

    fn poll(&mut self, now: Now) -> Step {
        let step = self.inner.poll(now);
        if let Step::Send(call) = &step {
            let violations = self.spec.request(&call.request);
            assert!(
                violations.is_empty(),
                "{violations:#?}\n{:?}",
                call.request.body()
            );
            count(&self.sent, &call.request);
        }
        step
    }
}
