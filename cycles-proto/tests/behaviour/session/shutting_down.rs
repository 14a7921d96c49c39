//! The end of a session in steps: what runs is waited for or asked to stop, then everything is settled.

use std::time::Duration;

use cycles_proto::models::Amount;
use cycles_proto::session::{Close, Key, ReservationKey};
use cycles_proto::{Error, Flushed};

use super::desk::{Desk, Fate, config, is_of, request};

const SECOND: Duration = Duration::from_secs(1);

impl Desk {
    fn shut_down(&mut self, how: Close, time: Duration) {
        self.session.shut_down(self.now(), how, self.mono + time);
        self.settle();
    }

    #[track_caller]
    fn left_at_end(&mut self) -> Flushed {
        self.settle();
        self.session.left_at_end().expect("it is over")
    }

    fn spend(&mut self, key: ReservationKey, tokens: i64) {
        self.session.spent(key, &Amount::tokens(tokens)).unwrap();
    }

    fn releases(&self) -> usize {
        self.sent.iter().filter(|sent| sent.ends_with("/release")).count()
    }
}

#[test]
fn a_session_with_nothing_to_do_is_over_at_once() {
    for how in [Close::WhenDone, Close::Leaving, Close::WritingOnly] {
        let mut desk = Desk::new();
        desk.shut_down(how, 60 * SECOND);
        let left = desk.left_at_end();
        assert_eq!(left.is_complete(), how != Close::WritingOnly, "{how:?} {left:?}");
        assert_eq!(desk.session.closed(), Some(how));
        assert!(desk.session.is_idle());
    }
}

#[test]
fn nothing_new_is_started_from_the_first_moment() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.shut_down(Close::WhenDone, 60 * SECOND);
    assert!(desk.session.left_at_end().is_none(), "an action runs");
    let (caller, seed) = (desk.caller.clone(), desk.seed());
    let refused = desk
        .session
        .reserve(desk.now(), &caller, request(), seed)
        .unwrap_err();
    assert!(matches!(refused, Error::Closed), "{refused}");
    assert!(!refused.is_retryable() && !refused.outcome_is_unknown());
    let operation = cycles_proto::Operation::health(&config(), seed).unwrap();
    let refused = desk.session.call(desk.now(), &caller, operation).unwrap_err();
    assert!(matches!(refused, Error::Closed), "{refused}");
    desk.commit(key, 5);
    assert!(desk.left_at_end().is_complete());
}

#[test]
fn actions_that_run_are_kept_alive_and_waited_for_and_their_costs_are_settled() {
    let mut desk = Desk::new();
    let (first, second) = (desk.held(), desk.held());
    desk.shut_down(Close::WhenDone, 600 * SECOND);
    desk.pass_ms(120_000);
    assert!(!desk.session.lease_is_lost(desk.now(), first));
    assert!(!desk.session.is_stopping());
    desk.commit(first, 5);
    desk.settle();
    assert!(desk.session.left_at_end().is_none());
    desk.commit(second, 6);
    assert!(desk.left_at_end().is_complete());
    assert_eq!(desk.charged(), [Some(5), Some(6)]);
    assert_eq!(desk.session.closed(), Some(Close::WhenDone));
}

#[test]
fn a_reservation_that_was_asked_for_before_is_granted_and_its_action_waited_for() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let key = desk.reserve();
    desk.settle();
    desk.shut_down(Close::WhenDone, 60 * SECOND);
    desk.calls = |_| Fate::Done;
    let call = desk.open.remove(0);
    desk.answer(call);
    desk.settle();
    assert!(desk.session.granted(key).unwrap().is_ok());
    assert!(desk.session.left_at_end().is_none());
    desk.commit(key, 5);
    assert!(desk.left_at_end().is_complete());
}

#[test]
fn costs_of_earlier_runs_and_costs_that_were_given_up_are_settled_on_the_way() {
    let mut next = Desk::after_one_that_left_a_cost();
    next.calls = |_| Fate::Done;
    next.shut_down(Close::WhenDone, 60 * SECOND);
    assert!(next.left_at_end().is_complete());
    assert_eq!(next.charged(), [Some(5)]);
    assert!(next.claims.is_empty(), "others may have the journal now");
}

#[test]
fn when_the_time_is_up_reported_spending_is_on_disk_and_other_actions_keep_their_budget() {
    let mut desk = Desk::new();
    let (spent, unspent) = (desk.held(), desk.held());
    desk.spend(spent, 7);
    desk.calls = |call| match is_of(call, "/commit") {
        true => Fate::Fails,
        false => Fate::Done,
    };
    desk.shut_down(Close::WhenDone, 10 * SECOND);
    desk.pass(10 * SECOND);
    let left = desk.left_at_end();
    assert_eq!((left.running, left.ending), (2, 1), "{left:?}");
    assert!(!left.is_complete());
    assert_eq!((desk.journal.len(), desk.releases()), (1, 0));
    // The action ends after all: its cost is not lost.
    desk.calls = |_| Fate::Done;
    assert!(!desk.session.lease_is_lost(desk.now(), unspent));
    desk.commit(unspent, 6);
    desk.pass(60 * SECOND);
    assert_eq!(desk.charged(), [Some(7), Some(6)]);
    assert!(desk.session.is_idle());
    assert_eq!(desk.left_at_end(), left, "what was told stays");
}

#[test]
fn actions_are_asked_to_stop_and_have_until_the_end_of_the_time_to_report_what_they_spent() {
    let mut desk = Desk::new();
    let (stops, spends, ignores) = (desk.held(), desk.held(), desk.held());
    while desk.session.pop_changed().is_some() {}
    desk.session
        .shut_down(desk.now(), Close::Leaving, desk.mono + 10 * SECOND);
    assert!(desk.session.is_stopping());
    let woken: Vec<_> = core::iter::from_fn(|| desk.session.pop_changed()).collect();
    for key in [stops, spends, ignores] {
        assert!(woken.contains(&Key::Stop(key)), "{woken:?}");
    }
    desk.pass(SECOND);
    assert_eq!(desk.releases(), 0, "it is theirs to end");
    desk.session.abandon(desk.now(), stops);
    desk.spend(spends, 7);
    desk.session.abandon(desk.now(), spends);
    desk.settle();
    assert_eq!((desk.releases(), desk.charged()), (1, vec![None, Some(7), None]));
    assert!(desk.session.left_at_end().is_none());
    desk.pass(9 * SECOND);
    let left = desk.left_at_end();
    assert_eq!((left.running, desk.releases()), (1, 2), "{left:?}");
    assert!(desk.session.is_idle());
}

#[test]
fn who_waits_for_a_grant_when_actions_are_asked_to_stop_is_told_that_the_client_is_closed() {
    for begins in [true, false] {
        let mut desk = Desk::new();
        desk.calls = |_| Fate::Held;
        let key = desk.reserve();
        desk.settle();
        if begins {
            let ticket = desk.open[0].ticket;
            desk.session.begun(desk.now(), ticket);
        }
        desk.shut_down(Close::Leaving, 60 * SECOND);
        assert!(matches!(desk.refusal(key), Some(Error::Closed)));
        // If the request may have got through, the grant is given back before the end.
        assert_eq!(desk.session.left_at_end().is_none(), begins);
        desk.calls = |_| Fate::Done;
        for call in core::mem::take(&mut desk.open) {
            desk.answer(call);
        }
        assert!(desk.left_at_end().is_complete());
        assert_eq!(desk.releases(), usize::from(begins));
    }
}

#[test]
fn who_only_writes_sends_nothing_and_has_every_cost_on_disk() {
    let mut desk = Desk::new();
    let (before, after, spent) = (desk.held(), desk.held(), desk.held());
    desk.calls = |_| Fate::Held;
    desk.commit(before, 5);
    desk.settle();
    desk.spend(spent, 7);
    let sent = desk.sent.len();
    desk.shut_down(Close::WritingOnly, 10 * SECOND);
    assert!(desk.session.is_stopping());
    desk.commit(after, 6);
    desk.pass(10 * SECOND);
    let left = desk.left_at_end();
    assert_eq!((desk.journal.len(), desk.sent.len()), (3, sent));
    assert_eq!((left.running, left.ending + left.recorded), (1, 3), "{left:?}");
}

#[test]
fn a_disk_that_hangs_holds_up_the_end_for_a_second_at_most() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.spend(key, 7);
    desk.stores = Fate::Held;
    desk.shut_down(Close::WhenDone, 10 * SECOND);
    desk.pass(10 * SECOND);
    assert!(
        desk.session.left_at_end().is_none(),
        "the record is being written"
    );
    desk.pass(SECOND);
    assert_eq!(desk.left_at_end().ending, 1);

    let mut desk = Desk::new();
    let key = desk.held();
    desk.spend(key, 7);
    desk.stores = Fate::Held;
    desk.shut_down(Close::WhenDone, 10 * SECOND);
    desk.pass(10 * SECOND);
    desk.stores = Fate::Done;
    for (ticket, principal, write) in core::mem::take(&mut desk.open_stores) {
        desk.store(ticket, principal, write);
    }
    assert_eq!(desk.left_at_end().running, 1);
}

#[test]
fn a_second_close_can_be_stricter_and_sooner_but_not_milder_or_later() {
    let mut desk = Desk::new();
    let _running = desk.held();
    desk.shut_down(Close::Leaving, 100 * SECOND);
    desk.shut_down(Close::WhenDone, 200 * SECOND);
    assert!(desk.session.is_stopping());
    desk.pass(50 * SECOND);
    desk.shut_down(Close::WhenDone, 10 * SECOND);
    desk.pass(10 * SECOND - Duration::from_millis(1));
    assert!(desk.session.left_at_end().is_none());
    desk.pass_ms(1);
    assert_eq!(desk.left_at_end().running, 1);
    assert_eq!(desk.session.closed(), Some(Close::Leaving));
}

#[test]
fn what_a_mild_close_left_running_can_be_stopped_by_a_stricter_one() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.shut_down(Close::WhenDone, SECOND);
    desk.pass(SECOND);
    let left = desk.left_at_end();
    assert_eq!(left.running, 1);
    desk.shut_down(Close::WhenDone, SECOND);
    assert_eq!(desk.left_at_end(), left, "the same again changes nothing");
    desk.shut_down(Close::Leaving, SECOND);
    assert!(desk.session.left_at_end().is_none());
    desk.session.abandon(desk.now(), key);
    assert_eq!(desk.left_at_end().running, 0);
    assert_eq!(desk.releases(), 1);
}

#[test]
fn all_principals_are_closed_and_flushed_together() {
    let mut desk = Desk::new();
    let other = config().for_principal(
        super::desk::OTHER_KEY,
        cycles_proto::models::Subject::tenant("globex"),
    );
    let other = desk.session.caller(other.unwrap().into()).unwrap();
    let key = desk.reserve_as(&other, request());
    desk.settle();
    desk.shut_down(Close::WhenDone, 60 * SECOND);
    let seed = desk.seed();
    let refused = desk.session.reserve(desk.now(), &other, request(), seed);
    assert!(matches!(refused, Err(Error::Closed)));
    assert!(desk.session.left_at_end().is_none());
    desk.scans = Fate::Held;
    desk.commit(key, 5);
    desk.settle();
    assert!(desk.session.left_at_end().is_none(), "its journal is read first");
    let scans = core::mem::take(&mut desk.open_scans);
    assert_eq!(scans.len(), 2, "both journals");
    for (ticket, principal) in scans {
        desk.scan(ticket, principal);
    }
    assert!(desk.left_at_end().is_complete());
}

#[test]
fn a_shut_down_without_a_journal_ends_too() {
    let config = cycles_proto::CyclesConfig::builder(super::desk::KEY, "http://localhost:7878");
    let config = config.tenant("acme-corp").journal_enabled(false).build().unwrap();
    let mut desk = Desk::with(config.into());
    let key = desk.held();
    desk.shut_down(Close::WhenDone, 60 * SECOND);
    desk.commit(key, 5);
    assert!(desk.left_at_end().is_complete());
    assert_eq!(desk.charged(), [Some(5)]);
}

#[test]
fn a_flush_after_the_end_says_what_the_end_said() {
    for how in [Close::WhenDone, Close::Leaving, Close::WritingOnly] {
        let mut desk = Desk::new();
        let key = desk.held();
        desk.commit(key, 5);
        desk.settle();
        desk.shut_down(how, 10 * SECOND);
        let at_end = desk.left_at_end();
        let flush = desk.flush(10 * SECOND);
        desk.settle();
        let left = desk.session.flushed(flush).unwrap();
        assert_eq!(left, at_end, "{how:?}");
        assert_eq!(left.is_complete(), how != Close::WritingOnly, "{left:?}");
    }
}
