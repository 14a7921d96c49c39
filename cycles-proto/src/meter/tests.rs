use core::time::Duration;

use super::*;
use crate::time::UnixMillis;

fn at(secs: u64) -> Now {
    Now {
        mono: Duration::from_secs(secs),
        wall: UnixMillis(0),
    }
}

fn meter() -> Meter {
    Meter::new(Amount::tokens(500), at(10))
}

fn committed(settle: Settle) -> CommitRequest {
    match settle {
        Settle::Commit(request) => request,
        Settle::Release(reason) => panic!("released: {reason:?}"),
    }
}

fn is_partial(request: &CommitRequest) -> bool {
    let metadata = request.metadata.as_ref();
    metadata.and_then(|metadata| metadata.get::<String>("actual_source")) == Some("partial".into())
}

#[test]
fn items_add_up_and_the_end_is_the_whole_cost() {
    let mut meter = meter();
    assert_eq!(meter.read(Amount::tokens(3).into()), Some(Amount::tokens(3)));
    assert_eq!(meter.read(None::<Amount>.into()), None);
    assert_eq!(meter.read(Amount::tokens(4).into()), Some(Amount::tokens(7)));
    let request = committed(meter.end(End::Finished, at(12)));
    assert_eq!(request.actual, Amount::tokens(7));
    assert!(!is_partial(&request));
    assert_eq!(request.metrics.unwrap().latency_ms, Some(2_000));
}

#[test]
fn a_total_replaces_what_was_counted_be_it_more_or_less() {
    for total in [5, 50] {
        let mut meter = meter();
        let _ = meter.read(Amount::tokens(9).into());
        assert_eq!(
            meter.read(Reading::total(Amount::tokens(total))),
            Some(Amount::tokens(total))
        );
        let _ = meter.read(Amount::tokens(1).into());
        for end in [End::Finished, End::Dropped, End::Failed] {
            let request = committed(meter.clone().end(end, at(10)));
            assert_eq!(request.actual, Amount::tokens(total + 1));
            assert_eq!(is_partial(&request), end != End::Finished);
        }
    }
}

fn source(request: &CommitRequest) -> Option<String> {
    request.metadata.as_ref()?.get("actual_source")
}

#[test]
fn a_total_of_nothing_takes_nothing_back() {
    let mut meter = Meter::new(Amount::usd_microcents(500), at(10));
    meter.stop_at_tokens(9);
    for _ in 0..7 {
        let _ = meter.read(Reading::more(Amount::usd_microcents(1)).with_tokens(1));
    }
    let zeros = Reading::total(Amount::usd_microcents(0)).with_tokens(0);
    assert_eq!(meter.read(zeros.clone()), Some(Amount::usd_microcents(7)));
    for end in [End::Finished, End::Dropped, End::Failed] {
        let request = committed(meter.clone().end(end, at(10)));
        assert_eq!(request.actual, Amount::usd_microcents(7));
        assert_eq!(is_partial(&request), end != End::Finished);
    }
    // Later items count on from there, towards the limit too.
    let _ = meter.read(Reading::more(Amount::usd_microcents(1)).with_tokens(2));
    assert!(meter.is_full());
    assert_eq!(meter.consumed(), Amount::usd_microcents(8));
    let _ = meter.read(Reading::total(Amount::usd_microcents(3)).with_tokens(4));
    assert_eq!(meter.consumed(), Amount::usd_microcents(3));
    let _ = meter.read(zeros);
    assert_eq!(
        committed(meter.end(End::Finished, at(10))).actual,
        Amount::usd_microcents(3)
    );
}

#[test]
fn items_of_which_none_says_anything_cost_the_estimate() {
    let nothing = Reading::total(Amount::tokens(0));
    for items in [
        vec![Reading::nothing()],
        vec![
            Reading::nothing(),
            Reading::nothing().with_metrics(CyclesMetrics::default()),
        ],
        vec![nothing.clone()],
        vec![Reading::nothing(), nothing.clone().with_tokens(0)],
    ] {
        let mut meter = meter();
        for item in items {
            let _ = meter.read(item);
        }
        let request = committed(meter.clone().end(End::Finished, at(10)));
        assert_eq!(
            (&request.actual, source(&request).as_deref()),
            (&Amount::tokens(500), Some("estimate"))
        );
        // A total at the end is unknown if the stream did not get there.
        for end in [End::Dropped, End::Failed] {
            assert!(matches!(meter.clone().end(end, at(10)), Settle::Release(_)));
        }
        meter.raise_to(3);
        let request = committed(meter.end(End::Finished, at(10)));
        assert_eq!(
            (request.actual.clone(), source(&request)),
            (Amount::tokens(3), None),
            "somebody knows"
        );
    }
    // A cost of 0 can be reported, and items of a free model have tokens.
    for item in [Reading::more(Amount::tokens(0)), nothing.with_tokens(5)] {
        let mut meter = meter();
        let _ = meter.read(Reading::nothing());
        let _ = meter.read(item);
        let request = committed(meter.end(End::Finished, at(10)));
        assert_eq!(
            (request.actual.clone(), source(&request)),
            (Amount::tokens(0), None)
        );
    }
}

#[test]
fn tokens_without_a_price_cost_the_estimate() {
    let free = Amount::usd_microcents(0);
    let token = Reading::nothing().with_tokens(1);
    let in_dollars = || Meter::new(Amount::usd_microcents(500), at(10));
    for (meter, items) in [
        (in_dollars(), vec![token.clone(); 12]),
        (in_dollars(), vec![token.clone(), Reading::nothing()]),
        (in_dollars(), vec![token.clone(), Reading::total(free.clone())]),
        (
            in_dollars(),
            vec![token.clone(), Reading::total(free.clone()).with_tokens(0)],
        ),
        (
            in_dollars(),
            vec![token.clone().with_metrics(CyclesMetrics::default())],
        ),
        (meter(), vec![token.clone(); 2]),
    ] {
        let mut meter = meter;
        for item in &items {
            let _ = meter.read(item.clone());
        }
        assert!(matches!(
            meter.clone().end(End::Dropped, at(10)),
            Settle::Release(_)
        ));
        let request = committed(meter.end(End::Finished, at(10)));
        assert_eq!(
            (request.actual.amount, source(&request).as_deref()),
            (500, Some("estimate")),
            "{items:?}"
        );
    }
    // A price that is reported later counts.
    for (price, expected) in [
        (Reading::more(Amount::usd_microcents(7)), 7),
        (Reading::more(free.clone()), 0),
        (Reading::total(free).with_tokens(12), 0),
    ] {
        let mut meter = in_dollars();
        let _ = meter.read(token.clone());
        let _ = meter.read(price);
        let request = committed(meter.end(End::Finished, at(10)));
        assert_eq!((request.actual.amount, source(&request)), (expected, None));
    }
}

#[test]
fn a_stream_of_which_nothing_was_consumed_is_released_unless_it_ended_well() {
    let release = |end| match meter().end(end, at(10)) {
        Settle::Release(reason) => reason,
        Settle::Commit(request) => panic!("committed: {request:?}"),
    };
    assert_eq!(release(End::Dropped), ReleaseReason::ABANDONED);
    assert_eq!(release(End::Failed), ReleaseReason::ACTION_FAILED);
    let request = committed(meter().end(End::Finished, at(10)));
    assert_eq!(request.actual, Amount::tokens(0));
}

#[test]
fn what_cannot_be_counted_makes_the_rest_a_part_and_nothing_is_given_back_for_it() {
    let uncountable = [
        (Amount::usd_microcents(5), "the reservation is in TOKENS"),
        (Amount::usd_microcents(-5), "the reservation is in TOKENS"),
        (Amount::tokens(-1), "it is negative"),
        (Amount::tokens(i64::MAX), "it would raise the total above 2⁶³ − 1"),
    ];
    for (given, why) in uncountable {
        let mut meter = meter();
        let _ = meter.read(Amount::tokens(7).into());
        assert_eq!(meter.read(given.clone().into()), Some(given.clone()));
        assert!(
            matches!(meter.uncounted(), Some(InvalidCommit::NotCounted { given: told, .. }) if *told == given),
            "{meter:?}"
        );
        let sentence = meter.uncounted().unwrap().to_string();
        let expected = format!("cost {given}, which cannot be counted: {why}. The cost of the other");
        assert!(sentence.contains(&expected), "{sentence}");
        let request = committed(meter.end(End::Finished, at(10)));
        assert_eq!(request.actual, Amount::tokens(7));
        assert!(is_partial(&request));
    }
}

#[test]
fn a_limit_is_reached_by_the_item_that_reaches_it() {
    let mut meter = meter();
    meter.stop_at_tokens(10);
    let mut seen = Vec::new();
    for tokens in [4, 5, 3] {
        let _ = meter.read(Amount::tokens(tokens).into());
        seen.push(meter.is_full());
    }
    assert_eq!(seen, [false, false, true]);
    meter.stop_at_tokens(0);
    assert!(meter.is_full());
}

#[test]
fn a_limit_on_tokens_works_where_the_cost_is_money() {
    let mut meter = Meter::new(Amount::usd_microcents(500), at(10));
    meter.stop_at_tokens(10);
    let _ = meter.read(Amount::usd_microcents(1_000_000).into());
    assert!(!meter.is_full(), "money is no token");
    let _ = meter.read(Reading::more(Amount::usd_microcents(1)).with_tokens(6));
    assert!(!meter.is_full());
    let _ = meter.read(Reading::total(Amount::usd_microcents(2)).with_tokens(9));
    assert!(!meter.is_full(), "9 by now, and not 15");
    let _ = meter.read(Reading::nothing().with_tokens(1));
    assert!(meter.is_full());
    assert_eq!(meter.consumed(), Amount::usd_microcents(2));
}

#[test]
fn the_last_metrics_and_all_metadata_go_with_the_commit_of_a_part_too() {
    let mut meter = meter();
    meter.notes_mut().insert_metadata("request_id", "req-abc-123");
    let metrics = |tokens| CyclesMetrics {
        tokens_output: Some(tokens),
        latency_ms: Some(320),
        ..Default::default()
    };
    let _ = meter.read(Reading::more(Amount::tokens(1)).with_metrics(metrics(1)));
    let _ = meter.read(Reading::more(Amount::tokens(1)).with_metrics(metrics(2)));
    let request = committed(meter.end(End::Dropped, at(11)));
    assert_eq!(request.metrics, Some(metrics(2)));
    assert_eq!(
        request.metadata.unwrap().to_string(),
        r#"{"request_id":"req-abc-123","actual_source":"partial"}"#
    );
}

#[test]
fn an_item_that_panicked_while_it_was_asked_leaves_the_rest_a_part() {
    let mut meter = meter();
    assert_eq!(meter.ask(|| 3), 3);
    assert!(meter.uncounted().is_none());
    panic_in(&mut meter);
    assert_eq!(meter.uncounted(), Some(&InvalidCommit::NotTold));
    let _ = meter.read(Amount::tokens(4).into());
    let request = committed(meter.end(End::Finished, at(10)));
    assert_eq!(request.actual, Amount::tokens(4));
    assert!(is_partial(&request));
}

/// An item that panics when it is asked for its cost.
fn panic_in(meter: &mut Meter) {
    let panicked = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        meter.ask(|| panic!("while asked"))
    }));
    assert!(panicked.is_err());
}

/// An item with this reading.
fn say(meter: &mut Meter, reading: Reading) {
    let reading = meter.ask(|| reading);
    let _ = meter.read(reading);
}

#[test]
fn an_item_that_panicked_while_it_was_asked_stays_uncounted_unless_a_total_covers_it() {
    for after in [
        vec![],
        vec![Reading::more(Amount::tokens(3))],
        vec![Reading::nothing(), Reading::more(Amount::tokens(0))],
        vec![Reading::total(Amount::tokens(0)).with_tokens(9)],
        vec![Reading::total(Amount::usd_microcents(9))],
    ] {
        let mut meter = meter();
        say(&mut meter, Amount::tokens(4).into());
        panic_in(&mut meter);
        after.into_iter().for_each(|reading| say(&mut meter, reading));
        assert!(meter.uncounted().is_some());
        for end in [End::Finished, End::Failed, End::Dropped] {
            assert!(is_partial(&committed(meter.clone().end(end, at(10)))));
        }
    }
}

#[test]
fn a_total_covers_what_could_not_be_counted_before_it_and_nothing_after_it() {
    let uncounted: [fn(&mut Meter); 5] = [
        |meter| say(meter, Amount::usd_microcents(5).into()),
        |meter| say(meter, Amount::tokens(-5).into()),
        |meter| {
            say(meter, Amount::tokens(1).into());
            say(meter, Amount::tokens(i64::MAX).into());
        },
        |meter| say(meter, Reading::total(Amount::usd_microcents(5))),
        panic_in,
    ];
    for uncounted in uncounted {
        let mut before = meter();
        say(&mut before, Amount::tokens(4).into());
        uncounted(&mut before);
        assert!(before.uncounted().is_some());
        say(&mut before, Reading::total(Amount::tokens(500)));
        say(&mut before, Amount::tokens(1).into());
        assert_eq!(before.uncounted(), None);
        let mut after = before.clone();
        let request = committed(before.end(End::Finished, at(10)));
        assert_eq!((request.actual.amount, source(&request)), (501, None));

        uncounted(&mut after);
        assert!(after.uncounted().is_some());
        assert!(is_partial(&committed(after.end(End::Finished, at(10)))));
    }
}

#[test]
fn what_items_say_counts_before_what_goes_with_the_commit_anyway() {
    let notes = |model: &str, metadata: &str| {
        let mut notes = CommitNotes::default();
        notes.set_metrics(CyclesMetrics {
            model_version: Some(model.into()),
            ..CyclesMetrics::default()
        });
        notes.insert_metadata("from", metadata);
        notes
    };
    let mut metered = meter();
    *metered.notes_mut() = notes("of an item", "an item");
    metered.add_notes(notes("of the call", "the call"));
    let request = committed(metered.end(End::Finished, at(10)));
    assert_eq!(
        request.metrics.unwrap().model_version.as_deref(),
        Some("of an item")
    );
    assert_eq!(
        request.metadata.unwrap().get::<String>("from").as_deref(),
        Some("an item")
    );

    let mut metered = meter();
    metered.add_notes(notes("of the call", "the call"));
    let request = committed(metered.end(End::Finished, at(10)));
    assert_eq!(
        request.metrics.unwrap().model_version.as_deref(),
        Some("of the call")
    );
    assert_eq!(
        request.metadata.unwrap().get::<String>("from").as_deref(),
        Some("the call")
    );
}
