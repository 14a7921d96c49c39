//! The query parameters of lists and balances.

use core::fmt::Display;

use super::balance::BalanceResponse;
use super::codes::ReservationStatus;
use super::field_checks::{InvalidRequest, length, within};
use super::ids::IdempotencyKey;
use super::open_enum::open_enum;
use super::reservation::ReservationListResponse;
use crate::time::UnixMillis;

open_enum! {
    /// The sort key of a list of reservations.
    pub enum ReservationSortKey {
        /// The id.
        ReservationId = "reservation_id",
        /// The subject's tenant.
        Tenant = "tenant",
        /// The deepest scope.
        ScopePath = "scope_path",
        /// The state's name.
        Status = "status",
        /// The reserved amount, regardless of its unit.
        Reserved = "reserved",
        /// When it was created.
        CreatedAtMs = "created_at_ms",
        /// When its lease ends.
        ExpiresAtMs = "expires_at_ms",
    }
}

open_enum! {
    /// The direction of sorting (schema `SortDirection`).
    pub enum SortDirection {
        /// Smallest first.
        Asc = "asc",
        /// Largest first; the server's default.
        Desc = "desc",
    }
}

open_enum! {
    /// A large member that a list includes only on request.
    pub enum ReservationField {
        /// Metadata of the reservation.
        Metadata = "metadata",
        /// Metadata of the commit.
        CommittedMetadata = "committed_metadata",
        /// Evidence of the operations.
        Evidence = "evidence",
    }
}

/// The query of `getBalances`. At least one level of a subject is required, and all given levels must match somewhere
/// in a scope's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalanceParams {
    /// The tenant, which must be the key's own.
    pub tenant: Option<String>,
    /// A workspace.
    pub workspace: Option<String>,
    /// A program.
    pub app: Option<String>,
    /// A workflow.
    pub workflow: Option<String>,
    /// An agent.
    pub agent: Option<String>,
    /// A toolset.
    pub toolset: Option<String>,
    /// Whether to include scopes below; the reference server always does.
    pub include_children: Option<bool>,
    /// Rows per page, 1 to 200; the server's default is 50.
    pub limit: Option<u32>,
    /// The `next_cursor` of the previous page.
    pub cursor: Option<String>,
}

/// The query of `listReservations`.
///
/// Without `sort_by` and `sort_dir`, the order is the server's own. A cursor is valid only together with the same
/// other parameters as in the query that returned it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReservationsParams {
    /// The key that a reservation was created under, to find a reservation whose answer was lost.
    pub idempotency_key: Option<IdempotencyKey>,
    /// A state.
    pub status: Option<ReservationStatus>,
    /// The tenant, which must be the key's own.
    pub tenant: Option<String>,
    /// A workspace.
    pub workspace: Option<String>,
    /// A program.
    pub app: Option<String>,
    /// A workflow.
    pub workflow: Option<String>,
    /// An agent.
    pub agent: Option<String>,
    /// A toolset.
    pub toolset: Option<String>,
    /// Created at this time or later.
    pub from: Option<UnixMillis>,
    /// Created at this time or earlier.
    pub to: Option<UnixMillis>,
    /// Lease ends at this time or later.
    pub expires_from: Option<UnixMillis>,
    /// Lease ends at this time or earlier.
    pub expires_to: Option<UnixMillis>,
    /// Committed or released at this time or later.
    pub finalized_from: Option<UnixMillis>,
    /// Committed or released at this time or earlier.
    pub finalized_to: Option<UnixMillis>,
    /// What to sort by.
    pub sort_by: Option<ReservationSortKey>,
    /// Which way to sort.
    pub sort_dir: Option<SortDirection>,
    /// Large members to include.
    pub include: Vec<ReservationField>,
    /// Rows per page, 1 to 200; the server's default is 50.
    pub limit: Option<u32>,
    /// The `next_cursor` of the previous page.
    pub cursor: Option<String>,
}

impl BalanceParams {
    /// Moves on to the page after this one; returns `false` if it was the last.
    pub fn turn_to_next(&mut self, page: &BalanceResponse) -> bool {
        turn(&mut self.cursor, page.next_cursor.as_ref(), page.has_more)
    }

    /// Whether the query names at least one level of a subject, which the protocol requires.
    pub fn has_filter(&self) -> bool {
        self.levels().iter().any(|(_, value)| value.is_some())
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        if !self.has_filter() {
            return Err(InvalidRequest::new(
                "balances",
                "has no filter: give at least one of tenant, workspace, app, workflow, agent, toolset",
            ));
        }
        check_filters(&self.levels())?;
        check_page(self.limit, self.cursor.as_deref())
    }

    pub(crate) fn levels(&self) -> [(&'static str, Option<&str>); 6] {
        named([
            &self.tenant,
            &self.workspace,
            &self.app,
            &self.workflow,
            &self.agent,
            &self.toolset,
        ])
    }
}

impl ListReservationsParams {
    /// Moves on to the page after this one; returns `false` if it was the last.
    pub fn turn_to_next(&mut self, page: &ReservationListResponse) -> bool {
        turn(&mut self.cursor, page.next_cursor.as_ref(), page.has_more)
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        if let Some(key) = &self.idempotency_key {
            key.check()?;
        }
        check_filters(&self.levels())?;
        let [created, expires, finalized] = self.windows();
        for [(from_name, from), (to_name, to)] in [created, expires, finalized] {
            for (name, time) in [(from_name, from), (to_name, to)] {
                within(name, time.unwrap_or_default().0, 0..=UnixMillis::LAST.0)?;
            }
            if let (Some(from), Some(to)) = (from, to)
                && from > to
            {
                return Err(InvalidRequest::new(to_name, "is before the start of its window"));
            }
        }
        known("status", self.status.as_ref(), ReservationStatus::is_known)?;
        known("sort_by", self.sort_by.as_ref(), ReservationSortKey::is_known)?;
        known("sort_dir", self.sort_dir.as_ref(), SortDirection::is_known)?;
        check_page(self.limit, self.cursor.as_deref())
    }

    pub(crate) fn levels(&self) -> [(&'static str, Option<&str>); 6] {
        named([
            &self.tenant,
            &self.workspace,
            &self.app,
            &self.workflow,
            &self.agent,
            &self.toolset,
        ])
    }

    /// The three time windows, each as its two named bounds.
    pub(crate) fn windows(&self) -> [[(&'static str, Option<UnixMillis>); 2]; 3] {
        [
            [("from", self.from), ("to", self.to)],
            [
                ("expires_from", self.expires_from),
                ("expires_to", self.expires_to),
            ],
            [
                ("finalized_from", self.finalized_from),
                ("finalized_to", self.finalized_to),
            ],
        ]
    }
}

fn named(levels: [&Option<String>; 6]) -> [(&'static str, Option<&str>); 6] {
    let [tenant, workspace, app, workflow, agent, toolset] = levels.map(Option::as_deref);
    [
        ("tenant", tenant),
        ("workspace", workspace),
        ("app", app),
        ("workflow", workflow),
        ("agent", agent),
        ("toolset", toolset),
    ]
}

/// Refuses an empty filter: it matches nothing on the server, which is never intended.
fn check_filters(filters: &[(&'static str, Option<&str>)]) -> Result<(), InvalidRequest> {
    filters.iter().try_for_each(|(name, value)| match value {
        Some(value) => length(name, value, 1, 128),
        None => Ok(()),
    })
}

/// Checks the page parameters. An empty cursor would request the first page again and never end.
fn check_page(limit: Option<u32>, cursor: Option<&str>) -> Result<(), InvalidRequest> {
    limit.map_or(Ok(()), |limit| within("limit", limit, 1..=200))?;
    cursor.map_or(Ok(()), |cursor| length("cursor", cursor, 1, usize::MAX))
}

fn known<T: Display>(name: &str, value: Option<&T>, is_known: fn(&T) -> bool) -> Result<(), InvalidRequest> {
    match value {
        Some(value) if !is_known(value) => Err(InvalidRequest::new(
            name,
            format!("is `{value}`, which the protocol does not know"),
        )),
        _ => Ok(()),
    }
}

/// Moves the cursor to the next page, unless the new cursor is blank or is the one that was just used: with that, a
/// server would return the same page forever.
fn turn(cursor: &mut Option<String>, next: Option<&String>, has_more: Option<bool>) -> bool {
    let leads_on = |next: &&String| !next.is_empty() && cursor.as_ref() != Some(*next);
    *cursor = next.filter(leads_on).filter(|_| has_more != Some(false)).cloned();
    cursor.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balances_need_a_filter_and_filters_need_a_value() {
        let field = |params: BalanceParams| params.check().unwrap_err().field().to_owned();
        assert_eq!(field(BalanceParams::default()), "balances");
        assert_eq!(
            field(BalanceParams {
                agent: Some(String::new()),
                ..Default::default()
            }),
            "agent"
        );
        let tenant = || Some("acme".to_owned());
        assert_eq!(
            field(BalanceParams {
                tenant: tenant(),
                limit: Some(0),
                ..Default::default()
            }),
            "limit"
        );
        assert_eq!(
            field(BalanceParams {
                tenant: tenant(),
                limit: Some(201),
                ..Default::default()
            }),
            "limit"
        );
        BalanceParams {
            tenant: tenant(),
            limit: Some(200),
            ..Default::default()
        }
        .check()
        .unwrap();
    }

    #[test]
    fn what_a_server_would_misunderstand_is_refused() {
        type Params = ListReservationsParams;
        let field = |params: Params| params.check().unwrap_err().field().to_owned();
        assert_eq!(
            field(Params {
                status: Some("DONE".into()),
                ..Default::default()
            }),
            "status"
        );
        assert_eq!(
            field(Params {
                sort_by: Some("age".into()),
                ..Default::default()
            }),
            "sort_by"
        );
        assert_eq!(
            field(Params {
                sort_dir: Some("up".into()),
                ..Default::default()
            }),
            "sort_dir"
        );
        assert_eq!(
            field(Params {
                cursor: Some(String::new()),
                ..Default::default()
            }),
            "cursor"
        );
        assert_eq!(
            field(Params {
                from: Some(UnixMillis(u64::MAX)),
                ..Default::default()
            }),
            "from"
        );
        Params {
            to: Some(UnixMillis::LAST),
            include: vec!["new".into()],
            ..Default::default()
        }
        .check()
        .unwrap();
    }

    #[test]
    fn a_window_that_ends_before_it_starts_is_refused() {
        let params = ListReservationsParams {
            expires_from: Some(UnixMillis(2)),
            expires_to: Some(UnixMillis(1)),
            ..Default::default()
        };
        assert_eq!(params.check().unwrap_err().field(), "expires_to");
        ListReservationsParams {
            from: Some(UnixMillis(1)),
            to: Some(UnixMillis(1)),
            ..Default::default()
        }
        .check()
        .unwrap();
    }

    #[test]
    fn pages_are_turned_as_long_as_they_lead_on() {
        let page = |text: &str| serde_json::from_str::<ReservationListResponse>(text).unwrap();
        let mut params = ListReservationsParams::default();
        assert!(params.turn_to_next(&page(r#"{"reservations":[],"next_cursor":"7","has_more":true}"#)));
        assert_eq!(params.cursor.as_deref(), Some("7"));
        assert!(params.turn_to_next(&page(r#"{"reservations":[],"next_cursor":"9"}"#)));
        for last in [
            r#"{"reservations":[],"next_cursor":null,"has_more":false}"#,
            r#"{"reservations":[]}"#,
            r#"{"reservations":[],"next_cursor":"11","has_more":false}"#,
            r#"{"reservations":[],"next_cursor":"","has_more":true}"#,
            r#"{"reservations":[],"next_cursor":"9","has_more":true}"#,
        ] {
            assert!(!params.clone().turn_to_next(&page(last)), "{last}");
        }
        let balances = r#"{"balances":[],"next_cursor":"7","has_more":true}"#;
        let page = serde_json::from_str::<BalanceResponse>(balances).unwrap();
        let mut params = BalanceParams::default();
        assert!(params.turn_to_next(&page) && !params.turn_to_next(&page));
    }
}
