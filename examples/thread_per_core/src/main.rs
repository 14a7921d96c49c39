//! A client on [compio], a runtime with one instance per core. Its tasks cannot leave their thread, because they are
//! not `Send`. The agents run on any core; all calls go through a channel to one thread, which also keeps the leases
//! alive with compio's timers.
//!
//! `cargo run` in this folder needs no setup: it starts its own server. Set `CYCLES_BASE_URL` (plain http),
//! `CYCLES_API_KEY` and `CYCLES_TENANT` to use your own.
//!
//! [compio]: https://docs.rs/compio

mod exchange;
mod transport;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use compio::runtime::Runtime;
use cycles_client::models::*;
use cycles_client::{BoxError, Client, CyclesConfig, Error, Event, Options};
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit as LedgerUnit};

use crate::transport::Compio;

const CORES: i64 = 2;
/// The cost of each agent's call.
const COST: i64 = 1_300;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthread_per_core: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BoxError> {
    // Kept until the end: dropping it stops the server.
    let (config, sandbox) = config()?;
    let (beat, beats) = mpsc::channel();
    let observer = move |event: &Event| {
        if let Event::LeaseExtended { expires_at, .. } = event {
            println!("  a beat: the lease lasts until {expires_at}");
            let _ = beat.send(());
        }
    };
    let options = Options {
        observer: Some(Arc::new(observer)),
        ..Options::default()
    };
    let client = options.client(config, "compio", |config, _| {
        if config.is_https() {
            return Err("this example supports plain http only".into());
        }
        let compio = Arc::new(Compio::default());
        Ok((compio.clone(), compio))
    });
    thread::scope(|cores| {
        let start = |number| {
            let client = &client;
            cores.spawn(move || core(number, client))
        };
        let cores: Vec<_> = (0..CORES).map(start).collect();
        cores
            .into_iter()
            .try_for_each(|core| core.join().map_err(|_| "an agent panicked")?)
    })?;
    Runtime::new()?.block_on(finish(&client))?;

    // Observers run asynchronously, so an event may arrive a little later.
    beats
        .recv_timeout(Duration::from_secs(5))
        .map_err(|_| "no lease was extended")?;
    let budget = |sandbox: &Sandbox| {
        sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, LedgerUnit::Tokens))
    };
    if let Some(budget) = sandbox.as_ref().and_then(budget) {
        println!(
            "The ledger has {} tokens spent, and {} held.",
            budget.spent, budget.reserved
        );
        if (budget.spent, budget.reserved) != (COST * CORES, 0) {
            return Err("the ledger is not exact".into());
        }
    }
    Ok(())
}

/// Runs one core's runtime, with an agent that never leaves it.
fn core(number: i64, client: &Client) -> Result<(), BoxError> {
    Runtime::new()?.block_on(agent(number, client))
}

async fn agent(number: i64, client: &Client) -> Result<(), BoxError> {
    // An `Rc`, which keeps the agent on its core.
    let notes = Rc::new(RefCell::new(Vec::new()));
    let guard = client.reserve(request(2_000)).await?;
    println!(
        "core {number}: {}, {} is held",
        guard.decision(),
        guard.reservation_id()
    );
    think(Rc::clone(&notes)).await;
    let commit = CommitRequest::builder().actual(Amount::tokens(COST)).build();
    let receipt = guard.commit(commit).await?;
    println!(
        "core {number}: {:?} is paid for: {}",
        notes.borrow().join(" "),
        receipt.is_settled()
    );
    if receipt.is_settled() {
        Ok(())
    } else {
        Err(format!("the cost is not in the ledger: {receipt:?}").into())
    }
}

/// Stands in for the call to a model. It takes longer than the lease lasts.
async fn think(notes: Rc<RefCell<Vec<&'static str>>>) {
    for word in ["reserve", "before", "you", "act"] {
        compio::time::sleep(Duration::from_secs(1)).await;
        notes.borrow_mut().push(word);
    }
}

/// Checks the end: a reservation above the budget is denied, and nothing is left to settle.
async fn finish(client: &Client) -> Result<(), BoxError> {
    match client.reserve(request(1_000_000_000_000)).await {
        Err(Error::BudgetExceeded { reason, .. }) => println!("too much: {reason}"),
        Err(other) => return Err(other.into()),
        Ok(_) => return Err("a reservation above the available budget was allowed".into()),
    }
    let flushed = client.flush(client.config().retry_flush_timeout).await?;
    println!("Nothing left to settle: {}", flushed.is_complete());
    if flushed.is_complete() {
        Ok(())
    } else {
        Err(format!("not everything is settled: {flushed:?}").into())
    }
}

fn request(tokens: i64) -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::default()) // the configuration's
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(tokens))
        .ttl_ms(3_000)
        .build()
}

/// The configuration from the environment, or for a server that is started for this run.
fn config() -> Result<(CyclesConfig, Option<Sandbox>), BoxError> {
    if std::env::var_os("CYCLES_BASE_URL").is_some() {
        return Ok((CyclesConfig::from_env()?, None));
    }
    let sandbox = Sandbox::start()?;
    let journal = format!("cycles-thread_per_core-{}", std::process::id());
    let config = CyclesConfig::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_dir(std::env::temp_dir().join(journal))
        .build()?;
    Ok((config, Some(sandbox)))
}
