//! What can be seen of connections from both ends, over streams in memory and in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Makes a function over `Net<TASK>` two tests in virtual time: one where tasks drive the connections, and one where
/// the callers do.
macro_rules! for_both_drivers {
    ($(#[$attribute:meta])* async fn $name:ident($net:ident: Net) $body:block) => {
        $(#[$attribute])*
        mod $name {
            use super::*;

            async fn body<const TASK: bool>($net: Net<TASK>) $body

            #[test]
            fn by_tasks() {
                $crate::network::in_virtual_time(async { body(Net::<true>::new()).await });
            }

            #[test]
            fn by_callers() {
                $crate::network::in_virtual_time(async { body(Net::<false>::new()).await });
            }
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
