// Every snippet of the getting-started page for Rust, spelled as it stands there, on a running server. What the
// page leaves out (`/* ... */`, an LLM) is filled in. The tests of each async adapter include it: `runcycles` is
// their crate, `on_executor!` runs a test, `scene` has the server.

use runcycles::models::*;
use runcycles::{CyclesClient, Error};
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
use runcycles::CyclesClient;

let client = CyclesClient::builder(
    "cyc_live_...", // from Admin Server — see tip above
    "http://localhost:7878",
)
.tenant("acme-corp")
.build();

assert_eq!(client.config().base_url, "http://localhost:7878");
}

on_executor! {
/// In a process of its own, as that is what has an environment.
async fn configuration_from_the_environment() {
    if std::env::var_os("CYCLES_TENANT").is_none() {
        let scene = Scene::new();
        let output = crate::alone::process("getting_started::configuration_from_the_environment")
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
    use runcycles::{CyclesClient, CyclesConfig};
    let config = CyclesConfig::from_env().expect("missing CYCLES_ env vars");
    let client = CyclesClient::new(config);
    let tenant = client.config().tenant.clone();
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

use runcycles::{CyclesClient, with_cycles, WithCyclesConfig, models::*};

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
use runcycles::{with_cycles, WithCyclesConfig};

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
use runcycles::{with_cycles, WithCyclesConfig};

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

use runcycles::{CyclesClient, models::*};

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
    let reserve = || client.reserve(cycles_conformance::request(100));
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

use runcycles::{CyclesClient, models::*};

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
