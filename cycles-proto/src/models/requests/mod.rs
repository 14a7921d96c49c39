//! Requests to the ledger, and their builders.
//!
//! A builder has `build` only once all required fields are set. Limits are checked when the request is sent, before
//! anything leaves the process.
//!
//! A request without an idempotency key gets a fresh one each time it is sent, so sending it twice performs two
//! operations. To repeat one whose outcome is unknown, take its key from the error
//! ([`Error::idempotency_key`](crate::Error::idempotency_key)) and give it to an otherwise equal request.
//!
//! With all required fields, this compiles:
//!
//! ```
//! # use cycles_proto::models::*;
//! # let (who, what, how_much) = (Subject::tenant("acme"), Action::new("llm.completion", "m"), Amount::tokens(1));
//! ReservationCreateRequest::builder().subject(who).action(what).estimate(how_much).build();
//! ```
//!
//! Without any one of them, it does not:
//!
//! ```compile_fail,E0599
//! # use cycles_proto::models::*;
//! # let (what, how_much) = (Action::new("llm.completion", "m"), Amount::tokens(1));
//! ReservationCreateRequest::builder().action(what).estimate(how_much).build();
//! ```
//!
//! ```compile_fail,E0599
//! # use cycles_proto::models::*;
//! # let (who, how_much) = (Subject::tenant("acme"), Amount::tokens(1));
//! ReservationCreateRequest::builder().subject(who).estimate(how_much).build();
//! ```
//!
//! ```compile_fail,E0599
//! # use cycles_proto::models::*;
//! # let (who, what) = (Subject::tenant("acme"), Action::new("llm.completion", "m"));
//! ReservationCreateRequest::builder().subject(who).action(what).build();
//! ```
//!
//! ```compile_fail,E0599
//! # use cycles_proto::models::*;
//! # let (who, what) = (Subject::tenant("acme"), Action::new("llm.completion", "m"));
//! EventCreateRequest::builder().subject(who).action(what).build();
//! ```
//!
//! ```compile_fail,E0599
//! # use cycles_proto::models::*;
//! CommitRequest::builder().build();
//! ```

mod create;
mod event;
mod settle;

pub use create::{
    DecisionOptions, DecisionRequest, DecisionRequestBuilder, ReservationCreateRequest,
    ReservationCreateRequestBuilder, ReservationOptions,
};
pub use event::{EventCreateRequest, EventCreateRequestBuilder, EventOptions};
pub use settle::{
    CommitRequest, CommitRequestBuilder, ReleaseRequest, ReleaseRequestBuilder, ReservationExtendRequest,
    ReservationExtendRequestBuilder,
};

use super::action::Action;
use super::codes::CommitOveragePolicy;
use super::field_checks::InvalidRequest;
use super::ids::IdempotencyKey;
use super::json_object::JsonObject;
use super::subject::Subject;

/// A day: the longest lease and the longest extension.
const DAY_MS: u64 = 86_400_000;

/// Marks a required field that is not set yet, in the type of a builder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unset;

/// Builds a request about an action. Its type shows which of the required fields (subject, action and amount) are set;
/// `O` holds the optional ones.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ActionRequestBuilder<O, S = Unset, A = Unset, C = Unset> {
    subject: S,
    action: A,
    amount: C,
    options: O,
}

impl<O: Default> ActionRequestBuilder<O> {
    fn new() -> Self {
        Self {
            subject: Unset,
            action: Unset,
            amount: Unset,
            options: O::default(),
        }
    }
}

impl<O, S, A, C> ActionRequestBuilder<O, S, A, C> {
    /// Sets the subject that spends.
    pub fn subject(self, subject: Subject) -> ActionRequestBuilder<O, Subject, A, C> {
        let Self {
            action,
            amount,
            options,
            ..
        } = self;
        ActionRequestBuilder {
            subject,
            action,
            amount,
            options,
        }
    }

    /// Sets the action.
    pub fn action(self, action: Action) -> ActionRequestBuilder<O, S, Action, C> {
        let Self {
            subject,
            amount,
            options,
            ..
        } = self;
        ActionRequestBuilder {
            subject,
            action,
            amount,
            options,
        }
    }

    fn amount<N>(self, amount: N) -> ActionRequestBuilder<O, S, A, N> {
        let Self {
            subject,
            action,
            options,
            ..
        } = self;
        ActionRequestBuilder {
            subject,
            action,
            amount,
            options,
        }
    }
}

/// Declares setters of optional fields; the documentation refers to the field of the request. A field marked `into`
/// accepts anything that converts into its type.
macro_rules! optional {
    ($options:ident, $request:ident: $($rest:tt)*) => {
        $crate::models::requests::optional!(@ $options, $request, $($rest)*);
    };
    (@ $options:ident, $request:ident, $field:ident: into $type:ty, $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($request), "::", stringify!($field), "`].")]
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            self.$options.$field = Some($field.into());
            self
        }
        $crate::models::requests::optional!(@ $options, $request, $($rest)*);
    };
    (@ $options:ident, $request:ident, $field:ident: $type:ty, $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($request), "::", stringify!($field), "`].")]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$options.$field = Some($field);
            self
        }
        $crate::models::requests::optional!(@ $options, $request, $($rest)*);
    };
    (@ $options:ident, $request:ident,) => {};
}
use optional;

fn check_key(key: &Option<IdempotencyKey>) -> Result<(), InvalidRequest> {
    key.as_ref().map_or(Ok(()), IdempotencyKey::check)
}

fn check_metadata(metadata: &Option<JsonObject>) -> Result<(), InvalidRequest> {
    metadata
        .as_ref()
        .map_or(Ok(()), |metadata| metadata.check_nesting("metadata"))
}

fn check_policy(policy: &Option<CommitOveragePolicy>) -> Result<(), InvalidRequest> {
    match policy {
        Some(unknown) if !unknown.is_known() => {
            let problem = format!("is `{unknown}`, which is not a policy of the protocol");
            Err(InvalidRequest::new("overage_policy", problem))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
