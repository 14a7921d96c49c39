//! Query parameters, the paging of unsorted reads, which is in arbitrary order, and two reads: one reservation, and
//! balances.

use http::Uri;
use percent_encoding::percent_decode_str;

use super::Ledger;
use super::address_check::is_escaped;
use super::auth::Caller;
use super::body::{check_reservation_id, refuse};
use super::coerce::Violations;
use super::cursor;
use super::error::Refusal;
use super::replies::{BalancePage, BalanceRow, ReservationRow};
use super::reply::Reply;
use super::reservations::Reservation;
use super::scope;
use super::shared_types::LEVELS;
use super::wire_enums::ReservationStatus;

/// The parameters of a query, decoded as a form.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<Param>);

#[derive(Debug)]
struct Param {
    name: String,
    /// The first value: used for numbers and flags.
    first: String,
    /// All values, joined by commas: used for strings.
    all: String,
}

/// Which of the large members a row shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Include {
    pub(super) metadata: bool,
    pub(super) committed_metadata: bool,
    pub(super) evidence: bool,
}

impl Params {
    pub(super) fn of(uri: &Uri) -> Self {
        let pairs = uri
            .query()
            .unwrap_or("")
            .split('&')
            .filter(|pair| !pair.is_empty());
        let mut params = Self::default();
        for (name, value) in pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            // The server skips pairs that are not form-encoded.
            if let (Some(name), Some(value)) = (form(name), form(value)) {
                params.add(name, value);
            }
        }
        params
    }

    fn add(&mut self, name: String, value: String) {
        if let Some(param) = self.0.iter_mut().find(|param| param.name == name) {
            param.all.push(',');
            param.all.push_str(&value);
        } else {
            let first = value.clone();
            self.0.push(Param {
                name,
                first,
                all: value,
            });
        }
    }

    fn param(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|param| param.name == name)
    }

    /// The first value of a parameter, which is the one that counts for numbers, flags and words; an empty one counts as
    /// absent.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        let first = self.param(name).map(|param| param.first.as_str());
        first.filter(|value| !value.is_empty())
    }

    /// A parameter as text, even if it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.param(name).map(|param| param.all.as_str())
    }

    /// A parameter as text; a blank one counts as absent.
    pub(super) fn non_blank(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    /// The limit: 1 to 200 rows, 50 by default. A limit that is not a number is a 500, as on the reference server.
    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let Some(param) = self.param("limit").filter(|param| !param.all.is_empty()) else {
            return Ok(50);
        };
        let limit = integer(&param.first).ok_or_else(Refusal::internal)?;
        let mut violations = Violations::default();
        violations.at_least("limit", limit.into(), 1);
        violations.at_most("limit", limit.into(), 200);
        refuse(violations)?;
        usize::try_from(limit).map_err(|_| Refusal::internal())
    }

    /// `include_children` is checked and then ignored.
    fn check_include_children(&self) -> Result<(), Refusal> {
        const WORDS: [&str; 9] = ["", "true", "on", "yes", "1", "false", "off", "no", "0"];
        let Some(param) = self.param("include_children") else {
            return Ok(());
        };
        let word = param.first.to_ascii_lowercase();
        if WORDS.contains(&word.as_str()) {
            Ok(())
        } else {
            Err(Refusal::internal())
        }
    }
}

/// Reads one page of an unsorted read. `rows` have ascending positions; `after` is the position where the last page
/// ended. Positions are asked for seldom.
///
/// Like a scan of the server's store, it detects the end of the rows, not of the matches: if a page is full and only
/// rows that do not match follow, it announces another page, which is empty.
pub(super) fn scan<T>(
    rows: impl Iterator<Item = T>,
    position: impl Fn(&T) -> u64,
    after: u64,
    limit: usize,
    matches: impl Fn(&T) -> bool,
) -> (Vec<T>, Option<String>) {
    let mut page = Vec::new();
    let mut rows = rows.skip_while(|row| position(row) <= after).peekable();
    while let Some(row) = rows.next() {
        if !matches(&row) {
            continue;
        }
        let is_full = page.len() + 1 == limit && rows.peek().is_some();
        let cursor = is_full.then(|| position(&row).to_string());
        page.push(row);
        if cursor.is_some() {
            return (page, cursor);
        }
    }
    (page, None)
}

/// The position of a numeric cursor, counted from the end if it is negative. Anything else is a 500, as on the
/// reference server.
pub(super) fn scan_position(cursor: Option<&str>) -> Result<u64, Refusal> {
    let number = |text: &str| match text.strip_prefix('-') {
        Some(digits) if !digits.starts_with('+') => digits.parse().map(u64::wrapping_neg),
        _ => text.parse(),
    };
    cursor.map_or(Ok(0), |text| number(text).map_err(|_| Refusal::internal()))
}

/// A reservation as reads show it.
pub(super) fn row(reservation: &Reservation, include: Include) -> ReservationRow<'_> {
    ReservationRow {
        reservation_id: &reservation.id,
        status: reservation.status,
        idempotency_key: &reservation.idempotency_key,
        subject: &reservation.subject,
        action: &reservation.action,
        reserved: reservation.estimate,
        created_at_ms: reservation.created_at,
        expires_at_ms: reservation.expires_at,
        scope_path: scope::deepest(&reservation.affected_scopes),
        affected_scopes: &reservation.affected_scopes,
        finalized_at_ms: reservation.settlement.as_ref().map(|settlement| settlement.at),
        committed: reservation.committed(),
        metadata: reservation.metadata.as_ref().filter(|_| include.metadata),
        committed_metadata: reservation
            .committed_metadata()
            .filter(|_| include.committed_metadata),
        evidence: Some(reservation.evidence()).filter(|evidence| include.evidence && !evidence.is_empty()),
    }
}

impl Ledger {
    /// `GET /v1/reservations/{id}`. A reservation is a 410 only after the sweep; until then it is active.
    pub(super) fn reservation_detail(&self, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
        check_reservation_id(id)?;
        let reservation = self.owned(caller, id)?;
        if reservation.status == ReservationStatus::Expired {
            return Err(Refusal::expired());
        }
        Reply::ok(&row(
            reservation,
            Include {
                metadata: true,
                committed_metadata: true,
                evidence: true,
            },
        ))
    }

    /// `GET /v1/balances`: every budget of the tenant whose path has all the requested segments, in every unit; so
    /// descendants are included.
    pub(super) fn balances(&self, tenant: &str, uri: &Uri) -> Result<Reply, Refusal> {
        let params = Params::of(uri);
        params.check_include_children()?;
        let limit = params.limit()?;
        let filters = LEVELS
            .iter()
            .filter_map(|level| Some(scope::segment(level, params.get(level)?)));
        let filters: Vec<String> = filters.collect();
        if filters.is_empty() {
            return Err(Refusal::invalid(
                "At least one of tenant/workspace/app/workflow/agent/toolset must be provided",
            ));
        }
        if params.non_blank("tenant").is_some_and(|asked| asked != tenant) {
            return Err(Refusal::foreign_tenant());
        }
        let after = scan_position(params.non_blank("cursor"))?;
        let mut budgets: Vec<(u64, &str, BalanceRow)> = self
            .books
            .iter()
            .map(|(scope, unit, account)| {
                let position = cursor::hash(&format!("{scope} {}", unit.name())).max(1);
                (position, scope, BalanceRow::new(scope, unit, &account.state))
            })
            .collect();
        budgets.sort_by_key(|(position, ..)| *position);
        let of_tenant = scope::segment("tenant", tenant);
        let is_asked_for = |path: &str| {
            scope::has(path, &of_tenant) && filters.iter().all(|segment| scope::has(path, segment))
        };
        let (rows, next_cursor) = scan(
            budgets.into_iter(),
            |(position, ..)| *position,
            after,
            limit,
            |(_, path, _)| is_asked_for(path),
        );
        let balances = rows.into_iter().map(|(.., row)| row).collect();
        Reply::ok(&BalancePage {
            balances,
            has_more: next_cursor.is_some(),
            next_cursor,
        })
    }
}

/// Parses a 32-bit integer like the server's framework: decimal or hexadecimal, with blanks anywhere.
pub(super) fn integer(text: &str) -> Option<i32> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text.as_str()), |rest| ("-", rest));
    let hexadecimal = ["0x", "0X", "#"]
        .iter()
        .find_map(|prefix| digits.strip_prefix(prefix));
    match hexadecimal {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            i32::from_str_radix(&format!("{sign}{digits}"), 16).ok()
        }
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// Decodes form text: a plus is a blank, and bytes that are not UTF-8 become the replacement character. `None` if a
/// percent sign is not followed by two digits.
fn form(text: &str) -> Option<String> {
    is_escaped(text).then(|| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    })
}
