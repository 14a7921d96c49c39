//! Every snippet of the getting-started page for Rust, spelled as it stands there but for the crate's name, on a
//! running server. What the page leaves out (`/* ... */`, an LLM) is filled in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unused_imports,
    unused_variables
)]

#[path = "support/executor.rs"]
mod executor;
#[path = "support/scene.rs"]
mod scene;

use cycles_async_std::models::*;
use cycles_async_std::{CyclesClient, Error};
use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox};
use scene::{PATIENCE, Scene};

type Outcome = Result<(), Box<dyn std::error::Error>>;

struct Chunk {
    tokens: i64,
}

async fn call_llm(_prompt: &str) -> String {
    "Hello!".to_owned()
}

async fn stream_llm(_prompt: &str) -> Vec<Chunk> {
    (0..4).map(|_| Chunk { tokens: 100 }).collect()
}

/// A budget that allows only so much of everything.
fn capped() -> Scene {
    let caps = r#"{"max_tokens": 500, "tool_denylist": ["web_search"]}"#;
    let budget: Budget = format!("{DEFAULT_TENANT_SCOPE}=TOKENS:1000000,caps={caps}")
        .parse()
        .unwrap();
    Scene {
        sandbox: Sandbox::builder().budget(budget).start().unwrap(),
        ..Scene::new()
    }
}

#[test]
#[rustfmt::skip]
fn configuration() {
use cycles_async_std::CyclesClient;

let client = CyclesClient::builder(
    "cyc_live_...", // from Admin Server — see tip above
    "http://localhost:7878",
)
.tenant("acme-corp")
.build();

assert_eq!(client.config().unwrap().base_url(), "http://localhost:7878");
}

on_executor! {
/// In a process of its own, as that is what has an environment.
async fn configuration_from_the_environment() {
    if std::env::var_os("CYCLES_TENANT").is_none() {
        let scene = Scene::new();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "configuration_from_the_environment", "--nocapture"])
            .env("CYCLES_BASE_URL", scene.sandbox.base_url())
            .env("CYCLES_API_KEY", scene.sandbox.api_key())
            .env("CYCLES_TENANT", "acme-corp")
            .env("CYCLES_JOURNAL_DIR", scene.dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("UP for acme-corp"),
            "{said}"
        );
        return;
    }
    use cycles_async_std::{CyclesClient, CyclesConfig};
    let config = CyclesConfig::from_env().expect("missing CYCLES_ env vars");
    let client = CyclesClient::new(config);
    let tenant = client.config().unwrap().subject().tenant.clone();
    println!(
        "{} for {}",
        client.health().await.unwrap().status,
        tenant.unwrap()
    );
}
}

on_executor! {
#[rustfmt::skip]
async fn automatic_lifecycle_with_with_cycles() -> Outcome {
let scene = Scene::new();
let client = scene.client();

use cycles_async_std::{CyclesClient, with_cycles, WithCyclesConfig, models::*};

let reply = with_cycles(
    &client,
    WithCyclesConfig::new(Amount::tokens(1000))
        .action("llm.completion", "gpt-4o")
        .subject(Subject { tenant: Some("acme-corp".into()), ..Default::default() }),
    |ctx| async move {
        // ctx.caps, ctx.decision, ctx.reservation_id available
        let response = call_llm("Hello").await;
        let actual_tokens = 42; // from your LLM response usage stats
        Ok((response, Amount::tokens(actual_tokens)))
    },
).await?;
// On success → auto-commits actual_tokens. On error → auto-releases.

assert_eq!((reply.as_str(), scene.budget()), ("Hello!", (42, 0)));
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn with_cycles_config_parameters() -> Outcome {
let scene = Scene::new();
let client = scene.client();
use cycles_async_std::{with_cycles, WithCyclesConfig};

let config = WithCyclesConfig::new(Amount::tokens(1000))
    .action("llm.completion", "gpt-4o")
    .subject(Subject::default())
    .ttl_ms(60_000)
    .grace_period_ms(5_000)
    .overage_policy(CommitOveragePolicy::AllowIfAvailable)
    .action_tags(vec!["prod".to_string()])
    .metrics(CyclesMetrics { tokens_input: Some(100), ..Default::default() });
with_cycles(&client, config, |_ctx| async move { Ok(((), Amount::tokens(1))) }).await?;

for policy in [CommitOveragePolicy::Reject, CommitOveragePolicy::AllowWithOverdraft] {
    let config = WithCyclesConfig::new(Amount::tokens(1)).overage_policy(policy);
    with_cycles(&client, config, |_ctx| async move { Ok(((), Amount::tokens(1))) }).await?;
}
assert_eq!(scene.budget(), (3, 0));
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn accessing_context_inside_the_closure() -> Outcome {
let scene = capped();
let client = scene.client();
use cycles_async_std::{with_cycles, WithCyclesConfig};

let reply = with_cycles(&client, WithCyclesConfig::new(Amount::tokens(1000)),
|ctx| async move {
    // Budget decision
    println!("Decision: {:?}", ctx.decision); // Allow or AllowWithCaps
    println!("Reservation: {}", ctx.reservation_id);

    // Check caps (if ALLOW_WITH_CAPS)
    if let Some(caps) = &ctx.caps {
        let max_tokens = caps.max_tokens.unwrap_or(1000);
        if !caps.is_tool_allowed("web_search") {
            // skip web search — budget policy restricts it
        }
        assert!(max_tokens == 500 && !caps.is_tool_allowed("web_search"));
    }

    let result = call_llm("Hello").await;
    Ok((result, Amount::tokens(42)))
}
).await?;
assert_eq!((reply.as_str(), scene.budget()), ("Hello!", (42, 0)));
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn raii_guard_for_manual_control() -> Outcome {
let scene = Scene::new();
let client = scene.client();

use cycles_async_std::{CyclesClient, models::*};

// 1. Reserve
let guard = client.reserve(
    ReservationCreateRequest::builder()
        .subject(Subject { tenant: Some("acme-corp".into()), ..Default::default() })
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(2000))
        .ttl_ms(30_000_u64)
        .build()
).await?;

// 2. Check caps
if let Some(caps) = guard.caps() {
    println!("Max tokens: {:?}", caps.max_tokens);
}

// 3. Execute (e.g. stream chunks, accumulate tokens)
let mut total_tokens = 0i64;
for chunk in stream_llm("Write a poem").await {
    total_tokens += chunk.tokens;
}

// 4. Commit — consumes the guard (double-commit = compile error)
guard.commit(
    CommitRequest::builder()
        .actual(Amount::tokens(total_tokens))
        .metrics(CyclesMetrics {
            tokens_input: Some(100),
            tokens_output: Some(total_tokens - 100),
            ..Default::default()
        })
        .build()
).await?;
// guard.commit(...) here would be a COMPILE ERROR

assert_eq!(scene.budget(), (400, 0));
Ok(())
}
}

on_executor! {
/// That a guard cannot be committed twice is shown by a doctest of its type.
async fn guard_lifecycle() -> Outcome {
    let scene = Scene::new();
    let client = scene.client();
    let reserve = || client.reserve(cycles_sandbox::suite::request(100));
    let guard = reserve().await?;
    let id = guard.reservation_id().clone();
    println!("{}", guard.extend(10_000).await?);
    let state = scene
        .sandbox
        .with_ledger(|ledger| ledger.reservation(id.as_str()));
    assert_eq!(state.unwrap().extensions, 1);
    guard.release("no longer needed").await?;
    drop(reserve().await?);
    assert!(client.flush(PATIENCE).await?.is_complete());
    assert_eq!(scene.budget(), (0, 0));
    Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn low_level_programmatic_client() -> Outcome {
let scene = Scene::new();
let client = scene.client();

use cycles_async_std::{CyclesClient, models::*};

// Create reservation
let resp = client.create_reservation(
    &ReservationCreateRequest::builder()
        .subject(Subject { tenant: Some("acme-corp".into()), ..Default::default() })
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::usd_microcents(500_000))
        .ttl_ms(30_000_u64)
        .build()
).await?;

let reservation_id = resp.reservation_id.unwrap();

// Execute your operation...

// Commit
client.commit_reservation(&reservation_id,
    &CommitRequest::builder()
        .actual(Amount::usd_microcents(420_000))
        .metrics(CyclesMetrics {
            tokens_input: Some(1200),
            tokens_output: Some(800),
            ..Default::default()
        })
        .build()
).await?;
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn preflight_decision_check() -> Outcome {
let scene = Scene::new();
let client = scene.client();

let resp = client.decide(
    &DecisionRequest::builder()
        .subject(Subject { tenant: Some("acme-corp".into()), ..Default::default() })
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::usd_microcents(500_000))
        .build()
).await?;

println!("Decision: {:?}", resp.decision); // Allow, AllowWithCaps, or Deny
assert_eq!(format!("{:?}", resp.decision), "Allow");
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn querying_balances() -> Outcome {
let scene = Scene::new();
let client = scene.client();

let resp = client.get_balances(&BalanceParams {
    tenant: Some("acme-corp".into()),
    ..Default::default()
}).await?;

for balance in &resp.balances {
    println!("{}: {} remaining", balance.scope, balance.remaining.amount);
}
println!("{:?}", resp.balances);
assert_eq!(resp.balances.len(), 4);
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn recording_events() -> Outcome {
let scene = Scene::new();
let client = scene.client();

let resp = client.create_event(
    &EventCreateRequest::builder()
        .subject(Subject { tenant: Some("acme-corp".into()), ..Default::default() })
        .action(Action::new("api.call", "geocode"))
        .actual(Amount::usd_microcents(1_500))
        .build()
).await?;
assert_eq!(resp.status, EventStatus::Applied);
Ok(())
}
}

/// What the page's `match` says of a reservation of so many tokens.
#[rustfmt::skip]
async fn handle_the_decision(client: &CyclesClient, tokens: i64) -> Result<String, Error> {
let said = std::sync::Mutex::new(String::new());
macro_rules! println { ($($text:tt)*) => { *said.lock().unwrap() = format!($($text)*) }; }

use cycles_async_std::Error;

match client.reserve(cycles_sandbox::suite::request(tokens)).await {
    Ok(guard) => {
        // ALLOW or ALLOW_WITH_CAPS — proceed
        guard.commit(cycles_sandbox::suite::commit(tokens)).await?;
    }
    Err(Error::BudgetExceeded { message, retry_after, .. }) => {
        println!("Budget exceeded: {message}");
        if let Some(delay) = retry_after {
            executor::sleep(delay).await;
            // retry...
        }
    }
    Err(Error::Api { status, code, .. }) => {
        println!("API error ({status}): {code:?}");
    }
    Err(Error::Transport(e)) => {
        println!("Network error (retryable): {e}");
    }
    Err(e) => {
        println!("Other error: {e}");
    }
}
Ok(said.into_inner().unwrap())
}

on_executor! {
async fn decision_handling() -> Outcome {
    let scene = Scene::new();
    let client = scene.client();
    assert_eq!(handle_the_decision(&client, 7).await?, "");
    assert_eq!(scene.budget(), (7, 0));
    assert_eq!(
        handle_the_decision(&client, 999_999_999).await?,
        "Budget exceeded: Budget exceeded for: BUDGET_EXCEEDED"
    );
    let elsewhere = |key: &str, url: &str| {
        let client = CyclesClient::builder(key, url).tenant("acme-corp");
        client.journal_dir(scene.dir.path()).build()
    };
    let stranger = elsewhere("cyc_live_unknown", &scene.sandbox.base_url());
    assert_eq!(
        handle_the_decision(&stranger, 7).await?,
        "API error (401): Some(Unauthorized)"
    );
    let nobody = elsewhere("cyc_live_unknown", "http://127.0.0.1:9");
    let said = handle_the_decision(&nobody, 7).await?;
    assert!(
        said.starts_with("Network error (retryable): createReservation: no connection"),
        "{said}"
    );
    let unusable = elsewhere("", "http://127.0.0.1:9");
    let said = handle_the_decision(&unusable, 7).await?;
    assert!(
        said.starts_with("Other error: the Cycles client cannot be used"),
        "{said}"
    );
    Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn walkthrough_1_and_2_reserve_commit_and_check_the_balance() -> Outcome {
let scene = Scene::new();
let (key, url) = (scene.sandbox.api_key(), scene.sandbox.base_url());
use cycles_async_std::{CyclesClient, with_cycles, WithCyclesConfig, models::*};

let client = CyclesClient::builder(key, url)
    .tenant("acme-corp")
    .journal_dir(scene.dir.path())
    .build();

let result = with_cycles(
    &client,
    WithCyclesConfig::new(Amount::tokens(1000))
        .action("llm.completion", "gpt-4o")
        .subject(Subject { tenant: Some("acme-corp".into()), ..Default::default() }),
    |_ctx| async move {
        Ok(("Hello!".to_string(), Amount::tokens(42)))
    },
).await?;

println!("{result}");

let resp = client.get_balances(&BalanceParams {
    tenant: Some("acme-corp".into()),
    ..Default::default()
}).await?;

println!("{:?}", resp.balances);

assert_eq!((result.as_str(), scene.budget()), ("Hello!", (42, 0)));
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn walkthrough_3_try_a_dry_run() -> Outcome {
let scene = Scene::new();
let client = scene.client();

let resp = client.create_reservation(
    &ReservationCreateRequest::builder()
        .subject(Subject { tenant: Some("acme-corp".into()), ..Default::default() })
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(500))
        .dry_run(true)
        .build()
).await?;

println!("Decision: {:?}", resp.decision);
// Check balances — they haven't changed

assert_eq!((format!("{:?}", resp.decision).as_str(), scene.budget()), ("Allow", (0, 0)));
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn walkthrough_4_use_the_raii_guard_with_caps() -> Outcome {
let scene = capped();
let client = scene.client();

let guard = client.reserve(cycles_sandbox::suite::request(2_000)).await?;

if guard.is_capped() {
    let caps = guard.caps().unwrap();
    println!("Max tokens: {:?}", caps.max_tokens);
    assert_eq!(caps.max_tokens, Some(500));
}

guard.commit(CommitRequest::builder().actual(Amount::tokens(100)).build()).await?;

assert_eq!(scene.budget(), (100, 0));
Ok(())
}
}

on_executor! {
#[rustfmt::skip]
async fn walkthrough_5_handle_denials_gracefully() {
let scene = Scene::new();
let client = scene.client();
let said = std::sync::Mutex::new(String::new());
macro_rules! println { ($($text:tt)*) => { *said.lock().unwrap() = format!($($text)*) }; }
use cycles_async_std::{with_cycles, WithCyclesConfig};

use cycles_async_std::Error;

match with_cycles(&client, WithCyclesConfig::new(Amount::tokens(999_999_999))
    .action("llm.completion", "gpt-4o")
    .subject(Subject { tenant: Some("acme-corp".into()), ..Default::default() }),
    |_ctx| async move { Ok(("".to_string(), Amount::tokens(0))) },
).await {
    Ok(_) => println!("Success"),
    Err(Error::BudgetExceeded { message, .. }) => {
        println!("Budget exhausted: {message} — using fallback");
    }
    Err(e) => println!("Error: {e}"),
}

assert_eq!(
    said.into_inner().unwrap(),
    "Budget exhausted: Budget exceeded for: BUDGET_EXCEEDED — using fallback"
);
}
}
