// The attribute on functions that are steps of a run, on a running server. The tests of each async adapter include it:
// `runcycles` is their crate, `on_executor!` runs a test, `scene` has the server.

use runcycles::models::Amount;
use runcycles::{CyclesContext, Error, Run, RunConfig, StepContext, cycles};

use crate::{executor, scene};
use scene::Scene;

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
