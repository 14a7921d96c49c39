//! `guard.meter` and its variants: they charge for the items of a stream.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use cycles_proto::meter::{End, Reading};
use futures::stream::{FusedStream, Stream};

use crate::guard::ReservationGuard;
use crate::metered_stream::Metered;

impl ReservationGuard {
    /// Charges for the items of `stream`. `cost` returns the price of an item, as an [`Amount`](crate::models::Amount)
    /// or as a [`Reading`], which can also be the running total that models report in their last chunk.
    ///
    /// The stream may be dropped at any time; see [`Metered`] for what is charged then.
    ///
    /// ```
    /// # use cycles_client::{ReservationGuard, models::Amount};
    /// # use futures::StreamExt as _;
    /// # async fn answer(guard: ReservationGuard, words: impl futures::Stream<Item = String>) -> Result<(), cycles_client::Error> {
    /// let mut words = guard.meter(words, |word| Amount::tokens(word.len() as i64));
    /// let settling = words.settling();
    /// while let Some(word) = words.next().await {
    ///     print!("{word}");
    /// }
    /// let receipt = settling.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn meter<S, F, C>(self, stream: S, mut cost: F) -> Metered<S, impl FnMut(&S::Item) -> Option<Reading>>
    where
        S: Stream,
        F: FnMut(&S::Item) -> C,
        C: Into<Reading>,
    {
        metered(self, stream, move |item: &S::Item| Some(cost(item).into()))
    }

    /// Like [`meter`](Self::meter), for a stream of results: `cost` is called for each value, and an error is the last
    /// item.
    pub fn try_meter<S, F, C, T, E>(
        self,
        stream: S,
        mut cost: F,
    ) -> Metered<S, impl FnMut(&S::Item) -> Option<Reading>>
    where
        S: Stream<Item = Result<T, E>>,
        F: FnMut(&T) -> C,
        C: Into<Reading>,
    {
        metered(self, stream, move |item: &Result<T, E>| {
            item.as_ref().ok().map(|value| cost(value).into())
        })
    }
}

pub(crate) fn metered<S, F>(guard: ReservationGuard, stream: S, read: F) -> Metered<S, F> {
    Metered::new(guard, Box::pin(stream), read, false)
}

impl<S, F> Stream for Metered<S, F>
where
    S: Stream,
    F: FnMut(&S::Item) -> Option<Reading>,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Some((live, read)) = self.open() else {
            return Poll::Ready(None);
        };
        let next = live.within(|stream, meter| {
            let item = stream.as_mut().poll_next(cx);
            item.map(|item| {
                item.map(|item| {
                    let reading = meter.ask(|| read(&item));
                    (item, reading)
                })
            })
        });
        let Some((item, reading)) = ready!(next) else {
            self.end(End::Finished);
            return Poll::Ready(None);
        };
        self.count(reading);
        Poll::Ready(Some(item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.source().map(|stream| stream.size_hint().1);
        (0, most.unwrap_or(Some(0)))
    }
}

impl<S, F> FusedStream for Metered<S, F>
where
    S: Stream,
    F: FnMut(&S::Item) -> Option<Reading>,
{
    fn is_terminated(&self) -> bool {
        self.source().is_none()
    }
}
