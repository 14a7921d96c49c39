// The programmatic client: P37 to P44. See `page.rs`.

/// What the page's programmatic client does, and how it ends.
#[rustfmt::skip]
fn programmatic(client: &CyclesClient, llm: Result<&str, &str>) -> Result<String, Box<dyn std::error::Error>> {
// 1. Reserve
let reserve = ReservationCreateRequest::builder()
    .idempotency_key("req-001".into())
    .subject(Subject { tenant: Some("acme-corp".into()), agent: Some("support-bot".into()), ..Default::default() })
    .action(Action::new("llm.completion", "gpt-4"))
    .estimate(Amount::usd_microcents(500_000))
    .ttl_ms(30_000_u64)
    .build();
let response = call!(client.raw(&reserve))?;

if !response.is_success() {
    return Err(format!("Reservation failed: {}", response.error_message().unwrap_or_default()).into());
}

let reservation_id: ReservationId = response.body_attribute("reservation_id").ok_or("nothing is held")?;

// 2. Execute
match llm {
    Ok(result) => {
        // 3. Commit
        call!(client.commit_reservation(&reservation_id, &CommitRequest::builder()
            .idempotency_key("commit-001".into())
            .actual(Amount::usd_microcents(420_000))
            .metrics(CyclesMetrics { tokens_input: Some(1200), tokens_output: Some(800), ..Default::default() })
            .build()
        ))?;
        Ok(result.to_owned())
    }
    Err(error) => {
        // 4. Release on failure
        call!(client.release_reservation(&reservation_id, &ReleaseRequest::builder()
            .idempotency_key("release-001".into())
            .reason("Processing failed")
            .build()
        ))?;
        Err(error.into())
    }
}
}

/// The page closes its client; here what is under way is waited for, and the client is dropped.
#[test]
fn p37_a_client_ends_in_order() -> Outcome {
    let page = Page::new();
    let client = page.client();
    programmatic(&client, Ok("Hello"))?;
    assert!(call!(client.flush(PATIENCE))?.is_complete());
    drop(client);
    Ok(())
}

#[test]
fn p38_p41_each_call_has_its_own_key_and_the_commit_its_metrics() -> Outcome {
    let page = Page::new();
    let result = programmatic(&page.client(), Ok("Hello"))?;
    assert_eq!((result.as_str(), page.dollars()), ("Hello", (420_000, 0)));
    assert_eq!(
        page.only(Operation::CreateReservation)["idempotency_key"],
        "req-001"
    );
    let commit = page.only(Operation::CommitReservation);
    assert_eq!(commit["idempotency_key"], "commit-001");
    assert_eq!(
        commit["metrics"],
        json!({"tokens_input": 1200, "tokens_output": 800})
    );
    Ok(())
}

#[test]
fn p39_the_raw_response_of_any_operation() -> Outcome {
    let page = Page::new();
    let client = page.client();
    let too_much = ReservationCreateRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4"))
        .estimate(Amount::usd_microcents(999_999_999))
        .build();
    let response = call!(client.raw(&too_much))?;
    assert!(!response.is_success());
    assert!(
        response.error_message().unwrap().contains("BUDGET_EXCEEDED"),
        "{response:?}"
    );
    let said = programmatic(&client, Err("the model is tired"))
        .unwrap_err()
        .to_string();
    assert_eq!(said, "the model is tired");
    let response = call!(client.raw(RawRequest::GetBalances(&BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    })))?;
    assert!(response.text().contains("\"balances\""), "{}", response.text());
    Ok(())
}

#[test]
fn p40_a_failure_releases_with_a_reason() -> Outcome {
    let page = Page::new();
    programmatic(&page.client(), Err("the model is tired")).unwrap_err();
    let release = page.only(Operation::ReleaseReservation);
    assert_eq!(
        release,
        json!({"idempotency_key": "release-001", "reason": "Processing failed"})
    );
    assert_eq!(page.dollars(), (0, 0));
    Ok(())
}

#[test]
#[rustfmt::skip]
fn p42_a_preflight_decision() -> Outcome {
let page = Page::new();
let client = page.client();
let ask = |amount| DecisionRequest::builder()
    .idempotency_key(format!("decide-{amount}").into())
    .subject(Subject::tenant("acme-corp"))
    .action(Action::new("llm.completion", "gpt-4"))
    .estimate(Amount::usd_microcents(amount))
    .build();

let response = call!(client.decide(&ask(500_000)))?;
let decision = response.decision; // Allow or Deny

assert_eq!(decision.as_str(), "ALLOW");
assert_eq!(call!(client.decide(&ask(999_999_999)))?.decision.as_str(), "DENY");
assert_eq!(page.asked(Operation::Decide)[0]["idempotency_key"], "decide-500000");
Ok(())
}

#[test]
#[rustfmt::skip]
fn p43_querying_balances() -> Outcome {
let page = Page::new();
let client = page.client();

let response = call!(client.get_balances(&BalanceParams { tenant: Some("acme-corp".into()), ..Default::default() }))?;
for balance in &response.balances {
    println!("{}: {}", balance.scope, balance.remaining);
}

let said: Vec<_> = response.balances.iter().map(|balance| balance.remaining.to_string()).collect();
assert!(said.contains(&"10000000 USD_MICROCENTS".to_owned()), "{said:?}");
Ok(())
}

#[test]
#[rustfmt::skip]
fn p44_recording_an_event() -> Outcome {
let page = Page::new();
let client = page.client();

let response = call!(client.create_event(&EventCreateRequest::builder()
    .idempotency_key("evt-001".into())
    .subject(Subject::tenant("acme-corp"))
    .action(Action::new("api.call", "geocode"))
    .actual(Amount::usd_microcents(1_500))
    .build()
))?;

assert_eq!((response.status, page.dollars()), (EventStatus::Applied, (1_500, 0)));
assert_eq!(page.only(Operation::CreateEvent)["idempotency_key"], "evt-001");
Ok(())
}
