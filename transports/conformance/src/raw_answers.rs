//! Raw answers, for callers that interpret them.

use cycles_proto::models::{
    Amount, BalanceParams, CommitResponse, Decision, ErrorCode, ReleaseRequest, ReservationId,
};
use cycles_proto::{Error, RawRequest};
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, ReservationStatus};

use super::test_setup::{TestSetup, commit, request};
use super::{Adapter, Client as _};

pub fn a_raw_response_says_what_the_server_said<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let response = setup
        .client
        .raw(RawRequest::CreateReservation(&request(100)))
        .unwrap();
    assert!(response.is_success() && response.status() == 200, "{response:?}");
    assert_eq!(response.body_attribute("decision"), Some(Decision::Allow));
    let id: ReservationId = response.body_attribute("reservation_id").unwrap();
    assert_eq!(setup.status(&id), ReservationStatus::Active);

    let response = setup
        .client
        .raw(RawRequest::CommitReservation(&id, &commit(42)))
        .unwrap();
    assert!(response.is_success(), "{response:?}");
    let typed: CommitResponse = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        response.body_attribute::<Amount>("charged"),
        Some(Amount::tokens(42))
    );
    assert_eq!(typed.charged, Amount::tokens(42));

    // A refusal is an answer like any other.
    let reason = ReleaseRequest::builder().reason("Processing failed").build();
    let response = setup
        .client
        .raw(RawRequest::ReleaseReservation(&id, &reason))
        .unwrap();
    assert!(!response.is_success() && response.status() == 409, "{response:?}");
    assert_eq!(
        response.body_attribute("error"),
        Some(ErrorCode::ReservationFinalized)
    );
    let message: Option<String> = response.body_attribute("message");
    assert_eq!(response.error_message(), message.as_deref());
    let denied = setup
        .client
        .raw(RawRequest::CreateReservation(&request(999_999_999)))
        .unwrap();
    assert!(
        matches!(denied.error(), Some(Error::BudgetExceeded { .. })),
        "{denied:?}"
    );

    let params = BalanceParams {
        tenant: Some(DEFAULT_TENANT.into()),
        ..Default::default()
    };
    let response = setup.client.raw(RawRequest::from(&params)).unwrap();
    assert!(
        response.text().starts_with(r#"{"balances":["#),
        "{}",
        response.text()
    );
    setup.assert_spent(42);
    setup.flush_everything();
}

pub fn a_raw_response_is_had_of_a_page_from_elsewhere_too<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    for (fault, status) in [("*:page=502", 502), ("*:401", 401), ("*:500", 500)] {
        setup.inject(fault);
        let response = setup.client.raw(RawRequest::Decide(&decide())).unwrap();
        assert!(
            !response.is_success() && response.status() == status,
            "{response:?}"
        );
        assert!(response.error_message().is_some());
        let shown = format!("{response:?} {}", response.text());
        assert!(!shown.contains(DEFAULT_API_KEY), "{shown}");
        setup.clear_faults();
    }
    // Only a missing answer is an error.
    setup.kill_server();
    let nothing = setup.client.raw(RawRequest::Decide(&decide()));
    assert!(matches!(nothing, Err(Error::Transport(_))), "{nothing:?}");
}

fn decide() -> cycles_proto::models::DecisionRequest {
    let request = request(1);
    cycles_proto::models::DecisionRequest::builder()
        .subject(request.subject)
        .action(request.action)
        .estimate(request.estimate)
        .build()
}
