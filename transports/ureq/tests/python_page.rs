//! The page of the Python client, in blocking Rust: the rows about the decorator. What needs no attribute is in
//! `operations.rs` and `guarded.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    dead_code,
    unused_imports,
    unused_variables
)]

extern crate cycles_ureq as runcycles;

use std::io::Read;

include!("../../client/tests/python_page/page.rs");

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
fn p08_the_default_client_serves_functions_that_name_none() -> Outcome {
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
fn a_function_that_makes_an_iterator_is_paid_for_as_that_is_consumed() -> Outcome {
    #[cycles(estimate = 1000, actual_per_item = item.len() * per_letter)]
    fn words(text: &str, per_letter: usize) -> Result<impl Iterator<Item = String>, Error> {
        Ok(text.split(' ').map(str::to_owned))
    }
    #[cycles(estimate = 1000, actual_per_item = item)]
    fn lines(text: &str) -> Result<impl Iterator<Item = Result<i64, std::num::ParseIntError>>, Error> {
        Ok(text.lines().map(str::parse))
    }
    let page = Page::new();
    let client = page.client();
    with_default_client(client.clone(), || {
        let mut words = words("one two three", 10)?;
        assert_eq!(
            (words.next().as_deref(), page.dollars()),
            (Some("one"), (0, 1000))
        );
        drop(words);
        assert_eq!(lines("1\n2\nx\n9")?.count(), 3);
        assert!(client.flush(PATIENCE)?.is_complete());
        assert_eq!(page.dollars(), (30 + 3, 0));
        Ok(())
    })
}

#[test]
fn the_cost_may_name_what_the_body_uses_as_it_is_when_that_has_ended() -> Outcome {
    #[cycles(estimate = 1000, actual = prompt.len() + said.len() + rounds)]
    fn talk(prompt: String, said: &mut Vec<String>, mut rounds: usize) -> Result<usize, Error> {
        while rounds < 10 {
            said.push(prompt.clone());
            rounds += 5;
        }
        Ok(said.len())
    }
    #[cycles(estimate = 1000, actual_per_item = prices[item.len()])]
    fn words(prices: Vec<i64>) -> Result<impl Iterator<Item = &'static str>, Error> {
        assert_eq!(prices.len(), 3);
        Ok(["a", "is"].into_iter())
    }
    let page = Page::new();
    with_default_client(page.client(), || {
        let mut said = Vec::new();
        assert_eq!(talk("four".to_owned(), &mut said, 0)?, 2);
        assert_eq!(page.dollars(), (4 + 2 + 10, 0));
        assert_eq!(words(vec![0, 10, 200])?.count(), 2);
        assert_eq!(page.dollars(), (16 + 210, 0));
        Ok(())
    })
}

#[test]
fn what_cannot_be_told_or_charged_costs_what_was_estimated() -> Outcome {
    #[cycles(estimate = 1000, actual = { assert!(*result < 7, "on purpose"); *result })]
    fn cannot_tell(cost: i64) -> Result<i64, Error> {
        Ok(cost)
    }
    #[cycles(estimate = 1000, actual = Amount::new(Unit::Tokens, *result))]
    fn tells_in_another_unit(cost: i64) -> Result<i64, Error> {
        Ok(cost)
    }
    let page = Page::new();
    let client = page.client();
    with_default_client(client.clone(), || {
        assert_eq!(cannot_tell(5)?, 5);
        assert_eq!(page.dollars(), (5, 0));
        let panicked = std::panic::catch_unwind(|| cannot_tell(7).is_ok());
        assert!(panicked.is_err());
        assert!(client.flush(PATIENCE)?.is_complete());
        assert_eq!(page.dollars(), (5 + 1000, 0));
        let commit = page.asked(Operation::CommitReservation).pop().unwrap();
        assert_eq!(commit["metadata"]["actual_source"], "partial");
        assert_eq!(tells_in_another_unit(5)?, 5);
        assert!(client.flush(PATIENCE)?.is_complete());
        assert_eq!(page.dollars(), (5 + 2000, 0));
        Ok(())
    })
}

#[test]
fn a_boxed_iterator_or_reader_stays_one_and_is_paid_for_as_it_is_consumed() -> Outcome {
    #[cycles(estimate = 1000, actual_per_item = item.len())]
    fn words(text: &str) -> Result<Box<dyn Iterator<Item = String>>, Error> {
        Ok(Box::new(
            text.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter(),
        ))
    }
    #[cycles(estimate = 1000, actual_per_item = item.len() * 10)]
    fn body(text: &str) -> Result<impl Read, Error> {
        Ok(text.as_bytes())
    }
    #[cycles(estimate = 1000, actual_per_item = item.len() * 10)]
    fn boxed(text: &'static str) -> std::result::Result<Box<dyn Read + Send>, Error> {
        Ok(Box::new(text.as_bytes()))
    }
    let page = Page::new();
    let client = page.client();
    with_default_client(client.clone(), || {
        let mut words: Box<dyn Iterator<Item = String>> = words("one two three")?;
        assert_eq!(
            (words.next().as_deref(), page.dollars()),
            (Some("one"), (0, 1000))
        );
        drop(words);
        assert!(client.flush(PATIENCE)?.is_complete());
        assert_eq!(page.dollars(), (3, 0));
        let mut text = String::new();
        let mut reader = body("Roses")?;
        assert_eq!(page.dollars(), (3, 1000));
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(page.dollars(), (53, 0));
        boxed(" are red")?.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), page.dollars()), ("Roses are red", (133, 0)));
        Ok(())
    })
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
