//! Arbitrary parts of a request.

use cycles_proto::models::*;
use serde_json::Value;

use crate::input::Input;

pub(super) fn subject(input: &mut Input<'_>) -> Subject {
    let level = |input: &mut Input<'_>| match input.byte() {
        0..200 => "acme".to_owned(),
        _ => input.text(),
    };

    Subject {
        tenant: (!input.one_in(16)).then(|| level(input)),
        workspace: input.maybe(level),
        toolset: input.maybe(level),
        dimensions: input.maybe(|input| {
            let count = input.one_of(&[1, 2, 16, 17]);
            (0..count)
                .map(|at| {
                    (
                        format!("{at}"),
                        if at == 0 { input.text() } else { String::new() },
                    )
                })
                .collect()
        }),
        ..Default::default()
    }
}

pub(super) fn action(input: &mut Input<'_>) -> Action {
    let mut action = Action::new(format!("k{}", input.text()), input.text());
    action.tags = input.maybe(|input| {
        let count = input.one_of(&[0, 1, 10, 11]);
        (0..count).map(|_| input.text()).collect()
    });
    action
}

pub(super) fn amount(input: &mut Input<'_>) -> Amount {
    let unit = input.one_of(&["TOKENS", "USD_MICROCENTS", "CREDITS", "RISK_POINTS", "EUR"]);
    Amount::new(unit.into(), input.number() as i64)
}

pub(super) fn policy(input: &mut Input<'_>) -> CommitOveragePolicy {
    input
        .one_of(&["REJECT", "ALLOW_IF_AVAILABLE", "ALLOW_WITH_OVERDRAFT", "SOME"])
        .into()
}

pub(super) fn metrics(input: &mut Input<'_>) -> CyclesMetrics {
    CyclesMetrics {
        tokens_input: input.maybe(|input| input.number() as i64),
        latency_ms: input.maybe(|input| input.number() as i64),
        model_version: input.maybe(Input::text),
        custom: input.maybe(metadata),
        ..Default::default()
    }
}

pub(super) fn metadata(input: &mut Input<'_>) -> JsonObject {
    let mut object = JsonObject::new();
    for _ in 0..input.below(4) {
        let name = input.text();
        match input.below(3) {
            0 => object.insert(name, input.text()),
            1 => object.insert(name, input.number()),
            _ => object.insert(name, Value::Null),
        }
    }
    object
}
