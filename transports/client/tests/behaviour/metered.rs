//! Metered streams, dropped at every item and at every wait, in virtual time.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use crate::support::Virtual;
use cycles_client::models::{
    Action, Amount, CyclesMetrics, ReservationCreateRequest, ReservationId, Subject,
};
use cycles_client::money::{Bounds, Part, PriceTable, Prices, Usage, Usd};
use cycles_client::{Client, Error, InvalidCommit, Reading, Receipt, ReservationGuard};
use cycles_conformance::request_for;
use cycles_sandbox::{DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, ReservationState, ReservationStatus, Unit};
use futures::future::{Either, FutureExt as _, select};
use futures::stream::{self, FusedStream as _, Stream, StreamExt as _};

const COSTS: [i64; 6] = [3, 0, 5, 1, 0, 8];

async fn reserve(client: &Client) -> ReservationGuard {
    client.reserve(request_for(100, 15_000)).await.unwrap()
}

/// The costs, one every ten seconds: several leases long.
fn words(world: &Virtual) -> impl Stream<Item = i64> + use<> {
    let world = world.clone();
    stream::iter(COSTS).then(move |cost| {
        let world = world.clone();
        async move {
            world.sleep(Duration::from_secs(10)).await;
            cost
        }
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "a meter looks at its items")]
fn tokens(cost: &i64) -> Amount {
    Amount::tokens(*cost)
}

fn state(world: &Virtual, id: &ReservationId) -> ReservationState {
    world.with_ledger(|ledger| ledger.reservation(id.as_str()).unwrap())
}

fn spent_and_reserved(world: &Virtual) -> (i64, i64) {
    let budget = world.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap());
    (budget.spent, budget.reserved)
}

#[test]
fn a_stream_dropped_at_any_item_or_wait_leaves_the_ledger_exact() {
    // Every five seconds: while it waits for an item, and when it has one.
    for seconds in (5..=65).step_by(5) {
        let world = Virtual::default();
        let client = world.client(|config| config);
        world.block_on(async {
            let guard = reserve(&client).await;
            let id = guard.reservation_id().clone();
            let mut seen = Vec::new();
            let settling = {
                let mut words = guard.meter(words(&world), tokens);
                let settling = words.settling();
                let reading = pin!(async {
                    while let Some(word) = words.next().await {
                        seen.push(word);
                    }
                });
                let patience = pin!(world.sleep(Duration::from_millis(seconds * 1_000 + 1)));
                let is_gone = matches!(select(reading, patience).await, Either::Right(_));
                assert_eq!(is_gone, seconds < 60);
                settling
            };
            let consumed: i64 = seen.iter().sum();
            assert_eq!(seen, COSTS[..seen.len()]);
            let receipt = settling.await.unwrap();
            let state = state(&world, &id);
            if consumed == 0 {
                assert!(receipt.is_none(), "{receipt:?}");
                assert_eq!(state.status, ReservationStatus::Released);
            } else {
                assert!(matches!(receipt, Some(Receipt::Committed(_))), "{receipt:?}");
                assert_eq!(state.charged, Some(consumed));
            }
            assert_eq!(spent_and_reserved(&world), (consumed, 0), "after {seconds} s");
            assert!(
                seconds < 20 || state.extensions > 0,
                "the lease lives with its stream"
            );
        });
    }
}

#[test]
fn the_end_of_a_stream_does_not_wait_for_the_ledger() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let mut words = reserve(&client).await.meter(words(&world), tokens);
        let settling = words.settling();
        while words.next().await.is_some() {}
        assert_eq!(*words.consumed(), Amount::tokens(17));
        assert!(words.is_terminated() && words.guard().is_none());
        assert!(words.next().await.is_none());
        assert_eq!(spent_and_reserved(&world), (0, 100));
        let began = world.passed();
        assert!(
            settling
                .await
                .unwrap()
                .is_some_and(|receipt| receipt.is_settled())
        );
        assert_eq!(world.passed() - began, Duration::from_millis(10));
        assert_eq!(spent_and_reserved(&world), (17, 0));
    });
}

#[test]
fn an_error_is_the_last_item_and_what_came_before_it_is_charged() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let items = [Ok(3), Ok(4), Err("the model is gone"), Ok(5)];
        let guard = reserve(&client).await;
        let mut words = guard.try_meter(stream::iter(items), tokens);
        // Not dropped: the error settles the cost.
        let seen: Vec<_> = words.by_ref().collect().await;
        assert_eq!(seen, items[..3]);
        assert!(words.settling().await.unwrap().is_some());
        assert_eq!(spent_and_reserved(&world), (7, 0));
    });
}

#[test]
fn a_limit_ends_a_stream_with_the_item_that_reaches_it() {
    for (most, expected) in [(0, 0), (1, 1), (3, 1), (4, 3), (8, 3), (9, 4), (17, 6), (100, 6)] {
        let world = Virtual::default();
        let client = world.client(|config| config);
        world.block_on(async {
            let words = reserve(&client).await.meter(words(&world), tokens);
            let mut words = words.stop_at_tokens(most);
            let seen: Vec<_> = words.by_ref().collect().await;
            assert_eq!(seen, COSTS[..expected], "at {most}");
            assert!(words.settling().await.unwrap().is_some());
            assert_eq!(spent_and_reserved(&world), (seen.iter().sum(), 0));
        });
    }
}

#[test]
fn the_usage_of_the_last_chunk_is_the_cost_and_its_metrics_go_along() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let usage = |chunk: &Option<i64>| match chunk {
            None => Reading::more(Amount::tokens(10)), // a guess, until the model tells
            Some(tokens) => Reading::total(Amount::tokens(*tokens)).with_metrics(CyclesMetrics {
                tokens_output: Some(*tokens),
                ..Default::default()
            }),
        };
        let chunks = [None, None, None, Some(12)];
        for (take, expected) in [(1, 10), (3, 30), (4, 12)] {
            let before = spent_and_reserved(&world).0;
            let words = reserve(&client).await.meter(stream::iter(chunks), usage);
            let settling = words.settling();
            assert_eq!(words.take(take).count().await, take);
            let receipt = settling.await.unwrap();
            assert!(receipt.is_some_and(|receipt| receipt.is_settled()));
            assert_eq!(spent_and_reserved(&world), (before + expected, 0), "after {take}");
        }
    });
}

#[test]
fn a_usage_that_is_missing_or_zero_is_not_free() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    let counting = |chunk: &Option<i64>| match chunk {
        None => Reading::more(Amount::tokens(1)),
        Some(tokens) => Reading::total(Amount::tokens(*tokens)),
    };
    let waiting = |chunk: &Option<i64>| Reading::from(chunk.map(Amount::tokens).map(Reading::total));
    world.block_on(async {
        // Seven chunks and a usage of zeros; chunks and no usage; no chunk at all.
        let zeros = [None, None, None, None, None, None, None, Some(0)];
        for (counts, chunks, cost) in [
            (true, &zeros[..], 7),
            (true, &zeros[..7], 7),
            (false, &zeros[..], 100),
            (false, &zeros[..7], 100),
            (false, &[None, Some(0), Some(12)], 12),
            (false, &[], 0),
        ] {
            let before = spent_and_reserved(&world).0;
            let read = move |chunk: &Option<i64>| if counts { counting(chunk) } else { waiting(chunk) };
            let words = reserve(&client).await.meter(stream::iter(chunks.to_vec()), read);
            let settling = words.settling();
            assert_eq!(words.count().await, chunks.len());
            assert!(settling.await.unwrap().unwrap().is_settled());
            assert_eq!(spent_and_reserved(&world), (before + cost, 0), "{chunks:?}");
        }
    });
}

#[test]
fn an_item_in_another_unit_is_told_and_nothing_is_given_back_for_it() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let cost = |tokens: &i64| match tokens {
            0 => Amount::usd_microcents(1),
            _ => Amount::tokens(*tokens),
        };
        for (items, charged, held) in [([7, 0], 7, 0), ([0, 7], 7, 0), ([0, 0], 0, 100)] {
            let before = spent_and_reserved(&world).0;
            let words = reserve(&client).await.meter(stream::iter(items), cost);
            let settling = words.settling();
            assert_eq!(
                words.collect::<Vec<_>>().await,
                items,
                "they pass through all the same"
            );
            let error = settling.await.unwrap_err();
            assert!(
                matches!(error, Error::InvalidCommit(InvalidCommit::NotCounted { .. })),
                "{error:?}"
            );
            assert_eq!(spent_and_reserved(&world), (before + charged, held));
        }
    });
}

#[test]
fn an_item_whose_cost_cannot_be_told_is_not_given_back() {
    for (items, charged, held) in [(vec![7, 0], 7, 0), (vec![0], 0, 100)] {
        let world = Virtual::default();
        let client = world.client(|config| config);
        world.block_on(async {
            let cost = |tokens: &i64| {
                assert!(*tokens > 0, "on purpose");
                Amount::tokens(*tokens)
            };
            let words = reserve(&client).await.meter(stream::iter(items), cost);
            let settling = words.settling();
            let panicked = AssertUnwindSafe(words.count()).catch_unwind().await;
            panicked.unwrap_err();
            let error = settling.await.unwrap_err();
            assert!(
                matches!(error, Error::InvalidCommit(InvalidCommit::NotTold)),
                "{error:?}"
            );
            assert_eq!(spent_and_reserved(&world), (charged, held));
        });
    }
}

#[test]
fn what_a_price_table_estimates_is_never_exceeded_by_what_is_charged() {
    let table = PriceTable::new("test").with_model(
        "m",
        Prices::new(Usd::cents(15), Usd::cents(60)).with(Part::CachedInput, Usd::cents(7)),
    );
    for take in 1..=3 {
        let world = Virtual::default();
        let client = world.client(|config| config);
        world.block_on(async {
            let estimate = table.estimate("m", &Bounds::tokens(1_000, 100)).unwrap();
            let request = ReservationCreateRequest::builder()
                .subject(Subject::tenant(DEFAULT_TENANT))
                .action(Action::new("llm.completion", "m"))
                .estimate(estimate.clone())
                .build();
            let guard = client.reserve(request).await.unwrap();
            let usages =
                [(1_000, 0, 40), (1_000, 0, 80), (1_000, 600, 100)].map(|(input, cached, output)| {
                    Usage::tokens(input, output).of_which(Part::CachedInput, cached)
                });
            let cost = |usage: &Usage| {
                let cost = table.cost("m", usage).unwrap();
                Reading::total(cost).with_metrics(usage.metrics())
            };
            let usages_so_far = guard.meter(stream::iter(usages.clone()), cost);
            let settling = usages_so_far.settling();
            usages_so_far.take(take).for_each(async |_| ()).await;
            assert!(
                settling
                    .await
                    .unwrap()
                    .is_some_and(|receipt| receipt.is_settled())
            );
            let expected = table.cost("m", &usages[take - 1]).unwrap();
            assert!(expected.amount <= estimate.amount);
            let budget =
                world.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::UsdMicrocents).unwrap());
            assert_eq!((budget.spent, budget.reserved), (expected.amount, 0));
        });
    }
}
