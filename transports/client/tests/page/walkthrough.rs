// The end of the page: how a decision is handled, and the walkthrough. See `snippets.rs`.

/// What the page's `match` says of a reservation of so many tokens.
#[rustfmt::skip]
async fn handle_the_decision(client: &CyclesClient, tokens: i64) -> Result<String, Error> {
let said = std::sync::Mutex::new(String::new());
macro_rules! println { ($($text:tt)*) => { *said.lock().unwrap() = format!($($text)*) }; }

use runcycles::Error;

match client.reserve(cycles_conformance::request(tokens)).await {
    Ok(guard) => {
        // ALLOW or ALLOW_WITH_CAPS — proceed
        guard.commit(cycles_conformance::commit(tokens)).await?;
    }
    Err(Error::BudgetExceeded { message, retry_after, .. }) => {
        println!("Budget exceeded: {message}");
        if let Some(delay) = retry_after {
            tokio::time::sleep(delay).await;
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
        said.starts_with("Network error (retryable): createReservation (POST http://127.0.0.1:9/v1/reservations) for 7 TOKENS, llm.completion gpt-4o, tenant:acme-corp: no connection"),
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
use runcycles::{CyclesClient, with_cycles, WithCyclesConfig, models::*};

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

let guard = client.reserve(cycles_conformance::request(2_000)).await?;

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
use runcycles::{with_cycles, WithCyclesConfig};

use runcycles::Error;

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
