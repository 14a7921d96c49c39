//! Requests and replies: what is sent where, what a reply means, and every operation that is one of each.

mod answer;
mod call;
mod encode;
mod operation;
pub(crate) mod reply;

pub(crate) use self::answer::Reads;
pub use self::answer::{Answer, Reader};
use self::call::MAX_RESPONSE;
pub use self::call::{Call, Urgency};
pub(crate) use self::encode::Encoded;
pub use self::operation::{Operation, Progress, RawRequest, RawResponse};
