//! One attempt at a call, as soon as there is a place for it.

use core::future::Future;
use core::pin::{Pin, pin};
use core::time::Duration;

use bytes::Bytes;
use cycles_proto::{Call, Failure, FailureKind};
use futures::future::{Either, FutureExt as _, select};

use crate::client::Ready;
use crate::gate::Gate;
use crate::runtime::Runtime;

/// What came of an attempt.
pub(crate) struct Exchanged {
    /// When it left the queue, if it did.
    pub(crate) sent: Option<Duration>,
    pub(crate) answer: Result<http::Response<Bytes>, Failure>,
}

/// Nothing was sent: every place was taken for as long as the attempt may take.
#[derive(Debug, thiserror::Error)]
#[error(
    "all the calls that a client makes at once were under way, those included that are asked for and not polled"
)]
struct NoPlace;

impl<R: Runtime> Ready<R> {
    /// Makes the call, which was asked for now. The wait for a place is part of its time: an attempt that was
    /// given up is not sent late.
    pub(crate) fn exchange(
        &self,
        gate: &Gate,
        mut call: Call,
        asked: Duration,
    ) -> Pin<Box<dyn Future<Output = Exchanged> + Send>> {
        let (ready, mut entering) = (self.clone(), gate.enter(call.urgency));
        if let Some(inside) = (&mut entering).now_or_never() {
            return Box::pin(async move {
                let answer = ready.runtime.exchange(call).await;
                drop(inside);
                let sent = Some(asked);
                Exchanged { sent, answer }
            });
        }
        Box::pin(async move {
            let runtime = &ready.runtime;
            let end = asked.saturating_add(call.timeout);
            let inside = match select(entering, pin!(runtime.sleep_until(end))).await {
                Either::Left((inside, _)) => Some(inside),
                Either::Right(_) => None,
            };
            let sent = runtime.now().mono;
            call.timeout = end.saturating_sub(sent);
            if inside.is_none() || call.timeout.is_zero() {
                let answer = Err(Failure::caused_by(FailureKind::ConnectTimeout, &NoPlace));
                return Exchanged { sent: None, answer };
            }
            let answer = runtime.exchange(call).await;
            Exchanged {
                sent: Some(sent),
                answer,
            }
        })
    }
}
