use super::*;

fn rule(text: &str) -> FaultRule {
    text.parse().unwrap()
}

fn strikes(text: &str, calls: &[(u64, Operation)]) -> Vec<bool> {
    let mut plan = FaultPlan::default();
    plan.add(rule(text));
    calls
        .iter()
        .map(|&(ms, operation)| plan.strike(UnixMillis(ms), operation).is_some())
        .collect()
}

#[test]
fn a_rule_is_read_from_its_text() {
    let lost = FaultRule::new(Fault::LoseResponse).on(Operation::CommitReservation);
    assert_eq!(
        rule("commit:lose-response@1,3"),
        lost.when(When::Calls([1, 3].into()))
    );
    assert_eq!(
        rule("*:delay=2s"),
        FaultRule::new(Fault::Delay(Duration::from_secs(2)))
    );
    let throttled = FaultRule::new(Fault::Status {
        status: 429,
        retry_after_s: Some(7),
    });
    let both = throttled.on(Operation::Decide).on(Operation::CreateEvent);
    assert_eq!(rule("decide,event:429=7@first=3"), both.when(When::First(3)));
    let randomly = When::Randomly {
        probability: 0.25,
        seed: 9,
    };
    assert_eq!(
        rule("*:after=503@p=0.25/9"),
        FaultRule::new(Fault::StatusAfter(503)).when(randomly)
    );
}

#[test]
fn a_fault_is_written_as_it_is_read() {
    for text in [
        "outage",
        "page=404",
        "page=307",
        "error=410",
        "twice=1s",
        "429=7",
        "drip=20ms",
        "without=charged",
        "saying=ACTIVE",
        "trailed",
        "rewritten",
    ] {
        assert_eq!(rule(&format!("*:{text}")).fault.to_string(), text);
    }
}

#[test]
fn a_foreign_error_names_no_request_and_repeats_the_key() {
    let request = Request::get("/v1/balances").header("x-cycles-api-key", "cyc_live_7");
    let response = foreign_error(410, &request.body(Bytes::new()).unwrap());
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["error"], "RESERVATION_EXPIRED");
    assert_eq!(
        (&body["request_id"], &body["message"]),
        (&serde_json::Value::Null, &"refused for cyc_live_7".into())
    );
}

#[test]
fn a_text_that_is_no_rule_is_refused_with_what_would_be() {
    for (text, problem) in [
        ("commit", "`commit` is not OPERATION:FAULT[@WHEN]"),
        (
            "comit:cut",
            "`comit` is not an operation: use * or decide, reserve,",
        ),
        (
            "commit:explode",
            "`explode` is not a fault: use a status such as 503",
        ),
        ("commit:200", "`200` is not a status from 400 to 599"),
        ("commit:delay=2", "`2` is not a duration such as 500ms or 2s"),
        ("commit:cut@sometimes", "`sometimes` is not a whole number"),
        ("commit:cut@often=1", "`often=1` is not a time"),
        ("commit:cut@0", "`0` matches no call"),
        ("commit:cut@first=0", "`0` matches no call"),
        ("commit:+503", "`+503` is not a fault"),
        ("commit:delay=+5s", "`+5s` is not a duration"),
        ("commit:delay=s", "`s` is not a duration"),
        ("commit:cut@p=1.5", "`1.5` is not a probability"),
    ] {
        let error = text.parse::<FaultRule>().unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}");
    }
}

#[test]
fn a_fault_strikes_the_calls_it_names_of_the_operations_it_names() {
    use Operation::{CommitReservation as Commit, Decide};
    let calls = [(0, Commit), (0, Decide), (0, Commit), (0, Commit)];
    assert_eq!(strikes("commit:cut@2", &calls), [false, false, true, false]);
    assert_eq!(strikes("commit:cut@first=2", &calls), [true, false, true, false]);
    assert_eq!(strikes("*:cut", &calls), [true; 4]);
}

#[test]
fn a_fault_for_a_while_ends() {
    let calls = [5_000, 14_999, 15_000].map(|ms| (ms, Operation::CommitReservation));
    assert_eq!(strikes("commit:401@for=10s", &calls), [true, true, false]);
}

#[test]
fn chance_is_the_same_for_the_same_seed() {
    let calls = [(0, Operation::Decide); 1_000];
    let struck = strikes("decide:cut@p=0.2/7", &calls);
    assert_eq!(struck, strikes("decide:cut@p=0.2/7", &calls));
    assert_ne!(struck, strikes("decide:cut@p=0.2/8", &calls));
    let count = struck.iter().filter(|struck| **struck).count();
    assert!((150..250).contains(&count), "{count}");
    assert!(strikes("decide:cut@p=0", &calls).iter().all(|struck| !struck));
    assert!(strikes("decide:cut@p=1", &calls).iter().all(|struck| *struck));
}

#[test]
fn the_first_rule_that_strikes_wins_and_all_count() {
    let mut plan = FaultPlan::default();
    plan.add(rule("commit:503@1"));
    plan.add(rule("commit:cut@first=2"));
    let mut strike = || plan.strike(UnixMillis(0), Operation::CommitReservation);
    assert!(matches!(strike(), Some(Fault::Status { status: 503, .. })));
    assert_eq!(strike(), Some(Fault::Cut));
    assert_eq!(strike(), None);
}

#[test]
fn rules_that_strike_at_random_draw_independently_and_alike_each_time() {
    let struck = |rules: &[&str]| {
        let mut plan = FaultPlan::default();
        rules.iter().for_each(|text| plan.add(rule(text)));
        let mut strike = || plan.strike(UnixMillis(0), Operation::CommitReservation);
        (0..10_000).map(|_| strike()).collect::<Vec<_>>()
    };
    let count = |struck: &[Option<Fault>], status: u16| {
        let is =
            |fault: &&Option<Fault>| matches!(fault, Some(Fault::Status { status: of, .. }) if *of == status);
        struck.iter().filter(is).count()
    };
    for seed in ["", "/7"] {
        let of = |text: &str| format!("{text}{seed}");
        let (more, less) = (of("commit:503@p=0.1"), of("*:429@p=0.05"));
        let least = of("commit:500@p=0.01");
        let both = struck(&[&more, &less, &least]);
        assert_eq!(both, struck(&[&more, &less, &least]));
        // The earlier rule has already taken a tenth of the calls.
        assert!((900..1_100).contains(&count(&both, 503)), "{}", count(&both, 503));
        assert!((380..520).contains(&count(&both, 429)), "{}", count(&both, 429));
        assert!((50..130).contains(&count(&both, 500)), "{}", count(&both, 500));
        // Two equal rules still draw independently.
        let twice = struck(&[&more, &more]);
        assert!(
            (1_750..2_050).contains(&count(&twice, 503)),
            "{}",
            count(&twice, 503)
        );
        // A second rule changes nothing for the first one, nor for a rule with another seed.
        let alone = struck(&[&more]);
        let strikes = |struck: &[Option<Fault>]| struck.iter().map(Option::is_some).collect::<Vec<_>>();
        assert!(
            alone
                .iter()
                .zip(&both)
                .all(|(alone, both)| alone.is_none() || alone == both)
        );
        let own = struck(&["commit:503@p=0", "commit:503@p=0.1/9"]);
        assert_eq!(strikes(&own), strikes(&struck(&["commit:503@p=0.1/9"])));
    }
}
