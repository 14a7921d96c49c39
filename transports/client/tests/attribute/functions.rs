// The attribute on every kind of async function, on a running server. The tests of each async adapter include it:
// `runcycles` is their crate, `on_executor!` runs a test, `scene` has the server.

use std::fmt;

use runcycles::models::*;
use runcycles::{CyclesClient, CyclesContext, Error, cycles, set_default_client, with_default_client};
use scene::{PATIENCE, Scene};

/// The program's own error, which must come back unchanged.
#[derive(Debug)]
enum Failed {
    Budget(Error),
    Own(Box<str>),
    Number,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Budget(error)
    }
}

impl From<std::num::ParseIntError> for Failed {
    fn from(_: std::num::ParseIntError) -> Self {
        Self::Number
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failed {}

/// The body can still take everything that a parameter names.
#[cycles(
    estimate = text.len() + usize::from(extra),
    unit = "TOKENS",
    action_kind = "llm.completion",
    action_name = model,
    action_tags = ["fixed", text, label],
    agent = agent,
    workspace = Option::<String>::None,
    dimensions = [("label", label), ("none", None::<String>)],
    actual = result.len()
)]
async fn takes(text: String, model: Box<str>, agent: Option<String>, label: &str, extra: u8) -> Result<Vec<u8>, Failed> {
    let (model, agent) = (model, agent);
    let label = label.to_owned();
    drop((model, agent, label));
    Ok(text.into_bytes())
}

#[cycles(estimate = 100, unit = Unit::Tokens, actual = 7)]
async fn borrows<'a>(text: &'a str, into: &mut Vec<String>) -> Result<&'a str, Error> {
    into.push(text.to_owned());
    Ok(&text[1..])
}

#[cycles(estimate = items.len(), unit = "TOKENS", actual = *result)]
async fn is_generic<T, const N: usize>(items: [T; N], mut visit: impl FnMut(&T)) -> Result<usize, Box<dyn std::error::Error + Send + Sync>>
where
    T: Send,
{
    items.iter().for_each(&mut visit);
    Ok(N)
}

#[cycles(estimate = Amount::tokens(50), actual = Amount::tokens(3))]
async fn returns_some_trait(most: u32) -> Result<impl Iterator<Item = u32> + use<>, Error> {
    if most > 1_000 {
        return Ok(0..1);
    }
    Ok(0..most)
}

#[cycles(estimate = 50, unit = "TOKENS", actual = result.unsigned_abs())]
#[allow(clippy::needless_return)]
async fn leaves_early(text: &str, (least, _): (i64, ()), _: ()) -> Result<i64, Failed> {
    #![allow(clippy::redundant_else)]
    let number: i64 = text.parse()?;
    if number < least {
        return Err(Failed::Own("too small".into()));
    } else if number == least {
        return Ok(-number);
    }
    Ok(number)
}

struct Agent {
    client: CyclesClient,
    name: String,
    thoughts: i64,
}

impl Agent {
    #[cycles(estimate = self.thoughts + 1, unit = "TOKENS", client = self.client, action_name = self.name, actual = *result)]
    async fn think(&mut self) -> Result<i64, Error> {
        self.thoughts += 1;
        Ok(self.thoughts)
    }

    /// The copy of an argument may be named beside the result.
    #[cycles(estimate = by, unit = "TOKENS", client = &self.client, actual = result.len() + by)]
    async fn say(&self, by: usize) -> Result<&str, Error> {
        Ok(&self.name)
    }

    #[cycles(estimate = 1, unit = "TOKENS", client = self.client)]
    pub(crate) async fn end(self) -> Result<String, Error> {
        Ok(self.name)
    }
}

trait Model {
    async fn complete(&self, prompt: &str) -> Result<String, Error>;
}

impl Model for Agent {
    #[cycles(estimate = prompt.len() * 2, unit = "TOKENS", client = self.client, actual = result.len())]
    async fn complete(&self, prompt: &str) -> Result<String, Error> {
        Ok(prompt.to_owned())
    }
}

/// The expansion has names of its own, which are spelled like these.
#[cycles(estimate = client + config + body + unit, unit = "TOKENS", client = returned, actual = *result + client + unit)]
async fn has_names_of_the_expansion(
    client: i64,
    config: i64,
    body: i64,
    unit: i64,
    returned: &CyclesClient,
) -> Result<i64, Error> {
    assert!(returned.check().is_ok());
    Ok(client + config + body + unit)
}

/// What an argument is when the body has done with it, whoever owns it.
#[cycles(
    estimate = 100,
    unit = "TOKENS",
    actual = prompt.len() + said.len() + rounds + format!("{label}").len()
)]
async fn names_what_the_body_uses(
    prompt: String,
    said: &mut Vec<String>,
    mut rounds: usize,
    label: Box<str>,
) -> Result<usize, Failed> {
    assert_eq!(label.len(), 3);
    while rounds < 10 {
        said.push(prompt.clone());
        yield_now().await;
        rounds += 5;
    }
    Ok(said.len())
}

/// What the body takes is named by what it returns, and what it lends is still lent.
#[cycles(estimate = 100, unit = "TOKENS", actual = result.0.len() + result.1.len() + least)]
async fn takes_and_lends<'a>(
    prompt: String,
    text: &'a mut String,
    least: usize,
) -> Result<(String, &'a mut str), Error> {
    text.push_str(&prompt);
    Ok((prompt, &mut text[least..]))
}

#[cycles(estimate = 100, unit = "TOKENS", actual = { assert!(*result < 7, "on purpose"); *result })]
async fn cannot_tell(cost: i64) -> Result<i64, Error> {
    Ok(cost)
}

#[cycles(estimate = 100, unit = "TOKENS", actual = Amount::new(Unit::Credits, *result))]
async fn tells_in_another_unit(cost: i64) -> Result<i64, Error> {
    Ok(cost)
}

#[cycles(estimate = Amount::new(of, 100), unit = unit, actual = 5)]
async fn is_estimated_in(of: Unit, unit: Unit, ran: &mut bool) -> Result<(), Error> {
    *ran = true;
    Ok(())
}

struct TcpStream;

/// Named like a stream, but not consumed item by item.
#[cycles(estimate = 5, unit = "TOKENS")]
async fn opens_a_connection() -> Result<TcpStream, Error> {
    Ok(TcpStream)
}

mod renamed {
    pub(crate) use runcycles as budget;
}

#[cycles(crate = renamed::budget, estimate = 5, unit = "TOKENS")]
async fn names_its_crate() -> Result<(), Error> {
    Ok(())
}

fn is_send<T: Send>(value: T) -> T {
    value
}

on_executor! {
async fn arguments_are_looked_at_before_the_body_takes_them() {
    let scene = Scene::new();
    let made = takes("hello".to_owned(), "gpt-4".into(), Some("support-bot".to_owned()), "x", 5);
    let bytes = with_default_client(scene.client(), is_send(made)).await.unwrap();
    assert_eq!((bytes.as_slice(), scene.budget()), (b"hello".as_slice(), (5, 0)));
}
}

on_executor! {
async fn borrowed_arguments_generics_and_impl_trait_stay_what_they_are() {
    let scene = Scene::new();
    let mut seen = Vec::new();
    let text = String::from("hello");
    let mut sum = 0;
    with_default_client(scene.client(), async {
        assert_eq!(borrows(&text, &mut seen).await.unwrap(), "ello");
        assert_eq!(is_generic([1, 2, 3], |n| sum += n).await.unwrap(), 3);
        assert_eq!(returns_some_trait(4).await.unwrap().sum::<u32>(), 6);
        assert_eq!(returns_some_trait(4_000).await.unwrap().count(), 1);
        names_its_crate().await.unwrap();
        let TcpStream = opens_a_connection().await.unwrap();
    })
    .await;
    assert_eq!((seen.as_slice(), sum), ([text].as_slice(), 6));
    assert_eq!(scene.budget(), (7 + 3 + 3 + 3 + 5 + 5, 0));
}
}

on_executor! {
async fn the_cost_may_name_what_the_body_uses_as_it_is_when_that_has_ended() {
    let scene = Scene::new();
    with_default_client(scene.client(), async {
        let mut said = vec![String::new()];
        let made = names_what_the_body_uses("four".to_owned(), &mut said, 0, "abc".into());
        assert_eq!(is_send(made).await.unwrap(), 3);
        assert_eq!(scene.budget(), (4 + 3 + 10 + 3, 0));
        let mut text = "text".to_owned();
        let (prompt, rest) = takes_and_lends("four".to_owned(), &mut text, 2).await.unwrap();
        assert_eq!((prompt.as_str(), rest), ("four", &mut *"xtfour".to_owned()));
    })
    .await;
    assert_eq!(scene.budget(), (20 + 4 + 6 + 2, 0));
}
}

on_executor! {
async fn what_cannot_be_told_or_charged_costs_what_was_estimated() {
    let scene = Scene::new();
    let client = scene.client();
    with_default_client(client.clone(), async {
        assert_eq!(cannot_tell(5).await.unwrap(), 5);
        assert_eq!(scene.budget(), (5, 0));
        let panicked = std::panic::AssertUnwindSafe(cannot_tell(7));
        futures::FutureExt::catch_unwind(panicked).await.unwrap_err();
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        assert_eq!(scene.budget(), (5 + 100, 0));
        assert_eq!(tells_in_another_unit(5).await.unwrap(), 5);
        // The estimate replaces a cost that was not taken.
        assert_eq!(client.flush(PATIENCE).await.unwrap().unrecorded, 1);
        assert_eq!(scene.budget(), (5 + 100 + 100, 0));
    })
    .await;
}
}

on_executor! {
async fn a_unit_that_contradicts_the_estimate_is_an_error_and_nothing_is_sent() {
    let scene = Scene::new();
    with_default_client(scene.client(), async {
        let mut ran = false;
        let error = is_estimated_in(Unit::Tokens, Unit::Credits, &mut ran).await.unwrap_err();
        assert!(matches!(error, Error::Validation(_)), "{error:?}");
        assert!(error.to_string().contains("is TOKENS, but the attribute sets `unit` to CREDITS"), "{error}");
        assert_eq!((ran, scene.budget()), (false, (0, 0)));
        is_estimated_in(Unit::Tokens, Unit::Tokens, &mut ran).await.unwrap();
    })
    .await;
    assert_eq!(scene.budget(), (5, 0));
}
}

on_executor! {
async fn methods_are_guarded_by_what_their_receiver_has() {
    let scene = Scene::new();
    let mut agent = Agent { client: scene.client(), name: "gpt".to_owned(), thoughts: 9 };
    assert_eq!(agent.think().await.unwrap(), 10);
    assert_eq!(agent.say(7).await.unwrap(), "gpt");
    assert_eq!(agent.complete("four").await.unwrap(), "four");
    assert_eq!(has_names_of_the_expansion(1, 2, 3, 4, &agent.client).await.unwrap(), 10);
    assert_eq!(agent.end().await.unwrap(), "gpt");
    assert_eq!(scene.budget(), (10 + 10 + 4 + 15 + 1, 0));
}
}

on_executor! {
async fn an_error_comes_back_as_it_is_and_gives_the_budget_back() {
    let scene = Scene::new();
    with_default_client(scene.client(), async {
        let text = Box::<str>::from("too small");
        match leaves_early("3", (5, ()), ()).await {
            Err(Failed::Own(own)) => assert_eq!(own, text),
            other => panic!("{other:?}"),
        }
        assert!(matches!(leaves_early("three", (5, ()), ()).await, Err(Failed::Number)));
        assert_eq!(scene.budget(), (0, 0));
        assert_eq!(leaves_early("5", (5, ()), ()).await.unwrap(), -5);
        assert_eq!(leaves_early("7", (5, ()), ()).await.unwrap(), 7);
    })
    .await;
    assert_eq!(scene.budget(), (12, 0));
}
}

on_executor! {
async fn a_denial_is_an_error_of_the_functions_own_kind_and_nothing_runs() {
    #[cycles(estimate = 999_999_999_999, unit = "TOKENS", actual = 0)]
    async fn expensive(ran: &mut bool) -> Result<(), Failed> {
        *ran = true;
        Ok(())
    }
    let scene = Scene::new();
    let mut ran = false;
    match with_default_client(scene.client(), expensive(&mut ran)).await {
        Err(Failed::Budget(Error::BudgetExceeded { .. })) => {}
        other => panic!("{other:?}"),
    }
    assert!(!ran);
}
}

on_executor! {
async fn a_future_that_is_dropped_gives_its_budget_back() {
    #[cycles(estimate = 100, unit = "TOKENS")]
    async fn never_ends() -> Result<(), Error> {
        std::future::pending().await
    }
    let scene = Scene::new();
    let client = scene.client();
    let mut running = Box::pin(with_default_client(client.clone(), never_ends()));
    let held = futures::future::poll_fn(|cx| {
        assert!(running.as_mut().poll(cx).is_pending());
        match scene.budget() {
            (0, 100) => std::task::Poll::Ready(()),
            _ => {
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        }
    });
    held.await;
    drop(running);
    assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    assert_eq!(scene.budget(), (0, 0));
}
}

on_executor! {
async fn inside_the_context_is_the_innermost_one_and_outside_there_is_none() {
    #[cycles(estimate = 10, unit = "TOKENS")]
    async fn inner(outer: &ReservationId) -> Result<ReservationId, Error> {
        let id = CyclesContext::current().unwrap().reservation_id;
        assert_ne!(id, *outer);
        Ok(id)
    }
    #[cycles(estimate = 10, unit = "TOKENS")]
    async fn outer() -> Result<(), Error> {
        let own = || CyclesContext::current().unwrap().reservation_id;
        let id = own();
        let mut inner = Box::pin(inner(&id));
        // Between two polls of the inner one it is the outer one that runs.
        let ended = futures::future::poll_fn(|cx| {
            let polled = inner.as_mut().poll(cx);
            assert_eq!(own(), id);
            polled
        });
        assert_ne!(ended.await?, id);
        assert_eq!(own(), id);
        Ok(())
    }
    let scene = Scene::new();
    let client = scene.client();
    with_default_client(client, async {
        let (one, two) = futures::join!(outer(), async {
            // Concurrently, in the same task and on the same thread.
            for _ in 0..100 {
                assert!(CyclesContext::current().is_none());
                yield_now().await;
            }
            outer().await
        });
        one.unwrap();
        two.unwrap();
        assert!(CyclesContext::current().is_none());
    })
    .await;
    assert_eq!(scene.budget(), (40, 0));
}
}

on_executor! {
/// In a process of its own, which has no default client yet.
async fn the_default_client_is_that_of_the_scope_or_of_the_process() {
    if crate::alone::ran_elsewhere("attribute::the_default_client_is_that_of_the_scope_or_of_the_process") {
        return;
    }
    let error = names_its_crate().await.unwrap_err().to_string();
    assert!(error.contains("there is no default client") && error.contains("Nothing was sent"), "{error}");
    let (process, scope) = (Scene::new(), Scene::new());
    set_default_client(process.client());
    names_its_crate().await.unwrap();
    with_default_client(scope.client(), names_its_crate()).await.unwrap();
    names_its_crate().await.unwrap();
    assert_eq!((process.budget(), scope.budget()), ((10, 0), (5, 0)));
}
}
