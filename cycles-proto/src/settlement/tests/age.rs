//! Costs that are so old that the server may have forgotten them.

use super::*;

#[test]
fn an_event_that_the_server_may_have_forgotten_is_not_sent_unless_it_is_forced() {
    let event = || record().into_event().unwrap();
    let mut desk = Desk::resumed(event(), 6 * DAY_MS + 1, false);
    desk.run([]);
    assert_eq!(desk.log(), ["set aside stale", "told Stale"]);
    assert!(matches!(desk.outcome(), Receipt::Stale));
    let mut desk = Desk::resumed(event(), 6 * DAY_MS, false);
    assert_eq!(
        desk.run([answer(201, APPLIED)]).log(),
        ["POST events", "remove", "settled late"]
    );
    let mut desk = Desk::resumed(event(), 60 * DAY_MS, true);
    assert_eq!(
        desk.run([answer(201, APPLIED)]).log(),
        ["POST events", "remove", "settled late"]
    );
    let from_the_future = |by_ms| {
        let now = Now {
            mono: Duration::ZERO,
            wall: UnixMillis(WALL - by_ms),
        };
        Desk::of(Settlement::resume(config(), event(), SEED, now, false))
    };
    assert_eq!(
        from_the_future(DAY_MS + 1).run([]).log(),
        ["set aside stale", "told Stale"]
    );
    let mut desk = from_the_future(DAY_MS);
    assert_eq!(
        desk.run([answer(201, APPLIED)]).log(),
        ["POST events", "remove", "settled late"]
    );
}

#[test]
fn the_event_for_an_old_commit_is_not_sent_because_another_process_may_have_charged_it() {
    let old = |force| {
        let mut desk = Desk::resumed(record(), 0, force);
        // The record as it looks a week later.
        desk.wall_ahead_ms = 7 * DAY_MS;
        desk
    };
    let mut desk = old(false);
    desk.run([refusal(410, "RESERVATION_EXPIRED")]);
    assert_eq!(
        desk.log(),
        [
            "POST r/commit",
            "by event",
            "put event",
            "set aside stale",
            "told Stale"
        ]
    );
    assert!(matches!(desk.outcome(), Receipt::Stale));
    let mut desk = old(true);
    desk.run([refusal(410, "RESERVATION_EXPIRED"), answer(201, APPLIED)]);
    assert!(
        desk.log()
            .ends_with(&["remove".to_owned(), "settled late".to_owned()]),
        "forced"
    );
}

#[test]
fn an_event_that_grows_old_between_two_attempts_is_not_sent_again() {
    let mut desk = Desk::resumed(record().into_event().unwrap(), 0, false);
    desk.run([]);
    desk.wall_ahead_ms = 7 * DAY_MS;
    desk.run([]);
    assert_eq!(
        desk.log(),
        ["POST events", "failed, again", "set aside stale", "told Stale"]
    );
}

#[test]
fn an_old_commit_that_the_server_does_not_know_is_stale_and_not_lost() {
    let at = |age_ms| {
        let mut desk = Desk::resumed(record(), age_ms, false);
        let wall = UnixMillis(WALL + age_ms);
        let Step::Send(call) = desk.settlement.poll(Now {
            mono: Duration::ZERO,
            wall,
        }) else {
            panic!()
        };
        let response = refusal(404, "NOT_FOUND").unwrap();
        desk.settlement.handle_response(
            Now {
                mono: Duration::ZERO,
                wall,
            },
            call.ticket,
            &response,
        );
        desk.run([]).log().last().unwrap().clone()
    };
    assert_eq!(at(40 * DAY_MS), "told Stale");
    assert_eq!(at(0), "told Rejected");
}
