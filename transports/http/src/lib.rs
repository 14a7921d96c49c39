#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod connect;
mod connection;
mod exchange;
mod pool;
mod reactor;
mod mailbox;
mod tcp;
mod tunnel;
mod waiter;
mod wire;

pub use client::HttpClient;
pub use reactor::{Place, Reactor};
pub use waiter::Waiter;
