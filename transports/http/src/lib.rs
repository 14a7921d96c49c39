#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod connect;
mod connection;
mod http1;
mod mailbox;
mod pool;
mod reactor;
mod tcp;
mod tunnel;
mod waiter;
mod wire;

pub use client::HttpClient;
pub use reactor::{Place, Reactor};
pub use waiter::Waiter;
