#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod client;
mod connect;
mod http_client;
mod http_options;
#[cfg(feature = "tls")]
mod tls;

pub use builder::CyclesClientBuilder;
pub use client::CyclesClient;
pub use http_options::HttpOptions;

pub use cycles_proto as proto;
pub use cycles_proto::config::RetryPolicy;
pub use cycles_proto::{
    CallContext, ConfigError, CyclesConfig, CyclesConfigBuilder, Error, ErrorReply, FailureKind, TraceParent,
    TransportError, UnixMillis, models,
};
