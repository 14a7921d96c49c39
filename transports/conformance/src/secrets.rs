//! The API key never appears in a record, an event or debug output.

use std::fs;
use std::time::Duration;

use cycles_proto::Receipt;
use cycles_proto::models::Amount;
use cycles_proto::outcome::Charged;
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT_SCOPE};

use super::test_setup::{TestSetup, commit, request};
use super::{ActionFailed, Adapter, Client as _, Guard as _};

pub fn the_key_is_nowhere<A: Adapter>() {
    let mut seen = Vec::new();
    for fault in [
        "*:401",
        "*:500",
        "commit:503",
        "commit:410",
        "commit:409",
        "*:garbage",
        "*:reset-request",
        "*:drip=0ms",
    ] {
        let setup = TestSetup::<A>::new();
        seen.push(format!("{:?} {:#?}", setup.client, setup.client));
        let guard = setup.client.reserve(request(100)).unwrap();
        seen.push(format!("{guard:?}"));
        setup.inject(fault);
        match guard.extend(1_000) {
            Ok(end) => seen.push(format!("{end:?}")),
            Err(error) => seen.push(format!("{error} {error:?} {error:#?}")),
        }
        seen.push(format!("{:?}", guard.commit(commit(42))));
        match setup.client.reserve(request(100)) {
            Ok(guard) => seen.push(format!("{:?}", guard.release("not needed"))),
            Err(error) => seen.push(format!("{error} {error:?}")),
        }
        let failed = setup
            .client
            .with_cycles(Amount::tokens(1), |_| -> Result<((), Amount), _> {
                Err(ActionFailed)
            });
        seen.push(format!("{failed:?}"));
        seen.push(format!("{:?}", setup.client.flush(Duration::from_millis(500))));
        seen.push(format!("{:?}", setup.events()));
        for file in setup.files("") {
            seen.push(file.display().to_string());
            seen.push(String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned());
        }
    }
    // Searches for the key's tail only, so that a shortened key is found as well.
    let tail = DEFAULT_API_KEY.get(DEFAULT_API_KEY.len() - 8..).unwrap();
    for text in &seen {
        assert!(!text.contains(tail), "{text}");
    }
    assert!(
        seen.iter().any(|text| text.contains("v2-")),
        "there was a record to look at"
    );
}

pub fn a_key_that_is_a_part_of_an_answer_changes_nothing_that_is_read_of_it<A: Adapter>() {
    for key in [
        "-",
        "a",
        "TOKENS",
        "COMMITTED",
        "tenant:acme-corp",
        "reservation_id",
    ] {
        let Some(setup) = TestSetup::<A>::with_key(key) else {
            return;
        };
        let guard = setup.client.reserve(request(100)).unwrap();
        assert_eq!(setup.reservations(), [guard.reservation_id()], "{key}");
        guard.extend(10_000).unwrap();
        let receipt = guard.commit(commit(42)).unwrap();
        let Receipt::Committed(Charged {
            response: Some(reply),
            ..
        }) = receipt
        else {
            panic!("{key}: {receipt:?}")
        };
        assert_eq!(reply.charged, Amount::tokens(42), "{key}");
        let balances = reply.balances.clone().unwrap_or_default();
        let is_there = balances
            .iter()
            .any(|balance| balance.scope_path == DEFAULT_TENANT_SCOPE);
        assert!(is_there, "{key}");
        setup.flush_everything();
        setup.assert_spent(42);
    }
}
