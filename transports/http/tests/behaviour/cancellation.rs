//! Attempts that are dropped, at any point.

use std::time::Duration;

use futures::poll;

use crate::network::{CONNECT, Net, OK, SERVER, call, settle};

in_virtual_time! {
    async fn an_exchange_that_is_dropped_closes_its_connection_and_disturbs_no_other(net: Net) {
        net.serve(SERVER, |mut peer| async move {
            while peer.request().await.is_some() {
                if peer.number == 2 {
                    peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{").await;
                    return peer.closed().await;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                peer.answer(OK).await;
            }
        });
        let client = net.client();
        let (mut slow, mut dropped) = (Box::pin(client.clone().exchange(call())), Box::pin(client.clone().exchange(call())));
        assert!(poll!(&mut slow).is_pending());
        settle().await;
        assert!(poll!(&mut dropped).is_pending());
        for polled in 0..3 {
            settle().await;
            assert!(poll!(&mut dropped).is_pending(), "{polled}");
        }
        drop(dropped);
        settle().await;
        assert_eq!(net.connections(), (2, 1));
        slow.await.unwrap();
        client.clone().exchange(call()).await.unwrap();
        assert_eq!(net.connections(), (2, 1));
    }
}

in_virtual_time! {
    async fn an_exchange_that_is_dropped_while_it_connects_leaves_nothing_behind(net: Net) {
        net.silence(SERVER);
        let client = net.client();
        let mut exchange = Box::pin(client.clone().exchange(call()));
        assert!(poll!(&mut exchange).is_pending());
        settle().await;
        assert_eq!(net.connecting(), 1);
        drop(exchange);
        settle().await;
        assert_eq!((net.connecting(), net.connections()), (0, (0, 0)));
        // The maintenance task notices that there are no connections.
        tokio::time::sleep(CONNECT * 2).await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    }
}

in_virtual_time! {
    async fn an_exchange_that_is_not_polled_sends_nothing(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        client.clone().exchange(call()).await.unwrap();
        drop(client.clone().exchange(call()));
        settle().await;
        assert_eq!((net.requests().len(), net.connections()), (1, (1, 0)));
    }
}

in_virtual_time! {
    async fn an_exchange_that_is_dropped_after_any_number_of_polls_leaves_a_client_that_works(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        for polls in 0..12 {
            let mut exchange = Box::pin(client.clone().exchange(call()));
            for _ in 0..polls {
                if poll!(&mut exchange).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(exchange);
            client.clone().exchange(call()).await.unwrap();
        }
        tokio::time::sleep(CONNECT).await;
        let (made, closed) = net.connections();
        assert_eq!(made - closed, 1, "{made} were made");
    }
}
