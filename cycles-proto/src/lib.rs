#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backoff;
pub mod call;
pub mod config;
mod encode;
pub mod error;
pub mod keys;
pub mod lease;
pub mod models;
pub mod operation;
pub mod record;
pub mod reply;
pub mod time;

pub use call::{Call, Failure, FailureKind, Ticket};
pub use config::{ConfigError, CyclesConfig, CyclesConfigBuilder};
pub use error::{CallContext, Error, ErrorReply, TransportError};
pub use keys::{Seed, TraceParent};
pub use operation::{Operation, Progress};
pub use reply::{OperationKind, Unsuccessful, Verdict};
pub use time::{Now, UnixMillis};
