//! The low-level part of the getting-started page, spelled as it stands there, on a running server.

use cycles_sandbox::Sandbox;
use cycles_ureq::{CyclesClient, CyclesConfig, Error, models::*};

fn client(sandbox: &Sandbox) -> CyclesClient {
    CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant("acme-corp")
        .build()
}

#[test]
fn configuration_from_variables() {
    let sandbox = Sandbox::start().unwrap();
    let config = CyclesConfig::from_lookup("CYCLES_", |name| match name {
        "CYCLES_BASE_URL" => Some(sandbox.base_url()),
        "CYCLES_API_KEY" => Some(sandbox.api_key().to_owned()),
        "CYCLES_TENANT" => Some("acme-corp".to_owned()),
        _ => None,
    })
    .expect("missing CYCLES_ env vars");
    let client = CyclesClient::new(config);
    assert_eq!(client.health().unwrap().status.as_str(), "UP");
}

#[test]
fn low_level_programmatic_client() -> Result<(), Error> {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);

    // Create reservation
    let resp = client.create_reservation(
        &ReservationCreateRequest::builder()
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            })
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::usd_microcents(500_000))
            .ttl_ms(30_000_u64)
            .build(),
    )?;

    let reservation_id = resp.reservation_id.unwrap();

    // Commit
    client.commit_reservation(
        &reservation_id,
        &CommitRequest::builder()
            .actual(Amount::usd_microcents(420_000))
            .metrics(CyclesMetrics {
                tokens_input: Some(1200),
                tokens_output: Some(800),
                ..Default::default()
            })
            .build(),
    )?;
    Ok(())
}

#[test]
fn preflight_decision_check() -> Result<(), Error> {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let resp = client.decide(
        &DecisionRequest::builder()
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            })
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::usd_microcents(500_000))
            .build(),
    )?;

    assert_eq!(format!("Decision: {:?}", resp.decision), "Decision: Allow");
    Ok(())
}

#[test]
fn querying_balances() -> Result<(), Error> {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let resp = client.get_balances(&BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    })?;

    for balance in &resp.balances {
        println!("{}: {} remaining", balance.scope, balance.remaining.amount);
    }
    println!("{:?}", resp.balances);
    assert_eq!(resp.balances.len(), 4);
    Ok(())
}

#[test]
fn recording_events() -> Result<(), Error> {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let resp = client.create_event(
        &EventCreateRequest::builder()
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            })
            .action(Action::new("api.call", "geocode"))
            .actual(Amount::usd_microcents(1_500))
            .build(),
    )?;
    assert_eq!(resp.status, EventStatus::Applied);
    Ok(())
}

#[test]
fn a_dry_run_changes_no_balance() -> Result<(), Error> {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let params = BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    };
    let before = client.get_balances(&params)?.balances;
    let resp = client.create_reservation(
        &ReservationCreateRequest::builder()
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            })
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(500))
            .dry_run(true)
            .build(),
    )?;
    assert_eq!(format!("Decision: {:?}", resp.decision), "Decision: Allow");
    // Check balances — they haven't changed
    assert_eq!(client.get_balances(&params)?.balances, before);
    Ok(())
}

#[test]
fn decision_handling() {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let reserve = |client: &CyclesClient| {
        let request = ReservationCreateRequest::builder()
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            })
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(999_999_999));
        match client.create_reservation(&request.build()) {
            Ok(_) => "allowed".to_owned(),
            Err(Error::BudgetExceeded {
                message, retry_after, ..
            }) => {
                if let Some(delay) = retry_after {
                    std::thread::sleep(delay);
                }
                format!("Budget exceeded: {message}")
            }
            Err(Error::Api { status, code, .. }) => format!("API error ({status}): {code:?}"),
            Err(Error::Transport(e)) => format!("Network error (retryable): {e}"),
            Err(e) => format!("Other error: {e}"),
        }
    };
    assert_eq!(
        reserve(&client),
        "Budget exceeded: Budget exceeded for: BUDGET_EXCEEDED"
    );
    let stranger = CyclesClient::builder("cyc_live_unknown", sandbox.base_url()).build();
    assert_eq!(reserve(&stranger), "API error (401): Some(Unauthorized)");
    let nobody = CyclesClient::builder("cyc_live_unknown", "http://127.0.0.1:9").build();
    let said = reserve(&nobody);
    assert!(
        said.starts_with(
            "Network error (retryable): createReservation (POST http://127.0.0.1:9/v1/reservations) for "
        ) && said.contains(": no connection to the server"),
        "{said}"
    );
}
