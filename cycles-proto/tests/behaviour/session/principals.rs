//! Several keys and tenants on one session.

use std::sync::Arc;

use cycles_proto::config::ConfigError;
use cycles_proto::models::Subject;
use cycles_proto::session::{Caller, ObserverId, Session};
use cycles_proto::{CyclesConfig, Error, Seed};

use super::desk::{Desk, Fate, OTHER_KEY, config, is_of, request};

fn globex(desk: &mut Desk) -> Caller {
    let config = config()
        .for_principal(OTHER_KEY, Subject::tenant("globex"))
        .unwrap();
    desk.session.caller(Arc::new(config)).unwrap()
}

#[test]
fn each_principal_spends_its_own_budget_and_records_in_its_own_journal() {
    let mut desk = Desk::new();
    let (acme, globex) = (desk.caller.clone(), globex(&mut desk));
    assert_ne!(acme.principal(), globex.principal());
    desk.stores = Fate::Held;
    let mut principals = Vec::new();
    for caller in [&acme, &globex] {
        let key = desk.reserve_as(caller, request());
        desk.settle();
        desk.commit(key, 5);
        loop {
            match desk.session.poll(desk.now()) {
                cycles_proto::session::Step::Store(ticket, principal, write) => {
                    principals.push(principal);
                    desk.store(ticket, principal, write);
                }
                cycles_proto::session::Step::Send(call) => desk.answer(call),
                cycles_proto::session::Step::Wait(_) => break,
                _ => {}
            }
        }
    }
    let (a, g) = (acme.principal(), globex.principal());
    assert_eq!(principals, [a, a, g, g]);
    for tenant in ["acme-corp", "globex"] {
        let budget = desk
            .ledger
            .budget(&format!("tenant:{tenant}"), cycles_sandbox::Unit::Tokens);
        assert_eq!(budget.unwrap().spent, 5, "{tenant}");
    }
}

#[test]
fn the_same_key_and_tenant_are_one_principal_whatever_else_the_configuration_says() {
    let mut desk = Desk::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let again = desk
        .session
        .caller(Arc::new(config().with_trace_parent(parent)))
        .unwrap();
    assert_eq!(again.principal(), desk.caller.principal());
}

#[test]
fn a_flush_waits_for_its_own_principal_alone() {
    let mut desk = Desk::new();
    let (acme, globex) = (desk.caller.clone(), globex(&mut desk));
    let of_globex = desk.reserve_as(&globex, request());
    desk.settle();
    desk.calls = |call| match is_of(call, "/commit") {
        true => Fate::Held,
        false => Fate::Done,
    };
    desk.commit(of_globex, 5);
    desk.settle();
    let until = desk.mono + std::time::Duration::from_secs(5);
    let (mine, theirs) = (
        desk.session.flush(desk.now(), &acme, until, false),
        desk.session.flush(desk.now(), &globex, until, false),
    );
    desk.settle();
    assert!(desk.session.flushed(mine).unwrap().is_complete());
    assert!(desk.session.flushed(theirs).is_none());
    let call = desk.open.remove(0);
    desk.answer(call);
    desk.settle();
    assert!(desk.session.flushed(theirs).unwrap().is_complete());
}

#[test]
fn each_caller_has_its_own_observer_and_trace() {
    let mut desk = Desk::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let seven = desk
        .caller
        .clone()
        .with_observer(ObserverId(7))
        .with_trace_parent(parent);
    desk.calls = |_| Fate::Held;
    desk.reserve_as(&seven, request());
    desk.reserve();
    desk.settle();
    let traced = desk
        .open
        .iter()
        .map(|call| call.request.headers().contains_key("traceparent"));
    assert_eq!(traced.collect::<Vec<_>>(), [true, false]);
    for call in core::mem::take(&mut desk.open) {
        desk.answer(call);
    }
    desk.settle();
    let observers: Vec<_> = desk.events.iter().map(|(observer, _)| observer.0).collect();
    assert_eq!(observers, [7, 0]);
}

#[test]
fn what_earlier_runs_left_is_settled_in_a_trace_of_its_own_for_each_principal() {
    let mut desk = Desk::new();
    let callers = [desk.caller.clone(), globex(&mut desk)];
    let keys = callers.clone().map(|caller| desk.reserve_as(&caller, request()));
    desk.settle();
    desk.calls = |_| Fate::Fails;
    for key in keys {
        desk.commit(key, 5);
    }
    desk.pass_ms(100);
    let mut next = Desk::new();
    (next.journal, next.ledger) = (desk.journal, desk.ledger);
    next.mono = desk.mono + std::time::Duration::from_secs(1);
    next.calls = |_| Fate::Held;
    for caller in [next.caller.clone(), globex(&mut next)] {
        next.session.flush(next.now(), &caller, next.mono, false);
    }
    next.settle();
    let traces: Vec<_> = next
        .open
        .iter()
        .map(|call| &call.request.headers()["x-cycles-trace-id"])
        .collect();
    assert!(traces.len() == 2 && traces[0] != traces[1], "{traces:?}");
}

#[test]
fn an_observer_may_be_told_of_something_for_as_long_as_something_is_asked_in_its_name() {
    let mut desk = Desk::new();
    let of = |id| ObserverId(id);
    let named = |desk: &Desk| -> std::collections::BTreeSet<_> { desk.session.observers().collect() };
    desk.caller = desk.caller.clone().with_observer(of(7));
    let held = desk.held();
    desk.caller = desk.caller.clone().with_observer(of(8));
    desk.calls = |_| Fate::Held;
    let call = desk.health();
    desk.settle();
    assert_eq!(named(&desk), [of(7), of(8)].into());
    desk.session.forget_call(desk.now(), call.id());
    desk.calls = |_| Fate::Done;
    desk.session.forget(desk.now(), held);
    desk.settle();
    assert_eq!(named(&desk), [].into());
}

#[test]
fn a_caller_of_a_session_for_another_server_is_refused() {
    let mut desk = Desk::new();
    let elsewhere = CyclesConfig::builder("cyc_live_0123456789", "http://elsewhere.example");
    let elsewhere = Arc::new(elsewhere.tenant("acme-corp").build().unwrap());
    let stranger = Session::new(Arc::clone(&elsewhere), Seed([2; 16]))
        .caller(elsewhere)
        .unwrap();
    let seed = desk.seed();
    let refused = desk.session.reserve(desk.now(), &stranger, request(), seed);
    assert!(
        matches!(refused, Err(Error::Config(ConfigError::OtherServer))),
        "{refused:?}"
    );
}

#[test]
fn principals_take_turns_where_both_have_more_calls_than_there_are_places() {
    let mut desk = Desk::new();
    let (acme, globex) = (desk.caller.clone(), globex(&mut desk));
    desk.session.set_places(4);
    desk.calls = |_| Fate::Held;
    for _ in 0..100 {
        desk.reserve_as(&acme, request());
    }
    for _ in 0..3 {
        desk.reserve_as(&globex, request());
    }
    desk.settle();
    let mut order = Vec::new();
    while !desk.open.is_empty() && order.len() < 10 {
        let call = desk.open.remove(0);
        order.push(call.request.headers()["x-cycles-api-key"] == OTHER_KEY);
        desk.answer(call);
        desk.settle();
    }
    // Three had a place before anybody waited; one of four is kept for leases.
    let (t, f) = (true, false);
    assert_eq!(order, [f, f, f, f, t, f, t, f, t, f]);
}
