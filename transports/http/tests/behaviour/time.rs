//! When an attempt is given up: at its deadline, whatever the server does.

use std::time::Duration;

use cycles_http::Reactor as _;
use cycles_proto::FailureKind;
use futures::future::join_all;

use crate::network::{CALL, CONNECT, Net, OK, SERVER, call, call_of, call_within, kind, settle};
use cycles_host::HttpOptions;

/// A timer may fire a millisecond late.
fn is_about(took: Duration, expected: Duration) -> bool {
    (expected..=expected + Duration::from_millis(2)).contains(&took)
}

in_virtual_time! {
    async fn a_silent_server_times_out_at_the_very_time(net: Net) {
        net.serve(SERVER, |mut peer| async move { peer.closed().await });
        let client = net.client();
        for timeout in [1, 20, 7_000, 20_000, 3_600_000] {
            let (began, timeout) = (net.now(), Duration::from_millis(timeout));
            assert_eq!(kind(client.clone().exchange(call_within(timeout)).await), FailureKind::Timeout);
            let took = net.now() - began;
            assert!(is_about(took, timeout), "{took:?} of {timeout:?}");
            settle().await;
            let (made, closed) = net.connections();
            assert_eq!(made, closed, "{timeout:?}");
        }
    }
}

in_virtual_time! {
    async fn bytes_that_drip_put_no_limit_off(net: Net) {
        for head in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            net.serve(SERVER, move |mut peer| async move {
                peer.request().await;
                peer.answer(if head.is_empty() { "HTTP/1.1 200 OK\r\nx: " } else { head }).await;
                loop {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    peer.answer("x").await;
                }
            });
            let began = net.now();
            assert_eq!(kind(net.client().exchange(call()).await), FailureKind::Timeout, "{head}");
            let took = net.now() - began;
            assert!(is_about(took, CALL), "{took:?}: {head}");
        }
    }
}

in_virtual_time! {
    async fn each_exchange_of_a_connection_has_its_own_time(net: Net) {
        net.serve(SERVER, |mut peer| async move {
            while let Some(_request) = peer.request().await {
                tokio::time::sleep(Duration::from_secs(2)).await;
                peer.answer(OK).await;
            }
        });
        let client = net.client();
        let within = |seconds| client.clone().exchange(call_within(Duration::from_secs(seconds)));
        // The first one's deadline passes while the third is in progress.
        for seconds in [5, 9, 4, 3600, 3] {
            within(seconds).await.unwrap();
        }
        assert_eq!(net.connections(), (1, 0));
        let began = net.now();
        assert_eq!(kind(within(1).await), FailureKind::Timeout);
        assert!(is_about(net.now() - began, Duration::from_secs(1)));
        assert_eq!(net.connections().0, 1);
    }
}

in_virtual_time! {
    async fn many_at_once_end_each_at_its_time(net: Net) {
        net.serve(SERVER, |mut peer| async move { peer.closed().await });
        let client = net.client();
        join_all((1..100).map(|number| {
            let (client, net) = (client.clone(), net.clone());
            async move {
                let (began, timeout) = (net.now(), Duration::from_millis(number * 37));
                assert_eq!(kind(client.clone().exchange(call_within(timeout)).await), FailureKind::Timeout);
                let took = net.now() - began;
                assert!(is_about(took, timeout), "{took:?} of {timeout:?}");
            }
        }))
        .await;
    }
}

in_virtual_time! {
    async fn connecting_has_a_shorter_limit_of_its_own_within_that_of_the_call(net: Net) {
        net.silence(SERVER);
        let client = net.client();
        for timeout in [CALL, Duration::from_secs(1), Duration::MAX] {
            let began = net.now();
            assert_eq!(kind(client.clone().exchange(call_within(timeout)).await), FailureKind::ConnectTimeout);
            let took = net.now() - began;
            assert!(is_about(took, timeout.min(CONNECT)), "{took:?} of {timeout:?}");
            settle().await;
        assert_eq!(net.connecting(), 0);
        }
    }
}

in_virtual_time! {
    async fn connecting_may_take_nearly_all_of_its_time_in_a_runtime_that_runs(net: Net) {
        net.answering(SERVER, OK);
        net.slow_down(SERVER, CONNECT - Duration::from_millis(50));
        net.client().exchange(call()).await.unwrap();
        assert_eq!(net.connections().0, 1);
    }
}

in_virtual_time! {
    async fn an_address_that_does_not_answer_leaves_time_for_the_next(net: Net) {
        let url = "http://cycles.example:7878";
        net.name("cycles.example", &["192.0.2.9", "2001:db8::9", "192.0.2.1", "192.0.2.8"]);
        net.silence("192.0.2.9:7878");
        net.answering(SERVER, OK);
        let client = net.client_of(url, HttpOptions::new().no_proxy());
        let began = net.now();
        client.clone().exchange(call_of(url)).await.unwrap();
        // The first had a quarter of the time, and the second refused.
        let took = net.now() - began;
        assert!(is_about(took, CONNECT / 4), "{took:?}");
    }
}

in_virtual_time! {
    async fn where_no_address_answers_the_failure_is_that_of_the_last(net: Net) {
        let url = "http://cycles.example:7878";
        net.silence("192.0.2.9:7878");
        let client = net.client_of(url, HttpOptions::new().no_proxy());
        for (addresses, expected) in [
            (["192.0.2.9", "192.0.2.7"], FailureKind::Connect),
            (["192.0.2.7", "192.0.2.9"], FailureKind::ConnectTimeout),
        ] {
            net.name("cycles.example", &addresses);
            let began = net.now();
            assert_eq!(kind(client.clone().exchange(call_of(url)).await), expected);
            assert!(net.now() - began <= CONNECT + Duration::from_millis(2));
        }
    }
}

in_virtual_time! {
    async fn a_call_whose_time_is_over_before_it_began_is_not_sent(net: Net) {
        net.silence(SERVER);
        let answer = net.client().exchange(call_within(Duration::ZERO)).await;
        assert_eq!(kind(answer), FailureKind::ConnectTimeout);
        assert!(net.requests().is_empty());
    }
}

in_virtual_time! {
    async fn a_call_whose_time_is_over_is_not_sent_over_a_kept_connection_either(net: Net) {
        net.serve(SERVER, |mut peer| async move {
            while let Some(_request) = peer.request().await {
                peer.answer(OK).await;
            }
        });
        let client = net.client();
        client.clone().exchange(call()).await.unwrap();
        let answer = client.clone().exchange(call_within(Duration::ZERO)).await;
        assert_eq!(kind(answer), FailureKind::ConnectTimeout);
        assert_eq!(net.requests().len(), 1);
    }
}
