#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod answer;
#[doc(hidden)]
pub mod attribute;
pub mod backoff;
pub mod call;
pub mod config;
mod encode;
pub mod error;
pub mod guarded;
pub mod journal;
pub mod keys;
pub mod lease;
pub mod lifecycle;
pub mod meter;
pub mod models;
pub mod money;
pub mod operation;
pub mod replayer;
pub mod reply;
pub mod session;
pub mod settlement;
pub mod step;
pub mod time;

pub use answer::{Answer, Reader};
pub use call::{Call, Failure, FailureKind, Ticket, Urgency};
pub use config::{ConfigError, CyclesConfig, CyclesConfigBuilder};
pub use error::{ActionError, CallContext, Error, ErrorReply, TransportError};
#[doc(no_inline)]
pub use journal::record;
pub use keys::{Seed, TraceParent};
pub use lifecycle::{InvalidCommit, Lifecycle, Outcome};
pub use meter::Reading;
pub use operation::{Operation, Progress, RawRequest, RawResponse};
pub use replayer::{Flushed, Replay, Replayer};
pub use reply::{OperationKind, Unsuccessful, Verdict};
pub use settlement::{Receipt, Settlement};
pub use step::{Event, Step};
pub use time::{Now, UnixMillis};
