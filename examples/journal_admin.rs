//! An operator's program for the costs in a journal: it lists them, sends one again, charges one as an event or by its
//! estimate, or discards one.
//!
//! ```text
//! cargo run --bin journal_admin -- list [--json]
//! cargo run --bin journal_admin -- retry ID          once the reason is gone, such as a budget that was too small
//! cargo run --bin journal_admin -- as-event ID       when the reservation has expired
//! cargo run --bin journal_admin -- charge-estimate ID   when the provider did charge for a dispatched request
//! cargo run --bin journal_admin -- discard ID        when the cost is accounted for; `retry` takes it back
//! ```
//!
//! `ID` is a reservation, or the path of a file. `--forced` after it sends costs whose keys the server may have
//! forgotten, which **may charge them twice**. Set `CYCLES_BASE_URL`, `CYCLES_API_KEY` and `CYCLES_TENANT` exactly as in
//! the program that left the costs, and `CYCLES_JOURNAL_DIR` if that program does. Without them the program shows itself
//! with a server and costs of its own.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use cycles_examples::{Failure, Scene, end, journal as journal_dir};
use cycles_ureq::models::{
    Action, Amount, CommitOveragePolicy, CommitRequest, ReservationCreateRequest, Subject,
};
use cycles_ureq::{CyclesClient, CyclesConfig, EntryKind, Journal, JournalEntry};

fn main() -> ExitCode {
    end("journal_admin", run())
}

fn run() -> Result<(), Failure> {
    if std::env::var_os("CYCLES_BASE_URL").is_none() {
        return demonstrate();
    }
    let client = CyclesClient::new(CyclesConfig::from_env()?);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    command(&client.journal(), &args)?;
    if let ["retry" | "as-event" | "charge-estimate", ..] = args.as_slice() {
        // What has begun is finished before the program ends. A listing sends nothing.
        println!("{:?}", client.flush(Duration::from_secs(10))?);
    }
    Ok(())
}

fn command(journal: &Journal, args: &[&str]) -> Result<(), Failure> {
    let (journal, args) = match args {
        [args @ .., "--forced"] => (journal.clone().forced(), args),
        _ => (journal.clone(), args),
    };
    match args {
        [] | ["list"] => list(&journal),
        ["list", "--json"] => {
            println!("{}", serde_json::to_string_pretty(&journal.entries()?)?);
            Ok(())
        }
        ["retry", id] => {
            let receipt = journal.retry(&find(&journal, id)?)?;
            println!("{receipt:?}");
            Ok(())
        }
        ["as-event", id] => {
            let receipt = journal.as_event(&find(&journal, id)?)?;
            println!("{receipt:?}");
            Ok(())
        }
        ["charge-estimate", id] => {
            let receipt = journal.charge_estimate(&find(&journal, id)?)?;
            println!("{receipt:?}");
            Ok(())
        }
        ["discard", id] => {
            println!("kept as {:?}", journal.discard(&find(&journal, id)?)?);
            Ok(())
        }
        _ => Err(
            "list [--json], retry ID, as-event ID, charge-estimate ID or discard ID, and perhaps --forced"
                .into(),
        ),
    }
}

fn list(journal: &Journal) -> Result<(), Failure> {
    for entry in journal.entries()? {
        println!("{entry}");
    }
    for others in journal.elsewhere()? {
        println!("elsewhere {others}");
    }
    Ok(())
}

/// The entry of a reservation, or of a file.
fn find(journal: &Journal, id: &str) -> Result<JournalEntry, Failure> {
    let is_it = |entry: &JournalEntry| {
        let reservation = entry.reservation_id.as_ref();
        entry.path == Path::new(id) || reservation.is_some_and(|reservation| reservation.as_str() == id)
    };
    let mut found = journal.entries()?.into_iter().filter(is_it);
    match (found.next(), found.next()) {
        (Some(entry), None) => Ok(entry),
        (Some(_), Some(_)) => Err(format!("{id} has several files: name one by its path").into()),
        (None, _) => Err(format!("there is no cost of {id} in this journal").into()),
    }
}

/// A cost that is refused, because it is more than was held, and what an operator can do about it.
fn demonstrate() -> Result<(), Failure> {
    let scene = Scene::new("journal_admin")?;
    let client = CyclesClient::new(scene.config.clone());
    let request = ReservationCreateRequest::builder()
        .subject(Subject::default())
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(100))
        .overage_policy(CommitOveragePolicy::Reject)
        .build();
    let guard = client.reserve(request)?;
    let id = guard.reservation_id().to_string();
    if let Err(error) = guard.commit(CommitRequest::builder().actual(Amount::tokens(900)).build()) {
        println!("{error}");
    }
    println!("{:?}", client.flush(Duration::from_secs(10))?);

    let journal = client.journal();
    command(&journal, &["list"])?;
    if let Err(refused) = command(&journal, &["as-event", &id]) {
        println!("{refused}");
    }
    command(&journal, &["discard", &id])?;
    let left = journal.entries()?;
    let is_discarded = |entry: &JournalEntry| entry.kind == EntryKind::Discarded;
    println!(
        "{} discarded",
        left.iter().filter(|entry| is_discarded(entry)).count()
    );
    std::fs::remove_dir_all(journal_dir("journal_admin")).map_err(Into::into)
}
