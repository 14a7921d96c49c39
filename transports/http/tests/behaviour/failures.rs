//! Each failure is distinguished, and says whether anything may have been sent.

use cycles_host::HttpOptions;
use cycles_proto::FailureKind;

use crate::network::{Net, SERVER, call, call_of, kind};

in_virtual_time! {
    async fn a_refused_connection_or_a_name_without_an_address_was_never_sent(net: Net) {
        net.name("nowhere.example", &[]);
        for (url, expected) in [
            ("http://192.0.2.1:7878", FailureKind::Connect),
            ("http://[2001:db8::1]:7878", FailureKind::Connect),
            ("http://unknown.example", FailureKind::Dns),
            ("http://nowhere.example", FailureKind::Dns),
        ] {
            let client = net.client_of(url, HttpOptions::new().no_proxy());
            let failed = kind(client.clone().exchange(call_of(url)).await);
            assert_eq!((failed, failed.may_have_been_sent()), (expected, false), "{url}");
        }
    }
}

in_virtual_time! {
    async fn what_happens_after_a_request_was_written_is_lost_or_too_large(net: Net) {
        let many: String = (0..150).map(|number| format!("x-{number}: 1\r\n")).collect();
        let long = format!("x-large: {}\r\n", "x".repeat(1 << 20));
        for (answer, expected) in [
            (String::new(), FailureKind::Lost),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), FailureKind::Lost),
            ("HTTP/1.1 200 OK\r\ncontent-le".to_owned(), FailureKind::Lost),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".to_owned(), FailureKind::Lost),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n".to_owned(), FailureKind::Lost),
            (format!("HTTP/1.1 200 OK\r\n{many}\r\n"), FailureKind::TooLarge),
            (format!("HTTP/1.1 200 OK\r\n{long}\r\n"), FailureKind::TooLarge),
        ] {
            net.serve(SERVER, {
                let answer = answer.clone();
                move |mut peer| {
                    let answer = answer.clone();
                    async move {
                        peer.request().await;
                        peer.answer(answer).await;
                    }
                }
            });
            let failed = kind(net.client().exchange(call()).await);
            let what = answer.get(..answer.len().min(60));
            assert_eq!((failed, failed.may_have_been_sent()), (expected, true), "{what:?}");
        }
    }
}

in_virtual_time! {
    async fn a_body_without_a_length_ends_with_its_connection(net: Net) {
        net.serve(SERVER, |mut peer| async move {
            peer.request().await;
            peer.answer("HTTP/1.1 200 OK\r\n\r\n{}").await;
        });
        let client = net.client();
        for _ in 0..2 {
            assert_eq!(client.clone().exchange(call()).await.unwrap().body(), "{}");
        }
        assert_eq!(net.connections().0, 2);
    }
}
