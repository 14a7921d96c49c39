//! The order of a sorted list: the member, the direction, and the position where a page ended.

use core::cmp::Ordering;

use super::error::Refusal;
use super::reservations::Reservation;
use super::scope;
use super::wire_enums::Named;

#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) key: SortKey,
    pub(super) direction: Direction,
}

impl Order {
    /// Compares two rows. Equal values are ordered by id, in both directions.
    pub(super) fn compare(self, a: (&SortValue, &str), b: (&SortValue, &str)) -> Ordering {
        let values = match self.direction {
            Direction::Ascending => a.0.cmp(b.0),
            Direction::Descending => b.0.cmp(a.0),
        };
        values.then_with(|| a.1.cmp(b.1))
    }
}

#[derive(Clone, Copy)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

impl Named for Direction {
    const ALL: &'static [Self] = &[Self::Ascending, Self::Descending];

    fn wire_name(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum SortKey {
    ReservationId,
    Tenant,
    ScopePath,
    Status,
    Reserved,
    CreatedAt,
    ExpiresAt,
}

impl Named for SortKey {
    const ALL: &'static [Self] = &[
        Self::ReservationId,
        Self::Tenant,
        Self::ScopePath,
        Self::Status,
        Self::Reserved,
        Self::CreatedAt,
        Self::ExpiresAt,
    ];

    fn wire_name(self) -> &'static str {
        match self {
            Self::ReservationId => "reservation_id",
            Self::Tenant => "tenant",
            Self::ScopePath => "scope_path",
            Self::Status => "status",
            Self::Reserved => "reserved",
            Self::CreatedAt => "created_at_ms",
            Self::ExpiresAt => "expires_at_ms",
        }
    }
}

/// A value to sort by. The order of the variants puts null last among ascending values.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SortValue {
    Number(i64),
    Text(String),
    Null,
}

impl SortKey {
    pub(super) fn value(self, row: &Reservation) -> SortValue {
        match self {
            Self::ReservationId => SortValue::Text(row.id.clone()),
            Self::Tenant => row
                .subject
                .tenant()
                .map_or(SortValue::Null, |name| SortValue::Text(name.to_owned())),
            Self::ScopePath => SortValue::Text(scope::deepest(&row.affected_scopes).to_owned()),
            Self::Status => SortValue::Text(row.status.name().to_owned()),
            Self::Reserved => SortValue::Number(row.estimate.amount),
            Self::CreatedAt => SortValue::Number(row.created_at),
            Self::ExpiresAt => SortValue::Number(row.expires_at),
        }
    }

    /// Parses the value in a cursor.
    pub(super) fn parse(self, text: Option<String>) -> Result<SortValue, Refusal> {
        let Some(text) = text else {
            return Ok(SortValue::Null);
        };
        match self {
            Self::ReservationId | Self::Tenant | Self::ScopePath | Self::Status => Ok(SortValue::Text(text)),
            Self::Reserved | Self::CreatedAt | Self::ExpiresAt => text
                .parse()
                .map(SortValue::Number)
                .map_err(|_| invalid_boundary()),
        }
    }
}

impl SortValue {
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::Null => None,
        }
    }
}

pub(super) fn invalid_boundary() -> Refusal {
    Refusal::invalid("cursor contains an invalid sorted-list boundary")
}
