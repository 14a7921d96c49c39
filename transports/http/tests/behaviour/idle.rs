//! How long idle connections are kept, and how many.

use std::time::Duration;

use cycles_http::Reactor as _;
use futures::future::join_all;

use crate::network::{CALL, Net, OK, SERVER, call, call_within, settle};

const IDLE: Duration = Duration::from_secs(15);

in_virtual_time! {
    async fn a_connection_waits_for_fifteen_seconds_and_is_closed_then(net: Net) {
        for timeout in [Duration::from_millis(1), CALL, Duration::from_secs(3600)] {
            net.answering(SERVER, OK);
            let client = net.client();
            let (made, closed) = net.connections();
            client.clone().exchange(call_within(timeout)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(9)).await;
            client.clone().exchange(call_within(timeout)).await.unwrap();
            tokio::time::sleep(IDLE - Duration::from_millis(2)).await;
            settle().await;
            assert_eq!(net.connections(), (made + 1, closed), "{timeout:?}");
            tokio::time::sleep(Duration::from_millis(4)).await;
            settle().await;
            assert_eq!(net.connections(), (made + 1, closed + 1), "{timeout:?}");
            client.clone().exchange(call()).await.unwrap();
            assert_eq!(net.connections(), (made + 2, closed + 1), "{timeout:?}");
            drop(client);
            settle().await;
        }
    }
}

in_virtual_time! {
    async fn the_time_that_the_machine_slept_counts(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        client.clone().exchange(call()).await.unwrap();
        net.sleep_machine(IDLE);
        client.clone().exchange(call()).await.unwrap();
        settle().await;
        assert_eq!(net.connections(), (2, 1));
    }
}

in_virtual_time! {
    async fn at_most_64_wait(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        for answer in join_all((0..70).map(|_| client.clone().exchange(call()))).await {
            answer.unwrap();
        }
        settle().await;
        assert_eq!(net.connections(), (70, 6));
    }
}

in_virtual_time! {
    async fn those_that_wait_are_closed_with_the_last_clone_of_the_client(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        let clone = client.clone();
        client.clone().exchange(call()).await.unwrap();
        drop(client);
        clone.clone().exchange(call()).await.unwrap();
        settle().await;
        assert_eq!(net.connections(), (1, 0));
        drop(clone);
        settle().await;
        assert_eq!(net.connections(), (1, 1));
    }
}

in_virtual_time! {
    async fn a_client_that_nobody_uses_wakes_nobody(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        client.clone().exchange(call()).await.unwrap();
        let before = net.now();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(net.now() - before, Duration::from_secs(3600));
        // The tasks of the server and the connection have ended.
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    }
}

in_virtual_time! {
    async fn a_connection_whose_answer_took_its_time_is_closed_as_any_other(net: Net) {
        net.serve(SERVER, |mut peer| async move {
            while peer.request().await.is_some() {
                tokio::time::sleep(Duration::from_secs(5)).await;
                peer.answer(OK).await;
            }
        });
        net.client().exchange(call()).await.unwrap();
        let client = net.client();
        client.clone().exchange(call()).await.unwrap();
        tokio::time::sleep(IDLE * 2).await;
        settle().await;
        assert_eq!(net.connections(), (2, 2));
        drop(client);
    }
}
