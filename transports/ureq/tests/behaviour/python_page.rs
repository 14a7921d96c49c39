//! Every row of the page of the Python client, in blocking Rust.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    dead_code,
    unused_imports,
    unused_variables
)]

include!("../../../client/tests/python_page/page.rs");
include!("python_page/parameters.rs");
include!("../../../client/tests/python_page/programmatic.rs");

fn call_llm(prompt: &str) -> String {
    format!("Hello, {prompt}")
}

#[cycles(estimate = 1000)]
fn summarize(text: &str) -> Result<String, Error> {
    Ok(call_llm(text))
}

#[cycles(estimate = max_tokens * 10)]
fn generate_up_to(text: &str, max_tokens: i64) -> Result<String, Error> {
    Ok(call_llm(text))
}

#[cycles(
    estimate = 5000,
    actual = result.len() * 5,
)]
fn chat(prompt: &str) -> Result<String, Error> {
    Ok(call_llm(prompt))
}

#[test]
fn p01_the_attribute_reserves_then_executes_then_commits() -> Outcome {
    #[cycles(estimate = 1000)]
    fn summarize(page: &Page) -> Result<(i64, i64), Error> {
        Ok(page.dollars())
    }
    let page = Page::new();
    let within = with_default_client(page.client(), || summarize(&page))?;
    assert_eq!((within, page.dollars()), ((0, 1000), (1000, 0)));
    Ok(())
}

#[test]
fn p02_the_reservation_is_kept_alive_while_the_function_runs() -> Outcome {
    #[cycles(estimate = 1000, ttl_ms = 4_000)]
    fn takes_its_time(page: &Page) -> Result<(), Error> {
        while page.asked(Operation::ExtendReservation).is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
    let page = Page::new();
    with_default_client(page.client(), || takes_its_time(&page))?;
    assert_eq!(page.asked(Operation::ExtendReservation)[0]["extend_by_ms"], 4_000);
    assert_eq!(page.dollars(), (1000, 0));
    Ok(())
}

#[test]
fn p03_the_actual_usage_is_committed_and_the_rest_is_released() -> Outcome {
    let page = Page::new();
    let answer = with_default_client(page.client(), || chat("world"))?;
    assert_eq!(page.dollars(), (answer.len() as i64 * 5, 0));
    assert_eq!(
        page.only(Operation::CreateReservation)["estimate"]["amount"],
        5000
    );
    assert!(
        page.asked(Operation::ReleaseReservation).is_empty(),
        "the ledger does it with the commit"
    );
    Ok(())
}

#[test]
fn p04_a_function_that_fails_or_panics_releases_and_its_error_comes_back_as_it_is() {
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
    fn summarize(panics: bool) -> Result<String, OwnError> {
        assert!(!panics, "on purpose");
        Err(OwnError::Llm("the model is tired"))
    }
    let page = Page::new();
    let client = page.client();
    match with_default_client(client.clone(), || summarize(false)) {
        Err(OwnError::Llm(said)) => assert_eq!(said, "the model is tired"),
        Err(OwnError::Cycles(error)) => panic!("{error}"),
        Ok(result) => panic!("{result}"),
    }
    let panicked = std::thread::spawn(move || with_default_client(client, || summarize(true).is_ok()));
    assert!(panicked.join().is_err());
    assert_eq!(page.dollars(), (0, 0));
    assert_eq!(page.asked(Operation::ReleaseReservation).len(), 2);
}

#[test]
fn p05_what_is_installed_is_no_async_runtime_and_no_second_http_client() {
    assert_eq!(env!("CARGO_PKG_RUST_VERSION"), "1.88");
    let tree = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-e",
            "normal",
            "--prefix",
            "none",
            "-p",
            "cycles-ureq",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(
        crates.contains(&"ureq") && crates.contains(&"cycles-proto"),
        "{tree}"
    );
    for absent in [
        "tokio",
        "async-std",
        "smol",
        "async-io",
        "futures",
        "hyper",
        "reqwest",
    ] {
        assert!(!crates.contains(&absent), "{absent}:\n{tree}");
    }
}

#[test]
#[rustfmt::skip]
fn p06_configuration() -> Outcome {
use cycles_ureq::CyclesConfig;

let config = CyclesConfig::builder("cyc_live_...", "http://localhost:7878")
    .tenant("acme-corp")
    .build()?;

assert_eq!(config.base_url, "http://localhost:7878");
assert_eq!(config.subject().tenant.as_deref(), Some("acme-corp"));
assert_eq!(CyclesClient::new(config).config().tenant.as_deref(), Some("acme-corp"));
Ok(())
}

/// `from_env()` is this with the variables of the process.
#[test]
fn p07_configuration_from_environment_variables() -> Outcome {
    let page = Page::new();
    let config = CyclesConfig::from_lookup("CYCLES_", |name| match name {
        "CYCLES_BASE_URL" => Some(page.sandbox.base_url().to_owned()),
        "CYCLES_API_KEY" => Some(page.sandbox.api_key().to_owned()),
        "CYCLES_TENANT" => Some("acme-corp".to_owned()),
        "CYCLES_JOURNAL_DIR" => page.journal.path().to_str().map(str::to_owned),
        _ => None,
    })?;
    assert_eq!(config.subject().tenant.as_deref(), Some("acme-corp"));
    with_default_client(CyclesClient::new(config), || summarize("world"))?;
    assert_eq!(page.dollars(), (1000, 0));
    Ok(())
}

#[test]
fn p08_the_default_client_serves_functions_that_name_none() -> Outcome {
    // In a process of its own, which has one default client.
    if crate::alone::ran_elsewhere("python_page::p08_the_default_client_serves_functions_that_name_none") {
        return Ok(());
    }
    let page = Page::new();

    let client = CyclesClient::new(page.config());
    set_default_client(client);

    let result = summarize("Hello world")?;
    assert_eq!(
        (result.as_str(), page.dollars()),
        ("Hello, Hello world", (1000, 0))
    );
    assert!(default_client().is_ok());
    Ok(())
}

#[test]
fn p09_p10_p11_estimates_and_actual_costs() -> Outcome {
    let page = Page::new();
    with_default_client(page.client(), || {
        summarize("world")?;
        generate_up_to("world", 70)?;
        chat("world")
    })?;
    let amounts = |operation, member: &str| {
        let asked = page.asked(operation);
        let amounts = asked.iter().map(|body| body[member]["amount"].as_i64().unwrap());
        amounts.collect::<Vec<_>>()
    };
    assert_eq!(
        amounts(Operation::CreateReservation, "estimate"),
        [1000, 700, 5000]
    );
    assert_eq!(amounts(Operation::CommitReservation, "actual"), [1000, 700, 60]);
    let sources = page.asked(Operation::CommitReservation);
    assert_eq!(sources[0]["metadata"]["actual_source"], "estimate");
    assert_eq!(sources[2]["metadata"], Value::Null);
    Ok(())
}

#[test]
fn p27_a_client_of_its_own_goes_before_the_default_one() -> Outcome {
    let (default, own) = (Page::new(), Page::new());
    let mut agent = Agent {
        client: own.client(),
        thoughts: 6,
    };
    with_default_client(default.client(), || agent.think())?;
    assert_eq!((default.dollars(), own.dollars()), ((0, 0), (7, 0)));
    Ok(())
}

#[test]
fn p29_to_p32_the_context_tells_the_reservation_and_takes_metrics_and_metadata() -> Outcome {
    #[cycles(estimate = 1000)]
    fn inner() -> Result<ReservationId, Error> {
        Ok(CyclesContext::current().unwrap().reservation_id)
    }
    #[cycles(estimate = 1000)]
    fn process(text: &str) -> Result<String, Error> {
        let ctx = CyclesContext::current().unwrap();
        assert_ne!(inner()?, ctx.reservation_id);
        let after = CyclesContext::current().unwrap();
        assert_eq!(
            after.reservation_id, ctx.reservation_id,
            "a nested call leaves the outer one"
        );
        assert_eq!(ctx.decision, Decision::AllowWithCaps);
        let caps = ctx.caps.as_ref().unwrap();
        assert_eq!(caps.max_tokens, Some(500));
        assert!(!caps.is_tool_allowed("web.search"));
        ctx.set_metrics(CyclesMetrics {
            tokens_input: Some(150),
            tokens_output: Some(80),
            latency_ms: Some(320),
            model_version: Some("gpt-4o-mini".into()),
            ..Default::default()
        });
        ctx.insert_metadata("request_id", "req-abc-123");
        Ok(call_llm(text))
    }
    let page = Page::with_caps(r#",caps={"max_tokens": 500, "tool_denylist": ["web.search"]}"#);
    with_default_client(page.client(), || process("world"))?;
    assert!(CyclesContext::current().is_none());
    let commit = page.asked(Operation::CommitReservation).pop().unwrap();
    assert_eq!(
        commit["metrics"],
        json!({"tokens_input": 150, "tokens_output": 80, "latency_ms": 320, "model_version": "gpt-4o-mini"})
    );
    assert_eq!(commit["metadata"]["request_id"], "req-abc-123");
    Ok(())
}

#[test]
fn p33_to_p35_a_denied_function_does_not_run_and_the_caller_falls_back() {
    #[cycles(estimate = 999_999_999)]
    fn expensive(ran: &mut bool) -> Result<String, Error> {
        *ran = true;
        Ok(call_llm("at any price"))
    }
    let page = Page::new();
    let mut ran = false;
    let result = match with_default_client(page.client(), || expensive(&mut ran)) {
        Err(Error::BudgetExceeded { .. }) => "fallback response".to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (result.as_str(), ran, page.dollars()),
        ("fallback response", false, (0, 0))
    );
    page.sandbox.inject("reserve:429=7".parse().unwrap());
    let busy = with_default_client(page.client(), || summarize("Hello")).unwrap_err();
    assert_eq!(busy.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn p36_the_attribute_stands_on_functions_that_block() -> Outcome {
    let page = Page::new();
    let client = page.client();
    // Inside of a runtime too, as long as it is not awaited for.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let result = runtime.block_on(async { with_default_client(client, || summarize("Hello")) })?;
    assert_eq!((result.as_str(), page.dollars()), ("Hello, Hello", (1000, 0)));
    Ok(())
}

#[test]
fn p46_the_lifecycle_from_estimate_to_commit() -> Outcome {
    fn noted<T>(value: T, note: &impl Fn(&str), step: &str) -> T {
        note(step);
        value
    }
    #[cycles(
        estimate = noted(1000, note, "the estimate is evaluated"),
        actual = noted(result.len(), note, "the actual cost is evaluated"),
    )]
    fn guarded(page: &Page, note: &impl Fn(&str)) -> Result<String, Error> {
        note(&format!("{:?} is held while it executes", page.dollars().1));
        Ok("result".to_owned())
    }
    let page = Page::new();
    let steps = Mutex::<Vec<String>>::default();
    let note = |step: &str| steps.lock().unwrap().push(step.to_owned());
    let client = page.client();
    with_default_client(client.clone(), || guarded(&page, &note))?;
    assert_eq!(
        *steps.lock().unwrap(),
        [
            "the estimate is evaluated",
            "1000 is held while it executes",
            "the actual cost is evaluated"
        ]
    );
    assert_eq!(page.dollars(), (6, 0));
    // The heartbeat ended with the function, and nothing is under way.
    assert!(client.flush(PATIENCE)?.is_complete());
    assert!(page.asked(Operation::ExtendReservation).is_empty());
    Ok(())
}

#[test]
fn p45_the_walkthrough() -> Outcome {
    #[cycles(estimate = 1000)]
    fn hello(name: &str) -> Result<String, Error> {
        Ok(format!("Hello, {name}!"))
    }
    #[cycles(estimate = 500, dry_run = true)]
    fn dry_run_func() -> Result<&'static str, Error> {
        Ok("This won't consume budget")
    }
    #[cycles(
        estimate = max_tokens * 10,
        actual = result.len() * 5,
        action_kind = "llm.completion",
        action_name = "gpt-4",
    )]
    fn generate(prompt: &str, max_tokens: i64) -> Result<String, Error> {
        CyclesContext::current().unwrap().set_metrics(CyclesMetrics {
            tokens_input: i64::try_from(prompt.len()).ok(),
            tokens_output: Some(max_tokens),
            ..Default::default()
        });
        Ok(format!("Generated response for: {prompt}"))
    }
    #[cycles(estimate = 999_999_999)]
    fn expensive_func() -> Result<&'static str, Error> {
        Ok("This needs a lot of budget")
    }
    let page = Page::new();
    with_default_client(page.client(), || {
        assert_eq!(hello("world")?, "Hello, world!");
        assert_eq!(page.dollars(), (1000, 0));
        assert!(matches!(dry_run_func(), Err(Error::DryRun(_))));
        assert_eq!(page.dollars(), (1000, 0));
        let result = generate("Explain budgets", 500)?;
        assert_eq!(page.dollars(), (1000 + result.len() as i64 * 5, 0));
        let commit = page.asked(Operation::CommitReservation).pop().unwrap();
        assert_eq!(commit["metrics"]["tokens_output"], 500);
        assert!(matches!(expensive_func(), Err(Error::BudgetExceeded { .. })));
        Ok(())
    })
}
