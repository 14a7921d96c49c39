//! The answer to a call, parsed before any machine sees it.
//!
//! Reading an answer needs no state and no lock, so a driver can do it wherever the answer arrives.

use core::any::Any;
use core::fmt;

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::models::{ReservationCreateResponse, ReservationId, ResponseInfo};
use crate::outcome::{Failure, FailureKind, OperationKind};
use crate::wire::operation::as_it_came;
use crate::wire::reply::{Reply, Verdict, judged};

/// Reads the answer to one call. See [`Call::reader`](crate::Call::reader).
#[derive(Clone, Debug)]
pub struct Reader {
    key: ApiKey,
    reads: Reads,
}

/// How the response to an operation is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reads {
    pub(crate) kind: OperationKind,
    decode: fn(OperationKind, ResponseInfo) -> Box<dyn Any + Send>,
}

/// The answer to a call, or the failure to get one. Hand it to the machine that asked for the call.
#[must_use = "a state machine waits for it"]
pub struct Answer {
    result: Result<Box<dyn Any + Send>, Failure>,
}

impl Reader {
    pub(crate) fn new(key: &ApiKey, reads: Reads) -> Self {
        let key = key.clone();
        Self { key, reads }
    }

    /// Reads a response, or takes the failure if there is none.
    pub fn read(&self, result: Result<&http::Response<Bytes>, Failure>) -> Answer {
        let result = match result {
            Ok(response) => {
                let info = ResponseInfo::with_key(Some(&self.key), response);
                Ok((self.reads.decode)(self.reads.kind, info))
            }
            Err(failure) => {
                let detail = self.key.redact(failure.detail()).into_owned();
                Err(failure.with_detail(detail))
            }
        };
        Answer { result }
    }
}

impl Reader {
    /// Whether the answer may be a grant.
    pub(crate) fn asks_for_a_reservation(&self) -> bool {
        matches!(self.reads.kind, OperationKind::CreateReservation { .. })
    }
}

impl Reads {
    /// Reads the reply that the protocol defines for the operation.
    pub(crate) fn of<T: Reply>(kind: OperationKind) -> Self {
        Self {
            kind,
            decode: |kind, info| Box::new(judged::<T>(kind, info)),
        }
    }

    /// Judges the reply in the same way, but keeps it unchanged.
    pub(crate) fn as_it_came<T: Reply>(self) -> Self {
        Self {
            decode: |kind, info| Box::new(as_it_came::<T>(kind, info)),
            ..self
        }
    }
}

impl Answer {
    /// Creates an answer from a failure that arose in this crate.
    pub(crate) fn none(failure: Failure) -> Self {
        let result = Err(failure);
        Self { result }
    }

    /// The reservation that the answer grants, if any.
    pub(crate) fn grants(&self) -> Option<&ReservationId> {
        match self.result.as_ref().ok()?.downcast_ref()? {
            Verdict::Success(ReservationCreateResponse { reservation_id, .. }) => reservation_id.as_ref(),
            Verdict::Rejected(_)
            | Verdict::Unauthorized(_)
            | Verdict::Expired { .. }
            | Verdict::Throttled(_)
            | Verdict::NotSent(_)
            | Verdict::Ambiguous(_) => None,
        }
    }

    /// Why there was no response.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().err()
    }

    /// The verdict. An answer to a different kind of call counts as lost.
    pub(crate) fn verdict<T: 'static>(self) -> Result<Verdict<T>, Failure> {
        let said = self.result?.downcast::<Verdict<T>>();
        said.map(|verdict| *verdict)
            .map_err(|_| Failure::new(FailureKind::Lost))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("failure", &self.result.as_ref().err())
            .finish_non_exhaustive()
    }
}
