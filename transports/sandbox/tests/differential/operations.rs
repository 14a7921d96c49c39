//! Random operations, from sensible to odd.

use cycles_sandbox::{BudgetStatus, Unit};

use crate::common::{KEY, OTHER_KEY};
use crate::dice::Dice;
use crate::pair::{ADMIN, Pair};

pub const SCOPES: [&str; 7] = [
    "tenant:acme",
    "tenant:acme/agent:bot",
    "tenant:acme/agent:bot/toolset:t",
    "tenant:acme/app:web",
    "tenant:acme/app:web/agent:bot",
    "tenant:rival",
    "agent:nomad",
];

const UNITS: [&str; 4] = ["USD_MICROCENTS", "TOKENS", "CREDITS", "RISK_POINTS"];

/// What happens next.
pub enum Step {
    Send(Request),
    /// All pages of a read.
    Walk(Request),
    Status(&'static str, Unit, BudgetStatus),
    Tenant,
    Expiry,
}

/// A request; `<r5>` stands for the sixth reservation, `<c5>` for the time at which it was made.
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

/// Commit, release or extend of one reservation.
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

fn read(pair: &Pair, dice: &mut Dice) -> Request {
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

fn balances(dice: &mut Dice) -> Request {
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

fn list(pair: &Pair, dice: &mut Dice) -> Request {
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
            dice.pick(&["junk", "5x", "-1", "eyJ2IjoxfQ", "%20"])
        ));
    }
    let mut request = Request::get(&format!("/v1/reservations?{}", query.join("&")), &caller(dice));
    if pair.has_admin && dice.percent(10) {
        request.headers[0] = ("x-admin-api-key", ADMIN.to_owned());
    }
    request
}

/// Requests that no operation takes.
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

fn caller(dice: &mut Dice) -> String {
    if dice.percent(93) { KEY } else { OTHER_KEY }.to_owned()
}

/// Key, subject, action and an amount.
fn common_members(pair: &mut Pair, dice: &mut Dice, amount_name: &str) -> String {
    let actions = [
        r#"{"kind":"llm.completion","name":"m"}"#,
        r#"{"kind":"llm.completion","name":"m"}"#,
        r#"{"kind":"tool","name":"search","tags":["a","b"]}"#,
        r#"{"kind":"k","name":7,"tags":[null,5,true]}"#,
        r#"{"name":"n","kind":"k","tags":[]}"#,
        r#"{"kind":" ","name":"n"}"#,
        r#"{"kind":"k","name":"n","tags":null}"#,
    ];
    let usual = if dice.percent(85) { 3 } else { actions.len() };
    let action = dice.pick(&actions[..usual]);
    let (key, subject, amount) = (key(pair, dice), subject(dice), amount(dice));
    format!(r#"{key},"subject":{subject},"action":{action},"{amount_name}":{amount}"#)
}

fn key(pair: &mut Pair, dice: &mut Dice) -> String {
    if dice.percent(88) {
        pair.fresh_keys += 1;
        return format!(r#""idempotency_key":"key-{}""#, pair.fresh_keys);
    }
    let number = 1 + dice.roll(pair.fresh_keys.max(1));
    let keys = [
        &*format!("\"key-{number}\""),
        &*format!("\"key-{number}\""),
        "5",
        "\"\"",
        "null",
        "\" \"",
        "true",
        "[]",
    ];
    let usual = if dice.percent(80) { 2 } else { keys.len() };
    format!(r#""idempotency_key":{}"#, dice.pick(&keys[..usual]))
}

fn subject(dice: &mut Dice) -> &'static str {
    let usual = [
        r#"{"tenant":"acme"}"#,
        r#"{"tenant":"acme","agent":"bot"}"#,
        r#"{"tenant":"acme","agent":"Bot","toolset":"T"}"#,
        r#"{"tenant":"acme","app":"web"}"#,
        r#"{"agent":"bot","tenant":"acme","app":"WEB"}"#,
        r#"{"tenant":"acme","workspace":"w"}"#,
    ];
    let odd = [
        r#"{"agent":"nomad"}"#,
        r#"{"tenant":"rival"}"#,
        r#"{"tenant":"Acme"}"#,
        r#"{"tenant":null,"agent":"nomad","dimensions":{"b":"x","a":5,"c":null}}"#,
        r#"{"tenant":"acme","dimensions":{"run":"1","on":true,"f":1.5}}"#,
        r#"{"tenant":"acme","agent":""}"#,
        r#"{"tenant":"acme","agent":"a b"}"#,
        r#"{"tenant":"acme","dimensions":{}}"#,
        r#"{"tenant":"acme","team":"x"}"#,
        r#"{"dimensions":{"a":"b"}}"#,
        r#"{"tenant":"acme","workflow":7}"#,
        "{}",
        "null",
        "\"acme\"",
    ];
    if dice.percent(88) {
        dice.pick(&usual)
    } else {
        dice.pick(&odd)
    }
}

fn amount(dice: &mut Dice) -> String {
    if dice.percent(7) {
        let odd = [
            r#"{"unit":"TOKENS","amount":"5"}"#,
            r#"{"unit":"TOKENS","amount":5.9}"#,
            r#"{"unit":"TOKENS","amount":-0.5}"#,
            r#"{"unit":"TOKENS","amount":1e2}"#,
            r#"{"unit":"TOKENS","amount":" 7 "}"#,
            r#"{"unit":"TOKENS","amount":"+7"}"#,
            r#"{"unit":"TOKENS","amount":"07"}"#,
            r#"{"unit":"TOKENS","amount":"0x7"}"#,
            r#"{"unit":"TOKENS","amount":"5.0"}"#,
            r#"{"unit":"TOKENS","amount":"1e2"}"#,
            r#"{"unit":"TOKENS","amount":-1}"#,
            r#"{"unit":"TOKENS","amount":-0}"#,
            r#"{"unit":"TOKENS","amount":""}"#,
            r#"{"unit":"TOKENS","amount":null}"#,
            r#"{"unit":"TOKENS","amount":true}"#,
            r#"{"unit":"TOKENS","amount":9223372036854775808}"#,
            r#"{"unit":"TOKENS","amount":9.3e18}"#,
            r#"{"unit":1,"amount":3}"#,
            r#"{"unit":"1","amount":3}"#,
            r#"{"unit":4,"amount":3}"#,
            r#"{"unit":-1,"amount":3}"#,
            r#"{"unit":1.0,"amount":3}"#,
            r#"{"unit":" TOKENS ","amount":3}"#,
            r#"{"unit":"tokens","amount":3}"#,
            r#"{"unit":"","amount":3}"#,
            r#"{"unit":null,"amount":3}"#,
            r#"{"amount":3}"#,
            r#"{"unit":"TOKENS","amount":3,"more":1}"#,
            "null",
            "5",
            "[]",
        ];
        return dice.pick(&odd).to_owned();
    }
    let unit = if dice.percent(88) {
        "TOKENS"
    } else {
        dice.pick(&UNITS)
    };
    let limit = dice.pick(&[2, 40, 40, 100, 300, 2_000]);
    let amount = if dice.percent(1) {
        i64::MAX
    } else {
        dice.roll(limit) as i64
    };
    format!(r#"{{"unit":"{unit}","amount":{amount}}}"#)
}

fn policy(dice: &mut Dice) -> String {
    let policies = [
        "\"REJECT\"",
        "\"ALLOW_IF_AVAILABLE\"",
        "\"ALLOW_WITH_OVERDRAFT\"",
        "\"ALLOW_WITH_OVERDRAFT\"",
        "0",
        "\"2\"",
        "3",
        "null",
        "\"reject\"",
        "\"\"",
    ];
    if !dice.percent(50) {
        return String::new();
    }
    let known = if dice.percent(93) { 4 } else { policies.len() };
    format!(r#","overage_policy":{}"#, dice.pick(&policies[..known]))
}

fn metadata(dice: &mut Dice) -> String {
    let maps = [
        "{}",
        r#"{"a":1,"b":[true,null,"x"]}"#,
        r#"{"b":2,"a":1.0}"#,
        "null",
        "[]",
        r#""text""#,
        r#"{"a":1e5,"b":0.10,"a":2}"#,
        r#"{"é\u00fc":"\n\u2028/","n":-0.0,"big":9223372036854775807,"f":123456789012.5,"s":1e-7}"#,
    ];
    if dice.percent(15) {
        format!(r#","metadata":{}"#, dice.pick(&maps))
    } else {
        String::new()
    }
}

fn metrics(dice: &mut Dice) -> String {
    let metrics = [
        "{}",
        r#"{"tokens_input":5,"tokens_output":0,"latency_ms":12,"model_version":"v","custom":{"x":[1]}}"#,
        r#"{"tokens_input":-1,"latency_ms":-5}"#,
        r#"{"latency_ms":2147483648}"#,
        r#"{"latency_ms":"7","model_version":5}"#,
        r#"{"latency_ms":7.9}"#,
        r#"{"unknown":1}"#,
        "null",
        "[]",
    ];
    if dice.percent(10) {
        format!(r#","metrics":{}"#, dice.pick(&metrics))
    } else {
        String::new()
    }
}

/// Sometimes the text of a body or its headers come out odd.
fn odd(mut request: Request, dice: &mut Dice) -> Request {
    if dice.percent(92) {
        return request;
    }
    let open = request.body.trim_end_matches('}').len() < request.body.len();
    match dice.roll(12) {
        0 => request.body += " }] trailing",
        1 if open => request.body = request.body[..request.body.len() - 1].to_owned() + r#","unknown":null}"#,
        2 if open => drop(request.body.pop()),
        3 => {
            request.body = dice
                .pick(&[
                    "",
                    " ",
                    "null",
                    "[]",
                    "5",
                    "{}",
                    "{'a':1}",
                    "\"x\"",
                    "{\"a\":NaN}",
                ])
                .to_owned()
        }
        4 => request
            .headers
            .push(("x-idempotency-key", dice.pick(&["other", "", "key-1"]).to_owned())),
        5 => {
            request.body = format!(
                "{}{}",
                dice.pick(&["/* comment */", "\u{feff}", "//\n"]),
                request.body
            )
        }
        6 => request.body = format!(" \n\t{}\r\n", request.body),
        7 if open => request.body = request.body[..request.body.len() - 1].to_owned() + ",}",
        8 if open => {
            request.body =
                request.body[..request.body.len() - 1].to_owned() + r#","idempotency_key":"key-1"}"#
        }
        9 => {
            request.body = request
                .body
                .replacen("\"idempotency_key\"", "\"idempotencyKey\"", 1)
        }
        10 => request.body = request.body.replacen("key-", "kéy \\u00e9-", 1),
        _ => {
            request.body =
                request
                    .body
                    .replacen(r#""subject":"#, r#""subject":{"tenant":"rival"},"subject":"#, 1)
        }
    }
    request
}
