//! A cache of resolved names. ureq resolves a name before every call, whether or not it has a connection, and its own
//! resolver starts a thread each time to enforce the timeout.

use core::time::Duration;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use cycles_proto::FailureKind;
use http::Uri;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::connect::ConnectError;

/// The resolved names of one client: its server's name, or its proxy's. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CachingResolver(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The proxy to connect to, whichever server is requested.
    proxy: Option<Uri>,
    known: Mutex<Vec<Name>>,
    changed: Condvar,
}

/// A name and its addresses.
#[derive(Debug)]
struct Name {
    host_and_port: String,
    addresses: Vec<SocketAddr>,
    /// When the addresses were resolved; `None` if they are to be resolved again.
    learnt: Option<Instant>,
    /// Whether a thread is resolving the name.
    is_being_asked: bool,
    problem: Option<String>,
}

/// How long addresses are used before they are resolved again.
const FRESH: Duration = Duration::from_secs(30);

impl CachingResolver {
    /// If `proxy` forwards the requests, its addresses replace those of every server.
    pub(crate) fn new(proxy: Option<Uri>) -> Self {
        Self(Arc::new(Inner {
            proxy,
            ..Inner::default()
        }))
    }

    /// Resolves the host of `uri`; blocks for at most `time`. If the system cannot resolve it, returns the addresses
    /// that were known before.
    ///
    /// # Errors
    /// If there are no addresses, or none in time.
    pub(crate) fn resolve(&self, uri: &Uri, time: Duration) -> Result<ResolvedSocketAddrs, ConnectError> {
        let host_and_port = self
            .host_and_port(uri)
            .ok_or_else(|| ConnectError::new(FailureKind::Dns, "the address has no host"))?;
        if let Ok(address) = host_and_port.parse() {
            return Ok(list(&[address]));
        }
        let asked_at = Instant::now();
        let mut known = self.lock();
        loop {
            let name = entry(&mut known, &host_and_port);
            if name.learnt.is_some_and(|learnt| learnt.elapsed() < FRESH) {
                return Ok(list(&name.addresses));
            }
            let left = time.saturating_sub(asked_at.elapsed());
            let has_answer = !name.is_being_asked && name.problem.is_some();
            if has_answer || left.is_zero() {
                let problem = name.problem.take();
                if name.addresses.is_empty() {
                    return Err(problem.map_or_else(ConnectError::timed_out, |problem| {
                        ConnectError::new(FailureKind::Dns, problem)
                    }));
                }
                // The old addresses are the best available.
                name.learnt = Some(Instant::now());
                return Ok(list(&name.addresses));
            }
            if name.is_being_asked {
                let waited = self.0.changed.wait_timeout(known, left);
                known = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                name.is_being_asked = true;
                drop(known);
                self.ask(host_and_port.clone());
                known = self.lock();
            }
        }
    }

    /// Makes the next call resolve the name again, because a connection failed.
    pub(crate) fn expire(&self, uri: &Uri) {
        let expired = self.host_and_port(uri);
        for name in self.lock().iter_mut() {
            if expired.as_ref() == Some(&name.host_and_port) {
                name.learnt = None;
            }
        }
    }

    /// Resolves a name on a thread, because the system's resolver has no timeout.
    fn ask(&self, host_and_port: String) {
        let (names, name) = (self.clone(), host_and_port.clone());
        let builder = thread::Builder::new().name("cycles-resolver".to_owned());
        if builder.spawn(move || names.look_up(&name)).is_err() {
            self.look_up(&host_and_port);
        }
    }

    fn look_up(&self, host_and_port: &str) {
        let answer = host_and_port.to_socket_addrs();
        let mut known = self.lock();
        let name = entry(&mut known, host_and_port);
        name.is_being_asked = false;
        match answer.map(Iterator::collect::<Vec<_>>) {
            Ok(addresses) if !addresses.is_empty() => {
                name.addresses = addresses;
                name.learnt = Some(Instant::now());
                name.problem = None;
            }
            Ok(_) => name.problem = Some("the name has no address".to_owned()),
            Err(error) => name.problem = Some(error.to_string()),
        }
        drop(known);
        self.0.changed.notify_all();
    }

    fn host_and_port(&self, uri: &Uri) -> Option<String> {
        let uri = self.0.proxy.as_ref().unwrap_or(uri);
        DefaultResolver::host_and_port(uri.scheme()?, uri.authority()?)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Name>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.resolve(uri, *timeout.after)?)
    }
}

fn entry<'a>(known: &'a mut Vec<Name>, host_and_port: &str) -> &'a mut Name {
    let position = known.iter().position(|name| name.host_and_port == host_and_port);
    let position = position.unwrap_or_else(|| {
        known.push(Name {
            host_and_port: host_and_port.to_owned(),
            addresses: Vec::new(),
            learnt: None,
            is_being_asked: false,
            problem: None,
        });
        known.len() - 1
    });
    &mut known[position]
}

fn list(addresses: &[SocketAddr]) -> ResolvedSocketAddrs {
    let mut list = ResolvedSocketAddrs::from_fn(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    for address in addresses.iter().take(MOST) {
        list.push(*address);
    }
    list
}

/// The number of addresses that fit into ureq's list.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn uri(text: &'static str) -> Uri {
        Uri::from_static(text)
    }

    #[test]
    fn an_address_needs_no_question_and_a_name_one_for_a_while() {
        let names = CachingResolver::default();
        let literal = names
            .resolve(&uri("http://[::1]:7878/v1"), Duration::ZERO)
            .unwrap();
        assert_eq!(literal[..], ["[::1]:7878".parse().unwrap()]);
        assert!(names.lock().is_empty());
        let found = names.resolve(&uri("https://localhost/v1"), PATIENCE).unwrap();
        assert!(
            found
                .iter()
                .all(|found| found.ip().is_loopback() && found.port() == 443)
        );
        let again = names.resolve(&uri("https://localhost/v2"), Duration::ZERO);
        assert_eq!(again.unwrap()[..], found[..], "without any time to ask");
    }

    #[test]
    fn a_proxy_that_forwards_stands_for_every_server() {
        let names = CachingResolver::new(Some(uri("http://192.0.2.1:3128")));
        for server in ["http://cycles.example:7878", "http://[::1]"] {
            let found = names.resolve(&uri(server), Duration::ZERO).unwrap();
            assert_eq!(found[..], [SocketAddr::from(([192, 0, 2, 1], 3128))]);
        }
    }

    #[test]
    fn what_was_known_before_serves_when_the_system_has_no_answer() {
        let names = CachingResolver::default();
        let uri = uri("http://no-such-host.invalid:80");
        let known = SocketAddr::from(([192, 0, 2, 1], 80));
        {
            let mut entries = names.lock();
            let name = entry(&mut entries, "no-such-host.invalid:80");
            name.addresses = vec![known];
            name.problem = Some("the resolver is down".to_owned());
        }
        assert_eq!(names.resolve(&uri, PATIENCE).unwrap()[..], [known]);
        names.expire(&uri);
        assert!(names.lock()[0].learnt.is_none(), "it is asked for again");
    }

    #[test]
    fn a_name_without_an_address_says_so() {
        let names = CachingResolver::default();
        let uri = uri("http://no-such-host.invalid:80");
        entry(&mut names.lock(), "no-such-host.invalid:80").problem = Some("no such name".to_owned());
        let failure = names.resolve(&uri, PATIENCE).unwrap_err().failure();
        assert_eq!(
            (failure.kind(), failure.detail()),
            (FailureKind::Dns, "no such name")
        );
    }
}
