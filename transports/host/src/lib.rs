#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod ambient;
mod clock;
mod entropy;
mod http_options;
mod idle_limits;
pub mod journal;
mod log;
mod observer;
mod platform;
mod process;
mod proxy;
mod threads;
#[cfg(feature = "tls")]
pub mod trusted_roots;

pub use ambient::DefaultClient;
pub use clock::Clock;
pub use entropy::seed;
pub use http_options::HttpOptions;
pub use idle_limits::{IDLE, MAX_IDLE};
pub use journal::{Journal, JournalError};
pub use observer::{Observer, Observers};
pub use process::Process;
pub use proxy::{Proxy, ProxyProtocol, Route};
pub use threads::Threads;
