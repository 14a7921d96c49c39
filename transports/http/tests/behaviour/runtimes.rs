//! Connections belong to the runtime that opened them, and end with it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cycles_proto::{Call, FailureKind, Urgency};
use tokio::runtime::{Builder, Runtime};

use crate::network::{Net, OK, SERVER, call, call_within, fresh, kind, settle};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn poll_outside<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_connection_is_not_used_in_another_runtime() {
    let net = Net::new();
    net.answering(SERVER, OK);
    let client = net.client();
    let (first, second) = (runtime(), runtime());
    for _ in 0..3 {
        first.block_on(client.clone().exchange(call())).unwrap();
        second.block_on(client.clone().exchange(call())).unwrap();
    }
    assert_eq!((net.requests().len(), net.connections()), (6, (2, 0)));
}

#[test]
fn a_fresh_call_closes_what_waits_in_every_runtime() {
    let net = Net::new();
    net.answering(SERVER, OK);
    let client = net.client();
    let (first, second) = (runtime(), runtime());
    first.block_on(client.clone().exchange(call())).unwrap();
    second.block_on(client.clone().exchange(call())).unwrap();
    second.block_on(client.clone().exchange(fresh())).unwrap();
    first.block_on(client.clone().exchange(call())).unwrap();
    first.block_on(settle());
    second.block_on(settle());
    assert_eq!(net.connections(), (4, 2));
}

#[test]
fn a_client_outlives_many_runtimes_and_keeps_the_pools_of_four() {
    let net = Net::new();
    net.answering(SERVER, OK);
    let client = net.client();
    for _ in 0..10 {
        runtime().block_on(client.clone().exchange(call())).unwrap();
    }
    let runtimes: Vec<_> = (0..5).map(|_| runtime()).collect();
    let before = net.connections().0;
    for runtime in runtimes[..4].iter().chain(&runtimes[..4]) {
        runtime.block_on(client.clone().exchange(call())).unwrap();
    }
    assert_eq!(net.connections().0, before + 4);
    runtimes[4].block_on(client.clone().exchange(call())).unwrap();
    // The one that was used longest ago.
    runtimes[0].block_on(client.clone().exchange(call())).unwrap();
    assert_eq!(net.connections().0, before + 6);
    runtimes[3].block_on(client.clone().exchange(call())).unwrap();
    assert_eq!(net.connections().0, before + 6);
}

#[test]
fn outside_of_any_runtime_nothing_is_sent() {
    let net = Net::new();
    net.answering(SERVER, OK);
    let client = net.client();
    let answer = poll_outside(&mut Box::pin(client.clone().exchange(call())));
    let Poll::Ready(answer) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(kind(answer), FailureKind::NotMade);
    assert_eq!(net.connections(), (0, 0));
}

#[test]
fn an_exchange_outlives_its_runtime_with_a_failure_and_no_panic() {
    for polls in 0..8 {
        let net = Net::new();
        net.serve(SERVER, |mut peer| async move {
            peer.request().await;
            peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{").await;
            peer.closed().await;
        });
        let client = net.client();
        let mut exchange = Box::pin(client.clone().exchange(call()));
        let first = runtime();
        first.block_on(async {
            for _ in 0..polls {
                assert!(futures::poll!(&mut exchange).is_pending());
                tokio::task::yield_now().await;
            }
        });
        drop(first);
        // Here, and in a runtime of its own.
        let failed = match poll_outside(&mut exchange) {
            Poll::Ready(answer) => kind(answer),
            Poll::Pending => panic!("nobody will wake it after {polls} polls"),
        };
        assert!(
            failed.may_have_been_sent() || net.requests().is_empty(),
            "{failed:?} after {polls} polls"
        );
        let second = runtime();
        second.block_on(async {
            settle().await;
            let _ = futures::poll!(Box::pin(client.clone().exchange(call())));
        });
    }
}

#[test]
fn an_exchange_goes_on_wherever_it_is_polled_while_its_runtime_runs() {
    let net = Net::new();
    net.answering(SERVER, OK);
    let client = net.client();
    let runs = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let mut exchange = Box::pin(client.clone().exchange(call()));
    runs.block_on(async { assert!(futures::poll!(&mut exchange).is_pending()) });
    futures::executor::block_on(exchange).unwrap();
    assert_eq!(net.requests().len(), 1);
}

/// A network with a runtime of our own, which always runs, and a server that answers.
fn with_own() -> (Runtime, Net) {
    let mut builder = Builder::new_multi_thread();
    let own = builder.worker_threads(1).enable_time().build().unwrap();
    let net = Net::with_own(own.handle());
    net.answering(SERVER, OK);
    (own, net)
}

/// Starts a call in a runtime that does not run any more, and waits for the response elsewhere.
fn made_elsewhere(net: &Net, call: Call, meanwhile: impl FnOnce(Runtime)) {
    let users = runtime();
    let mut exchange = Box::pin(net.client().exchange(call));
    users.block_on(async { assert!(futures::poll!(&mut exchange).is_pending()) });
    meanwhile(users);
    futures::executor::block_on(exchange).unwrap();
}

#[test]
fn what_a_users_runtime_does_not_begin_within_a_second_is_made_on_our_own() {
    let (_own, net) = with_own();
    let mut blocked = None;
    made_elsewhere(&net, call(), |users| blocked = Some(users));
    assert_eq!(net.requests().len(), 1);
    // The runtime gets to it in the end, and there is nothing left to do.
    blocked.unwrap().block_on(settle());
    assert_eq!(net.requests().len(), 1);
}

#[test]
fn a_kept_connection_of_a_runtime_that_was_blocked_meanwhile_ends() {
    let (_own, net) = with_own();
    let (client, users) = (net.client(), runtime());
    users.block_on(async {
        client.clone().exchange(call()).await.unwrap();
        settle().await;
    });
    for made in 2..4 {
        // It starts in that runtime, which then stops running.
        let mut exchange = Box::pin(client.clone().exchange(call()));
        let answer = match users.block_on(async { futures::poll!(&mut exchange) }) {
            Poll::Ready(answer) => answer,
            Poll::Pending => futures::executor::block_on(exchange),
        };
        answer.unwrap();
        assert_eq!(
            net.requests().len(),
            made,
            "the second is not left to that runtime at all"
        );
    }
    assert_eq!(net.connections(), (2, 0));
    // The runtime runs again, and is used again.
    users.block_on(settle());
    assert_eq!(net.connections(), (2, 1));
    users.block_on(async {
        client.clone().exchange(call()).await.unwrap();
        settle().await;
    });
    assert_eq!(net.connections(), (3, 1));
    drop(client);
    users.block_on(settle());
    while net.connections().1 < 3 {
        std::thread::yield_now();
    }
}

#[test]
fn what_a_users_runtime_that_ends_did_not_begin_is_made_on_our_own() {
    let (_own, net) = with_own();
    made_elsewhere(&net, call_within(Duration::MAX), drop);
    assert_eq!(net.requests().len(), 1);
}

#[test]
fn a_lease_depends_on_no_runtime_of_a_user() {
    let (_own, net) = with_own();
    let extension = Call {
        urgency: Urgency::Lease(Duration::ZERO),
        ..call()
    };
    let mut blocked = None;
    made_elsewhere(&net, extension, |users| blocked = Some(users));
    assert_eq!(net.requests().len(), 1);
}

#[test]
fn a_call_in_a_runtime_without_io_is_made_on_our_own() {
    let (_own, net) = with_own();
    net.take_io();
    let users = runtime();
    users.block_on(net.client().exchange(call())).unwrap();
    assert_eq!(net.requests().len(), 1);
}
