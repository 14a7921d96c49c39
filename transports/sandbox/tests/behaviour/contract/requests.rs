//! The plain operations: the core does not send requests that it refuses; the ones it sends are valid, and so are the
//! ledger's answers. Each operation must succeed often enough, because an answer that never occurs is never checked.

use std::collections::BTreeMap;

use cycles_conformance::contract;

use super::desk::Desk;
use super::{number, spec};

#[test]
fn whatever_the_core_sends_is_valid_and_so_is_the_answer() {
    let Some(spec) = spec() else { return };
    let (seed, count) = (
        number("CYCLES_CONTRACT_SEED", 1),
        number("CYCLES_CONTRACT_REQUESTS", 8_000),
    );
    println!("CYCLES_CONTRACT_SEED={seed}");
    let mut desk = Desk::new(seed);
    let (mut sent, mut refused) = (BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new());
    let (mut done, mut answers) = (BTreeMap::<&str, u64>::new(), BTreeMap::<u16, u64>::new());
    for _ in 0..count {
        let (operation, request) = desk.next();
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let reason = error.to_string();
                let reason = reason
                    .split_once(':')
                    .map_or(&*reason, |(reason, _)| reason)
                    .to_owned();
                *refused.entry(reason).or_default() += 1;
                continue;
            }
        };
        let violations = spec.request(&request);
        assert!(
            violations.is_empty(),
            "{violations:#?}\n{request:?}\n{}",
            String::from_utf8_lossy(request.body())
        );
        *sent.entry(operation).or_default() += 1;
        let status = desk.exchange(&request);
        *answers.entry(status).or_default() += 1;
        if (200..300).contains(&status) {
            *done.entry(operation).or_default() += 1;
        }
    }
    let met = contract::met();
    println!("sent: {sent:?}\ndone: {done:?}\nanswers: {answers:?}\ndeviations: {met:?}");
    for deviation in contract::DEVIATIONS {
        println!("{}: {}", deviation.name, deviation.reason);
        assert!(
            met.contains_key(deviation.name),
            "no answer deviates like this any more"
        );
    }
    for operation in spec.operations() {
        let [sent, done] = [&sent, &done].map(|times| times.get(operation).copied().unwrap_or(0));
        assert!(sent > count / 200, "{operation} is sent {sent} times");
        assert!(done > count / 100, "{operation} is done {done} times");
        let is_refusable = !["getEvidenceJwks", "listReservations", "getBalances"].contains(&operation);
        assert!(
            !is_refusable || sent - done > count / 400,
            "{operation} is refused {} times",
            sent - done
        );
    }
    assert!(
        refused.values().sum::<u64>() > count / 10,
        "nothing is near a limit: {refused:?}"
    );
}
