// The parameters of the decorator: P12 to P28. See `page.rs`.

/// What a reservation says by default, and what it says with this attribute.
macro_rules! reserved {
    ($($parameters:tt)*) => {{
        #[cycles(estimate = 10, $($parameters)*)]
        async fn guarded() -> Result<(), Error> {
            Ok(())
        }
        let page = Page::new();
        with_default_client(page.client(), guarded()).await.unwrap();
        page.only(Operation::CreateReservation)
    }};
}

on_executor! {
async fn p12_p13_p14_action_kind_name_and_tags() {
    let action = &reserved!()["action"];
    assert_eq!(*action, json!({"kind": "unknown", "name": "unknown"}));
    let action = &reserved!(
        action_kind = "llm.completion",
        action_name = "gpt-4",
        action_tags = ["prod", "customer-facing"],
    )["action"];
    assert_eq!(
        *action,
        json!({"kind": "llm.completion", "name": "gpt-4", "tags": ["prod", "customer-facing"]})
    );
    assert_eq!(reserved!(action_name = "gpt-4")["action"], json!({"kind": "unknown", "name": "gpt-4"}));
}
}

on_executor! {
async fn p15_four_units_of_which_usd_microcents_are_the_default() {
    assert_eq!(reserved!()["estimate"]["unit"], "USD_MICROCENTS");
    assert_eq!(reserved!(unit = "USD_MICROCENTS")["estimate"]["unit"], "USD_MICROCENTS");
    assert_eq!(reserved!(unit = "TOKENS")["estimate"]["unit"], "TOKENS");
    assert_eq!(reserved!(unit = "CREDITS")["estimate"]["unit"], "CREDITS");
    assert_eq!(reserved!(unit = Unit::RiskPoints)["estimate"]["unit"], "RISK_POINTS");
}
}

on_executor! {
/// What is not sent is the server's default: a TTL of 60,000 ms.
async fn p16_p17_ttl_and_grace_period() {
    let request = reserved!();
    assert_eq!((&request["ttl_ms"], &request["grace_period_ms"]), (&Value::Null, &Value::Null));
    let request = reserved!(ttl_ms = 30_000, grace_period_ms = 2_500);
    assert_eq!((&request["ttl_ms"], &request["grace_period_ms"]), (&json!(30_000), &json!(2_500)));
}
}

on_executor! {
/// The page says that the default is REJECT; what its client leaves out is the tenant's default, as here.
async fn p18_three_overage_policies() {
    assert_eq!(reserved!()["overage_policy"], Value::Null);
    assert_eq!(reserved!(overage_policy = "REJECT")["overage_policy"], "REJECT");
    assert_eq!(reserved!(overage_policy = "ALLOW_IF_AVAILABLE")["overage_policy"], "ALLOW_IF_AVAILABLE");
    let overdraft = reserved!(overage_policy = CommitOveragePolicy::AllowWithOverdraft);
    assert_eq!(overdraft["overage_policy"], "ALLOW_WITH_OVERDRAFT");
}
}

on_executor! {
async fn p19_a_dry_run_evaluates_and_executes_nothing() {
    #[cycles(estimate = 10, dry_run = is_dry)]
    async fn guarded(is_dry: bool, ran: &mut bool) -> Result<(), Error> {
        *ran = is_dry || *ran;
        Ok(())
    }
    let page = Page::with_caps(r#",caps={"max_tokens": 500}"#);
    let mut ran = false;
    match with_default_client(page.client(), guarded(true, &mut ran)).await {
        Err(Error::DryRun(result)) => {
            assert_eq!(result.decision, Decision::AllowWithCaps);
            assert_eq!(result.caps.unwrap().max_tokens, Some(500));
            assert_eq!(result.reservation_id, None);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((ran, page.dollars()), (false, (0, 0)));
    assert_eq!(page.only(Operation::CreateReservation)["dry_run"], true);
    with_default_client(page.client(), guarded(false, &mut ran)).await.unwrap();
    assert_eq!(page.dollars(), (10, 0));
}
}

on_executor! {
async fn p20_to_p25_overrides_of_the_subject() {
    assert_eq!(reserved!()["subject"], json!({"tenant": "acme-corp"}));
    assert_eq!(
        reserved!(
            tenant = "acme-corp",
            workspace = "production",
            app = "chat",
            workflow = "support",
            agent = "support-bot",
            toolset = "search",
        )["subject"],
        json!({
            "tenant": "acme-corp", "workspace": "production", "app": "chat", "workflow": "support",
            "agent": "support-bot", "toolset": "search",
        })
    );
}
}

on_executor! {
async fn p20_to_p26_may_be_expressions_over_the_arguments() {
    #[cycles(estimate = 10, agent = user.agent, app = user.app, dimensions = [("region", user.region), ("kind", "test")])]
    async fn guarded(user: User) -> Result<(), Error> {
        drop(user);
        Ok(())
    }
    struct User {
        agent: Option<String>,
        app: Option<String>,
        region: String,
    }
    let user = User { agent: Some("support-bot".to_owned()), app: None, region: "eu".to_owned() };
    let page = Page::new();
    with_default_client(page.client(), guarded(user)).await.unwrap();
    assert_eq!(
        page.only(Operation::CreateReservation)["subject"],
        json!({"tenant": "acme-corp", "agent": "support-bot", "dimensions": {"kind": "test", "region": "eu"}})
    );
}
}

on_executor! {
async fn p26_dimensions_as_pairs_and_as_a_map() {
    let written = reserved!(dimensions = [("cost_center", "r-and-d"), ("region", "eu")]);
    let expected = json!({"cost_center": "r-and-d", "region": "eu"});
    assert_eq!(written["subject"]["dimensions"], expected);

    #[cycles(estimate = 10, dimensions = map)]
    async fn from_a_map(map: &std::collections::BTreeMap<&str, String>) -> Result<(), Error> {
        Ok(())
    }
    #[cycles(estimate = 10, dimensions = pairs, action_tags = tags)]
    async fn from_a_list(pairs: &[(String, &str)], tags: Vec<String>) -> Result<usize, Error> {
        Ok(pairs.len() + tags.len())
    }
    let page = Page::new();
    let map = [("cost_center", "r-and-d".to_owned()), ("region", "eu".to_owned())];
    let list = [("region".to_owned(), "eu"), ("cost_center".to_owned(), "r-and-d")];
    with_default_client(page.client(), async {
        from_a_map(&map.into()).await.unwrap();
        from_a_list(&list, vec!["prod".to_owned()]).await.unwrap();
    })
    .await;
    let asked = page.asked(Operation::CreateReservation);
    assert_eq!(asked[0]["subject"]["dimensions"], expected);
    assert_eq!(asked[1]["subject"]["dimensions"], expected);
    assert_eq!(asked[1]["action"]["tags"], json!(["prod"]));
}
}

on_executor! {
async fn p27_a_client_of_its_own_goes_before_the_default_one() -> Outcome {
    #[cycles(estimate = 10, client = client)]
    async fn guarded(client: &CyclesClient) -> Result<(), Error> {
        Ok(())
    }
    let (default, own) = (Page::new(), Page::new());
    with_default_client(default.client(), guarded(&own.client())).await?;
    assert_eq!((default.dollars(), own.dollars()), ((0, 0), (10, 0)));
    Ok(())
}
}

on_executor! {
/// `false` without `actual` does not compile: `missing_actual.rs` among the tests of the attribute.
async fn p28_use_estimate_if_actual_not_provided() -> Outcome {
    #[cycles(estimate = 10, use_estimate_if_actual_not_provided = true)]
    async fn by_estimate() -> Result<(), Error> {
        Ok(())
    }
    #[cycles(estimate = 10, actual = 4, use_estimate_if_actual_not_provided = false)]
    async fn by_actual() -> Result<(), Error> {
        Ok(())
    }
    let page = Page::new();
    with_default_client(page.client(), async {
        by_estimate().await?;
        by_actual().await
    })
    .await?;
    assert_eq!(page.dollars(), (14, 0));
    Ok(())
}
}
