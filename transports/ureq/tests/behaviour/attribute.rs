//! The attribute on functions that block: what the page of the Python client has no row for.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, unused_imports)]

use std::io::Read;

include!("../../../client/tests/python_page/page.rs");

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
        // What was estimated stands in for a cost that nobody took.
        assert_eq!(client.flush(PATIENCE)?.unrecorded, 1);
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
fn what_is_made_runs_in_the_context_of_its_function_and_what_it_tells_counts() -> Outcome {
    #[cycles(estimate = 1000, actual_per_item = item.len())]
    fn words() -> Result<impl Iterator<Item = &'static str>, Error> {
        let id = CyclesContext::current().unwrap().reservation_id;
        Ok(["one", "two", "three"].into_iter().inspect(move |word| {
            let context = CyclesContext::current().unwrap();
            assert_eq!(context.reservation_id, id);
            context.insert_metadata("last", *word);
            context.set_metrics(CyclesMetrics {
                tokens_output: Some(3),
                ..Default::default()
            });
            context.spent(&Amount::usd_microcents(100)).unwrap();
        }))
    }
    struct Body;
    impl Read for Body {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            let context = CyclesContext::current().unwrap();
            context.insert_metadata("was_read", true);
            Ok(0)
        }
    }
    #[cycles(estimate = 1000, actual_per_item = item.len())]
    fn body() -> Result<impl Read, Error> {
        CyclesContext::current()
            .unwrap()
            .spent(&Amount::usd_microcents(50))?;
        Ok(Body)
    }
    let page = Page::new();
    let client = page.client();
    with_default_client(client.clone(), || {
        assert_eq!(words()?.count(), 3);
        assert!(CyclesContext::current().is_none());
        assert_eq!(page.dollars(), (100, 0), "more than its items");
        let commit = page.only(Operation::CommitReservation);
        assert_eq!(commit["metadata"], json!({"last": "three"}));
        assert_eq!(commit["metrics"]["tokens_output"], 3);
        body()?.read_to_string(&mut String::new()).unwrap();
        assert_eq!(page.dollars(), (150, 0));
        let commit = page.asked(Operation::CommitReservation).pop().unwrap();
        assert_eq!(commit["metadata"], json!({"was_read": true}));
        Ok(())
    })
}

#[test]
fn a_function_that_is_a_step_draws_from_its_run_and_is_charged_its_cost() -> Outcome {
    use cycles_ureq::{Run, RunConfig};

    #[cycles(run = run, name = "search", estimate = query.len() * 10, actual = result.len())]
    fn search(run: &Run, query: &str) -> Result<String, Error> {
        Ok(query.to_uppercase())
    }
    #[cycles(run = run, estimate = 30)]
    fn calls_it(run: &Run, query: &str) -> Result<usize, Error> {
        Ok(search(run, query)?.len())
    }
    let page = Page::new();
    let run = page.client().run(RunConfig::new(Amount::usd_microcents(200)))?;
    assert_eq!(search(&run, "rust")?, "RUST");
    assert_eq!(calls_it(&run, "cycles")?, 6);
    assert_eq!(run.left(), Amount::usd_microcents(200 - 4 - 30 - 6));
    assert!(matches!(
        search(&run, &"q".repeat(17)),
        Err(Error::RunExhausted(_))
    ));
    assert!(run.finish()?.is_some());
    assert_eq!(page.dollars(), (40, 0));
    Ok(())
}

#[test]
fn a_function_whose_request_left_is_charged_by_its_policy() -> Outcome {
    use cycles_ureq::{CyclesContext, OnError, Run, RunConfig, StepContext};

    type Failed = Box<dyn std::error::Error + Send + Sync>;

    #[cycles(run = run, estimate = 40, on_error = "release")]
    fn steps(run: &Run) -> std::result::Result<(), Failed> {
        StepContext::current().unwrap().dispatched();
        Err("no answer".into())
    }
    #[cycles(estimate = 40, client = client, on_error = policy)]
    fn acts(client: &CyclesClient, policy: OnError, is_refused: bool) -> std::result::Result<(), Failed> {
        let context = CyclesContext::current().unwrap();
        context.dispatched();
        if is_refused {
            context.not_charged();
        }
        Err("no answer".into())
    }
    let page = Page::new();
    let client = page.client();
    let run = client.run(RunConfig::new(Amount::usd_microcents(200)))?;
    assert!(steps(&run).is_err());
    assert!(run.finish()?.is_none());
    let mut spent = 0;
    for (policy, is_refused, charge) in [
        (OnError::Estimate, false, 40),
        (OnError::Estimate, true, 0),
        (OnError::Release, false, 0),
    ] {
        assert!(acts(&client, policy, is_refused).is_err());
        assert!(client.flush(PATIENCE)?.is_complete());
        spent += charge;
        assert_eq!(page.dollars(), (spent, 0), "{policy:?}, {is_refused}");
    }
    Ok(())
}
