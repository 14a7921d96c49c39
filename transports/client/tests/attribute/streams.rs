// The attribute on functions that make streams. See `functions.rs`.

use std::io;
use std::pin::Pin;

use futures::stream::{self, Stream, StreamExt as _};

struct Chunk {
    text: &'static str,
    usage: Option<i64>,
}

fn chunks() -> impl Stream<Item = Chunk> {
    let texts = ["one", "two", "three", "four"].into_iter();
    stream::iter(texts.map(|text| Chunk { text, usage: (text == "four").then_some(14) }))
}

#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = by * item.text.len() as i64)]
async fn words(by: i64) -> Result<impl Stream<Item = Chunk>, Error> {
    CyclesContext::current().unwrap().insert_metadata("made_by", "words");
    Ok(chunks())
}

#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = item.usage)]
async fn usage_at_the_end() -> Result<impl Stream<Item = Result<Chunk, Failed>>, Failed> {
    Ok(chunks().map(Ok))
}

#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = item.text.len())]
async fn breaks_off(fails_to_begin: bool) -> Result<impl Stream<Item = Result<Chunk, Failed>>, Failed> {
    if fails_to_begin {
        return Err(Failed::Own("no connection".into()));
    }
    let broken = stream::iter([Err(Failed::Own("gone".into()))]);
    Ok(chunks().take(2).map(Ok).chain(broken))
}

#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = item.text.len())]
async fn is_boxed() -> Result<stream::BoxStream<'static, Chunk>, Error> {
    Ok(chunks().boxed())
}

#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = item.text.len())]
async fn is_pinned() -> Result<Pin<Box<dyn Stream<Item = io::Result<Chunk>> + Send>>, Error> {
    Ok(Box::pin(chunks().map(Ok)))
}

#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = item.text.len())]
async fn is_unpinned() -> Result<Box<dyn Stream<Item = Chunk> + Send + Unpin>, Error> {
    Ok(Box::new(chunks().boxed()))
}

/// The body has dropped its argument when the stream begins.
#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = prices[usize::from(item.usage.is_some())])]
async fn by_a_list(prices: Vec<i64>) -> Result<impl Stream<Item = Chunk>, Error> {
    assert_eq!(prices.len(), 2);
    Ok(chunks())
}

on_executor! {
async fn the_cost_of_an_item_may_name_what_the_body_uses() {
    let scene = Scene::new();
    let client = scene.client();
    let words = with_default_client(client.clone(), by_a_list(vec![2, 20])).await.unwrap();
    assert_eq!(is_send(words).count().await, 4);
    assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    assert_eq!(scene.budget(), (3 * 2 + 20, 0));
}
}

/// Sets metrics that only the stream knows, while it is consumed.
#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = {
    assert!(CyclesContext::current().is_some());
    item.text.len()
})]
async fn tells_as_it_goes() -> Result<impl Stream<Item = Chunk>, Error> {
    let id = CyclesContext::current().unwrap().reservation_id;
    Ok(chunks().map(move |chunk| {
        let context = CyclesContext::current().unwrap();
        assert_eq!(context.reservation_id, id);
        context.insert_metadata("last", chunk.text);
        context.set_metrics(CyclesMetrics { tokens_output: Some(4), ..Default::default() });
        context.spent(&Amount::tokens(20)).unwrap();
        chunk
    }))
}

on_executor! {
async fn a_stream_runs_in_the_context_of_its_function_and_what_it_tells_counts() {
    #[cycles(estimate = 100, unit = "TOKENS", actual = 1)]
    async fn consumes() -> Result<(), Error> {
        let own = || CyclesContext::current().unwrap().reservation_id;
        let id = own();
        let mut words = Box::pin(tells_as_it_goes().await?);
        while let Some(chunk) = words.next().await {
            assert_eq!(own(), id, "beside {}", chunk.text);
        }
        Ok(())
    }
    let scene = Scene::new();
    let client = scene.client();
    with_default_client(client.clone(), async {
        assert_eq!(tells_as_it_goes().await.unwrap().take(1).count().await, 1);
        assert!(CyclesContext::current().is_none());
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        assert_eq!(scene.budget(), (20, 0), "more than its item");
        consumes().await.unwrap();
    })
    .await;
    assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    assert_eq!(scene.budget(), (20 + 1 + 20, 0));
}
}

on_executor! {
async fn a_boxed_stream_stays_boxed_and_is_paid_for_as_it_is_consumed() {
    let scene = Scene::new();
    let client = scene.client();
    with_default_client(client.clone(), async {
        let mut boxed: stream::BoxStream<'static, Chunk> = is_boxed().await.unwrap();
        boxed.next().await.unwrap();
        assert_eq!(scene.budget(), (0, 100), "it goes on");
        drop(boxed);
        assert_eq!(is_send(is_pinned().await.unwrap()).count().await, 4);
        assert_eq!(is_unpinned().await.unwrap().take(2).count().await, 2);
    })
    .await;
    assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    assert_eq!(scene.budget(), (3 + 15 + 6, 0));
}
}

on_executor! {
async fn a_stream_is_paid_for_as_it_is_consumed_and_settled_at_its_end() {
    let scene = Scene::new();
    let client = scene.client();
    with_default_client(client.clone(), async {
        let mut words = is_send(words(2).await.unwrap());
        assert_eq!(scene.budget(), (0, 100), "it is only made");
        while let Some(chunk) = words.next().await {
            assert!(!chunk.text.is_empty());
        }
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        assert_eq!(scene.budget(), (2 * 15, 0));
        assert_eq!(usage_at_the_end().await.unwrap().count().await, 4);
    })
    .await;
    assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    assert_eq!(scene.budget(), (2 * 15 + 14, 0));
}
}

on_executor! {
async fn a_stream_that_breaks_off_or_is_dropped_is_paid_as_far_as_it_was_consumed() {
    let scene = Scene::new();
    let client = scene.client();
    with_default_client(client.clone(), async {
        let mut words = words(1).await.unwrap();
        words.next().await.unwrap();
        drop(words);
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        assert_eq!(scene.budget(), (3, 0));
        let broken: Vec<_> = breaks_off(false).await.unwrap().collect().await;
        assert!(matches!(&broken[..], [Ok(_), Ok(_), Err(Failed::Own(_))]));
        match breaks_off(true).await {
            Err(Failed::Own(own)) => assert_eq!(&*own, "no connection"),
            _ => panic!("it did not begin"),
        }
    })
    .await;
    assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    assert_eq!(scene.budget(), (3 + 6, 0));
}
}
