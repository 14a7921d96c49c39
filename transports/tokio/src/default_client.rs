//! The client of code that is not handed one.

use core::cell::RefCell;

use cycles_host::DefaultClient;

use crate::{CyclesClient, Error};

thread_local! {
    static HERE: RefCell<Option<CyclesClient>> = const { RefCell::new(None) };
}

static DEFAULT: DefaultClient<CyclesClient> = DefaultClient::new(&HERE);

/// From now on [`default_client`] is this one. A process sets it when it begins; doing it again replaces the
/// client, and what is under way keeps its own.
pub fn set_default_client(client: CyclesClient) {
    DEFAULT.set(client);
}

/// The client for code that is not handed one, such as a function with the attribute `cycles` that names no
/// other: that of the scope, or else of the process.
///
/// # Errors
/// [`Error::Config`] if there is neither.
pub fn default_client() -> Result<CyclesClient, Error> {
    Ok(DEFAULT.get()?)
}

/// Runs a future whose [`default_client`] is this one, for tests that run side by side. Tasks that it spawns are
/// outside of the scope.
pub async fn with_default_client<F: Future>(client: CyclesClient, future: F) -> F::Output {
    DEFAULT.follow(client, future).await
}
