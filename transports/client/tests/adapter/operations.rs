//! Every operation, against an embedded server. The tests of each adapter have it as a module; `runcycles` is their crate.

use std::time::Duration;

use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox, Unit as LedgerUnit};
use runcycles::models::*;
use runcycles::{CyclesClient, Error, HttpOptions, UnixMillis};

/// A server with 1,000 CREDITS on its tenant, and a client of it.
pub(crate) fn start() -> (Sandbox, CyclesClient) {
    let sandbox = Sandbox::builder()
        .budget(Budget::new(DEFAULT_TENANT_SCOPE, LedgerUnit::Credits, 1_000))
        .start()
        .unwrap();
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .http(HttpOptions::new().no_proxy())
        .try_build()
        .unwrap();
    (sandbox, client)
}

fn subject() -> Subject {
    Subject {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    }
}

fn action() -> Action {
    Action::new("llm.completion", "gpt-4o")
}

pub(crate) fn reserve(credits: i64) -> ReservationCreateRequestBuilder<Subject, Action, Amount> {
    ReservationCreateRequest::builder()
        .subject(subject())
        .action(action())
        .estimate(Amount::credits(credits))
}

pub(crate) fn commit(credits: i64) -> CommitRequest {
    CommitRequest::builder().actual(Amount::credits(credits)).build()
}

pub(crate) fn remaining(sandbox: &Sandbox) -> i64 {
    sandbox
        .with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, LedgerUnit::Credits))
        .unwrap()
        .remaining
}

fn held(client: &CyclesClient, credits: i64) -> ReservationId {
    call!(client.create_reservation(&reserve(credits).build()))
        .unwrap()
        .reservation_id
        .unwrap()
}

#[test]
fn a_reservation_is_made_extended_and_committed_for_less() {
    let (sandbox, client) = start();
    let made = call!(client.create_reservation(&reserve(100).ttl_ms(30_000).build())).unwrap();
    assert_eq!(
        (made.decision, made.remaining_ttl_ms),
        (Decision::Allow, Some(30_000))
    );
    assert_eq!(made.affected_scopes, [DEFAULT_TENANT_SCOPE]);
    assert_eq!(
        (made.reserved, made.balances.unwrap().len()),
        (Some(Amount::credits(100)), 1)
    );
    assert_eq!(remaining(&sandbox), 900);

    let id = made.reservation_id.unwrap();
    let extended = call!(client.extend_reservation(&id, &ReservationExtendRequest::new(10_000))).unwrap();
    assert_eq!(extended.expires_at_ms, made.expires_at_ms.unwrap() + 10_000);

    let metrics = CyclesMetrics {
        tokens_input: Some(12),
        tokens_output: Some(3),
        ..Default::default()
    };
    let request = CommitRequest::builder()
        .actual(Amount::credits(40))
        .metrics(metrics)
        .metadata(JsonObject::new().with("run", "r-1"))
        .build();
    let committed = call!(client.commit_reservation(&id, &request)).unwrap();
    assert_eq!(
        (committed.charged, committed.released),
        (Amount::credits(40), Some(Amount::credits(60)))
    );
    assert_eq!(remaining(&sandbox), 960);

    let detail = call!(client.get_reservation(&id)).unwrap();
    assert_eq!(
        (&detail.status, &detail.committed),
        (&ReservationStatus::Committed, &Some(Amount::credits(40)))
    );
    assert_eq!(
        detail
            .committed_metadata
            .as_ref()
            .unwrap()
            .get::<String>("run")
            .as_deref(),
        Some("r-1")
    );
}

#[test]
fn a_released_reservation_gives_everything_back() {
    let (sandbox, client) = start();
    let id = held(&client, 100);
    let request = ReleaseRequest::builder().reason("Processing failed").build();
    let released = call!(client.release_reservation(&id, &request)).unwrap();
    assert_eq!(
        (released.status, released.released),
        (ReservationStatus::Released, Amount::credits(100))
    );
    assert_eq!(remaining(&sandbox), 1_000);
}

#[test]
fn a_commit_that_is_sent_twice_under_one_key_counts_once() {
    let (sandbox, client) = start();
    let id = held(&client, 100);
    let request = CommitRequest::builder()
        .actual(Amount::credits(70))
        .idempotency_key("commit-001".into())
        .build();
    let first = call!(client.commit_reservation(&id, &request)).unwrap();
    let second = call!(client.commit_reservation(&id, &request)).unwrap();
    assert_eq!((first.charged, remaining(&sandbox)), (second.charged, 930));
    let error = call!(client.commit_reservation(&id, &commit(70))).unwrap_err();
    assert_eq!(error.error_code(), Some(ErrorCode::ReservationFinalized));
}

#[test]
fn a_denial_is_an_error_when_live_and_a_decision_when_asked() {
    let (sandbox, client) = start();
    let error = call!(client.create_reservation(&reserve(1_001).build())).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::BudgetExceeded {
                reason: DecisionReasonCode::BudgetExceeded,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!((error.status(), error.outcome_is_unknown()), (Some(409), false));

    let dry = call!(client.create_reservation(&reserve(1_001).dry_run(true).build())).unwrap();
    assert_eq!(
        (dry.decision, dry.reason_code),
        (Decision::Deny, Some(DecisionReasonCode::BudgetExceeded))
    );
    let dry = call!(client.create_reservation(&reserve(1_000).dry_run(true).build())).unwrap();
    assert_eq!((dry.decision, dry.reservation_id), (Decision::Allow, None));

    let ask = |credits| {
        DecisionRequest::builder()
            .subject(subject())
            .action(action())
            .estimate(Amount::credits(credits))
            .build()
    };
    assert_eq!(
        call!(client.decide(&ask(1_001))).unwrap().decision,
        Decision::Deny
    );
    assert_eq!(
        call!(client.decide(&ask(1_000))).unwrap().decision,
        Decision::Allow
    );
    assert_eq!(remaining(&sandbox), 1_000);
}

#[test]
fn caps_come_with_the_permission() {
    let (sandbox, client) = start();
    let caps = r#"{"max_tokens":500,"tool_denylist":["web_search"]}"#;
    let budget = Budget::new(DEFAULT_TENANT_SCOPE, LedgerUnit::Credits, 1_000).caps_json(caps);
    sandbox.with_ledger(|ledger| ledger.add_budget(budget));
    let made = call!(client.create_reservation(&reserve(1).build())).unwrap();
    let caps = made.caps.unwrap();
    assert_eq!(
        (made.decision, caps.max_tokens),
        (Decision::AllowWithCaps, Some(500))
    );
    assert!(!caps.is_tool_allowed("web_search") && caps.is_tool_allowed("calculator"));
}

#[test]
fn an_event_debits_directly_and_once_per_key() {
    let (sandbox, client) = start();
    let request = EventCreateRequest::builder()
        .subject(subject())
        .action(Action::new("api.call", "geocode"))
        .actual(Amount::credits(15))
        .idempotency_key("evt-001".into())
        .client_time_ms(1)
        .build();
    let first = call!(client.create_event(&request)).unwrap();
    let second = call!(client.create_event(&request)).unwrap();
    assert_eq!(
        (first.status, first.event_id),
        (EventStatus::Applied, second.event_id)
    );
    assert_eq!(remaining(&sandbox), 985);
}

#[test]
fn a_budget_in_another_unit_or_none_at_all_is_told_apart() {
    let (_sandbox, client) = start();
    let request = reserve(1);
    let points = request.clone().estimate(Amount::risk_points(1)).build();
    let error = call!(client.create_reservation(&points)).unwrap_err();
    assert_eq!(error.error_code(), Some(ErrorCode::UnitMismatch));
    let units: Vec<String> = error.details().unwrap().get("expected_units").unwrap();
    assert_eq!(units, ["USD_MICROCENTS", "TOKENS", "CREDITS"]);

    let nowhere = request
        .subject(Subject {
            agent: Some("nobody".into()),
            ..Default::default()
        })
        .build();
    let error = call!(client.create_reservation(&nowhere)).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::BudgetNotFound {
                unit: Unit::Credits,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("The amount was in CREDITS"), "{error}");
}

#[test]
fn an_expired_reservation_says_so() {
    let (sandbox, client) = start();
    let id = held(&client, 100);
    sandbox.advance(Duration::from_secs(120));
    let error = call!(client.commit_reservation(&id, &commit(1))).unwrap_err();
    assert_eq!(
        (error.status(), error.error_code()),
        (Some(410), Some(ErrorCode::ReservationExpired))
    );
    assert_eq!(
        call!(client.get_reservation(&id)).unwrap_err().status(),
        Some(410)
    );
    let list = call!(client.list_reservations(&ListReservationsParams::default())).unwrap();
    assert_eq!(list.reservations[0].status, ReservationStatus::Expired);
}

#[test]
fn a_reservation_whose_answer_was_lost_is_found_by_its_key() {
    let (_sandbox, client) = start();
    for key in ["req-001", "req-002", "req-003"] {
        call!(client.create_reservation(&reserve(1).idempotency_key(key.into()).build())).unwrap();
    }
    let params = ListReservationsParams {
        idempotency_key: Some("req-002".into()),
        ..Default::default()
    };
    let found = call!(client.list_reservations(&params)).unwrap().reservations;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].idempotency_key, Some("req-002".into()));
}

#[test]
fn lists_are_sorted_filtered_and_paged() {
    let (_sandbox, client) = start();
    let metadata = JsonObject::new().with("n", 1);
    for credits in [3, 1, 2] {
        call!(client.create_reservation(&reserve(credits).metadata(metadata.clone()).build())).unwrap();
    }
    let mut params = ListReservationsParams {
        status: Some(ReservationStatus::Active),
        sort_by: Some(ReservationSortKey::Reserved),
        sort_dir: Some(SortDirection::Asc),
        include: vec![ReservationField::Metadata],
        from: Some(UnixMillis(0)),
        limit: Some(2),
        ..Default::default()
    };
    let first = call!(client.list_reservations(&params)).unwrap();
    assert_eq!(
        first
            .reservations
            .iter()
            .map(|row| row.reserved.amount)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(first.reservations[0].metadata, Some(metadata));
    params.cursor = first.next_cursor;
    let second = call!(client.list_reservations(&params)).unwrap();
    assert_eq!(
        second
            .reservations
            .iter()
            .map(|row| row.reserved.amount)
            .collect::<Vec<_>>(),
        [3]
    );
    assert_eq!((second.has_more, second.next_cursor), (Some(false), None));
    params = ListReservationsParams {
        to: Some(UnixMillis(1)),
        ..Default::default()
    };
    assert!(
        call!(client.list_reservations(&params))
            .unwrap()
            .reservations
            .is_empty()
    );
}

#[test]
fn balances_show_every_unit_of_every_scope_below() {
    let (_sandbox, client) = start();
    held(&client, 100);
    let params = BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    };
    let balances = call!(client.get_balances(&params)).unwrap().balances;
    assert_eq!(balances.len(), 5);
    let credits = balances
        .iter()
        .find(|balance| balance.remaining.unit == Unit::Credits)
        .unwrap();
    assert_eq!(
        (credits.remaining.amount, credits.scope_path.as_str()),
        (900, DEFAULT_TENANT_SCOPE)
    );
    assert_eq!(credits.reserved, Some(Amount::credits(100)));
}

#[test]
fn every_answer_and_every_error_can_be_traced() {
    let (_sandbox, client) = start();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = client.with_trace_parent(parent.parse().unwrap());
    let made = call!(traced.create_reservation(&reserve(1).build())).unwrap();
    assert_eq!(made.info.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!((made.info.tenant(), made.info.status()), (Some("acme-corp"), 200));
    assert_eq!(
        (made.info.rate_limit_remaining(), made.info.rate_limit_reset()),
        (Some(-1), Some(0))
    );
    assert!(made.info.request_id().is_some());
    let beside = call!(traced.create_reservation_with_metadata(&reserve(1).build())).unwrap();
    assert_eq!(
        (beside.decision.clone(), beside.rate_limit_remaining),
        (Decision::Allow, Some(-1))
    );
    assert_eq!(beside.cycles_tenant.as_deref(), Some("acme-corp"));
    assert_eq!(beside.request_id.as_deref(), beside.data.info.request_id());
    let error = call!(traced.create_reservation(&reserve(5_000).build())).unwrap_err();
    assert_eq!(error.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(error.request_id(), error.info().unwrap().request_id());
    // Without a trace of the caller's, the client's own leads from the key to the server's logs.
    let error = call!(client.create_reservation(&reserve(5_000).build())).unwrap_err();
    assert!(
        error
            .idempotency_key()
            .unwrap()
            .as_str()
            .starts_with(error.trace_id().unwrap())
    );
}

#[test]
fn a_wrong_key_and_a_foreign_tenant_are_refused() {
    let (sandbox, client) = start();
    let stranger = CyclesClient::builder("cyc_live_somebody_else", sandbox.base_url())
        .http(HttpOptions::new().no_proxy())
        .build();
    let error = call!(stranger.create_reservation(&reserve(1).build())).unwrap_err();
    assert!(error.is_auth_error(), "{error}");
    let foreign = reserve(1).subject(Subject::tenant("other")).build();
    let error = call!(client.create_reservation(&foreign)).unwrap_err();
    assert_eq!(
        (error.status(), error.error_code()),
        (Some(403), Some(ErrorCode::Forbidden))
    );
}

#[test]
fn evidence_and_keys_are_fetched_without_the_api_key() {
    let (sandbox, client) = start();
    let id = EvidenceId::from("ab".repeat(32));
    assert_eq!(call!(client.get_evidence(&id)).unwrap_err().status(), Some(404));
    assert_eq!(call!(client.get_evidence_jwks()).unwrap_err().status(), Some(404));
    let envelope = format!(
        r#"{{"schema_version":"cycles-evidence/v0.1","artifact_type":"decide","server_id":"s","signer_did":"d","issued_at_ms":5,"payload":{{"decide":{{}}}},"evidence_id":"{id}","signature":"{}"}}"#,
        "0".repeat(128)
    );
    let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"x","kid":"k","cycles_nbf_ms":0,"status":"active"}]}"#;
    sandbox.with_ledger(|ledger| {
        ledger.publish_evidence(id.as_str(), envelope.clone());
        ledger.publish_jwks(jwks.to_owned());
    });
    let fetched = call!(client.get_evidence(&id)).unwrap();
    assert_eq!((fetched.evidence_id, fetched.issued_at_ms), (id, 5));
    assert_eq!(
        fetched.info.body(),
        envelope.as_bytes(),
        "the bytes that the signature covers"
    );
    assert_eq!(call!(client.get_evidence_jwks()).unwrap().keys[0].kid, "k");
}

#[test]
fn the_server_says_that_it_is_up() {
    let (_sandbox, client) = start();
    assert_eq!(call!(client.health()).unwrap().status, HealthStatus::Up);
}
