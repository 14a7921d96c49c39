//! The protocol's schemas: requests, responses, and the limits of each field.
//!
//! Structs that a caller fills in (`Subject`, `CyclesMetrics`, the query parameters) can be written as literals with
//! `..Default::default()`. Requests have builders, with which a missing required field is a compile error. Responses
//! are only read and may gain fields. Enums that the server may extend are open, and unknown members are ignored, so
//! the client understands newer servers.

mod action;
mod aliases;
mod amount;
mod api_response;
mod balance;
mod caps;
mod codes;
mod decode;
mod evidence;
mod field_checks;
mod ids;
mod json_object;
mod metrics;
mod open_enum;
mod params;
mod requests;
mod reservation;
mod response_info;
mod responses;
mod retry_after;
mod subject;

pub use action::Action;
pub use aliases::{CommitStatus, DryRunResult, ExtendRequest, ExtendResponse, ExtendStatus, ReleaseStatus};
pub use amount::{Amount, SignedAmount, Unit};
pub use api_response::ApiResponse;
pub use balance::{Balance, BalanceResponse};
pub use caps::Caps;
pub use codes::{
    CommitOveragePolicy, Decision, DecisionReasonCode, ErrorCode, ErrorResponse, EventStatus, HealthStatus,
    ReservationStatus,
};
pub use evidence::{
    CyclesEvidenceEnvelope, CyclesEvidenceJwk, CyclesEvidenceJwks, CyclesEvidenceRef, ReservationEvidence,
};
pub use field_checks::InvalidRequest;
pub use ids::{EventId, EvidenceId, IdempotencyKey, ReservationId};
pub use json_object::JsonObject;
pub use metrics::CyclesMetrics;
pub use params::{
    BalanceParams, ListReservationsParams, ReservationField, ReservationSortKey, SortDirection,
};
pub use requests::{
    ActionRequestBuilder, CommitRequest, CommitRequestBuilder, DecisionOptions, DecisionRequest,
    DecisionRequestBuilder, EventCreateRequest, EventCreateRequestBuilder, EventOptions, ReleaseRequest,
    ReleaseRequestBuilder, ReservationCreateRequest, ReservationCreateRequestBuilder,
    ReservationExtendRequest, ReservationExtendRequestBuilder, ReservationOptions, Unset,
};
pub use reservation::{ReservationDetail, ReservationListResponse, ReservationSummary};
pub use response_info::ResponseInfo;
pub(crate) use response_info::shown_without_the_key;
pub use responses::{
    CommitResponse, DecisionResponse, EventCreateResponse, HealthResponse, ReleaseResponse,
    ReservationCreateResponse, ReservationExtendResponse,
};
pub use subject::Subject;
