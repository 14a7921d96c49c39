// The walkthrough at the end of the page: P45 and P46. See `page.rs`.

#[cycles(estimate = 1000)]
async fn hello(name: &str) -> Result<String, Error> {
    Ok(format!("Hello, {name}!"))
}

#[cycles(estimate = 500, dry_run = true)]
async fn dry_run_func() -> Result<&'static str, Error> {
    Ok("This won't consume budget")
}

#[cycles(
    estimate = max_tokens * 10,
    actual = result.len() * 5,
    action_kind = "llm.completion",
    action_name = "gpt-4",
)]
async fn generate(prompt: &str, max_tokens: i64) -> Result<String, Error> {
    let ctx = CyclesContext::current().expect("the function is guarded");
    ctx.set_metrics(CyclesMetrics {
        tokens_input: i64::try_from(prompt.len()).ok(),
        tokens_output: Some(max_tokens),
        ..Default::default()
    });
    Ok(format!("Generated response for: {prompt}"))
}

#[cycles(estimate = 999_999_999)]
async fn expensive_func() -> Result<&'static str, Error> {
    Ok("This needs a lot of budget")
}

on_executor! {
async fn p45_the_walkthrough() -> Outcome {
    let page = Page::new();
    let client = page.client();
    with_default_client(client.clone(), async {
        // 1. Reserve and commit with a fixed estimate
        let result = hello("world").await?;
        println!("{result}");
        assert_eq!((result.as_str(), page.dollars()), ("Hello, world!", (1000, 0)));

        // 2. Check your balance
        let response = client.get_balances(&BalanceParams { tenant: Some("acme-corp".into()), ..Default::default() }).await?;
        println!("{:?}", response.balances);
        let remaining = || page.dollars();
        let before = remaining();

        // 3. Try a dry run
        match dry_run_func().await {
            Err(Error::DryRun(result)) => assert_eq!(result.decision, Decision::Allow),
            other => panic!("{other:?}"),
        }
        // Check balances — they haven't changed
        assert_eq!(remaining(), before);

        // 4. Use dynamic estimates with metrics
        let result = generate("Explain budgets", 500).await?;
        assert_eq!(page.dollars(), (1000 + result.len() as i64 * 5, 0));
        let commit = page.asked(Operation::CommitReservation).pop().unwrap();
        assert_eq!((&commit["metrics"]["tokens_input"], &commit["metrics"]["tokens_output"]), (&json!(15), &json!(500)));
        assert!(commit["metrics"]["latency_ms"].is_u64());

        // 5. Handle denials gracefully
        match expensive_func().await {
            Err(Error::BudgetExceeded { .. }) => println!("Budget exhausted — using fallback"),
            other => panic!("{other:?}"),
        }
        Ok(())
    })
    .await
}
}

on_executor! {
async fn p46_the_lifecycle_from_estimate_to_commit() -> Outcome {
    let page = Page::new();
    let steps = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&steps);
    let note = move |step: &str| log.lock().unwrap().push(step.to_owned());
    fn noted<T>(value: T, note: &impl Fn(&str), step: &str) -> T {
        note(step);
        value
    }

    #[cycles(
        estimate = noted(1000, note, "the estimate is evaluated"),
        actual = noted(result.len(), note, "the actual cost is evaluated"),
    )]
    async fn guarded(page: &Page, note: &impl Fn(&str)) -> Result<String, Error> {
        note(&format!("{:?} is held while it executes", page.dollars().1));
        Ok("result".to_owned())
    }

    let client = page.client();
    with_default_client(client.clone(), guarded(&page, &note)).await?;
    assert_eq!(
        *steps.lock().unwrap(),
        ["the estimate is evaluated", "1000 is held while it executes", "the actual cost is evaluated"]
    );
    assert_eq!(page.dollars(), (6, 0));
    // The heartbeat ended with the function, and nothing is under way.
    assert!(client.flush(PATIENCE).await?.is_complete());
    assert!(page.asked(Operation::ExtendReservation).is_empty());
    Ok(())
}
}
