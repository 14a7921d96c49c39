// The context, and what a decision leads to: P29 to P36. See `page.rs`.

const CAPS: &str = r#",caps={"max_tokens": 500, "tool_denylist": ["web.search"]}"#;

#[cycles(estimate = 1000)]
async fn process(text: &str) -> Result<String, Error> {
    let ctx = CyclesContext::current().expect("the function is guarded");

    // Check reservation details
    println!("Reservation: {}", ctx.reservation_id);
    println!("Decision: {}", ctx.decision);

    // Check caps (if ALLOW_WITH_CAPS)
    if let Some(caps) = &ctx.caps {
        let max_tokens = caps.max_tokens;
        assert_eq!(max_tokens, Some(500));
        if !caps.is_tool_allowed("web.search") {
            // skip web search
        }
    }

    // Attach metrics for the commit
    ctx.set_metrics(CyclesMetrics {
        tokens_input: Some(150),
        tokens_output: Some(80),
        latency_ms: Some(320),
        model_version: Some("gpt-4o-mini".into()),
        ..Default::default()
    });

    // Attach metadata for audit
    ctx.insert_metadata("request_id", "req-abc-123");

    Ok(call_llm(text).await)
}

on_executor! {
async fn p29_the_context_tells_the_reservation_and_the_decision() -> Outcome {
    #[cycles(estimate = 1000)]
    async fn guarded() -> Result<(String, String), Error> {
        let ctx = CyclesContext::current().expect("the function is guarded");
        assert_eq!((&ctx.estimate, ctx.reserved.as_ref()), (&Amount::usd_microcents(1000), Some(&ctx.estimate)));
        Ok((ctx.reservation_id.to_string(), ctx.decision.to_string()))
    }
    let page = Page::new();
    let (id, decision) = with_default_client(page.client(), guarded()).await?;
    assert_eq!(decision, "ALLOW");
    page.sandbox.with_ledger(|ledger| assert!(ledger.reservation(&id).is_some(), "{id}"));
    assert!(CyclesContext::current().is_none());
    Ok(())
}
}

on_executor! {
async fn p30_p33_with_caps_the_function_runs_and_finds_them_in_its_context() -> Outcome {
    #[cycles(estimate = 1000)]
    async fn guarded() -> Result<Option<Caps>, Error> {
        let ctx = CyclesContext::current().expect("the function is guarded");
        assert_eq!(ctx.decision == Decision::AllowWithCaps, ctx.caps.is_some());
        Ok(ctx.caps)
    }
    let page = Page::with_caps(CAPS);
    let caps = with_default_client(page.client(), guarded()).await?.unwrap();
    assert_eq!(caps.max_tokens, Some(500));
    assert!(!caps.is_tool_allowed("web.search") && caps.is_tool_allowed("calculator"));
    let page = Page::new();
    assert_eq!(with_default_client(page.client(), guarded()).await?, None);
    Ok(())
}
}

on_executor! {
async fn p31_p32_metrics_and_metadata_from_inside_go_with_the_commit() -> Outcome {
    let page = Page::with_caps(CAPS);
    with_default_client(page.client(), process("world")).await?;
    let commit = page.only(Operation::CommitReservation);
    assert_eq!(
        commit["metrics"],
        json!({"tokens_input": 150, "tokens_output": 80, "latency_ms": 320, "model_version": "gpt-4o-mini"})
    );
    assert_eq!(commit["metadata"], json!({"request_id": "req-abc-123", "actual_source": "estimate"}));
    Ok(())
}
}

/// What the page does with a denial, a delay and anything else.
async fn or_fallback(result: Result<String, Error>) -> (String, Option<Duration>) {
    match result {
        Ok(result) => (result, None),
        Err(Error::BudgetExceeded { retry_after, .. }) => ("fallback response".to_owned(), retry_after),
        Err(error) => (format!("fallback response after {:?}", error.status()), error.retry_after()),
    }
}

on_executor! {
async fn p33_p35_a_denied_function_does_not_run_and_the_caller_falls_back() {
    #[cycles(estimate = 999_999_999)]
    async fn expensive(ran: &mut bool) -> Result<String, Error> {
        *ran = true;
        Ok(call_llm("at any price").await)
    }
    let page = Page::new();
    let mut ran = false;
    let denied = with_default_client(page.client(), expensive(&mut ran)).await;
    assert!(matches!(denied, Err(Error::BudgetExceeded { .. })), "{denied:?}");
    assert_eq!(or_fallback(denied).await.0, "fallback response");
    assert_eq!((ran, page.dollars()), (false, (0, 0)));
    let allowed = with_default_client(page.client(), summarize("Hello")).await;
    assert_eq!(or_fallback(allowed).await.0, "Hello, Hello");
}
}

on_executor! {
async fn p34_an_error_tells_when_to_try_again() {
    let page = Page::new();
    page.sandbox.inject("reserve:429=7".parse().unwrap());
    let busy = with_default_client(page.client(), summarize("Hello")).await;
    let expected = ("fallback response after Some(429)".to_owned(), Some(Duration::from_secs(7)));
    assert_eq!(or_fallback(busy).await, expected);
}
}

on_executor! {
/// On functions that block it is the attribute of the blocking client.
async fn p36_the_attribute_stands_on_async_functions() -> Outcome {
    let page = Page::new();
    #[cycles(estimate = 1000)]
    async fn async_summarize(text: &str) -> Result<String, Error> {
        executor::sleep(Duration::from_millis(1)).await;
        Ok(call_llm(text).await)
    }
    let result = with_default_client(page.client(), async_summarize("Hello")).await?;
    assert_eq!((result.as_str(), page.dollars()), ("Hello, Hello", (1000, 0)));
    Ok(())
}
}
