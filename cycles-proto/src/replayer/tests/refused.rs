//! What the server says to many records alike: a key that is refused, and pauses.

use super::*;

fn refusal(status: u16, code: &str) -> Outcome {
    Outcome::Settled(Receipt::Pending {
        error: Some(Box::new(refused(status, code))),
        is_recorded: true,
    })
}

fn busy(seconds: u64) -> Outcome {
    let response = http::Response::builder()
        .status(429)
        .header("retry-after", seconds);
    let response = response.body(bytes::Bytes::new()).unwrap();
    let kind = OperationKind::CommitReservation;
    let error = Error::of(context(), verdict::<CommitResponse>(kind, &response), false).unwrap_err();
    Outcome::Settled(Receipt::Pending {
        error: Some(Box::new(error)),
        is_recorded: true,
    })
}

/// Settles what is started, in order, until nothing is; how many were started in all.
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
        // With another key all are settled.
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
        let response = http::Response::builder().status(401).body(body.into()).unwrap();
        let kind = OperationKind::CommitReservation;
        let error = Error::of(context(), verdict::<CommitResponse>(kind, &response), false).unwrap_err();
        Outcome::Settled(Receipt::Pending {
            error: Some(Box::new(error)),
            is_recorded: true,
        })
    };
    type Server<'a> = (&'a str, Box<dyn Fn(usize) -> Outcome>);
    let servers: [Server<'_>; 5] = [
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
        ("busy", Box::new(|_| busy(3_600))),
    ];
    for (what, server) in servers {
        let mut replayer = replayer();
        scan(&mut replayer, at(0), many());
        assert_eq!(pass(&mut replayer, at(0), server), 3_000, "{what}");
    }
}

#[test]
fn a_pause_of_some_holds_up_no_others_and_is_waited_for() {
    for (pause_s, waited_s) in [(2, 2), (12, 12), (3_600, 30)] {
        let mut replayer = replayer();
        scan(&mut replayer, at(0), many());
        let asked = pass(&mut replayer, at(0), |number| match number {
            0..8 => busy(pause_s),
            _ => settled(),
        });
        assert_eq!((asked, replayer.unsettled()), (3_000, 8));
        let next = next_scan(&mut replayer, at(0));
        assert!(next <= Duration::from_secs(waited_s), "{pause_s}: {next:?}");
        let over = Duration::from_secs(pause_s);
        assert!(
            replayer.is_quiet(at(0), over - Duration::from_secs(1)),
            "{pause_s}"
        );
        assert!(!replayer.is_quiet(at(0), over), "who flushes waits for it");
    }
}
