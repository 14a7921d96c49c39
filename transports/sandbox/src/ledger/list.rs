//! `GET /v1/reservations`: filters, windows, and the two ways to page.

use http::Uri;

use super::Ledger;
use super::auth::Caller;
use super::cursor::{self, SortedCursor};
use super::error::Refusal;
use super::order::{Direction, Order, SortKey, invalid_boundary};
use super::query::{Include, Params, row, scan, scan_position};
use super::replies::ReservationPage;
use super::reply::Reply;
use super::reservations::Reservation;
use super::scope;
use super::shared_types::LEVELS;
use super::timestamp::{self, NoInstant};
use super::wire_enums::{Named, ReservationStatus};

impl Ledger {
    /// Lists reservations: unsorted, unless a parameter or the cursor of a sorted page requests sorting.
    pub(super) fn list(&self, caller: &Caller, uri: &Uri) -> Result<Reply, Refusal> {
        let params = Params::of(uri);
        let limit = params.limit()?;
        let status = params.get("status").map(read_status).transpose()?;
        let key = params.get("sort_by").map(read_sort_key).transpose()?;
        let direction = params.get("sort_dir").map(read_direction).transpose()?;
        let windows = [
            Window::read(&params, "from", "to")?,
            Window::read(&params, "expires_from", "expires_to")?,
            Window::read(&params, "finalized_from", "finalized_to")?,
        ];
        let filters = Filters::read(&params, effective_tenant(caller, &params)?, status, windows);
        let page = Page {
            filters,
            limit,
            include: include(&params),
        };
        let cursor = params.non_blank("cursor");
        if key.is_some() || direction.is_some() {
            // What is not asked for is as on the page before.
            let boundary = cursor.map(read_sorted_cursor).transpose()?;
            let before = boundary.as_ref();
            let key = key.map_or_else(
                || before.map(|it| read_sort_key(&it.sb)).transpose(),
                |key| Ok(Some(key)),
            )?;
            let direction = direction.map_or_else(
                || before.map(|it| read_direction(&it.sd)).transpose(),
                |direction| Ok(Some(direction)),
            )?;
            let order = Order {
                key: key.unwrap_or(SortKey::CreatedAt),
                direction: direction.unwrap_or(Direction::Descending),
            };
            self.sorted(&page, order, boundary)
        } else if let Some(boundary) = cursor.and_then(SortedCursor::decode) {
            let order = Order {
                key: read_sort_key(&boundary.sb)?,
                direction: read_direction(&boundary.sd)?,
            };
            self.sorted(&page, order, Some(boundary))
        } else {
            self.unsorted(&page, scan_position(cursor)?)
        }
    }

    fn unsorted(&self, page: &Page, after: u64) -> Result<Reply, Refusal> {
        let last_id = last_id_at(after);
        let rows = self.reservations.after(&last_id);
        let (rows, next_cursor) = scan(
            rows,
            |row| position(&row.id),
            after,
            page.limit,
            |row| page.filters.match_row(row),
        );
        Reply::ok(&page.body(rows, next_cursor))
    }

    fn sorted(&self, page: &Page, order: Order, boundary: Option<SortedCursor>) -> Result<Reply, Refusal> {
        let filter_hash = format!("{:016x}", cursor::hash(&page.filters.bound_to));
        let (sort_by, sort_dir) = (order.key.wire_name(), order.direction.wire_name());
        let start = match &boundary {
            None => None,
            Some(at) if at.sb == sort_by && at.sd == sort_dir && at.fh == filter_hash => {
                Some((order.key.parse(at.lsv.as_deref())?, at.lrid.as_str()))
            }
            Some(_) => {
                return Err(Refusal::invalid(
                    "cursor is not valid for the requested sort_by / sort_dir / filters; \
                     reset cursor when any of these change",
                ));
            }
        };
        let rows = self.reservations.iter().filter(|row| page.filters.match_row(row));
        let mut rows = order.first(page.limit.saturating_add(1), rows, start);
        let has_more = rows.len() > page.limit;
        rows.truncate(page.limit);
        let last = rows.last().filter(|_| has_more);
        let next_cursor = last.and_then(|row| {
            let value = order.key.value(row).text();
            SortedCursor::new(sort_by, sort_dir, filter_hash, value, &row.id).encode()
        });
        Reply::ok(&page.body(rows, next_cursor))
    }
}

struct Page {
    filters: Filters,
    limit: usize,
    include: Include,
}

impl Page {
    fn body<'a>(&self, rows: Vec<&'a Reservation>, next_cursor: Option<String>) -> ReservationPage<'a> {
        ReservationPage {
            reservations: rows
                .into_iter()
                .map(|reservation| row(reservation, self.include))
                .collect(),
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

/// The conditions that a row must meet.
struct Filters {
    tenant: String,
    idempotency_key: Option<String>,
    status: Option<ReservationStatus>,
    /// Each segment that the path must have, such as `agent:bot`.
    segments: Vec<String>,
    /// On creation, expiry and settlement.
    windows: [Window; 3],
    /// What sorted cursors are bound to: the conditions as they were sent, without blank ones.
    bound_to: String,
}

impl Filters {
    fn read(
        params: &Params,
        tenant: String,
        status: Option<ReservationStatus>,
        windows: [Window; 3],
    ) -> Self {
        let levels = LEVELS.iter().filter(|level| **level != "tenant");
        let sent = LEVELS.iter().chain(&["idempotency_key"]);
        let sent: Vec<_> = sent.map(|name| params.non_blank(name)).collect();
        let bound_to = format!("{tenant} {status:?} {windows:?} {sent:?}");
        let segments = levels.filter_map(|level| Some(scope::segment(level, params.get(level)?)));
        Self {
            tenant,
            idempotency_key: params.get("idempotency_key").map(str::to_owned),
            status,
            segments: segments.collect(),
            windows,
            bound_to,
        }
    }

    fn match_row(&self, row: &Reservation) -> bool {
        let path = scope::deepest(&row.affected_scopes);
        let [created, expires, finalized] = &self.windows;
        row.tenant == self.tenant
            && self
                .idempotency_key
                .as_ref()
                .is_none_or(|key| *key == row.idempotency_key)
            && self.status.is_none_or(|status| status == row.status)
            && self.segments.iter().all(|segment| scope::has(path, segment))
            && created.contains(Some(row.created_at))
            && expires.contains(Some(row.expires_at))
            && finalized.contains(row.settlement.as_ref().map(|settlement| settlement.at))
    }
}

/// Inclusive bounds in milliseconds since 1970.
#[derive(Debug)]
struct Window {
    from: Option<i64>,
    to: Option<i64>,
}

impl Window {
    fn read(params: &Params, from: &str, to: &str) -> Result<Self, Refusal> {
        let bound = |name: &str| {
            let read = |text: &str| {
                timestamp::parse(text).map_err(|problem| match problem {
                    NoInstant::Malformed => Refusal::invalid(format!(
                        "Invalid {name}: {text} is not a valid ISO 8601 date-time"
                    )),
                    NoInstant::OutOfRange => Refusal::internal(),
                })
            };
            params.non_blank(name).map(read).transpose()
        };
        let window = Self {
            from: bound(from)?,
            to: bound(to)?,
        };
        match (window.from, window.to) {
            (Some(start), Some(end)) if start > end => {
                let text = |name| params.get(name).unwrap_or("");
                Err(Refusal::invalid(format!(
                    "{from} must be less than or equal to {to} (received {from}={}, {to}={})",
                    text(from),
                    text(to)
                )))
            }
            _ => Ok(window),
        }
    }

    /// An unbounded window contains everything; a bounded one does not contain a row without a time.
    fn contains(&self, time: Option<i64>) -> bool {
        let within =
            |time: i64| self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time <= to);
        time.map_or(self.from.is_none() && self.to.is_none(), within)
    }
}

/// The tenant to list. The admin must name one; other callers may only name their own. A blank name matches nothing.
fn effective_tenant(caller: &Caller, params: &Params) -> Result<String, Refusal> {
    let asked = params.get("tenant");
    match caller {
        Caller::Admin | Caller::Public => params.non_blank("tenant").map(str::to_owned).ok_or_else(|| {
            Refusal::invalid("tenant query parameter is required when using admin key authentication")
        }),
        Caller::Tenant(tenant) => match asked {
            None => Ok(tenant.clone()),
            Some(asked) if asked.trim().is_empty() || asked == tenant => Ok(asked.to_owned()),
            Some(_) => Err(Refusal::foreign_tenant()),
        },
    }
}

fn include(params: &Params) -> Include {
    let names = params.get("include").unwrap_or("").to_lowercase();
    let has = |name: &str| names.split(',').any(|candidate| candidate.trim() == name);
    Include {
        metadata: has("metadata"),
        committed_metadata: has("committed_metadata"),
        evidence: has("evidence"),
    }
}

fn read_status(text: &str) -> Result<ReservationStatus, Refusal> {
    ReservationStatus::from_name(text).ok_or_else(|| not_one_of::<ReservationStatus>("status filter", text))
}

fn read_sort_key(text: &str) -> Result<SortKey, Refusal> {
    SortKey::from_name(&text.to_lowercase()).ok_or_else(|| not_one_of::<SortKey>("sort_by", text))
}

pub(super) fn read_direction(text: &str) -> Result<Direction, Refusal> {
    Direction::from_name(&text.to_lowercase()).ok_or_else(|| not_one_of::<Direction>("sort_dir", text))
}

fn not_one_of<T: Named>(what: &str, text: &str) -> Refusal {
    let names: Vec<&str> = T::ALL.iter().map(|value| value.wire_name()).collect();
    let names = names.join(", ");
    Refusal::invalid(format!("Invalid {what}: {text}. Must be one of: {names}"))
}

/// Reads a cursor, which must belong to a sorted page.
fn read_sorted_cursor(text: &str) -> Result<SortedCursor, Refusal> {
    SortedCursor::decode(text).ok_or_else(invalid_boundary)
}

/// The position of a row in an unsorted read: the first half of its id, which sorts like the id itself.
fn position(id: &str) -> u64 {
    let half: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&half, 16).unwrap_or(0).max(1)
}

/// The end of the ids at a position or before it.
fn last_id_at(position: u64) -> String {
    if position == 0 {
        return String::new();
    }
    let (a, b, c) = (position >> 32, position >> 16 & 0xFFFF, position & 0xFFFF);
    // Whatever follows in an id sorts before the tilde.
    format!("{a:08x}-{b:04x}-{c:04x}~")
}
