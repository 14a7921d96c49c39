//! Requests and replies: their encoding, what replies mean, and the operations with one request and one reply.

mod answer;
mod call;
mod encode;
mod operation;
pub(crate) mod reply;
mod time_limits;

pub(crate) use self::answer::Reads;
pub use self::answer::{Answer, Reader};
use self::call::MAX_RESPONSE;
pub use self::call::{Call, Urgency};
pub(crate) use self::encode::Encoded;
pub use self::operation::{Operation, Progress, RawRequest, RawResponse};
