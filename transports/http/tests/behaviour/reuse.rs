//! Which connections are used again, and which are not.

use std::sync::{Arc, Mutex};

use cycles_proto::{Call, FailureKind};
use futures::future::join_all;
use futures::join;

use crate::network::{Net, OK, SERVER, call, fresh, kind, settle};

in_virtual_time! {
    async fn a_connection_whose_answer_was_read_to_the_end_is_used_again(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        for _ in 0..10 {
            let answer = client.clone().exchange(call()).await.unwrap();
            assert_eq!((answer.status().as_u16(), &**answer.body()), (200, &b"{}"[..]));
        }
        assert_eq!((net.requests().len(), net.connections()), (10, (1, 0)));
    }
}

in_virtual_time! {
    async fn an_answer_that_comes_in_pieces_is_one(net: Net) {
        net.serve(SERVER, |mut peer| async move {
            while peer.request().await.is_some() {
                for piece in ["HTTP/1.1 200 OK\r\ntransfer-encod", "ing: chunked\r\n\r\n1", "\r\n{\r\n1\r\n", "}\r\n0\r\n\r\n"] {
                    peer.answer(piece).await;
                    settle().await;
                }
            }
        });
        let client = net.client();
        for _ in 0..3 {
            assert_eq!(client.clone().exchange(call()).await.unwrap().body(), "{}");
        }
        assert_eq!(net.connections(), (1, 0));
    }
}

in_virtual_time! {
    async fn calls_at_once_have_connections_of_their_own_which_are_all_kept(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        for _ in 0..3 {
            for answer in join_all((0..64).map(|_| client.clone().exchange(call()))).await {
                answer.unwrap();
            }
        }
        assert_eq!(net.connections(), (64, 0));
    }
}

in_virtual_time! {
    async fn a_connection_that_the_answer_ends_is_not_used_again(net: Net) {
        for end in [
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        ] {
            let before = net.connections().0;
            net.answering(SERVER, end);
            let client = net.client();
            for _ in 0..3 {
                assert_eq!(client.clone().exchange(call()).await.unwrap().body(), "{}");
            }
            settle().await;
            assert_eq!(net.connections().0, before + 3, "{end}");
        }
    }
}

in_virtual_time! {
    async fn a_connection_whose_answer_was_not_read_to_the_end_is_closed(net: Net) {
        for head in ["content-length: 3000", "transfer-encoding: chunked"] {
            net.serve(SERVER, move |mut peer| async move {
                while peer.request().await.is_some() {
                    peer.answer(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n")).await;
                    if head.starts_with("transfer") {
                        peer.answer("bb8\r\n").await;
                    }
                    peer.answer([b' '; 3000]).await;
                    if head.starts_with("transfer") {
                        peer.answer("\r\n0\r\n\r\n").await;
                    }
                }
            });
            let (made, closed) = net.connections();
            let client = net.client();
            let small = || Call { max_response: 2999, ..call() };
            assert_eq!(kind(client.clone().exchange(small()).await), FailureKind::TooLarge, "{head}");
            assert_eq!(client.clone().exchange(call()).await.unwrap().body().len(), 3000, "{head}");
            settle().await;
            assert_eq!(net.connections(), (made + 2, closed + 1), "{head}");
            drop(client);
            settle().await;
            assert_eq!(net.connections(), (made + 2, closed + 2), "{head}");
        }
    }
}

in_virtual_time! {
    async fn a_connection_that_was_closed_while_it_waited_costs_no_call_and_no_second_request(net: Net) {
        let peers = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&peers);
        net.serve(SERVER, move |mut peer| {
            let peers = Arc::clone(&kept);
            async move {
                peer.request().await;
                peer.answer(OK).await;
                peers.lock().unwrap().push(peer);
            }
        });
        let client = net.client();
        for answer in join_all((0..3).map(|_| client.clone().exchange(call()))).await {
            answer.unwrap();
        }
        for expected in 4..7 {
            settle().await;
            // No task has looked at them when the next call is made.
            peers.lock().unwrap().clear();
            client.clone().exchange(call()).await.unwrap();
            assert_eq!((net.requests().len(), net.connections().0), (expected, expected));
        }
    }
}

in_virtual_time! {
    async fn a_request_that_may_have_been_written_is_not_written_again(net: Net) {
        net.serve(SERVER, |mut peer| async move {
            peer.request().await;
            peer.answer(OK).await;
            peer.request().await;
        });
        let client = net.client();
        client.clone().exchange(call()).await.unwrap();
        assert_eq!(kind(client.clone().exchange(call()).await), FailureKind::Lost);
        assert_eq!((net.requests().len(), net.connections().0), (2, 1));
    }
}

in_virtual_time! {
    async fn what_a_server_says_unasked_ends_a_connection(net: Net) {
        net.serve(SERVER, |mut peer| async move {
            while peer.request().await.is_some() {
                peer.answer(OK).await;
                settle().await;
                peer.answer(OK).await;
            }
        });
        let client = net.client();
        for expected in 1..4 {
            client.clone().exchange(call()).await.unwrap();
            settle().await;
            assert_eq!((net.requests().len(), net.connections().0), (expected, expected));
        }
    }
}

in_virtual_time! {
    async fn a_fresh_call_makes_a_connection_and_closes_those_that_wait(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        for answer in join_all((0..3).map(|_| client.clone().exchange(call()))).await {
            answer.unwrap();
        }
        client.clone().exchange(fresh()).await.unwrap();
        settle().await;
        assert_eq!(net.connections(), (4, 3));
        client.clone().exchange(call()).await.unwrap();
        assert_eq!(net.connections(), (4, 3), "it is kept like any other");
    }
}

in_virtual_time! {
    async fn an_answer_that_is_too_large_casts_no_doubt_on_those_that_wait(net: Net) {
        net.answering(SERVER, OK);
        let client = net.client();
        let (one, two) = join!(client.clone().exchange(call()), client.clone().exchange(call()));
        assert!(one.is_ok() && two.is_ok());
        let small = Call { max_response: 1, ..call() };
        assert_eq!(kind(client.clone().exchange(small).await), FailureKind::TooLarge);
        settle().await;
        assert_eq!(net.connections(), (2, 1));
        client.clone().exchange(call()).await.unwrap();
        assert_eq!(net.connections(), (2, 1));
    }
}
