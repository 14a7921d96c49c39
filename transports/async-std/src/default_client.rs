//! The default client, for code that is not given one.

use core::cell::RefCell;

use cycles_host::DefaultClient;

use crate::{CyclesClient, Error};

thread_local! {
    static HERE: RefCell<Option<CyclesClient>> = const { RefCell::new(None) };
}

static DEFAULT: DefaultClient<CyclesClient> = DefaultClient::new(&HERE);

/// Sets the process's [`default_client`]; there is none by default. Call it once at the start. A later call replaces
/// the client, but reservations in progress keep theirs.
pub fn set_default_client(client: CyclesClient) {
    DEFAULT.set(client);
}

/// Returns the client of the surrounding [`with_default_client`], or else the one given to [`set_default_client`].
/// Functions with the attribute `cycles` use it unless they name another client.
///
/// # Errors
/// [`Error::Config`] if there is neither.
pub fn default_client() -> Result<CyclesClient, Error> {
    Ok(DEFAULT.get()?)
}

/// Runs a future with this client as its [`default_client`], for tests that run in parallel. Does not apply to tasks
/// that the future spawns.
pub async fn with_default_client<F: Future>(client: CyclesClient, future: F) -> F::Output {
    DEFAULT.follow(client, future).await
}
