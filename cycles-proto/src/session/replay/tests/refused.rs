//! Answers that many records get alike: a refused key, foreign pages, and pauses.

use super::*;

fn refusal(status: u16, code: &str) -> Outcome {
    Outcome::Settled(Receipt::Pending {
        error: Some(Box::new(refused(status, code))),
        is_recorded: true,
    })
}

fn busy(seconds: u64) -> Outcome {
    answered(429, Some(seconds), "")
}

/// The outcome of a record that is left after this answer.
fn answered(status: u16, pause: Option<u64>, body: &'static str) -> Outcome {
    let mut response = http::Response::builder().status(status);
    if let Some(seconds) = pause {
        response = response.header("retry-after", seconds);
    }
    let response = response.body(body.into()).unwrap();
    let kind = OperationKind::CommitReservation;
    let error = Error::of(context(), verdict::<CommitResponse>(kind, &response), false).unwrap_err();
    Outcome::Settled(Receipt::Pending {
        error: Some(Box::new(error)),
        is_recorded: true,
    })
}

/// Settles the records that are started, in order, until there are no more. Returns how many were started.
fn pass(replayer: &mut Replayer, now: Now, mut outcome: impl FnMut(usize) -> Outcome) -> usize {
    let mut started = VecDeque::new();
    let mut count = 0;
    loop {
        while let Replay::Settle(id, _) = replayer.poll(now) {
            started.push_back(id);
        }
        let Some(id) = started.pop_front() else {
            return count;
        };
        replayer.handle_ended(now, &id, Some(&outcome(count)));
        count += 1;
    }
}

fn many() -> Vec<JournalRecord> {
    (0..3_000).map(|number| record(&format!("r-{number}"))).collect()
}

#[test]
fn where_the_key_is_refused_a_few_records_tell_and_the_others_wait_for_the_next_scan() {
    for (status, code) in [
        (401, "UNAUTHORIZED"),
        (403, "FORBIDDEN"),
        (403, "INSUFFICIENT_PERMISSIONS"),
        (401, ""),
    ] {
        let mut replayer = replayer();
        for scans in 0..3_u64 {
            let now = at(scans * 10_000);
            replayer.wake(now);
            scan(&mut replayer, now, many());
            let asked = pass(&mut replayer, now, |_| refusal(status, code));
            assert_eq!(
                asked,
                AT_A_TIME + 2,
                "{status} {code}: three, and those under way"
            );
            assert_eq!(replayer.unsettled(), 3_000);
            assert!(replayer.is_complete(now), "and that is all that is known");
            assert!(next_scan(&mut replayer, now) >= Duration::from_secs(15));
        }
        // With another key, all are settled.
        let now = at(1_000_000);
        replayer.wake(now);
        scan(&mut replayer, now, many());
        assert_eq!(pass(&mut replayer, now, |_| settled()), 3_000);
        assert_eq!(replayer.unsettled(), 0);
    }
}

#[test]
fn a_refusal_now_and_then_or_a_server_that_is_in_trouble_stops_nothing() {
    let outage = || {
        let body = r#"{"error":"UNAUTHORIZED","message":"INTERNAL_ERROR","request_id":"q"}"#;
        answered(401, None, body)
    };
    type Server<'a> = (&'a str, Box<dyn Fn(usize) -> Outcome>);
    let servers: [Server<'_>; 6] = [
        (
            "now and then",
            Box::new(|number| match number % 3 {
                2 => settled(),
                _ => refusal(403, "FORBIDDEN"),
            }),
        ),
        ("an outage", Box::new(move |_| outage())),
        ("frozen", Box::new(|_| refusal(409, "BUDGET_FROZEN"))),
        ("broken", Box::new(|_| refusal(500, "INTERNAL_ERROR"))),
        ("denies", Box::new(|_| refusal(409, "ACTION_KIND_DENIED"))),
        (
            "each another page",
            Box::new(|number| answered([404, 502][number % 2], None, "<html>")),
        ),
    ];
    for (what, server) in servers {
        let mut replayer = replayer();
        scan(&mut replayer, at(0), many());
        assert_eq!(pass(&mut replayer, at(0), server), 3_000, "{what}");
    }
}

#[test]
fn a_few_answers_that_say_nothing_of_the_records_stop_the_pass_and_the_next_begins_with_the_others() {
    let page = "<html><h1>default backend</h1>";
    type Server<'a> = (&'a str, Box<dyn Fn() -> Outcome>);
    let servers: [Server<'_>; 7] = [
        ("404 of an ingress", Box::new(move || answered(404, None, page))),
        ("503 of an ingress", Box::new(move || answered(503, None, page))),
        ("200 of a portal", Box::new(move || answered(200, None, page))),
        ("nothing at all", Box::new(|| answered(405, None, ""))),
        ("409 unknown", Box::new(|| refusal(409, "NEW_CODE"))),
        ("429 without a pause", Box::new(|| answered(429, None, ""))),
        ("400 LIMIT_EXCEEDED", Box::new(|| refusal(400, "LIMIT_EXCEEDED"))),
    ];
    for (what, server) in servers {
        let mut replayer = replayer();
        scan(&mut replayer, at(0), many());
        let asked = pass(&mut replayer, at(0), |_| server());
        assert_eq!((asked, replayer.unsettled()), (AT_A_TIME + 2, 3_000), "{what}");
        assert!(replayer.is_complete(at(0)), "{what}");
        // The records that may be the cause do not hold up the others.
        replayer.wake(at(1));
        scan(&mut replayer, at(1), many());
        assert_eq!(started(&mut replayer, at(1))[0], "r-10", "{what}");
    }
}

#[test]
fn a_pause_belongs_to_the_key_and_holds_up_every_record_until_it_is_over() {
    for (pause_s, waited_s) in [(2, 2), (12, 12), (3_600, 30)] {
        let mut replayer = replayer();
        scan(&mut replayer, at(0), many());
        let asked = pass(&mut replayer, at(0), |_| busy(pause_s));
        assert_eq!((asked, replayer.unsettled()), (AT_A_TIME, 3_000));
        let next = next_scan(&mut replayer, at(0));
        assert!(next <= Duration::from_secs(waited_s), "{pause_s}: {next:?}");
        let over = Duration::from_secs(pause_s);
        let before = over - Duration::from_secs(1);
        assert!(replayer.is_quiet(at(0), before), "{pause_s}");
        assert!(!replayer.is_quiet(at(0), over), "who flushes waits for it");
        // Neither a scan nor a caller ends the pause.
        let early = at(pause_s - 1);
        replayer.wake(early);
        scan(&mut replayer, early, many());
        assert_eq!(pass(&mut replayer, early, |_| settled()), 0, "{pause_s}");
        assert_eq!(next_scan(&mut replayer, early), Duration::from_secs(1));
        let now = at(pause_s);
        scan(&mut replayer, now, many());
        assert_eq!(pass(&mut replayer, now, |_| settled()), 3_000, "{pause_s}");
    }
}

#[test]
fn what_was_sent_since_a_scan_was_asked_for_is_not_sent_by_it_once_more() {
    let mut replayer = replayer();
    let ticket = asks_to_scan(&mut replayer, at(0));
    // A flush that starts the replayer requests a scan while the first one is under way.
    replayer.wake(at(0));
    replayer.handle_scanned(at(0), ticket, many());
    let frozen = |_| refusal(409, "BUDGET_FROZEN");
    let mut sent = VecDeque::new();
    loop {
        match replayer.poll(at(0)) {
            Replay::Settle(id, _) => sent.push_back(id),
            Replay::Scan { ticket, .. } => {
                let new = [record("new")];
                replayer.handle_scanned(at(0), ticket, many().into_iter().chain(new));
            }
            Replay::Wait(_) => match sent.pop_front() {
                Some(id) => _ = replayer.handle_ended(at(0), &id, Some(&frozen(0))),
                None => break,
            },
        }
    }
    let asked = replayer.started;
    assert_eq!((asked, replayer.unsettled()), (3_001, 3_001), "each once");
    // A scan that is requested after that sends them again.
    replayer.wake(at(1));
    scan(&mut replayer, at(1), many());
    assert_eq!(pass(&mut replayer, at(1), frozen), 3_000);
}

#[test]
fn a_pass_that_has_stopped_is_not_begun_anew_by_a_scan_that_was_asked_for_before() {
    let mut replayer = replayer();
    let ticket = asks_to_scan(&mut replayer, at(0));
    replayer.wake(at(0));
    replayer.handle_scanned(at(0), ticket, many());
    let sent: Vec<_> = std::iter::from_fn(|| match replayer.poll(at(0)) {
        Replay::Settle(id, _) => Some(id),
        Replay::Scan { .. } | Replay::Wait(_) => None,
    })
    .collect();
    for id in sent {
        replayer.handle_ended(at(0), &id, Some(&refusal(403, "FORBIDDEN")));
    }
    scan(&mut replayer, at(0), many());
    assert_eq!(started(&mut replayer, at(0)), [""; 0]);
    assert_eq!(replayer.unsettled(), 3_000);
    replayer.wake(at(1));
    scan(&mut replayer, at(1), many());
    assert_eq!(started(&mut replayer, at(1)).len(), AT_A_TIME);
}

#[test]
fn a_flush_looks_again_at_what_was_left_to_others_and_not_while_records_are_settled() {
    let mut replayer = replayer();
    let ticket = asks_to_scan(&mut replayer, at(0));
    replayer.handle_claimed(at(0), ticket, [record("a")]);
    assert!(replayer.look_again(at(3)), "another process may have settled it");
    scan(&mut replayer, at(3), [record("a")]);
    assert!(!replayer.look_again(at(3)), "it is about to be settled");
    started(&mut replayer, at(3));
    assert!(!replayer.look_again(at(3)), "it is being settled");
    replayer.handle_ended(at(4), &id("a"), Some(&Outcome::Settled(pending())));
    assert!(!replayer.look_again(at(4)), "what is left is known");
}
