//! Random operations, from sensible to odd.

use cycles_sandbox::{BudgetStatus, Unit};

use super::bodies::{amount, common_members, key, metadata, metrics, odd, policy};
use super::pair::{ADMIN, Pair};
use super::questions::{balances, list, read};
use crate::common::{KEY, OTHER_KEY};
use crate::dice::Dice;

pub const SCOPES: [&str; 7] = [
    "tenant:acme",
    "tenant:acme/agent:bot",
    "tenant:acme/agent:bot/toolset:t",
    "tenant:acme/app:web",
    "tenant:acme/app:web/agent:bot",
    "tenant:rival",
    "agent:nomad",
];

/// The next operation.
pub enum Step {
    Send(Request),
    /// All pages of a read.
    Walk(Request),
    Status(&'static str, Unit, BudgetStatus),
    Tenant,
    Expiry,
}

/// A request; `<r5>` stands for the sixth reservation, `<c5>` for its creation time.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Request {
    pub fn get(path: &str, key: &str) -> Self {
        let headers = vec![("x-cycles-api-key", key.to_owned())];
        Self {
            method: "GET",
            path: path.to_owned(),
            headers,
            body: String::new(),
        }
    }

    pub fn post(path: &str, key: &str, body: String) -> Self {
        let headers = vec![
            ("x-cycles-api-key", key.to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        Self {
            method: "POST",
            path: path.to_owned(),
            headers,
            body,
        }
    }

    pub fn with_path(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.clone()
        }
    }
}

pub fn next(pair: &mut Pair, dice: &mut Dice) -> Step {
    match dice.roll(1000) {
        0..250 => Step::Send(odd(reserve(pair, dice, ""), dice)),
        250..320 => Step::Send(odd(reserve(pair, dice, r#","dry_run":true"#), dice)),
        320..400 => Step::Send(odd(decide(pair, dice), dice)),
        400..500 => Step::Send(odd(event(pair, dice), dice)),
        500..640 => Step::Send(settle(pair, dice, "commit")),
        640..700 => Step::Send(settle(pair, dice, "release")),
        700..770 => Step::Send(settle(pair, dice, "extend")),
        770..850 if !pair.past.is_empty() => Step::Send(dice.pick(&pair.past)),
        850..890 => Step::Send(read(pair, dice)),
        890..930 => Step::Walk(balances(dice)),
        930..965 => Step::Walk(list(pair, dice)),
        965..985 => {
            let statuses = [
                BudgetStatus::Active,
                BudgetStatus::Active,
                BudgetStatus::Frozen,
                BudgetStatus::Closed,
            ];
            Step::Status(dice.pick(&SCOPES), Unit::Tokens, dice.pick(&statuses))
        }
        985..992 => Step::Tenant,
        992..994 => Step::Expiry,
        _ => Step::Send(stray(pair, dice)),
    }
}

pub fn reserve(pair: &mut Pair, dice: &mut Dice, more: &str) -> Request {
    let mut body = common_members(pair, dice, "estimate") + more;
    if !more.contains("ttl_ms") && dice.percent(30) {
        body += &format!(
            r#","ttl_ms":{}"#,
            dice.pick(&["60000", "120000", "86400000", "999", "null", "\"90000\"", "0"])
        );
    }
    if !more.contains("grace") && dice.percent(10) {
        body += &format!(
            r#","grace_period_ms":{}"#,
            dice.pick(&["0", "5000", "60000", "60001", "-1", "null"])
        );
    }
    if !more.contains("dry_run") && dice.percent(8) {
        let values = [
            "false",
            "null",
            "\"false\"",
            "0",
            "\"\"",
            "\"no\"",
            "1",
            "1.0",
            "\"TRUE\"",
        ];
        body += &format!(r#","dry_run":{}"#, dice.pick(&values));
    }
    body += &policy(dice);
    body += &metadata(dice);
    Request::post("/v1/reservations", &caller(dice), format!("{{{body}}}"))
}

fn decide(pair: &mut Pair, dice: &mut Dice) -> Request {
    let body = common_members(pair, dice, "estimate") + &metadata(dice);
    Request::post("/v1/decide", &caller(dice), format!("{{{body}}}"))
}

fn event(pair: &mut Pair, dice: &mut Dice) -> Request {
    let mut body = common_members(pair, dice, "actual") + &policy(dice) + &metadata(dice) + &metrics(dice);
    if dice.percent(10) {
        body += &format!(
            r#","client_time_ms":{}"#,
            dice.pick(&["0", "1795000000000", "-1", "null", "\"5\"", "1.5"])
        );
    }
    Request::post("/v1/events", &caller(dice), format!("{{{body}}}"))
}

fn settle(pair: &mut Pair, dice: &mut Dice, operation: &str) -> Request {
    let count = pair.known.reservations.len() as u64;
    let reach = if dice.percent(70) { 6 } else { 60 };
    // Mostly recent ones, which are more likely to be active.
    let number = count
        .checked_sub(1)
        .map(|last| last - dice.roll(count.min(reach)));
    let request = about(pair, dice, operation, number.unwrap_or(0) as usize);
    let mut request = odd(request, dice);
    if number.is_none() || dice.percent(4) {
        let ids = [
            "00000000-0000-4000-8000-000000000000",
            "res_x",
            "%20",
            "x%20y",
            "x%2Fy",
            "x;y",
            "x%25",
            "%2e%2e",
            "x%80",
            "%zz",
            "%C3%A9",
            "x.y",
        ];
        request.path = format!("/v1/reservations/{}/{operation}", dice.pick(&ids));
    } else if dice.percent(1) {
        request.path = format!("/v1/reservations/{}/{operation}", "x".repeat(129));
    } else if operation == "release" && pair.has_admin && dice.percent(10) {
        request.headers[0] = (
            "x-admin-api-key",
            dice.pick(&[ADMIN, ADMIN, ADMIN, "wrong"]).to_owned(),
        );
    }
    request
}

/// A commit, release or extension of a reservation.
pub fn about(pair: &mut Pair, dice: &mut Dice, operation: &str, number: usize) -> Request {
    let mut body = key(pair, dice);
    match operation {
        "commit" => {
            body += &format!(r#","actual":{}"#, amount(dice));
            body += &metadata(dice);
            body += &metrics(dice);
        }
        "extend" => {
            let times = [
                "1000",
                "60000",
                "60000",
                "86400000",
                "0",
                "86400001",
                "\"60000\"",
                "60000.7",
                "null",
            ];
            body += &format!(r#","extend_by_ms":{}"#, dice.pick(&times));
            body += &metadata(dice);
        }
        _ if dice.percent(30) => {
            body += &format!(
                r#","reason":{}"#,
                dice.pick(&["\"done\"", "\"\"", "null", "5", "[]"])
            );
        }
        _ => {}
    }
    let path = format!("/v1/reservations/<r{number}>/{operation}");
    Request::post(&path, &caller(dice), format!("{{{body}}}"))
}

/// Requests that belong to no operation.
fn stray(pair: &mut Pair, dice: &mut Dice) -> Request {
    let mut request = decide(pair, dice);
    match dice.roll(8) {
        0 => request.path = "/v1/nowhere".into(),
        1 => request.path += "/",
        2 => request.method = "PUT",
        3 => {
            request.headers[1].1 = dice
                .pick(&[
                    "text/plain",
                    "application/json; charset=utf-8",
                    "application/x+json",
                    "",
                ])
                .into()
        }
        4 => drop(request.headers.pop()),
        5 => request.headers[0].1 = dice.pick(&["", "unknown", "cyc_live_acme_wrong"]).into(),
        6 => {
            request = Request::get(
                dice.pick(&["/v1/events", "/v1/decide", "/", "/v1", "/v1/balances"]),
                KEY,
            )
        }
        _ => {
            let paths = [
                "/v1/evidence/XYZ",
                "/v1/.well-known/cycles-jwks.json",
                "/v1/evidence/",
                "/v1/nowhere",
            ];
            request = Request::get(dice.pick(&paths), KEY);
            request.headers.clear();
        }
    }
    request
}

pub fn caller(dice: &mut Dice) -> String {
    if dice.percent(93) { KEY } else { OTHER_KEY }.to_owned()
}
