//! Requests and replies: what is sent where, what a reply means, and every operation that is one of each.

mod answer;
mod call;
mod encode;
pub mod operation;
pub mod reply;

pub(crate) use self::answer::Reads;
pub use self::answer::{Answer, Reader};
pub use self::call::{Call, MAX_RESPONSE, Urgency};
pub(crate) use self::encode::Encoded;
pub use self::operation::{Operation, Progress, RawRequest, RawResponse};
pub use self::reply::{Reply, Verdict};
