//! The reservation of a guarded action, the notes of its commit, and its end.

use super::*;
use crate::outcome::{InvalidCommit, Receipt};

#[test]
fn what_is_reserved_is_what_was_set() {
    let config = WithCyclesConfig::new(Amount::tokens(9))
        .action_tags(["a", "b"].map(Into::into))
        .action("llm.completion", "gpt-4o")
        .subject(Subject::tenant("acme"))
        .ttl_ms(5_000)
        .grace_period_ms(7)
        .overage_policy(CommitOveragePolicy::Reject)
        .idempotency_key("k-1".into())
        .dry_run(true)
        .heartbeat(HeartbeatPolicy::Cancel);
    let request = config.request();
    assert_eq!(
        request.action,
        Action::new("llm.completion", "gpt-4o").with_tags(["a", "b"])
    );
    assert_eq!(
        (&request.subject, &request.estimate),
        (&Subject::tenant("acme"), &Amount::tokens(9))
    );
    assert_eq!((request.ttl_ms, request.grace_period_ms), (Some(5_000), Some(7)));
    assert_eq!(request.overage_policy, Some(CommitOveragePolicy::Reject));
    assert_eq!(request.idempotency_key, Some("k-1".into()));
    assert!(request.dry_run);
    assert_eq!(
        (config.estimate(), config.policy()),
        (&Amount::tokens(9), HeartbeatPolicy::Cancel)
    );
}

#[test]
fn what_was_not_set_is_left_to_the_server() {
    let config = WithCyclesConfig::new(Amount::tokens(9));
    let request = config.request();
    assert_eq!(request.action, Action::new("unknown", "unknown"));
    assert_eq!(
        (request.ttl_ms, request.grace_period_ms, request.idempotency_key),
        (None, None, None)
    );
    assert!(!request.dry_run && request.overage_policy.is_none());
    assert_eq!(config.policy(), HeartbeatPolicy::Warn);
}

#[test]
fn notes_go_with_the_commit_and_the_action_may_add_to_them() {
    let metrics = CyclesMetrics {
        tokens_input: Some(3),
        ..Default::default()
    };
    let config = WithCyclesConfig::new(Amount::tokens(9))
        .metrics(metrics.clone())
        .metadata(JsonObject::new().with("a", 1));
    let mut notes = config.notes().clone();
    notes.insert_metadata("b", 2);
    let commit = notes.commit(Amount::tokens(5), Duration::from_millis(1_234));
    assert_eq!(commit.actual, Amount::tokens(5));
    assert_eq!(commit.metadata, Some(JsonObject::new().with("a", 1).with("b", 2)));
    let latency_ms = Some(1_234);
    assert_eq!(
        commit.metrics,
        Some(CyclesMetrics {
            latency_ms,
            ..metrics
        })
    );
}

#[test]
fn a_latency_that_was_told_or_that_no_server_takes_is_not_filled_in() {
    let mut notes = CommitNotes::default();
    notes.set_metrics(CyclesMetrics {
        latency_ms: Some(7),
        ..Default::default()
    });
    let latency = |notes: CommitNotes, ms| {
        let commit = notes.commit(Amount::tokens(1), Duration::from_millis(ms));
        commit.metrics.unwrap().latency_ms
    };
    assert_eq!(latency(notes, 9), Some(7));
    let most = i32::MAX.unsigned_abs().into();
    assert_eq!(latency(CommitNotes::default(), most), Some(i64::from(i32::MAX)));
    assert_eq!(latency(CommitNotes::default(), most + 1), None);
    assert_eq!(latency(CommitNotes::default(), u64::MAX), None);
}

#[test]
fn a_lost_lease_is_in_the_receipt_unless_its_policy_only_warns() {
    for (was_lost, policy, is_told) in [
        (true, HeartbeatPolicy::Warn, false),
        (true, HeartbeatPolicy::FailOnFinalize, true),
        (true, HeartbeatPolicy::Cancel, true),
        (false, HeartbeatPolicy::FailOnFinalize, false),
    ] {
        let receipt = policy.receipt(Receipt::Stale, was_lost);
        assert_eq!(matches!(&receipt, Receipt::LeaseLost(_)), is_told, "{policy:?}");
        assert!(!receipt.is_settled());
    }
}

#[test]
fn an_action_that_failed_is_an_error_with_its_own_words_and_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("the model is gone")]
    struct Gone(#[source] std::io::Error);
    let cause = || std::io::Error::other("no such host");
    let failed = NotCompleted::Action(Gone(cause()));
    assert_eq!(failed.to_string(), "the action failed: the model is gone");
    let Error::Action(error) = Error::from(failed) else {
        panic!("another error")
    };
    assert_eq!(error.to_string(), "the model is gone");
    assert!(error.get_ref().downcast_ref::<Gone>().is_some());
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "no such host");

    let refused = || Error::from(InvalidCommit::NotHeld);
    for other in [
        NotCompleted::<Gone>::NotReserved(refused()),
        NotCompleted::Cancelled(refused()),
    ] {
        assert_eq!(other.to_string(), refused().to_string());
        assert_eq!(Error::from(other).to_string(), refused().to_string());
    }
}
