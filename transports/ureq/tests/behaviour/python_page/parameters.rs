// The parameters of the decorator: P12 to P28. See `page.rs`.

/// What a reservation says with this attribute.
macro_rules! reserved {
    ($($parameters:tt)*) => {{
        #[cycles(estimate = 10, $($parameters)*)]
        fn guarded() -> Result<(), Error> {
            Ok(())
        }
        let page = Page::new();
        with_default_client(page.client(), guarded).unwrap();
        page.only(Operation::CreateReservation)
    }};
}

#[test]
fn p12_to_p26_what_a_reservation_says() -> Outcome {
    #[cycles(
        estimate = 10,
        unit = "CREDITS",
        action_kind = "llm.completion",
        action_name = model,
        action_tags = ["prod", "customer-facing"],
        ttl_ms = 30_000,
        grace_period_ms = 2_500,
        overage_policy = "ALLOW_IF_AVAILABLE",
        tenant = "acme-corp",
        workspace = "production",
        app = "chat",
        workflow = "support",
        agent = agent,
        toolset = "search",
        dimensions = [("region", "eu")],
    )]
    fn guarded(model: String, agent: Option<String>) -> Result<(String, Option<String>), Error> {
        Ok((model, agent))
    }
    let page = Page::new();
    with_default_client(page.client(), || {
        guarded("gpt-4".to_owned(), Some("support-bot".to_owned()))
    })?;
    let mut said = page.only(Operation::CreateReservation);
    assert!(said.as_object_mut().unwrap().remove("idempotency_key").is_some());
    assert_eq!(
        said,
        json!({
            "subject": {
                "tenant": "acme-corp", "workspace": "production", "app": "chat", "workflow": "support",
                "agent": "support-bot", "toolset": "search", "dimensions": {"region": "eu"},
            },
            "action": {"kind": "llm.completion", "name": "gpt-4", "tags": ["prod", "customer-facing"]},
            "estimate": {"unit": "CREDITS", "amount": 10},
            "ttl_ms": 30_000, "grace_period_ms": 2_500, "overage_policy": "ALLOW_IF_AVAILABLE",
        })
    );
    assert_eq!(page.spent(Kind::Credits), (10, 0));
    Ok(())
}

#[test]
fn p12_to_p18_what_is_not_given_is_the_servers_default() {
    let request = reserved!();
    assert_eq!(request["action"], json!({"kind": "unknown", "name": "unknown"}));
    assert_eq!(request["subject"], json!({"tenant": "acme-corp"}));
    assert_eq!(request["estimate"]["unit"], "USD_MICROCENTS");
    for name in ["ttl_ms", "grace_period_ms", "overage_policy", "dry_run"] {
        assert_eq!(request[name], Value::Null, "{name}");
    }
}

#[test]
fn p15_four_units() {
    assert_eq!(
        reserved!(unit = "USD_MICROCENTS")["estimate"]["unit"],
        "USD_MICROCENTS"
    );
    assert_eq!(reserved!(unit = "TOKENS")["estimate"]["unit"], "TOKENS");
    assert_eq!(reserved!(unit = "CREDITS")["estimate"]["unit"], "CREDITS");
    assert_eq!(
        reserved!(unit = Unit::RiskPoints)["estimate"]["unit"],
        "RISK_POINTS"
    );
}

#[test]
fn p15_a_unit_that_contradicts_the_estimate_is_an_error_and_nothing_is_sent() {
    #[cycles(estimate = Amount::new(of.clone(), 10), unit = "CREDITS")]
    fn guarded(of: Unit) -> Result<(), Error> {
        panic!("nothing is reserved in {of}")
    }
    let page = Page::new();
    let error = with_default_client(page.client(), || guarded(Unit::Tokens)).unwrap_err();
    assert!(matches!(error, Error::Validation(_)), "{error:?}");
    assert!(page.asked.lock().unwrap().is_empty());
}

#[test]
fn p18_three_overage_policies() {
    assert_eq!(reserved!(overage_policy = "REJECT")["overage_policy"], "REJECT");
    assert_eq!(
        reserved!(overage_policy = "ALLOW_IF_AVAILABLE")["overage_policy"],
        "ALLOW_IF_AVAILABLE"
    );
    let overdraft = reserved!(overage_policy = CommitOveragePolicy::AllowWithOverdraft);
    assert_eq!(overdraft["overage_policy"], "ALLOW_WITH_OVERDRAFT");
}

#[test]
fn p19_a_dry_run_evaluates_and_executes_nothing() {
    #[cycles(estimate = 10, dry_run = true)]
    fn guarded(ran: &mut bool) -> Result<(), Error> {
        *ran = true;
        Ok(())
    }
    let page = Page::new();
    let mut ran = false;
    match with_default_client(page.client(), || guarded(&mut ran)) {
        Err(Error::DryRun(result)) => assert_eq!(result.decision, Decision::Allow),
        other => panic!("{other:?}"),
    }
    assert_eq!((ran, page.dollars()), (false, (0, 0)));
}

struct Agent {
    client: CyclesClient,
    thoughts: i64,
}

impl Agent {
    #[cycles(estimate = 10, client = self.client, actual = *result)]
    fn think(&mut self) -> Result<i64, Error> {
        self.thoughts += 1;
        Ok(self.thoughts)
    }
}

#[test]
fn p20_to_p26_may_be_expressions_over_the_arguments() {
    #[cycles(estimate = 10, agent = user.agent, app = user.app, dimensions = [("region", user.region), ("kind", "test")])]
    fn guarded(user: User) -> Result<(), Error> {
        drop(user);
        Ok(())
    }
    struct User {
        agent: Option<String>,
        app: Option<String>,
        region: String,
    }
    let user = User {
        agent: Some("support-bot".to_owned()),
        app: None,
        region: "eu".to_owned(),
    };
    let page = Page::new();
    with_default_client(page.client(), || guarded(user)).unwrap();
    assert_eq!(
        page.only(Operation::CreateReservation)["subject"],
        json!({"tenant": "acme-corp", "agent": "support-bot", "dimensions": {"kind": "test", "region": "eu"}})
    );
}

#[test]
fn p26_dimensions_as_a_map() {
    #[cycles(estimate = 10, dimensions = map)]
    fn from_a_map(map: &std::collections::BTreeMap<&str, String>) -> Result<(), Error> {
        Ok(())
    }
    let page = Page::new();
    let map = [("cost_center", "r-and-d".to_owned()), ("region", "eu".to_owned())];
    with_default_client(page.client(), || from_a_map(&map.into())).unwrap();
    assert_eq!(
        page.only(Operation::CreateReservation)["subject"]["dimensions"],
        json!({"cost_center": "r-and-d", "region": "eu"})
    );
}

/// `false` without `actual` does not compile: `missing_actual.rs` among the tests of the attribute.
#[test]
fn p28_use_estimate_if_actual_not_provided() -> Outcome {
    #[cycles(estimate = 10, use_estimate_if_actual_not_provided = true)]
    fn by_estimate() -> Result<(), Error> {
        Ok(())
    }
    #[cycles(estimate = 10, actual = 4, use_estimate_if_actual_not_provided = false)]
    fn by_actual() -> Result<(), Error> {
        Ok(())
    }
    let page = Page::new();
    with_default_client(page.client(), || {
        by_estimate()?;
        by_actual()
    })?;
    assert_eq!(page.dollars(), (14, 0));
    Ok(())
}
