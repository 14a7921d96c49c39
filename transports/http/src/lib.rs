#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod connect;
mod connection;
mod driver;
mod pool;
mod reactor;
mod tcp;
mod tunnel;
mod wire;

pub use client::HttpClient;
pub use reactor::{DrivenBy, Reactor};
