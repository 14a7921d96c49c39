//! Connections belong to the runtime that made them. Where they are driven by tasks they end with it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cycles_proto::FailureKind;
use tokio::runtime::{Builder, Runtime};

use crate::network::{Net, OK, SERVER, call, kind, settle};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn poll_outside<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_connection_is_not_used_in_another_runtime() {
    let net = Net::<true>::new();
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
fn a_failure_in_one_runtime_closes_nothing_of_another() {
    let net = Net::<true>::new();
    net.serve(SERVER, |mut peer| async move {
        while peer.request().await.is_some() {
            if peer.number == 3 {
                return;
            }
            peer.answer(OK).await;
        }
    });
    let client = net.client();
    let (first, second) = (runtime(), runtime());
    first.block_on(client.clone().exchange(call())).unwrap();
    second.block_on(client.clone().exchange(call())).unwrap();
    let lost = Box::pin(client.clone().exchange(crate::network::fresh()));
    assert_eq!(kind(second.block_on(lost)), FailureKind::Lost);
    first.block_on(client.clone().exchange(call())).unwrap();
    assert_eq!(net.connections(), (3, 1));
}

#[test]
fn a_client_outlives_many_runtimes_and_keeps_the_pools_of_four() {
    let net = Net::<true>::new();
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
    let net = Net::<true>::new();
    net.answering(SERVER, OK);
    let client = net.client();
    let answer = poll_outside(&mut Box::pin(client.clone().exchange(call())));
    let Poll::Ready(answer) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(kind(answer), FailureKind::NoRuntime);
    assert_eq!(net.connections(), (0, 0));
}

#[test]
fn an_exchange_outlives_its_runtime_with_a_failure_and_no_panic() {
    for polls in 0..8 {
        let net = Net::<true>::new();
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
    let net = Net::<true>::new();
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
