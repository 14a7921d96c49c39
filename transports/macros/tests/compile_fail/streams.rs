use cycles_tokio::{Error, cycles};
use futures::stream::{self, Stream};

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

struct Chunk {
    cost: f64,
}

fn main() {}
