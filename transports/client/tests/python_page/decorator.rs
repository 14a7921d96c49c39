// The decorator: P1 to P4, P6 to P11. See `page.rs`.

async fn call_llm(prompt: &str) -> String {
    format!("Hello, {prompt}")
}

#[cycles(estimate = 1000)]
async fn summarize(text: &str) -> Result<String, Error> {
    Ok(call_llm(text).await)
}

#[cycles(estimate = max_tokens * 10)]
async fn generate_up_to(text: &str, max_tokens: i64) -> Result<String, Error> {
    assert!(max_tokens > 0);
    Ok(call_llm(text).await)
}

#[cycles(
    estimate = 5000,
    actual = result.len() * 5,
)]
async fn chat(prompt: &str) -> Result<String, Error> {
    Ok(call_llm(prompt).await)
}

on_executor! {
async fn p01_the_attribute_reserves_then_executes_then_commits() -> Outcome {
    let page = Page::new();
    #[cycles(estimate = 1000)]
    async fn summarize(page: &Page) -> Result<(i64, i64), Error> {
        Ok(page.dollars())
    }
    let within = with_default_client(page.client(), summarize(&page)).await?;
    assert_eq!((within, page.dollars()), ((0, 1000), (1000, 0)));
    let asked: Vec<_> = page.asked.lock().unwrap().iter().map(|(operation, _)| *operation).collect();
    assert_eq!(asked, [Operation::CreateReservation, Operation::CommitReservation]);
    Ok(())
}
}

on_executor! {
/// The shortest lease that is kept alive is one of more than three seconds.
async fn p02_the_reservation_is_kept_alive_while_the_function_runs() -> Outcome {
    let page = Page::new();
    #[cycles(estimate = 1000, ttl_ms = 4_000)]
    async fn takes_its_time(page: &Page) -> Result<(), Error> {
        while page.asked(Operation::ExtendReservation).is_empty() {
            executor::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
    with_default_client(page.client(), takes_its_time(&page)).await?;
    let extended = page.asked(Operation::ExtendReservation);
    assert_eq!(extended[0]["extend_by_ms"], 4_000);
    assert_eq!(page.dollars(), (1000, 0));
    Ok(())
}
}

on_executor! {
async fn p03_the_actual_usage_is_committed_and_the_rest_is_released() -> Outcome {
    let page = Page::new();
    let answer = with_default_client(page.client(), chat("world")).await?;
    assert_eq!(page.dollars(), (answer.len() as i64 * 5, 0));
    assert_eq!(page.only(Operation::CreateReservation)["estimate"]["amount"], 5000);
    assert!(page.asked(Operation::ReleaseReservation).is_empty(), "the ledger does it with the commit");
    Ok(())
}
}

on_executor! {
async fn p04_a_function_that_fails_releases_and_its_error_comes_back_as_it_is() {
    enum OwnError {
        Cycles(Error),
        Llm(&'static str),
    }
    impl From<Error> for OwnError {
        fn from(error: Error) -> Self {
            Self::Cycles(error)
        }
    }
    #[cycles(estimate = 1000)]
    async fn summarize() -> Result<String, OwnError> {
        Err(OwnError::Llm("the model is tired"))
    }
    let page = Page::new();
    match with_default_client(page.client(), summarize()).await {
        Err(OwnError::Llm(said)) => assert_eq!(said, "the model is tired"),
        Err(OwnError::Cycles(error)) => panic!("{error}"),
        Ok(result) => panic!("{result}"),
    }
    assert_eq!(page.dollars(), (0, 0));
    assert!(page.asked(Operation::CommitReservation).is_empty());
    let said = page.only(Operation::ReleaseReservation).to_string();
    assert!(!said.contains("tired"), "{said}");
}
}

#[test]
#[rustfmt::skip]
fn p06_configuration() -> Outcome {
use runcycles::CyclesConfig;

let config = CyclesConfig::builder("cyc_live_...", "http://localhost:7878")
    .tenant("acme-corp")
    .build()?;

assert_eq!(config.base_url, "http://localhost:7878");
assert_eq!(config.subject().tenant.as_deref(), Some("acme-corp"));
assert_eq!(CyclesConfig::new("cyc_live_...", "http://localhost:7878")?.subject().tenant, None);
Ok(())
}

/// `from_env()` is this with the variables of the process.
#[test]
fn p07_configuration_from_environment_variables() -> Outcome {
    let config = CyclesConfig::from_lookup("CYCLES_", |name| match name {
        "CYCLES_BASE_URL" => Some("http://localhost:7878".to_owned()),
        "CYCLES_API_KEY" => Some("cyc_live_0123456789".to_owned()),
        "CYCLES_TENANT" => Some("acme-corp".to_owned()),
        _ => None,
    })?;
    assert_eq!(config.base_url, "http://localhost:7878");
    assert_eq!(config.subject().tenant.as_deref(), Some("acme-corp"));
    Ok(())
}

on_executor! {
/// The only test here that sets the client of the process: the others have their own by scope.
async fn p08_the_default_client_serves_functions_that_name_none() -> Outcome {
    // In a process of its own, which has one default client.
    if crate::alone::ran_elsewhere("python_page::p08_the_default_client_serves_functions_that_name_none") {
        return Ok(());
    }
    let page = Page::new();

    let client = CyclesClient::new(page.config());
    set_default_client(client);

    let result = summarize("Hello world").await?;
    assert_eq!((result.as_str(), page.dollars()), ("Hello, Hello world", (1000, 0)));
    assert!(default_client().is_ok());
    Ok(())
}
}

on_executor! {
async fn p09_a_fixed_estimate_is_what_is_committed_in_usd_microcents() -> Outcome {
    let page = Page::new();
    with_default_client(page.client(), summarize("Hello world")).await?;
    let thousand = json!({"unit": "USD_MICROCENTS", "amount": 1000});
    assert_eq!(page.only(Operation::CreateReservation)["estimate"], thousand);
    let commit = page.only(Operation::CommitReservation);
    assert_eq!(commit["actual"], thousand);
    assert_eq!(commit["metadata"]["actual_source"], "estimate");
    Ok(())
}
}

on_executor! {
async fn p10_an_estimate_over_the_arguments() -> Outcome {
    let page = Page::new();
    with_default_client(page.client(), generate_up_to("world", 70)).await?;
    assert_eq!(page.only(Operation::CreateReservation)["estimate"]["amount"], 700);
    assert_eq!(page.dollars(), (700, 0));
    Ok(())
}
}

on_executor! {
async fn p11_the_actual_cost_over_the_result() -> Outcome {
    let page = Page::new();
    let answer = with_default_client(page.client(), chat("world")).await?;
    let commit = page.only(Operation::CommitReservation);
    assert_eq!(commit["actual"]["amount"], answer.len() as i64 * 5);
    assert_eq!(commit["metadata"], Value::Null, "it is no estimate");
    Ok(())
}
}

on_executor! {
async fn p11_a_cost_that_the_result_does_not_tell_is_the_estimate() -> Outcome {
    #[cycles(estimate = Usd::cents(1), actual = result.map(Usd::cents))]
    async fn usage(cents: Option<u32>) -> Result<Option<u32>, Error> {
        Ok(cents)
    }
    let page = Page::new();
    with_default_client(page.client(), async {
        usage(Some(3)).await?;
        usage(None).await
    })
    .await?;
    assert_eq!(page.dollars(), (4_000_000, 0));
    let commits = page.asked(Operation::CommitReservation);
    assert_eq!(commits[0]["metadata"], Value::Null);
    assert_eq!(commits[1]["metadata"]["actual_source"], "estimate");
    Ok(())
}
}
