//! The attribute costs nothing over `try_with_cycles` by hand: the same allocations, counted.

use crate::support::Virtual;
use allocation_counter::{AllocationInfo, measure};
use cycles_client::models::Amount;
use cycles_client::{BoxError, Client, WithCyclesConfig, try_with_cycles};
use cycles_macros::tokio as cycles;

/// The adapter in virtual time, with the exports that the attribute needs.
mod adapter {
    pub(crate) mod __private {
        pub(crate) use cycles_client::WithCyclesConfig;
        pub(crate) use cycles_client::attribute::{Value, guarded, paid};
        pub(crate) use cycles_client::proto::attribute::{AnyValue, ended};
        pub(crate) use cycles_client::proto::attribute::{amount, cost, in_unit, returned, returning, text};
        pub(crate) use cycles_client::proto::models::Unit;

        pub(crate) use cycles_client::Client as CyclesClient;

        /// An adapter's client is a type of its own.
        pub(crate) struct Own(CyclesClient);

        impl core::ops::Deref for Own {
            type Target = CyclesClient;

            fn deref(&self) -> &CyclesClient {
                &self.0
            }
        }

        pub(crate) fn client(client: &CyclesClient) -> Own {
            Own(client.clone())
        }
    }
}

#[cycles(
    crate = adapter,
    estimate = text.len() * 10,
    actual = result.len(),
    unit = "TOKENS",
    action_kind = "llm.completion",
    action_name = "gpt-4",
    client = client
)]
async fn by_attribute(client: &Client, text: &str) -> Result<String, BoxError> {
    work(client, text).await
}

async fn by_hand(client: &Client, text: &str) -> Result<String, BoxError> {
    let estimate = Amount::tokens(text.len() as i64 * 10);
    let config = WithCyclesConfig::new(estimate).action("llm.completion", "gpt-4");
    let completed = try_with_cycles(client, config, |_| async {
        let result = work(client, text).await?;
        let actual = Amount::tokens(result.len() as i64);
        Ok::<_, BoxError>((result, actual))
    });
    Ok(completed.await?.value)
}

async fn work(client: &Client, text: &str) -> Result<String, BoxError> {
    assert!(client.check().is_ok());
    Ok(text.to_owned())
}

/// What one call allocates, with its tasks, in a world of its own.
fn counted(guarded: impl AsyncFn(&Client, &str) -> Result<String, BoxError>) -> AllocationInfo {
    let world = Virtual::default();
    let client = world.client(|config| config);
    let mut result = Ok(String::new());
    let life = || world.block_on(async { guarded(&client, "Hello, world!").await });
    // After a first call, so that one-time allocations are not counted.
    life().unwrap();
    let counted = measure(|| result = life());
    assert_eq!(result.unwrap(), "Hello, world!");
    counted
}

#[test]
fn a_guarded_function_allocates_what_it_does_by_hand() {
    let (attribute, hand) = (counted(by_attribute), counted(by_hand));
    println!("{} allocations of {} bytes", hand.count_total, hand.bytes_total);
    assert!(hand.count_total > 0);
    assert_eq!(attribute.count_total, hand.count_total);
    assert_eq!(attribute.bytes_total, hand.bytes_total);
}
