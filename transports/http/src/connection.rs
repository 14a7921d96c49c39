//! The task of a connection: opens it, and then makes one call after another.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;

use cycles_proto::Failure;

use crate::client::Shared;
use crate::http1::{Http, NoAnswer};
use crate::mailbox::{Job, Mailbox};
use crate::pool::Pool;
use crate::reactor::{Place, Reactor};
use crate::waiter::Waiter;

/// A connection, in its own task. However the task ends, whether with its runtime or by a panic, a call that has not
/// begun is made elsewhere.
pub(crate) struct Connection<R: Reactor, W: Waiter> {
    client: Weak<Shared<R, W>>,
    pool: Weak<Pool<R::RuntimeId, W>>,
    place: Place<R::RuntimeId>,
    mailbox: Arc<Mailbox<W>>,
}

impl<R: Reactor, W: Waiter> Connection<R, W> {
    pub(crate) fn new(
        client: &Arc<Shared<R, W>>,
        pool: &Arc<Pool<R::RuntimeId, W>>,
        mailbox: Arc<Mailbox<W>>,
    ) -> Self {
        Self {
            client: Arc::downgrade(client),
            pool: Arc::downgrade(pool),
            place: pool.place.clone(),
            mailbox,
        }
    }

    pub(crate) async fn run(self) {
        match self.connect().await {
            Some(Ok(http)) => self.serve(http).await,
            Some(Err(failure)) => {
                // `None` if the call has been made elsewhere by now.
                if let Some(job) = self.mailbox.close() {
                    job.waiter.finish(Err(failure));
                }
            }
            None => {}
        }
    }

    /// Connects. Returns `None` if meanwhile the first call is withdrawn or made elsewhere.
    async fn connect(&self) -> Option<Result<Http, Failure>> {
        let (reactor, connector) = {
            let client = self.client.upgrade()?;
            (client.reactor.clone(), Arc::clone(&client.connector))
        };
        if self.place != Place::Own && !reactor.is_able().await {
            // Dropping `self` then makes the call elsewhere.
            return None;
        }
        let terms = self.mailbox.terms()?;
        // Boxed, so that this large future does not stay in the task while the connection is in use.
        let mut connecting = Box::pin(async move {
            let stream = connector.connect(&reactor, terms.since, terms.end).await?;
            Http::over(stream).await
        });
        poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Ready(connected) => Poll::Ready(Some(connected)),
            Poll::Pending => self.mailbox.poll_unwanted(cx).map(|()| {
                drop(self.mailbox.close());
                None
            }),
        })
        .await
    }

    async fn serve(self, mut http: Http) {
        let mut is_reused = false;
        loop {
            let next = poll_fn(|cx| match self.mailbox.poll_take(cx) {
                Poll::Ready(job) => Poll::Ready(job),
                Poll::Pending => http.poll_over(cx).map(|()| None),
            });
            let Some(job) = next.await else {
                return self.make_elsewhere(self.mailbox.close(), &self.place);
            };
            if !self.make(&mut http, job, is_reused).await {
                return;
            }
            is_reused = true;
        }
    }

    /// Makes a call. Returns whether the connection can take another one.
    async fn make(&self, http: &mut Http, job: Box<Job<W>>, is_reused: bool) -> bool {
        let Job {
            request,
            terms,
            mut waiter,
        } = *job;
        if !waiter.begin() {
            drop(waiter);
            return self.rest();
        }
        let answer = {
            let mut exchange = pin!(http.exchange(request, terms.max_response));
            poll_fn(|cx| match exchange.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => waiter.poll_withdrawn(cx).map(|()| None),
            })
            .await
        };
        let result = match answer {
            Some(Ok(response)) => Ok(response),
            Some(Err(NoAnswer::Unsent(request, _))) if is_reused => {
                let request = *request;
                let unsent = Job {
                    request,
                    terms,
                    waiter,
                };
                self.make_elsewhere(Some(Box::new(unsent)), &self.place);
                return false;
            }
            Some(Err(NoAnswer::Unsent(_, failure) | NoAnswer::Failed(failure))) => Err(failure),
            None => return false,
        };
        // Put back before the result is reported, so that the next call finds this connection.
        let may_continue = result.is_ok() && http.is_ready() && self.rest();
        waiter.finish(result);
        may_continue
    }

    /// Adds the connection to the idle ones. Returns false if the client or the pool is gone.
    fn rest(&self) -> bool {
        let Some((client, pool)) = self.client.upgrade().zip(self.pool.upgrade()) else {
            return false;
        };
        pool.rest(client.reactor.now(), &self.mailbox);
        true
    }

    fn make_elsewhere(&self, job: Option<Box<Job<W>>>, place: &Place<R::RuntimeId>) {
        if let Some((job, client)) = job.zip(self.client.upgrade()) {
            client.start_at(place, client.reactor.now(), job);
        }
    }
}

impl<R: Reactor, W: Waiter> Drop for Connection<R, W> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.remove(&self.mailbox);
        }
        let left = self.mailbox.close();
        // If this ran on our own thread, and that thread is gone, there is no other place.
        if self.place != Place::Own || std::thread::panicking() {
            self.make_elsewhere(left, &Place::Own);
        }
    }
}
