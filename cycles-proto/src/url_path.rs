//! Paths and queries. Every part that comes from outside is percent-encoded, so that it cannot change the route.

use core::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::models::{
    BalanceParams, EvidenceId, IdempotencyKey, InvalidRequest, ListReservationsParams, ReservationId,
};

/// Path of an operation on one reservation; `suffix` starts with a slash or is empty.
pub(crate) fn reservation_path(id: &ReservationId, suffix: &str) -> Result<String, InvalidRequest> {
    id.check()?;
    let before = "/v1/reservations/";
    // Most ids need no encoding, so allocate room for one of those.
    let mut path = String::with_capacity(before.len() + id.as_str().len() + suffix.len());
    path.push_str(before);
    path.extend(utf8_percent_encode(id.as_str(), ENCODED));
    path.push_str(suffix);
    Ok(path)
}

/// Path of an evidence envelope.
pub(crate) fn evidence_path(id: &EvidenceId) -> Result<String, InvalidRequest> {
    id.check()?;
    Ok(format!("/v1/evidence/{id}"))
}

/// Path and query of `getBalances`.
pub(crate) fn balances_path(params: &BalanceParams) -> Result<String, InvalidRequest> {
    params.check()?;
    // Names all fields, so that a new one cannot be forgotten. `levels` has the levels.
    let BalanceParams {
        tenant: _,
        workspace: _,
        app: _,
        workflow: _,
        agent: _,
        toolset: _,
        include_children,
        limit,
        cursor,
    } = params;
    let mut query = Query::new("/v1/balances");
    query.texts(params.levels());
    query.text(
        "include_children",
        include_children.map(|children| if children { "true" } else { "false" }),
    );
    query.page(*limit, cursor.as_deref());
    Ok(query.0)
}

/// Path and query of `listReservations`.
pub(crate) fn list_path(params: &ListReservationsParams) -> Result<String, InvalidRequest> {
    params.check()?;
    // As above; `windows` has the times.
    let ListReservationsParams {
        idempotency_key,
        status,
        tenant: _,
        workspace: _,
        app: _,
        workflow: _,
        agent: _,
        toolset: _,
        from: _,
        to: _,
        expires_from: _,
        expires_to: _,
        finalized_from: _,
        finalized_to: _,
        sort_by,
        sort_dir,
        include,
        limit,
        cursor,
    } = params;
    let mut query = Query::new("/v1/reservations");
    query.text(
        "idempotency_key",
        idempotency_key.as_ref().map(IdempotencyKey::as_str),
    );
    query.text("status", status.as_ref().map(|status| status.as_str()));
    query.texts(params.levels());
    for (name, time) in params.windows().into_iter().flatten() {
        query.text(name, time.map(|time| time.to_string()).as_deref());
    }
    query.text("sort_by", sort_by.as_ref().map(|key| key.as_str()));
    query.text("sort_dir", sort_dir.as_ref().map(|dir| dir.as_str()));
    let fields: Vec<&str> = include.iter().map(|field| field.as_str()).collect();
    query.text(
        "include",
        (!fields.is_empty()).then(|| fields.join(",")).as_deref(),
    );
    query.page(*limit, cursor.as_deref());
    Ok(query.0)
}

struct Query(String);

impl Query {
    fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let separator = if self.0.contains('?') { '&' } else { '?' };
        // Writing to a string cannot fail.
        let _ = write!(
            self.0,
            "{separator}{name}={}",
            utf8_percent_encode(value, ENCODED)
        );
    }

    fn texts<'a>(&mut self, values: impl IntoIterator<Item = (&'static str, Option<&'a str>)>) {
        values
            .into_iter()
            .for_each(|(name, value)| self.text(name, value));
    }

    fn page(&mut self, limit: Option<u32>, cursor: Option<&str>) {
        self.text("limit", limit.map(|limit| limit.to_string()).as_deref());
        self.text("cursor", cursor);
    }
}

/// The characters to encode: everything except the unreserved characters (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{ReservationField, ReservationSortKey, ReservationStatus, SortDirection};
    use crate::time::UnixMillis;

    #[test]
    fn no_id_can_change_the_route() {
        for (id, path) in [
            ("26c5a266-37a3", "/v1/reservations/26c5a266-37a3/commit"),
            ("a/b", "/v1/reservations/a%2Fb/commit"),
            ("../../v1/events", "/v1/reservations/..%2F..%2Fv1%2Fevents/commit"),
            ("a?b#c", "/v1/reservations/a%3Fb%23c/commit"),
            ("a b\r\nc", "/v1/reservations/a%20b%0D%0Ac/commit"),
            ("é%2F", "/v1/reservations/%C3%A9%252F/commit"),
            ("a\\b;c", "/v1/reservations/a%5Cb%3Bc/commit"),
        ] {
            assert_eq!(reservation_path(&id.into(), "/commit").unwrap(), path);
        }
        for id in ["", ".", "..", &"x".repeat(129)] {
            assert_eq!(
                reservation_path(&id.into(), "").unwrap_err().field(),
                "reservation_id",
                "{id}"
            );
        }
    }

    #[test]
    fn every_query_parameter_is_written_and_encoded() {
        let text = |value: &str| Some(value.to_owned());
        let params = ListReservationsParams {
            idempotency_key: Some("k&1=ü".into()),
            status: Some(ReservationStatus::Active),
            tenant: text("t"),
            workspace: text("w"),
            app: text("a"),
            workflow: text("f"),
            agent: text("g+h"),
            toolset: text("s"),
            from: Some(UnixMillis(0)),
            to: Some(UnixMillis(1)),
            expires_from: Some(UnixMillis(2)),
            expires_to: Some(UnixMillis(3)),
            finalized_from: Some(UnixMillis(4)),
            finalized_to: Some(UnixMillis(5)),
            sort_by: Some(ReservationSortKey::CreatedAtMs),
            sort_dir: Some(SortDirection::Asc),
            include: vec![ReservationField::Metadata, ReservationField::Evidence],
            limit: Some(10),
            cursor: text("c=="),
        };
        assert_eq!(
            list_path(&params).unwrap(),
            "/v1/reservations?idempotency_key=k%261%3D%C3%BC&status=ACTIVE&tenant=t&workspace=w&app=a&workflow=f\
             &agent=g%2Bh&toolset=s&from=1970-01-01T00%3A00%3A00.000Z&to=1970-01-01T00%3A00%3A00.001Z\
             &expires_from=1970-01-01T00%3A00%3A00.002Z&expires_to=1970-01-01T00%3A00%3A00.003Z\
             &finalized_from=1970-01-01T00%3A00%3A00.004Z&finalized_to=1970-01-01T00%3A00%3A00.005Z\
             &sort_by=created_at_ms&sort_dir=asc&include=metadata%2Cevidence&limit=10&cursor=c%3D%3D"
        );
        assert_eq!(
            list_path(&ListReservationsParams::default()).unwrap(),
            "/v1/reservations"
        );
        let params = BalanceParams {
            tenant: text("t"),
            include_children: Some(true),
            limit: Some(200),
            cursor: text("0"),
            ..Default::default()
        };
        assert_eq!(
            balances_path(&params).unwrap(),
            "/v1/balances?tenant=t&include_children=true&limit=200&cursor=0"
        );
    }
}
