use cycles_tokio::{Error, cycles};
use futures::stream::{self, BoxStream, Stream};

#[cycles(estimate = 1000)]
async fn is_not_paid_for_when_it_is_made() -> Result<impl Stream<Item = String>, Error> {
    Ok(stream::empty())
}

#[cycles(estimate = 1000, actual = 5, actual_per_item = item.len())]
async fn is_paid_for_once() -> Result<impl Stream<Item = String>, Error> {
    Ok(stream::empty())
}

#[cycles(estimate = 1000, actual_per_item = item.cost)]
async fn a_float_per_item() -> Result<impl Stream<Item = Chunk>, Error> {
    Ok(stream::iter([Chunk { cost: 0.5 }]))
}

type Chunks = BoxStream<'static, Chunk>;

#[cycles(estimate = 1000)]
async fn is_hidden_by_an_alias() -> Result<Chunks, Error> {
    Ok(Box::pin(stream::empty()))
}

type AnswerResult = Result<Chunks, Error>;

#[cycles(estimate = 1000)]
async fn is_hidden_by_an_alias_of_the_result() -> AnswerResult {
    Ok(Box::pin(stream::empty()))
}

#[cycles(estimate = 1000, actual = 5)]
async fn is_generic<S: Stream>(stream: S) -> Result<S, Error> {
    Ok(stream)
}

#[cycles(estimate = 1000, actual_per_item = item.len())]
async fn is_charged_by_an_alias() -> Result<Chunks, Error> {
    Ok(Box::pin(stream::empty()))
}

#[cycles(estimate = 1000, actual_per_item = item.len())]
async fn is_there_at_once() -> Result<Vec<String>, Error> {
    Ok(Vec::new())
}

#[cycles(estimate = 1000, actual_per_item = item.len())]
async fn is_part_of_something() -> Result<(u64, impl Stream<Item = String>), Error> {
    Ok((0, stream::empty()))
}

#[cycles(estimate = 1000)]
async fn is_read_later() -> Result<impl futures::io::AsyncRead, Error> {
    Ok(futures::io::empty())
}

struct Chunk {
    cost: f64,
}

fn main() {}
