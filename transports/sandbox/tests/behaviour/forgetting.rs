//! A ledger that keeps few ended reservations and answers whole, or none, answers every repeated request as one that keeps all.

use cycles_sandbox::Unit;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{Budget, Desk};

const HOUR_MS: u64 = 3_600_000;

#[derive(Clone, Debug)]
enum Step {
    /// Something with a cost of its own.
    Ask {
        what: Ask,
        agent: usize,
        amount: i64,
    },
    /// The operation on an earlier reservation, counted from the latest.
    About {
        operation: &'static str,
        which: usize,
        amount: i64,
    },
    /// An earlier request, counted from the latest; perhaps with another amount.
    Again {
        which: usize,
        is_changed: bool,
    },
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Reserve,
    DryRun,
    Decide,
    Event,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let operations = prop::sample::select(vec!["commit", "release", "extend"]);
    let asks = vec![
        Ask::Reserve,
        Ask::Reserve,
        Ask::Reserve,
        Ask::DryRun,
        Ask::Decide,
        Ask::Event,
    ];
    let step = prop_oneof![
        5 => (prop::sample::select(asks), 0..3_usize, 0..50_i64)
            .prop_map(|(what, agent, amount)| Step::Ask { what, agent, amount }),
        5 => (operations, 0..4_usize, 0..60_i64)
            .prop_map(|(operation, which, amount)| Step::About { operation, which, amount }),
        6 => (0..30_usize, prop::bool::weighted(0.2)).prop_map(|(which, is_changed)| Step::Again { which, is_changed }),
        2 => prop::sample::select(vec![1_000, 70_000, 25 * HOUR_MS, 31 * 24 * HOUR_MS]).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

fn desk(retained: usize, has_evidence: bool) -> Desk {
    let mut desk = Desk::inside_with_tokens(1_000);
    desk.add_budget(Budget::new("tenant:acme/agent:bot-1", Unit::Tokens, 200).overdraft_limit(50));
    desk.ledger().set_retained(retained);
    if has_evidence {
        desk.ledger()
            .set_evidence_identity("https://cycles.example.com/v1", &"ab".repeat(32));
    }
    desk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_repeated_request_gets_its_answer_whatever_is_forgotten(
        steps in steps(),
        retained in 0..3_usize,
        has_evidence in any::<bool>(),
    ) {
        let (mut all, mut few) = (desk(usize::MAX, has_evidence), desk(retained, has_evidence));
        let mut made: Vec<String> = Vec::new();
        let mut sent: Vec<(String, Value)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            let key = format!("key-{number}");
            let (path, body) = match step {
                Step::Wait(ms) => {
                    all.pass(ms);
                    few.pass(ms);
                    continue;
                }
                Step::Ask { what, agent, amount } => {
                    let more = json!({"subject": {"tenant": "acme", "agent": format!("bot-{agent}")}});
                    let (path, cost) = match what {
                        Ask::Reserve | Ask::DryRun => ("/v1/reservations", "estimate"),
                        Ask::Decide => ("/v1/decide", "estimate"),
                        Ask::Event => ("/v1/events", "actual"),
                    };
                    let mut body = all.costing(cost, amount, &more);
                    body["idempotency_key"] = json!(key);
                    if let Ask::DryRun = what {
                        body["dry_run"] = json!(true);
                    }
                    (path.to_owned(), body)
                }
                Step::About { operation, which, amount } => {
                    let Some(id) = made.iter().rev().nth(which) else { continue };
                    let mut body = json!({"idempotency_key": key});
                    match operation {
                        "commit" => body["actual"] = json!({"unit": "TOKENS", "amount": amount}),
                        "extend" => body["extend_by_ms"] = json!(1_000 + amount),
                        _ => {}
                    }
                    (format!("/v1/reservations/{id}/{operation}"), body)
                }
                Step::Again { which, is_changed } => {
                    let Some((path, body)) = sent.iter().rev().nth(which) else { continue };
                    let mut body = body.clone();
                    if is_changed {
                        body["metadata"] = json!({"changed": number});
                    }
                    (path.clone(), body)
                }
            };
            let (right, answer) = (all.post(&path, &body), few.post(&path, &body));
            prop_assert_eq!(right.status, answer.status, "{}: {} and {}", path, right.body, answer.body);
            prop_assert_eq!(&right.bytes, &answer.bytes, "{}: {} and {}", path, right.body, answer.body);
            made.extend(right.body["reservation_id"].as_str().map(str::to_owned));
            sent.push((path, body));
        }
        let books = |desk: &mut Desk| -> Vec<_> {
            desk.ledger().budgets().map(|(scope, unit, state)| (scope.to_owned(), unit, state)).collect()
        };
        prop_assert_eq!(books(&mut all), books(&mut few));
    }
}

#[test]
fn lists_and_look_ups_show_the_reservations_that_ended_last_and_all_active_ones() {
    let mut desk = Desk::inside_with_tokens(1_000);
    desk.ledger().set_retained(2);
    let active = desk.reserve(10, &Value::Null).body["reservation_id"].clone();
    let mut ended = Vec::new();
    for _ in 0..5 {
        let id = desk.reserve(10, &Value::Null).body["reservation_id"].clone();
        let path = format!("/v1/reservations/{}/release", id.as_str().unwrap());
        assert_eq!(desk.post(&path, &json!({"idempotency_key": "r"})).status, 200);
        ended.push(id);
        desk.pass(1);
    }
    let listed = desk
        .get("/v1/reservations?sort_by=created_at_ms&sort_dir=asc")
        .body;
    let listed: Vec<_> = listed["reservations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["reservation_id"])
        .collect();
    assert_eq!(listed, [&active, &ended[3], &ended[4]]);
    let look_up = |desk: &mut Desk, id: &Value| {
        desk.get(&format!("/v1/reservations/{}", id.as_str().unwrap()))
            .status
    };
    assert_eq!(
        ended.iter().map(|id| look_up(&mut desk, id)).collect::<Vec<_>>(),
        [404, 404, 404, 200, 200]
    );
    assert_eq!(desk.ledger().forgotten_reservations(), 3);
    let dump: Value = serde_json::from_str(&desk.ledger().to_json()).unwrap();
    assert_eq!(
        (
            &dump["forgotten_reservations"],
            dump["reservations"].as_array().unwrap().len()
        ),
        (&json!(3), 3)
    );
    assert!(
        desk.ledger()
            .to_string()
            .contains("3 ended reservations that are forgotten")
    );
}

#[test]
fn a_forgotten_event_still_counts_for_the_reservation_whose_cost_it_charged() {
    let mut desk = Desk::inside_with_tokens(1_000);
    desk.ledger().set_retained(0);
    let id = desk.reserve(10, &Value::Null).body["reservation_id"].clone();
    let more = json!({"subject": {"tenant": "acme"}, "metadata": {"recovered_reservation_id": id}});
    let event = desk.costing("actual", 7, &more);
    assert_eq!(desk.post("/v1/events", &event).status, 201);
    let again = desk.post("/v1/events", &event);
    assert_eq!((again.status, desk.ledger().events_applied()), (201, 1));
    desk.ledger().assert_charged_once(id.as_str().unwrap());
    let dump: Value = serde_json::from_str(&desk.ledger().to_json()).unwrap();
    assert_eq!(
        (&dump["forgotten_events"], &dump["events"]),
        (&json!(1), &json!([]))
    );
}

#[test]
fn a_forgotten_cost_still_counts_as_charged_once_and_another_tenant_learns_nothing_of_it() {
    let mut desk = Desk::inside_with_tokens(1_000);
    desk.ledger().set_retained(0);
    let id = desk.reserve(10, &Value::Null).body["reservation_id"].clone();
    let id = id.as_str().unwrap();
    let commit = json!({"idempotency_key": "c", "actual": {"unit": "TOKENS", "amount": 7}});
    let path = format!("/v1/reservations/{id}/commit");
    assert_eq!(desk.post(&path, &commit).status, 200);
    desk.get("/v1/reservations");
    assert_eq!(desk.ledger().forgotten_reservations(), 1);
    desk.ledger().assert_charged_once(id);
    desk.key = crate::common::OTHER_KEY;
    assert_eq!(desk.post(&path, &commit).status, 403);
}
