//! Random reads.

use super::operations::{Request, caller};
use super::pair::{ADMIN, Pair};
use crate::common::KEY;
use crate::dice::Dice;

pub fn read(pair: &Pair, dice: &mut Dice) -> Request {
    let mut request = match pair.known.reservations.len() as u64 {
        0 => Request::get("/v1/reservations/none", KEY),
        count => Request::get(
            &format!("/v1/reservations/<r{}>", dice.roll(count)),
            &caller(dice),
        ),
    };
    if pair.has_admin && dice.percent(10) {
        request.headers[0] = ("x-admin-api-key", ADMIN.to_owned());
    }
    request
}

pub fn balances(dice: &mut Dice) -> Request {
    let queries = [
        "tenant=acme",
        "tenant=acme&limit=2",
        "tenant=acme&include_children=true",
        "agent=bot",
        "agent=BOT&limit=1",
        "app=web&agent=bot",
        "toolset=t",
        "tenant=",
        "agent=nobody",
        "tenant=rival",
        "limit=0&tenant=acme",
        "limit=201&tenant=acme",
        "limit=x&tenant=acme",
        "limit=&tenant=acme",
        "include_children=maybe&tenant=acme",
        "unknown=1",
        "workspace=",
    ];
    Request::get(&format!("/v1/balances?{}", dice.pick(&queries)), &caller(dice))
}

pub fn list(pair: &Pair, dice: &mut Dice) -> Request {
    let mut query = vec![format!(
        "limit={}",
        dice.pick(&["200", "200", "200", "7", "3", "0", "201", "x", ""])
    )];
    if dice.percent(60) {
        let keys = [
            "reservation_id",
            "tenant",
            "scope_path",
            "status",
            "reserved",
            "created_at_ms",
            "expires_at_ms",
            "STATUS",
            "key",
            "",
        ];
        query.push(format!("sort_by={}", dice.pick(&keys)));
    }
    if dice.percent(40) {
        query.push(format!(
            "sort_dir={}",
            dice.pick(&["asc", "desc", "ASC", "up", ""])
        ));
    }
    let filters = [
        "tenant=acme",
        "tenant=rival",
        "tenant=",
        "status=ACTIVE",
        "status=COMMITTED",
        "status=RELEASED",
        "status=EXPIRED",
        "status=active",
        "status=",
        "agent=bot",
        "agent=BOT",
        "workspace=",
        "app=web",
        "idempotency_key=key-3",
        "idempotency_key=",
        "include=metadata",
        "include=committed_metadata,METADATA,evidence",
        "include=",
        "unknown=1",
        "from=",
        "from=2026-01-01",
        "to=2020-01-01T00:00:00Z",
        "from=2030-01-01T00:00:00Z&to=2020-01-01T00:00:00Z",
        "expires_from=2020-01-01T00:00:00Z",
        "expires_to=2020-01-01T00:00:00.5%2B01:00",
        "finalized_from=2020-01-01T00:00:00Z",
        "finalized_to=2020-01-01T00:00:00Z",
        "to=2026-01-01T00:00Z",
        "to=2026-01-01T24:00:00Z",
        "to=20260101T000000Z",
        "from=2026-01-01T00:00:00-0100",
        "from=2016-12-31T23:59:60Z",
        "from=1790000000000",
        "from=2026-02-30T00:00:00Z",
    ];
    while dice.percent(45) {
        query.push(dice.pick(&filters).to_owned());
    }
    if !pair.known.reservations.is_empty() && dice.percent(20) {
        let number = dice.roll(pair.known.reservations.len() as u64);
        query.push(format!("{}=<c{number}>", dice.pick(&["from", "to"])));
    }
    if dice.percent(4) {
        query.push(format!(
            "cursor={}",
            dice.pick(&["junk", "5x", "eyJ2IjoxfQ", "%20"])
        ));
    }
    let mut request = Request::get(&format!("/v1/reservations?{}", query.join("&")), &caller(dice));
    if pair.has_admin && dice.percent(10) {
        request.headers[0] = ("x-admin-api-key", ADMIN.to_owned());
    }
    request
}
