//! Connections seen from both ends, over streams in memory and in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Makes a function over a network a test in virtual time.
macro_rules! in_virtual_time {
    ($(#[$attribute:meta])* async fn $name:ident($net:ident: Net) $body:block) => {
        $(#[$attribute])*
        #[test]
        fn $name() {
            $crate::network::in_virtual_time(async {
                let $net = Net::new();
                $body
            });
        }
    };
}

mod cancellation;
mod failures;
mod idle;
mod network;
mod proxies;
mod reuse;
mod runtimes;
mod time;
