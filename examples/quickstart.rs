//! The protocol in one minute: reserve, work, commit less than reserved; then a dry run and a denial.
//!
//! `cargo run --bin quickstart` needs no setup: it starts its own server. Set `CYCLES_BASE_URL`, `CYCLES_API_KEY` and
//! `CYCLES_TENANT` to use your own.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use cycles_examples::{Failure, end};
use cycles_sandbox::{Budget, DEFAULT_AGENT_SCOPE, DEFAULT_TENANT_SCOPE, Sandbox, Unit as LedgerUnit};
use cycles_tokio::models::*;
use cycles_tokio::{CyclesClient, CyclesConfig, Error};

#[tokio::main]
async fn main() -> ExitCode {
    end("quickstart", run().await)
}

async fn run() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let sandbox = if is_configured() {
        None
    } else {
        Some(start_sandbox()?)
    };
    let config = match &sandbox {
        Some(sandbox) => CyclesConfig::builder(sandbox.api_key(), sandbox.base_url())
            .tenant(sandbox.tenant())
            .agent("support-bot")
            .build()?,
        None => CyclesConfig::from_env()?,
    };
    let subject = config.subject().clone();
    println!("Cycles server: {}", config.base_url);
    if sandbox.is_some() {
        println!(
            "(started for this run; set CYCLES_BASE_URL, CYCLES_API_KEY and CYCLES_TENANT to use yours)"
        );
    }
    let client = CyclesClient::new(config);

    let before = balances(&client, &subject).await?;
    let unit = spendable_unit(&before).ok_or("no budget has anything left; fund one and try again")?;
    let amount = |amount| Amount::new(unit.clone(), amount);
    let available = available(&before, &unit);
    print_balances("Before", &before, &unit);

    let action = || Action::new("llm.completion", "gpt-4o");
    let estimate = (available / 2).clamp(1, 4_000);
    let request = ReservationCreateRequest::builder()
        .subject(subject.clone())
        .action(action())
        .estimate(amount(estimate))
        .ttl_ms(30_000)
        .build();
    let reserved = client.create_reservation(&request).await?;
    let id = reserved.reservation_id.ok_or("denied: the action must not run")?;
    println!(
        "\n1. reserve {} for llm.completion gpt-4o: {}",
        amount(estimate),
        reserved.decision
    );
    println!("   reservation {id}");
    print_balances(
        "   while the agent works",
        &balances(&client, &subject).await?,
        &unit,
    );

    let answer = think(estimate).await;
    println!("\n2. work: {:?} cost {}", answer.text, amount(answer.cost));

    let request = CommitRequest::builder()
        .actual(amount(answer.cost))
        .metrics(CyclesMetrics {
            tokens_output: Some(answer.tokens),
            ..Default::default()
        })
        .build();
    let committed = client.commit_reservation(&id, &request).await?;
    print!(
        "\n3. commit {}: {}, charged {}",
        amount(answer.cost),
        committed.status,
        committed.charged
    );
    match committed.released {
        Some(released) => println!(", released {released}"),
        None => println!(),
    }

    let too_much = amount(available.saturating_add(1));
    let too_big = || {
        ReservationCreateRequest::builder()
            .subject(subject.clone())
            .action(action())
            .estimate(too_much.clone())
    };
    let dry = client
        .create_reservation(&too_big().dry_run(true).build())
        .await?;
    let reason = dry
        .reason_code
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    println!(
        "\n4. dry run of {too_much}: {}{reason}; nothing was held",
        dry.decision
    );

    match client.create_reservation(&too_big().build()).await {
        Err(Error::BudgetExceeded { reason, message, .. }) => {
            println!("\n5. reserve {too_much}: {reason}; the action must not run");
            println!("   the server says: {message}");
        }
        Err(other) => return Err(other.into()),
        Ok(_) => return Err("a reservation above the available budget was allowed".into()),
    }

    println!();
    print_balances("After", &balances(&client, &subject).await?, &unit);
    Ok(())
}

fn is_configured() -> bool {
    ["CYCLES_BASE_URL", "CYCLES_API_KEY"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty()))
}

/// A server with budgets small enough to show each change.
fn start_sandbox() -> std::io::Result<Sandbox> {
    Sandbox::builder()
        .budget(Budget::new(DEFAULT_TENANT_SCOPE, LedgerUnit::Tokens, 10_000))
        .budget(Budget::new(DEFAULT_AGENT_SCOPE, LedgerUnit::Tokens, 8_000))
        .start()
}

struct Answer {
    text: &'static str,
    tokens: i64,
    cost: i64,
}

/// Stands in for the call to a model. Like most calls, it costs less than the estimate.
async fn think(estimate: i64) -> Answer {
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let text = "Reserve before you act, commit what you spent.";
    let cost = (estimate * 13 / 20).max(1).min(estimate);
    Answer {
        text,
        tokens: cost.min(i64::from(i32::MAX)),
        cost,
    }
}

/// Fetches the budgets of the subject's scopes, from all pages.
async fn balances(client: &CyclesClient, subject: &Subject) -> Result<Vec<Balance>, Failure> {
    let tenant = subject
        .tenant
        .clone()
        .ok_or("CYCLES_TENANT is not set: it names the tenant whose budget to use")?;
    let mut params = BalanceParams {
        tenant: Some(tenant),
        limit: Some(200),
        ..Default::default()
    };
    let path = scope_path(subject);
    let mut own = Vec::new();
    loop {
        let page = client.get_balances(&params).await?;
        own.extend(page.balances.into_iter().filter(|balance| {
            path == balance.scope_path || path.starts_with(&format!("{}/", balance.scope_path))
        }));
        match page.next_cursor {
            Some(cursor) if page.has_more == Some(true) => params.cursor = Some(cursor),
            _ => break,
        }
    }
    own.sort_by(|a, b| a.scope_path.cmp(&b.scope_path));
    Ok(own)
}

/// The deepest scope of the subject, in the server's notation.
fn scope_path(subject: &Subject) -> String {
    let levels = [
        ("tenant", &subject.tenant),
        ("workspace", &subject.workspace),
        ("app", &subject.app),
        ("workflow", &subject.workflow),
        ("agent", &subject.agent),
        ("toolset", &subject.toolset),
    ];
    let segments = levels
        .iter()
        .filter_map(|(level, value)| Some(format!("{level}:{}", value.as_ref()?)));
    segments.collect::<Vec<_>>().join("/").to_lowercase()
}

/// Returns tokens if any are left, or else any unit of which something is left.
fn spendable_unit(balances: &[Balance]) -> Option<Unit> {
    let units = || {
        balances
            .iter()
            .map(|balance| &balance.remaining.unit)
            .filter(|unit| available(balances, unit) > 0)
    };
    units()
        .find(|unit| **unit == Unit::Tokens)
        .or_else(|| units().next())
        .cloned()
}

/// The amount that can be reserved: the smallest remaining amount of all scopes.
fn available(balances: &[Balance], unit: &Unit) -> i64 {
    let of_unit = balances.iter().filter(|balance| balance.remaining.unit == *unit);
    of_unit.map(|balance| balance.remaining.amount).min().unwrap_or(0)
}

fn print_balances(title: &str, balances: &[Balance], unit: &Unit) {
    println!("{title}:");
    for balance in balances.iter().filter(|balance| balance.remaining.unit == *unit) {
        let of = |amount: &Option<Amount>| amount.as_ref().map_or(0, |amount| amount.amount);
        let (spent, reserved, remaining) = (
            of(&balance.spent),
            of(&balance.reserved),
            balance.remaining.amount,
        );
        let allocated = of(&balance.allocated).max(1);
        println!(
            "   {:<36} {} {spent:>8} spent {reserved:>8} reserved {remaining:>8} {unit} left",
            balance.scope_path,
            bar(spent, reserved, allocated)
        );
    }
}

/// `███▒▒▒░░░░░░`: spent, reserved, left.
fn bar(spent: i64, reserved: i64, allocated: i64) -> String {
    const WIDTH: i128 = 24;
    let cells = |amount: i64| {
        // Rounded up, so that even the smallest amount is visible.
        let share = (i128::from(amount.max(0)) * WIDTH + i128::from(allocated) - 1) / i128::from(allocated);
        usize::try_from(share.min(WIDTH)).unwrap_or(0)
    };
    let (full, held) = (cells(spent), cells(spent.saturating_add(reserved)));
    let mut bar = "█".repeat(full);
    bar.push_str(&"▒".repeat(held - full));
    bar.push_str(&"░".repeat(cells(allocated) - held));
    bar
}
