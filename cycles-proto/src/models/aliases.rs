//! The names of the `runcycles` crate for types of the protocol, for programs that migrate from it.

use super::codes::ReservationStatus;
use super::requests::ReservationExtendRequest;
use super::responses::{ReservationCreateResponse, ReservationExtendResponse};

/// [`ReservationExtendRequest`].
pub type ExtendRequest = ReservationExtendRequest;
/// [`ReservationExtendResponse`].
pub type ExtendResponse = ReservationExtendResponse;
/// The answer to a dry run: a [`ReservationCreateResponse`] without a reservation.
pub type DryRunResult = ReservationCreateResponse;
/// The state of a reservation after its commit.
pub type CommitStatus = ReservationStatus;
/// The state of a reservation after its release.
pub type ReleaseStatus = ReservationStatus;
/// The state of a reservation after an extension.
pub type ExtendStatus = ReservationStatus;
