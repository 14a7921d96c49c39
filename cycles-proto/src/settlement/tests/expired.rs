//! Costs whose reservation has ended, or may have.

use super::*;

#[test]
fn an_expired_reservation_is_settled_by_an_event_under_the_same_key() {
    let mut desk = Desk::new();
    desk.run([
        answer(503, ""),
        refusal(410, "RESERVATION_EXPIRED"),
        answer(503, ""),
        answer(201, APPLIED),
    ]);
    assert_eq!(
        desk.log(),
        [
            "put commit",
            "POST r/commit",
            "failed, again",
            "POST r/commit",
            "by event",
            "put event",
            "POST events",
            "failed, again",
            "POST events",
            "remove",
            "settled late"
        ]
    );
    assert!(matches!(desk.outcome(), Receipt::RecoveredViaEvent(_)));
    let body: serde_json::Value = serde_json::from_slice(&desk.bodies[2]).unwrap();
    assert_eq!(body["metadata"]["recovered_reservation_id"], "r-1");
    assert_eq!(
        body["metadata"]["recovery_reason"],
        "commit_after_reservation_expired"
    );
    assert_eq!(
        (&body["subject"]["tenant"], &body["actual"]["amount"]),
        (&"acme".into(), &5.into())
    );
    assert!(desk.keys.iter().all(|key| key == "key-1"));
    assert_eq!(desk.bodies[2], desk.bodies[3]);
}

#[test]
fn a_bare_410_is_looked_into_even_if_no_commit_was_open_because_the_reservation_may_not_be_over() {
    for first in [None, Some(Err(FailureKind::Connect))] {
        let mut desk = Desk::new();
        let answers = [answer(410, "<html>"), detail("ACTIVE"), answer(200, COMMITTED)];
        desk.run(first.into_iter().chain(answers));
        let log = desk.log();
        assert_eq!(
            log[log.len() - 5..],
            [
                "GET r",
                "failed, again",
                "POST r/commit",
                "remove",
                "settled late"
            ]
        );
        assert!(!log.contains(&"by event".to_owned()), "{log:?}");
    }
    let mut desk = Desk::new();
    desk.run([
        answer(410, ""),
        refusal(410, "RESERVATION_EXPIRED"),
        answer(201, APPLIED),
    ]);
    assert_eq!(
        desk.log()[2..],
        [
            "GET r",
            "by event",
            "put event",
            "POST events",
            "remove",
            "settled late"
        ]
    );
}

#[test]
fn after_an_open_commit_a_bare_410_is_looked_into_first() {
    let doubtful = || [Err(FailureKind::Lost), answer(410, "<html>")];
    let after = |answers: &[fn() -> Answered]| {
        let mut desk = Desk::new();
        desk.run(
            doubtful()
                .into_iter()
                .chain(answers.iter().map(|answer| answer())),
        );
        assert_eq!(desk.log()[4], "GET r");
        (desk.log()[5..].to_vec(), desk)
    };
    let (log, desk) = after(&[|| detail("COMMITTED"), || answer(200, COMMITTED)]);
    assert_eq!(log, ["failed, again", "POST r/commit", "remove", "settled late"]);
    assert!(matches!(desk.outcome(), Receipt::Committed(done) if done.response.is_some()));
    let (log, _) = after(&[|| refusal(410, "RESERVATION_EXPIRED"), || answer(201, APPLIED)]);
    assert_eq!(
        log,
        ["by event", "put event", "POST events", "remove", "settled late"]
    );
    let (log, _) = after(&[|| detail("ACTIVE"), || answer(200, COMMITTED)]);
    assert_eq!(log, ["failed, again", "POST r/commit", "remove", "settled late"]);
    let (log, _) = after(&[|| detail("RELEASED"), || refusal(409, "RESERVATION_FINALIZED")]);
    assert_eq!(log, ["failed, again", "POST r/commit", "GET r"]);
    let (log, _) = after(&[|| answer(502, ""), || answer(200, COMMITTED)]);
    assert_eq!(log, ["failed, again", "POST r/commit", "remove", "settled late"]);
    let (log, desk) = after(&[|| answer(401, "")]);
    assert_eq!(log, ["failed"]);
    assert!(matches!(desk.outcome(), Receipt::Pending { .. }));
}

#[test]
fn a_reservation_that_is_found_expired_is_settled_by_an_event() {
    let mut desk = Desk::new();
    desk.run([answer(410, "<html>"), detail("EXPIRED"), answer(201, APPLIED)]);
    assert_eq!(
        desk.log()[2..],
        [
            "GET r",
            "by event",
            "put event",
            "POST events",
            "remove",
            "settled late"
        ]
    );
}
