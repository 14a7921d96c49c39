//! The guarded part of the getting-started page, with `.await` and `async move` taken out, on a running server.

use crate::support::world::World;
use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use cycles_ureq::{CyclesClient, Error, WithCyclesConfig, models::*, with_cycles};

fn start() -> World {
    World::start()
}

fn call_llm(_prompt: &str) -> String {
    "Hello!".to_owned()
}

struct Chunk {
    tokens: i64,
}

fn stream_llm(_prompt: &str) -> Vec<Chunk> {
    vec![Chunk { tokens: 120 }, Chunk { tokens: 80 }]
}

#[test]
fn automatic_lifecycle() -> Result<(), Error> {
    let world = start();
    let client = world.client.clone();
    let reply = with_cycles(
        &client,
        WithCyclesConfig::new(Amount::tokens(1000))
            .action("llm.completion", "gpt-4o")
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            }),
        |ctx| {
            // ctx.caps, ctx.decision, ctx.reservation_id available
            assert_eq!((&ctx.decision, &ctx.caps), (&Decision::Allow, &None));
            let response = call_llm("Hello");
            let actual_tokens = 42; // from your LLM response usage stats
            Ok((response, Amount::tokens(actual_tokens)))
        },
    )?;
    // On success → auto-commits actual_tokens. On error → auto-releases.
    assert_eq!((reply.as_str(), world.spent_and_held()), ("Hello!", (42, 0)));
    Ok(())
}

#[test]
fn accessing_context_inside_the_closure() -> Result<(), Error> {
    let budget = Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, 10_000)
        .caps_json(r#"{"max_tokens":500,"tool_denylist":["web_search"]}"#);
    let world = World::with(Sandbox::builder().budget(budget), |builder| builder);
    let limits = with_cycles(
        &world.client,
        WithCyclesConfig::new(Amount::tokens(1000)),
        |ctx| {
            // Budget decision
            println!("Decision: {:?}", ctx.decision); // Allow or AllowWithCaps
            println!("Reservation: {}", ctx.reservation_id);
            let mut limits = (0, true);

            // Check caps (if ALLOW_WITH_CAPS)
            if let Some(caps) = &ctx.caps {
                let max_tokens = caps.max_tokens.unwrap_or(1000);
                limits.0 = max_tokens;
                if !caps.is_tool_allowed("web_search") {
                    // skip web search — budget policy restricts it
                    limits.1 = false;
                }
            }
            let result = call_llm("Hello");
            assert_eq!(result, "Hello!");
            Ok((limits, Amount::tokens(42)))
        },
    )?;
    assert_eq!(limits, (500, false));

    // 4. Use the RAII guard with caps
    let guard = world.client.reserve(
        ReservationCreateRequest::builder()
            .subject(Subject::tenant("acme-corp"))
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(2000))
            .build(),
    )?;
    assert!(guard.is_capped());
    if guard.is_capped() {
        let caps = guard.caps().unwrap();
        println!("Max tokens: {:?}", caps.max_tokens);
    }
    guard.commit(CommitRequest::builder().actual(Amount::tokens(100)).build())?;
    assert_eq!(world.spent_and_held(), (142, 0));
    Ok(())
}

#[test]
fn raii_guard_for_manual_control() -> Result<(), Error> {
    let world = start();
    let client = world.client.clone();
    // 1. Reserve
    let guard = client.reserve(
        ReservationCreateRequest::builder()
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            })
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(2000))
            .ttl_ms(30_000_u64)
            .build(),
    )?;

    // 2. Check caps
    if let Some(caps) = guard.caps() {
        println!("Max tokens: {:?}", caps.max_tokens);
    }

    // 3. Execute (e.g. stream chunks, accumulate tokens)
    let mut total_tokens = 0i64;
    for chunk in stream_llm("Write a poem") {
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
            .build(),
    )?;
    assert_eq!(world.spent_and_held(), (200, 0));
    Ok(())
}

#[test]
fn guard_lifecycle() -> Result<(), Error> {
    let world = start();
    let request = || {
        ReservationCreateRequest::builder()
            .subject(Subject::tenant("acme-corp"))
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(2000))
            .build()
    };
    let guard = world.client.reserve(request())?;
    guard.extend(10_000)?;
    assert!(guard.release("not needed")?);
    drop(world.client.reserve(request())?);
    world.flush();
    assert_eq!(world.spent_and_held(), (0, 0));
    Ok(())
}

#[test]
fn decision_handling() {
    let world = start();
    let reserve = |client: &CyclesClient, tokens| {
        let request = ReservationCreateRequest::builder()
            .subject(Subject::tenant("acme-corp"))
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(tokens))
            .build();
        match client.reserve(request) {
            Ok(guard) => {
                // ALLOW or ALLOW_WITH_CAPS — proceed
                let request = CommitRequest::builder().actual(Amount::tokens(1)).build();
                format!("{}", guard.commit(request).unwrap().is_settled())
            }
            Err(Error::BudgetExceeded {
                message, retry_after, ..
            }) => {
                if let Some(delay) = retry_after {
                    std::thread::sleep(delay);
                    // retry...
                }
                format!("Budget exceeded: {message}")
            }
            Err(Error::Api { status, code, .. }) => format!("API error ({status}): {code:?}"),
            Err(Error::Transport(e)) => format!("Network error (retryable): {e}"),
            Err(e) => format!("Other error: {e}"),
        }
    };
    assert_eq!(reserve(&world.client, 10), "true");
    assert_eq!(
        reserve(&world.client, 999_999_999),
        "Budget exceeded: Budget exceeded for: BUDGET_EXCEEDED"
    );
    let stranger = CyclesClient::builder("cyc_live_unknown", world.sandbox.base_url()).build();
    assert_eq!(reserve(&stranger, 10), "API error (401): Some(Unauthorized)");
    let nobody = CyclesClient::builder("cyc_live_unknown", "http://127.0.0.1:9")
        .journal_enabled(false)
        .build();
    let said = reserve(&nobody, 10);
    assert!(
        said.starts_with(
            "Network error (retryable): createReservation (POST http://127.0.0.1:9/v1/reservations) for "
        ) && said.contains(": no connection to the server"),
        "{said}"
    );
}

#[test]
fn handle_denials_gracefully() {
    let world = start();
    let said = match with_cycles(
        &world.client,
        WithCyclesConfig::new(Amount::tokens(999_999_999))
            .action("llm.completion", "gpt-4o")
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            }),
        |_ctx| Ok(("".to_string(), Amount::tokens(0))),
    ) {
        Ok(_) => "Success".to_owned(),
        Err(Error::BudgetExceeded { message, .. }) => {
            format!("Budget exhausted: {message} — using fallback")
        }
        Err(e) => format!("Error: {e}"),
    };
    assert!(said.starts_with("Budget exhausted: "), "{said}");
}
