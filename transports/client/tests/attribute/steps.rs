// The attribute on functions that are steps of a run, on a running server. The tests of each async adapter include it:
// `runcycles` is their crate, `on_executor!` runs a test, `scene` has the server.

use runcycles::models::Amount;
use runcycles::{CyclesClient, CyclesContext, Error, Mode, OnError, Run, RunConfig, StepContext, cycles};

use crate::{executor, scene};
use scene::{PATIENCE, Scene};

/// The unit is that of the run.
#[cycles(run = run, name = "search", estimate = query.len() * 10, actual = result.len())]
async fn search(run: &Run, query: &str) -> Result<String, Error> {
    let step = StepContext::current().unwrap();
    assert_eq!(step.name.as_deref(), Some("search"));
    assert!(
        CyclesContext::current().is_none(),
        "it is no part of a guarded action around it"
    );
    Ok(query.to_uppercase())
}

/// Its provider does not answer in time.
#[cycles(run = run, estimate = 40)]
async fn times_out(run: &Run) -> Result<(), Failed> {
    StepContext::current().unwrap().dispatched();
    Err("no answer".into())
}

/// As above, but the provider charges for nothing that it has not answered.
#[cycles(run = run, estimate = 40, on_error = "release")]
async fn times_out_for_nothing(run: &Run) -> Result<(), Failed> {
    StepContext::current().unwrap().dispatched();
    Err("no answer".into())
}

/// The same for an action, with the policy that the caller gives.
#[cycles(estimate = Amount::tokens(40), client = client, on_error = policy)]
async fn acts(client: &CyclesClient, policy: OnError, is_refused: bool) -> Result<(), Failed> {
    let context = CyclesContext::current().unwrap();
    context.dispatched();
    if is_refused {
        context.not_charged();
    }
    Err("no answer".into())
}

/// Asks for more than there is. Its mode wins over that of its client.
#[cycles(estimate = Amount::tokens(i64::MAX), client = client, mode = "shadow")]
async fn runs_anyway(client: &CyclesClient) -> Result<String, Failed> {
    Ok(CyclesContext::current().unwrap().reservation_id.to_string())
}

/// The same with the mode that the caller gives.
#[cycles(estimate = Amount::tokens(i64::MAX), client = client, mode = mode)]
async fn runs_in(client: &CyclesClient, mode: Mode) -> Result<(), Failed> {
    Ok(())
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

struct Agent {
    run: Run,
}

impl Agent {
    #[cycles(run = self.run, name = tool, estimate = Amount::tokens(30))]
    async fn uses(
        &mut self,
        tool: &str,
        inner: Option<&str>,
    ) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
        let found = match inner {
            Some(query) => search(&self.run, query).await?.len(),
            None => return Err("the tool is broken".into()),
        };
        Ok(found)
    }
}

on_executor! {
    async fn a_function_that_is_a_step_draws_from_its_run_and_is_charged_its_cost() {
        let scene = Scene::new();
        let client = scene.client();
        let run = client.run(RunConfig::new(Amount::tokens(200)).action("agent.run", "test")).await.unwrap();
        assert_eq!(search(&run, "rust").await.unwrap(), "RUST");
        assert_eq!(run.left(), Amount::tokens(196));
        let mut agent = Agent { run: run.clone() };
        // Its cost is not known, so it is the estimate; and the step inside of it.
        assert_eq!(agent.uses("browser", Some("cycles")).await.unwrap(), 6);
        assert_eq!(run.left(), Amount::tokens(196 - 30 - 6));
        assert!(agent.uses("browser", None).await.is_err());
        assert_eq!(run.left(), Amount::tokens(160));
        let error = search(&run, &"q".repeat(17)).await.unwrap_err();
        assert!(matches!(&error, Error::RunExhausted(why) if why.asked == Amount::tokens(170)), "{error}");
        drop(agent);
        let receipt = run.finish().await.unwrap().unwrap();
        assert!(receipt.is_settled());
        let over = search(&run, "rust").await.unwrap_err();
        assert!(matches!(over, Error::RunOver(_)), "{over}");
    }
}

on_executor! {
    async fn a_function_whose_request_left_is_charged_by_its_policy() {
        let scene = Scene::new();
        let client = scene.client();
        let run = client.run(RunConfig::new(Amount::tokens(200))).await.unwrap();
        assert!(times_out(&run).await.is_err());
        assert_eq!(run.left(), Amount::tokens(160));
        assert!(times_out_for_nothing(&run).await.is_err());
        assert_eq!(run.left(), Amount::tokens(160));
        run.finish().await.unwrap();
        let mut spent = 40;
        for (policy, is_refused, charge) in [
            (OnError::Estimate, false, 40),
            (OnError::Estimate, true, 0),
            (OnError::Release, false, 0),
        ] {
            assert!(acts(&client, policy, is_refused).await.is_err());
            assert!(client.flush(PATIENCE).await.unwrap().is_complete());
            spent += charge;
            assert_eq!(scene.budget(), (spent, 0), "{policy:?}, {is_refused}");
        }
    }
}

on_executor! {
    async fn the_mode_of_a_function_wins_over_that_of_its_client() {
        let scene = Scene::new();
        let client = scene.client();
        assert!(runs_anyway(&client).await.unwrap().starts_with("shadow-"));
        assert!(runs_in(&client, Mode::Shadow).await.is_ok());
        assert!(runs_in(&client.with_mode(Mode::Shadow), Mode::Enforce).await.is_err());
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        assert_eq!(client.stats().total().shadow.actions(), 2);
        assert_eq!(scene.budget(), (0, 0));
    }
}
