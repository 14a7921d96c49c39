//! What the statistics and the events say, against what the ledger says.

use cycles_proto::Event;
use cycles_proto::models::{Amount, DecisionReasonCode, Unit};

use super::test_setup::{TestSetup, commit, request};
use super::{Adapter, Client as _, Guard as _};

pub fn the_statistics_say_what_the_ledger_says<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    for tokens in [3, 5] {
        let guard = setup.client.reserve(request(100)).unwrap();
        assert_eq!(setup.client.stats().total().live, 1);
        guard.commit(commit(tokens)).unwrap();
        // It is live until its record is removed.
        setup.flush_everything();
    }
    let partial = setup.client.reserve(request(100)).unwrap();
    partial.spent(&Amount::tokens(7)).unwrap();
    drop(partial);
    drop(setup.client.reserve(request(100)).unwrap());
    assert!(
        setup
            .client
            .reserve(request(i64::MAX))
            .is_err_and(|error| error.is_denied())
    );
    setup.flush_everything();
    let stats = setup.client.stats();
    let total = stats.total();
    setup.assert_spent(total.charged.of(&Unit::Tokens));
    assert_eq!(
        (total.reserved, total.committed, total.committed_partial),
        (4, 3, 1),
        "{stats:?}"
    );
    assert_eq!(
        (total.released, total.live, total.pending),
        (1, 0, 0),
        "{stats:?}"
    );
    assert_eq!(
        total.denied.of(&DecisionReasonCode::BudgetExceeded),
        1,
        "{stats:?}"
    );
    assert_eq!(
        (total.held.of(&Unit::Tokens), stats.calls_in_flight),
        (0, 0),
        "{stats:?}"
    );
    let text = stats.to_prometheus();
    assert!(
        text.contains("cycles_charged_total{tenant=\"acme-corp\",unit=\"TOKENS\"} 15\n"),
        "{text}"
    );
}

pub fn every_reservation_has_one_last_event_with_who_what_and_how_much<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
    guard.commit(commit(3)).unwrap();
    drop(setup.client.reserve(request(100)).unwrap());
    let denied = setup.client.reserve(request(i64::MAX)).unwrap_err().to_string();
    assert!(denied.contains("9223372036854775807 TOKENS, "), "{denied}");
    setup.flush_everything();
    let ends = || {
        setup
            .events()
            .into_iter()
            .filter(Event::is_end)
            .collect::<Vec<_>>()
    };
    setup.wait_until("all ends are told", || ends().len() == 3);
    let ends: Vec<_> = ends()
        .iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .collect();
    let mut kinds: Vec<_> = ends.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["committed", "denied", "released"], "{ends:?}");
    for event in &ends {
        assert_eq!(event["subject"]["tenant"], "acme-corp", "{event}");
        assert!(event["action"]["kind"].is_string(), "{event}");
        assert_eq!(event["estimate"]["unit"], "TOKENS", "{event}");
        assert!(event["took_ms"].is_u64(), "{event}");
    }
    let committed = ends.iter().find(|event| event["kind"] == "committed").unwrap();
    assert_eq!(committed["charged"]["amount"], 3, "{committed}");
    assert_eq!(
        (&committed["charged_by"], &committed["source"]),
        (&"commit".into(), &"action".into())
    );
}
