//! What a provider charges when it fails, and what the ledger shows of it: if the action does not say that its request
//! leaves, if it says so, and if it also reports what it could find out.
//!
//! `cargo run --bin provider_fails` needs no setup: it starts its own server. Set `CYCLES_BASE_URL`, `CYCLES_API_KEY` and
//! `CYCLES_TENANT` to use your own.
#![allow(clippy::print_stdout)]

use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;

use cycles_examples::{Failure, Scene, end, spent_tokens};
use cycles_tokio::models::*;
use cycles_tokio::{BoxError, CyclesClient, Error, RunConfig, Step, WithCyclesConfig, with_cycles};
use futures::stream::{self, Stream, StreamExt as _};
use tokio::time::timeout;

use self::{Fate::*, Guarded::*};

/// What happens to a request.
#[derive(Clone, Copy)]
enum Fate {
    Answered,
    Failed(u16),
    Late,
    Cut,
}

/// What guards the budget of the request.
#[derive(Clone, Copy)]
enum Guarded {
    WithCycles,
    Step,
    Stream,
}

/// What happens, and how many tokens the provider charges for it.
const ROWS: [(&str, Guarded, Fate, i64); 8] = [
    ("it refuses: 401", WithCycles, Failed(401), 0),
    ("too many requests: 429", WithCycles, Failed(429), 0),
    ("it breaks down: 500", WithCycles, Failed(500), 210),
    ("it answers too late", WithCycles, Late, 420),
    ("it answers too late, in a step", Guarded::Step, Late, 420),
    ("the stream is cut in the middle", Guarded::Stream, Cut, 180),
    ("it answers", WithCycles, Answered, 420),
    ("it answers with a stream", Guarded::Stream, Answered, 360),
];

/// What the action says about its request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    Dispatched,
    /// That it leaves and, if no answer comes, what the provider's page of usage says about it.
    Spent,
}

const SAYS: [Says; 3] = [Says::Nothing, Says::Dispatched, Says::Spent];

#[tokio::main]
async fn main() -> ExitCode {
    end("provider_fails", run().await)
}

async fn run() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let scene = Scene::new("provider_fails")?;
    let client = CyclesClient::new(scene.config.clone());
    println!("what happens                      charged │ in the ledger, if the action says");
    println!("                              by provider │  nothing dispatched  and spent");
    let (mut unseen, mut above) = ([0; 3], [0; 3]);
    for (what, guarded, fate, charged) in ROWS {
        print!("{what:31} {charged:9} │");
        for (column, says) in SAYS.into_iter().enumerate() {
            let provider = Provider::new(fate, charged);
            let before = spent_tokens(&client).await?;
            match ask(&client, &provider, guarded, says).await {
                // What the action itself failed with is not a failure of this example.
                Ok(()) | Err(Error::Action(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let left = client.flush(client.config().retry_flush_timeout).await?;
            if !left.is_complete() {
                return Err(format!("some costs are not in the ledger yet: {left:?}").into());
            }
            let shown = spent_tokens(&client).await? - before;
            print!(" {shown:9}");
            unseen[column] += (provider.usage() - shown).max(0);
            above[column] += (shown - provider.usage()).max(0);
        }
        println!();
    }
    let [_, dispatched, exact] = above;
    println!("Charged above the provider's bill: {dispatched} tokens with `dispatched`, {exact} with usage");
    let [silent, dispatched, exact] = unseen;
    println!(
        "Spend that no ledger sees: {silent} tokens without `dispatched`, {dispatched} with it, {exact} with usage"
    );
    Ok(())
}

/// Asks the provider, on a budget of 500 tokens.
async fn ask(client: &CyclesClient, provider: &Provider, by: Guarded, says: Says) -> Result<(), Error> {
    let estimate = Amount::tokens(500);
    match by {
        WithCycles => {
            let config = WithCyclesConfig::new(estimate).action("llm.completion", "gpt-4o");
            let asked = with_cycles(client, config, async |ctx| {
                if says != Says::Nothing {
                    ctx.dispatched(); // from here on, money may be gone
                }
                let answer = provider.answer_in_time().await;
                match answer {
                    Err(Some(400..500)) => ctx.not_charged(), // the provider did nothing
                    Err(_) if says == Says::Spent => ctx.spent(&Amount::tokens(provider.usage()))?,
                    Ok(_) | Err(_) => {}
                }
                cost_of(answer)
            });
            asked.await
        }
        Guarded::Step => {
            let run = client.run(RunConfig::new(Amount::tokens(2_000))).await?;
            let asked = run.step(Step::new(estimate).name("answer"), async |step| {
                if says != Says::Nothing {
                    step.dispatched();
                }
                let answer = provider.answer_in_time().await;
                if answer.is_err() && says == Says::Spent {
                    step.spent(&Amount::tokens(provider.usage()))?;
                }
                cost_of(answer)
            });
            let asked = asked.await;
            run.finish().await?;
            asked
        }
        Guarded::Stream => {
            let request = ReservationCreateRequest::builder()
                .subject(Subject::default()) // the configuration's
                .action(Action::new("llm.completion", "gpt-4o"))
                .estimate(estimate)
                .build();
            let guard = client.reserve(request).await?;
            if says != Says::Nothing {
                guard.dispatched();
            }
            // As with most providers, only the last chunk says what the answer costs.
            let mut chunks = guard.meter(provider.stream(), |chunk| {
                chunk.as_ref().ok()?.map(Amount::tokens)
            });
            while let Some(chunk) = chunks.next().await {
                if let (Err(Lost), Some(guard)) = (chunk, chunks.guard()) {
                    if says == Says::Spent {
                        guard.spent(&Amount::tokens(provider.usage()))?;
                    }
                    break; // the stream is dropped, and its guard with it
                }
            }
            Ok(())
        }
    }
}

/// The action ends with the cost of its answer, or without a cost.
fn cost_of(answer: Result<i64, Option<u16>>) -> Result<((), Amount), BoxError> {
    match answer {
        Ok(tokens) => Ok(((), Amount::tokens(tokens))),
        Err(Some(status)) => Err(format!("status {status}").into()),
        Err(None) => Err("no answer in time".into()),
    }
}

/// Stands in for a provider, which alone knows what it charges.
struct Provider {
    fate: Fate,
    price: i64,
    book: Cell<i64>,
}

/// The connection is lost.
struct Lost;

impl Provider {
    const fn new(fate: Fate, price: i64) -> Self {
        Self {
            fate,
            price,
            book: Cell::new(0),
        }
    }

    /// What its page of usage says.
    fn usage(&self) -> i64 {
        self.book.get()
    }

    /// The cost of the answer, the status of a refusal, or `None` if nothing comes in time.
    async fn answer_in_time(&self) -> Result<i64, Option<u16>> {
        self.book.set(self.price);
        match self.fate {
            Answered => Ok(self.price),
            Failed(status) => Err(Some(status)),
            // It does the work, and its answer never arrives.
            Late | Cut => {
                let answer = timeout(Duration::from_millis(20), std::future::pending());
                answer.await.unwrap_or(Err(None))
            }
        }
    }

    fn stream(&self) -> impl Stream<Item = Result<Option<i64>, Lost>> + use<> {
        self.book.set(self.price);
        let is_answered = matches!(self.fate, Answered);
        let last = is_answered.then_some(Some(self.price)).ok_or(Lost);
        stream::iter([Ok(None), Ok(None), last])
    }
}
