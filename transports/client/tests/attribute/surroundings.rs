// The attribute in code that a `macro_rules!` macro makes, and among names that its expansion could run into: each test
// is included by every async adapter.

#![allow(
    clippy::let_and_return,
    reason = "a reference behind a block is one of the things tried"
)]

use super::*;

macro_rules! guarded_stream {
    ($visibility:vis $name:ident, $returned:ty, $per_item:expr, $body:block) => {
        #[cycles(estimate = 100, unit = "TOKENS", actual_per_item = $per_item)]
        $visibility async fn $name() -> $returned $body
    };
}

guarded_stream!(pub(self) some_stream, Result<impl Stream<Item = i64>, Error>, 3, { Ok(futures::stream::iter([1, 2])) });
guarded_stream!(
    boxed_stream,
    Result<futures::stream::BoxStream<'static, i64>, Error>,
    4,
    { Ok(Box::pin(futures::stream::iter([1, 2]))) }
);

macro_rules! stream_of_a_type {
    ($name:ident, $made:ty, $error:ty) => {
        #[cycles(estimate = 100, unit = "TOKENS", actual_per_item = 5)]
        async fn $name() -> Result<$made, $error> {
            Ok(Box::pin(futures::stream::iter([
                Ok(1),
                Err(Failed::Number),
            ])))
        }
    };
}

stream_of_a_type!(
    pinned_stream,
    std::pin::Pin<Box<dyn Stream<Item = Result<i64, Failed>> + Send>>,
    Error
);

macro_rules! everything {
    ($function:item, $name:ident, $unit:expr, $policy:expr, $tags:expr, $dimensions:expr, $estimate:expr, $ttl:literal,
     $actual:expr, $path:path, $argument:ident: $type:ty) => {
        $function

        #[cycles(
            crate = $path,
            estimate = $estimate,
            unit = $unit,
            overage_policy = $policy,
            action_kind = "llm.completion",
            action_name = $argument,
            action_tags = $tags,
            dimensions = $dimensions,
            ttl_ms = $ttl,
            use_estimate_if_actual_not_provided = false,
            actual = $actual,
        )]
        async fn $name($argument: $type) -> Result<$type, Error> {
            Ok($argument)
        }
    };
}

everything!(
    #[cycles(estimate = 3, unit = "TOKENS")]
    async fn is_an_item() -> Result<(), Error> {
        Ok(())
    },
    is_made_of_fragments,
    "TOKENS",
    "REJECT",
    ["one", Some("two")],
    [("region", "eu"), ("tier", None::<&str>)],
    1_000,
    30_000,
    7,
    runcycles,
    model: &'static str
);

macro_rules! by_fragments_of_values {
    ($unit:expr, $policy:expr, $tag:expr, $pair:expr) => {
        #[cycles(
                                                                            estimate = 10,
                                                                            unit = $unit,
                                                                            overage_policy = $policy,
                                                                            action_tags = [$tag, $tag],
                                                                            dimensions = [$pair],
                                                                        )]
        async fn is_made_of_values() -> Result<(), Error> {
            Ok(())
        }
    };
}

by_fragments_of_values!(Unit::Tokens, CommitOveragePolicy::Reject, "tag", ("region", "eu"));

/// Items of these names cannot be shadowed by a `let`.
mod among_items {
    #![allow(non_upper_case_globals, non_camel_case_types, unused)]
    use super::{Error, Stream};
    use runcycles::{CyclesClient, cycles};

    static client: i64 = 1;
    static returned: i64 = 1;
    static made: i64 = 1;
    static error: i64 = 1;
    static text: i64 = 1;
    static value: i64 = 1;
    const body: i64 = 1;
    const config: i64 = 1;
    const item: i64 = 1;
    struct unit;
    struct ended;
    struct result;

    #[cycles(
        estimate = client + body,
        unit = "TOKENS",
        action_name = of,
        action_tags = ["tag", of],
        dimensions = [("region", of)],
        client = by,
        actual = config + length as i64
    )]
    pub(super) async fn value_of(by: &CyclesClient, of: &str, length: usize) -> Result<String, Error> {
        let _ = (client, body, unit, of.len() + length);
        Ok(of.to_owned())
    }

    #[cycles(estimate = 9, unit = "TOKENS", client = by, action_tags = tags, dimensions = pairs, actual_per_item = 2)]
    pub(super) async fn stream_of(
        by: &CyclesClient,
        tags: &[String],
        pairs: &[(&str, &str)],
    ) -> Result<futures::stream::BoxStream<'static, i64>, Error> {
        Ok(Box::pin(futures::stream::iter([1])))
    }
}

/// Every name of the prelude is missing.
#[no_implicit_prelude]
mod without_a_prelude {
    use ::runcycles::{CyclesClient, Error, cycles};

    #[cycles(
        estimate = 9,
        unit = "TOKENS",
        action_kind = "llm",
        action_tags = ["tag"],
        dimensions = [("region", "eu")],
        client = by,
        actual = *result
    )]
    pub(super) async fn value_of(by: &CyclesClient) -> ::core::result::Result<i64, Error> {
        ::core::result::Result::Ok(4)
    }

    #[cycles(estimate = 9, unit = "TOKENS", client = by, action_name = "x", action_tags = tags, dimensions = pairs, actual_per_item = 2)]
    pub(super) async fn stream_of(
        by: &CyclesClient,
        tags: &[&str],
        pairs: &[(&str, &str)],
    ) -> ::core::result::Result<::futures::stream::BoxStream<'static, i64>, Error> {
        ::core::result::Result::Ok(::std::boxed::Box::pin(::futures::stream::iter([1])))
    }
}

/// A trait of the program's own gives every type methods that the expansion calls, or could.
mod among_blanket_methods {
    #![allow(unused)]
    use super::{Error, Stream};
    use runcycles::{CyclesClient, cycles};

    trait Everything: Sized {
        fn into(self) {}
        fn into_iter(self) {}
        fn flatten(self) {}
        fn filter_map(self) {}
        fn map(self) {}
        fn when_made(self) {}
        fn estimate(self) {}
        fn clone(self) {}
        fn to_owned(self) {}
        fn unwrap_or_else(self) {}
        fn action(self) {}
        fn action_tags(self) {}
        fn subject(self) {}
        fn overage_policy(self) {}
        fn ttl_ms(self) {}
        fn poll(self) {}
        fn into_future(self) {}
    }

    impl<T> Everything for T {}

    #[cycles(
        estimate = 9,
        unit = "TOKENS",
        action_kind = "llm",
        action_tags = ["tag"],
        dimensions = [("region", "eu")],
        overage_policy = "REJECT",
        ttl_ms = 30_000,
        client = by,
        actual = 4
    )]
    pub(super) async fn value_of(by: &CyclesClient) -> Result<i64, Error> {
        Ok(4)
    }

    #[cycles(estimate = 9, unit = "TOKENS", client = by, action_name = "x", action_tags = tags, dimensions = pairs, actual_per_item = 2)]
    pub(super) async fn stream_of(
        by: &CyclesClient,
        tags: &[&str],
        pairs: &[(&str, &str)],
    ) -> Result<impl Stream<Item = i64>, Error> {
        Ok(futures::stream::iter([1]))
    }
}

/// A value that is a reference already, behind a block or a choice.
static UNITS: [Unit; 2] = [Unit::Tokens, Unit::Credits];

#[cycles(
    estimate = 5,
    client = { let client = &**by; client },
    unit = { let unit = &UNITS[0]; unit },
    overage_policy = if strict { &CommitOveragePolicy::Reject } else { &CommitOveragePolicy::AllowIfAvailable }
)]
async fn is_given_references(by: &std::sync::Arc<CyclesClient>, strict: bool) -> Result<(), Error> {
    Ok(())
}

async fn consumed<T>(items: impl Stream<Item = T>) -> usize {
    futures::StreamExt::count(items).await
}

on_executor! {
async fn what_a_macro_was_given_is_looked_through() {
    let scene = Scene::new();
    let client = scene.client();
    with_default_client(client.clone(), async {
        assert_eq!(consumed(some_stream().await.unwrap()).await, 2);
        assert_eq!(consumed(boxed_stream().await.unwrap()).await, 2);
        assert_eq!(consumed(pinned_stream().await.unwrap()).await, 2);
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        assert_eq!(scene.budget(), (6 + 8 + 5, 0));
        is_an_item().await.unwrap();
        assert_eq!(is_made_of_fragments("gpt").await.unwrap(), "gpt");
        is_made_of_values().await.unwrap();
    })
    .await;
    assert_eq!(scene.budget(), (19 + 3 + 7 + 10, 0));
}
}

on_executor! {
async fn no_name_around_the_function_gets_into_its_way() {
    let scene = Scene::new();
    let client = scene.client();
    let (tags, pairs) = (["tag"], [("region", "eu")]);
    assert_eq!(among_items::value_of(&client, "x", 2).await.unwrap(), "x");
    assert_eq!(without_a_prelude::value_of(&client).await.unwrap(), 4);
    assert_eq!(among_blanket_methods::value_of(&client).await.unwrap(), 4);
    assert_eq!(scene.budget(), (3 + 4 + 4, 0));
    consumed(among_items::stream_of(&client, &["tag".to_owned()], &pairs).await.unwrap()).await;
    consumed(without_a_prelude::stream_of(&client, &tags, &pairs).await.unwrap()).await;
    consumed(among_blanket_methods::stream_of(&client, &tags, &pairs).await.unwrap()).await;
    assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    assert_eq!(scene.budget(), (11 + 6, 0));
    is_given_references(&std::sync::Arc::new(client), true).await.unwrap();
    assert_eq!(scene.budget(), (17 + 5, 0));
}
}
