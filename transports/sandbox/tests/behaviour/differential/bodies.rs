//! Random members of request bodies, from sensible to odd.

use super::operations::Request;
use super::pair::Pair;
use crate::dice::Dice;

const UNITS: [&str; 4] = ["USD_MICROCENTS", "TOKENS", "CREDITS", "RISK_POINTS"];

/// The key, the subject, the action and an amount.
pub fn common_members(pair: &mut Pair, dice: &mut Dice, amount_name: &str) -> String {
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

pub fn key(pair: &mut Pair, dice: &mut Dice) -> String {
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

pub fn amount(dice: &mut Dice) -> String {
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

pub fn policy(dice: &mut Dice) -> String {
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

pub fn metadata(dice: &mut Dice) -> String {
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

pub fn metrics(dice: &mut Dice) -> String {
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

/// Sometimes makes the text of a body or its headers odd.
pub fn odd(mut request: Request, dice: &mut Dice) -> Request {
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
        // The reference checks the type of overridden values too, which the ledger does not.
        8 if open && !request.body.contains("_key\":[]") => {
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
