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
    pub(super) fn compare(self, a: (SortValue<'_>, &str), b: (SortValue<'_>, &str)) -> Ordering {
        let values = match self.direction {
            Direction::Ascending => a.0.cmp(&b.0),
            Direction::Descending => b.0.cmp(&a.0),
        };
        values.then_with(|| a.1.cmp(b.1))
    }

    /// The first `count` of `rows`, in this order. It keeps few of them at a time, so that a page of many thousand rows
    /// costs one comparison or two for each.
    pub(super) fn first<'a>(
        self,
        count: usize,
        rows: impl Iterator<Item = &'a Reservation>,
        after: Option<(SortValue<'_>, &str)>,
    ) -> Vec<&'a Reservation> {
        let at = |row: &'a Reservation| (self.key.value(row), row.id.as_str());
        let in_order = |a: &&'a Reservation, b: &&'a Reservation| self.compare(at(a), at(b));
        let mut first: Vec<&Reservation> = Vec::new();
        // Nothing after this one is among the first.
        let mut last: Option<&Reservation> = None;
        for row in rows {
            let is_later = after.is_none_or(|after| self.compare(at(row), after).is_gt());
            if !is_later || last.is_some_and(|last| in_order(&row, &last).is_gt()) {
                continue;
            }
            first.push(row);
            if first.len() > count.saturating_mul(4) {
                let (_, at_count, _) = first.select_nth_unstable_by(count, in_order);
                last = Some(at_count);
                first.truncate(count);
            }
        }
        first.sort_unstable_by(in_order);
        first.truncate(count);
        first
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SortValue<'a> {
    Number(i64),
    Text(&'a str),
    Null,
}

impl SortKey {
    pub(super) fn value(self, row: &Reservation) -> SortValue<'_> {
        match self {
            Self::ReservationId => SortValue::Text(&row.id),
            Self::Tenant => row.subject.tenant().map_or(SortValue::Null, SortValue::Text),
            Self::ScopePath => SortValue::Text(scope::deepest(&row.affected_scopes)),
            Self::Status => SortValue::Text(row.status.name()),
            Self::Reserved => SortValue::Number(row.estimate.amount),
            Self::CreatedAt => SortValue::Number(row.created_at),
            Self::ExpiresAt => SortValue::Number(row.expires_at),
        }
    }

    /// Parses the value in a cursor.
    pub(super) fn parse(self, text: Option<&str>) -> Result<SortValue<'_>, Refusal> {
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

impl SortValue<'_> {
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.to_owned()),
            Self::Null => None,
        }
    }
}

pub(super) fn invalid_boundary() -> Refusal {
    Refusal::invalid("cursor contains an invalid sorted-list boundary")
}
