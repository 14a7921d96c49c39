//! An hour of three agents in shadow mode, before their budgets are enforced: every action runs, and a report says by action
//! and agent what would have been denied and why, what each estimate was and what it cost. In the middle of the hour the
//! server is down for ten minutes, which no agent notices.
//!
//! `cargo run --bin shadow_rollout` needs no setup: it starts its own server, and a test clock lets the hour pass in a
//! moment. With your own agents, set `CYCLES_MODE=shadow` and change nothing else.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use cycles_examples::{Failure, end};
use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox};
use cycles_tokio::models::*;
use cycles_tokio::{
    CyclesClient, Error, Event, Mode, ShadowDecision, TestClock, WithCyclesConfig, with_cycles,
};
use tokio::sync::mpsc;

/// What an agent does: every so many minutes, with this action, estimate and cost in tokens.
struct Habit {
    agent: &'static str,
    every: u64,
    action: (&'static str, &'static str),
    estimate: i64,
    cost: i64,
}

const fn habit(
    agent: &'static str,
    every: u64,
    action: (&'static str, &'static str),
    estimate: i64,
    cost: i64,
) -> Habit {
    Habit {
        agent,
        every,
        action,
        estimate,
        cost,
    }
}

const HABITS: [Habit; 5] = [
    habit("planner", 2, ("llm.completion", "gpt-4o"), 1_500, 900),
    // Its estimate is more than its whole budget, although it costs less.
    habit("researcher", 3, ("llm.completion", "gpt-4o"), 6_000, 3_100),
    habit("researcher", 1, ("tool.search", "web"), 200, 180),
    habit("planner", 5, ("tool.search", "web"), 200, 350),
    // Somebody froze its budget and forgot.
    habit("writer", 4, ("llm.completion", "gpt-4o-mini"), 800, 640),
];

/// A line of the report.
#[derive(Default)]
struct Line {
    calls: u64,
    allowed: u64,
    denied: BTreeMap<String, u64>,
    unknown: u64,
    estimate: i64,
    actual: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    end("shadow_rollout", run().await)
}

async fn run() -> Result<(), Failure> {
    let time = TestClock::new();
    let mut server = Sandbox::builder().clock(time.wall());
    for budget in [
        Budget::new(DEFAULT_TENANT_SCOPE, cycles_sandbox::Unit::Tokens, 1_000_000),
        "tenant:acme-corp/agent:researcher=TOKENS:5000".parse()?,
        "tenant:acme-corp/agent:writer=TOKENS:50000,status=FROZEN".parse()?,
    ] {
        server = server.budget(budget);
    }
    let sandbox = server.start()?;
    let (events, mut told) = mpsc::unbounded_channel();
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_enabled(false)
        .clock(time.clone())
        .mode(Mode::Shadow)
        .observer(move |event: &Event| drop(events.send(event.clone())))
        .build();

    for minute in 0..60 {
        match minute {
            25 => sandbox.inject("reserve:503".parse()?),
            35 => sandbox.clear_faults(),
            _ => {}
        }
        for habit in HABITS.iter().filter(|habit| minute % habit.every == 0) {
            act(&client, habit).await?;
        }
        time.advance(Duration::from_secs(60)).await;
    }
    let left = client.flush(Duration::from_secs(10)).await?;
    if !left.is_complete() {
        return Err(format!("nothing of shadow mode is ever left to settle: {left:?}").into());
    }

    let shadowed = client.stats().total().shadow;
    let mut report = BTreeMap::<(String, String), Line>::new();
    let mut ended = 0;
    while ended < shadowed.actions() {
        let event = told.recv().await.ok_or("the observer is gone")?;
        ended += u64::from(note(&mut report, &event));
    }
    print(&report);
    println!(
        "{ended} actions ran: {} would have been denied, and {} could not be checked. Each decision is independent of all \
         others: nothing was held between them.",
        shadowed.denied.total(),
        shadowed.unknown
    );
    sandbox.assert_nothing_spent();
    sandbox.assert_nothing_reserved();
    sandbox.assert_nothing_ran();
    let budget =
        sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, cycles_sandbox::Unit::Tokens));
    let budget = budget.ok_or("the tenant has no budget")?;
    println!(
        "The ledger has {} tokens spent and {} reserved",
        budget.spent, budget.reserved
    );
    Ok(())
}

/// One action, as it is written for enforced budgets.
async fn act(client: &CyclesClient, habit: &Habit) -> Result<(), Error> {
    let subject = Subject {
        agent: Some(habit.agent.to_owned()),
        ..Subject::default()
    };
    let config = WithCyclesConfig::new(Amount::tokens(habit.estimate))
        .action(habit.action.0, habit.action.1)
        .subject(subject);
    with_cycles(client, config, async |_| Ok(((), Amount::tokens(habit.cost)))).await
}

/// Adds an event to the report. Returns whether it was the end of an action.
fn note(report: &mut BTreeMap<(String, String), Line>, event: &Event) -> bool {
    let Event::Shadowed {
        info: Some(info),
        decision,
        actual,
        ..
    } = event
    else {
        return false;
    };
    let action = format!("{} {}", info.action().kind, info.action().name);
    let agent = info.subject().agent.clone().unwrap_or_default();
    let line = report.entry((action, agent)).or_default();
    line.calls += 1;
    match decision {
        ShadowDecision::Denied(_) => {
            let reason = decision.reason().map_or("other", |reason| reason.as_str());
            *line.denied.entry(reason.to_owned()).or_default() += 1;
        }
        ShadowDecision::Unknown(_) => line.unknown += 1,
        ShadowDecision::Allowed(_) | _ => line.allowed += 1,
    }
    line.estimate += info.estimate.as_ref().map_or(0, |estimate| estimate.amount);
    line.actual += actual.as_ref().map_or(0, |actual| actual.amount);
    true
}

fn print(report: &BTreeMap<(String, String), Line>) {
    println!(
        "{:<28} {:<11} {:>5} {:>7} {:>7} {:>8} {:>8}  would be denied",
        "action", "agent", "calls", "allowed", "unknown", "estimate", "actual"
    );
    for ((action, agent), line) in report {
        let denied: Vec<_> = line
            .denied
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        println!(
            "{action:<28} {agent:<11} {:>5} {:>7} {:>7} {:>8} {:>8}  {}",
            line.calls,
            line.allowed,
            line.unknown,
            line.estimate,
            line.actual,
            denied.join(", ")
        );
    }
}
