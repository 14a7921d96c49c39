//! The forms of requests: to a server, to a proxy that forwards them, and through a tunnel.

use cycles_host::HttpOptions;

use crate::network::{Net, OK, call_of};

const PROXY: &str = "192.0.2.3:3128";

fn through(user: &str) -> HttpOptions {
    HttpOptions::new().proxy(format!("http://{user}{PROXY}"), "")
}

in_virtual_time! {
    async fn a_server_sees_the_path_and_its_own_name(net: Net) {
        net.name("cycles.example", &["192.0.2.1"]);
        for (url, address, path, host) in [
            ("http://192.0.2.1:7878", "192.0.2.1:7878", "/v1/decide", "192.0.2.1:7878"),
            ("http://cycles.example", "192.0.2.1:80", "/v1/decide", "cycles.example"),
            ("http://cycles.example:80/ledger", "192.0.2.1:80", "/ledger/v1/decide", "cycles.example"),
            ("http://cycles.example:443", "192.0.2.1:443", "/v1/decide", "cycles.example:443"),
            ("http://[2001:db8::1]:7878", "[2001:db8::1]:7878", "/v1/decide", "[2001:db8::1]:7878"),
            ("http://[2001:db8::1]", "[2001:db8::1]:80", "/v1/decide", "[2001:db8::1]"),
        ] {
            net.answering(address, OK);
            let client = net.client_of(url, HttpOptions::new().no_proxy());
            client.clone().exchange(call_of(url)).await.unwrap();
            let request = net.requests().pop().unwrap();
            assert!(request.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{request}");
            assert!(request.contains(&format!("\r\nhost: {host}\r\n")), "{request}");
            assert!(!request.contains("proxy-authorization"), "{request}");
        }
    }
}

in_virtual_time! {
    async fn a_proxy_that_forwards_sees_the_whole_address_and_its_password(net: Net) {
        net.answering(PROXY, OK);
        for (url, user, host) in [
            ("http://cycles.example:7878/ledger", "user:secret@", "cycles.example:7878"),
            ("http://[2001:db8::1]:7878", "", "[2001:db8::1]:7878"),
        ] {
            let client = net.client_of(url, through(user));
            for _ in 0..2 {
                client.clone().exchange(call_of(url)).await.unwrap();
                let request = net.requests().pop().unwrap();
                assert!(request.starts_with(&format!("POST {url}/v1/decide HTTP/1.1\r\n")), "{request}");
                assert!(request.contains(&format!("\r\nhost: {host}\r\n")), "{request}");
                let is_authorized = request.contains("\r\nproxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n");
                assert_eq!(is_authorized, !user.is_empty(), "{request}");
            }
        }
        assert_eq!(net.connections().0, 2, "they are kept");
    }
}

in_virtual_time! {
    async fn a_proxy_out_of_reach_was_never_sent_to(net: Net) {
        let url = "http://cycles.example";
        let failure = net.client_of(url, through("")).exchange(call_of(url)).await.unwrap_err();
        assert_eq!(failure.kind(), cycles_proto::FailureKind::Proxy);
    }
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
in_virtual_time! {
    async fn a_proxy_is_asked_for_a_tunnel_and_sees_nothing_of_the_call(net: Net) {
        for (url, user, server) in [
            ("https://cycles.example", "user:secret@", "cycles.example:443"),
            ("https://[2001:db8::1]:7878", "", "[2001:db8::1]:7878"),
        ] {
            for answer in [
                "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 403 Forbidden\r\n\r\n",
                "HTTP/1.1 200 OK\r\n\r\nunasked",
                "nonsense\r\n\r\n",
                "",
            ] {
                net.serve(PROXY, move |mut peer| async move {
                    peer.request().await;
                    peer.answer(answer).await;
                });
                let client = net.client_of(url, through(user));
                let failure = client.clone().exchange(call_of(url)).await.unwrap_err();
                assert_eq!(failure.kind(), cycles_proto::FailureKind::Proxy, "{answer}");
                assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
                let request = net.requests().pop().unwrap();
                let connect = format!("CONNECT {server} HTTP/1.1\r\nhost: {server}\r\n");
                assert!(request.starts_with(&connect), "{request}");
                let is_authorized = request.contains("\r\nproxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n");
                assert_eq!(is_authorized, !user.is_empty(), "{request}");
                assert!(!request.contains("cyc_live"), "{request}");
            }
        }
    }
}
