//! Warns about the published default keys on addresses that other machines can reach.

use std::net::SocketAddr;

use cycles_sandbox::{DEFAULT_API_KEY, Sandbox};

use crate::args::{Args, DEFAULT_ADMIN_KEY};

/// Which of the keys are the defaults published in the documentation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishedKeys {
    api: bool,
    admin: bool,
}

impl Args {
    pub(crate) fn published_keys(&self) -> PublishedKeys {
        PublishedKeys {
            api: self.api_key == DEFAULT_API_KEY,
            admin: self.admin_key == DEFAULT_ADMIN_KEY,
        }
    }
}

impl PublishedKeys {
    /// A warning for each published key that other machines could use.
    pub(crate) fn warnings(self, sandbox: &Sandbox) -> impl Iterator<Item = String> {
        let planes = [
            (self.api, Some(sandbox.addr()), "--api-key"),
            (self.admin, sandbox.admin_addr(), "--admin-key"),
        ];
        planes.into_iter().filter_map(|(is_published, addr, flag)| {
            let addr: SocketAddr = addr?;
            let is_open = !addr.ip().to_canonical().is_loopback();
            (is_published && is_open).then(|| {
                format!(
                    "{addr} is reachable from other machines, and its key is the published default: set \
                     another one with {flag}"
                )
            })
        })
    }
}
