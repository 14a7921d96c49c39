use cycles_tokio::{CyclesClient, Error, Run, cycles};
use futures::stream::{self, Stream};

#[cycles(run = run, client = client, estimate = 5)]
async fn with_a_client(run: &Run, client: &CyclesClient) -> Result<(), Error> {
    Ok(())
}

#[cycles(run = run, estimate = 5, action_name = "search", agent = "a")]
async fn with_an_action(run: &Run) -> Result<(), Error> {
    Ok(())
}

#[cycles(run = run, estimate = 5, actual_per_item = 1)]
async fn a_stream(run: &Run) -> Result<impl Stream<Item = u8>, Error> {
    Ok(stream::iter([1]))
}

#[cycles(name = "search", estimate = 5)]
async fn without_a_run() -> Result<(), Error> {
    Ok(())
}

#[cycles(run = "run", estimate = 5)]
async fn a_name_of_a_run() -> Result<(), Error> {
    Ok(())
}

fn main() {}
