//! Iterators and readers whose items are charged.

use std::io::{self, Read};

use cycles_proto::meter::{End, Reading};
use cycles_proto::{Error, Receipt};

use super::ReservationGuard;
use crate::engine::block_on;
use crate::metered_stream::{self, Settling};

/// An iterator or a reader whose items are charged to a reservation.
pub type Metered<S, F> = metered_stream::Metered<S, F, S>;

impl ReservationGuard {
    /// Charges for the items of `items`. `cost` returns the price of an item, as an [`Amount`](crate::models::Amount)
    /// or as a [`Reading`], which can also be the running total that models report in their last chunk.
    ///
    /// At its end the iterator blocks until the cost is settled or safe; see [`Metered`](metered_stream::Metered).
    ///
    /// ```
    /// # use cycles_client::{blocking::ReservationGuard, models::Amount};
    /// # fn answer(guard: ReservationGuard, words: Vec<String>) -> Result<(), cycles_client::Error> {
    /// let mut words = guard.meter(words, |word| Amount::tokens(word.len() as i64));
    /// let settling = words.settling();
    /// for word in words {
    ///     print!("{word}");
    /// }
    /// let receipt = settling.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn meter<I, F, C>(
        self,
        items: I,
        mut cost: F,
    ) -> Metered<I::IntoIter, impl FnMut(&I::Item) -> Option<Reading>>
    where
        I: IntoIterator,
        F: FnMut(&I::Item) -> C,
        C: Into<Reading>,
    {
        metered(self, items.into_iter(), move |item: &I::Item| {
            Some(cost(item).into())
        })
    }

    /// Like [`meter`](Self::meter), for an iterator of results: `cost` is called for each value, and an error is the
    /// last item.
    pub fn try_meter<I, F, C, T, E>(
        self,
        items: I,
        mut cost: F,
    ) -> Metered<I::IntoIter, impl FnMut(&I::Item) -> Option<Reading>>
    where
        I: IntoIterator<Item = Result<T, E>>,
        F: FnMut(&T) -> C,
        C: Into<Reading>,
    {
        metered(self, items.into_iter(), move |item: &Result<T, E>| {
            item.as_ref().ok().map(|value| cost(value).into())
        })
    }

    /// Charges for the bytes read from `source`; `cost` returns the price of each read. An error ends the reader: later
    /// reads return the same error, so that a truncated body is not mistaken for a complete one. Errors that ask for
    /// another read ([`Interrupted`](io::ErrorKind::Interrupted), [`WouldBlock`](io::ErrorKind::WouldBlock)) do not end
    /// it.
    pub fn meter_read<S, F, C>(
        self,
        source: S,
        mut cost: F,
    ) -> Metered<S, impl FnMut(&[u8]) -> Option<Reading>>
    where
        S: Read,
        F: FnMut(&[u8]) -> C,
        C: Into<Reading>,
    {
        metered(self, source, move |bytes: &[u8]| Some(cost(bytes).into()))
    }
}

pub(crate) fn metered<S, F>(guard: ReservationGuard, source: S, read: F) -> Metered<S, F> {
    Metered::new(guard.into_inner(), source, read, true)
}

impl<S, F> Iterator for Metered<S, F>
where
    S: Iterator,
    F: FnMut(&S::Item) -> Option<Reading>,
{
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        let (live, read) = self.open()?;
        let next = live.within(|source, meter| {
            let item = source.next()?;
            let reading = meter.ask(|| read(&item));
            Some((item, reading))
        });
        let Some((item, reading)) = next else {
            self.end(End::Finished);
            return None;
        };
        self.count(reading);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.source().map(|source| source.size_hint().1);
        (0, most.unwrap_or(Some(0)))
    }
}

impl<S, F> core::iter::FusedIterator for Metered<S, F>
where
    S: Iterator,
    F: FnMut(&S::Item) -> Option<Reading>,
{
}

impl<S, F> Read for Metered<S, F>
where
    S: Read,
    F: FnMut(&[u8]) -> Option<Reading>,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some((kind, said)) = &self.failed {
            return Err(io::Error::new(*kind, format!("it has already failed: {said}")));
        }
        let Some((live, read_by)) = self.open() else {
            return Ok(0);
        };
        match live.within(|source, _| source.read(buf)) {
            Ok(0) if !buf.is_empty() => {
                self.end(End::Finished);
                Ok(0)
            }
            Ok(read) => {
                if let Some(bytes) = buf.get(..read).filter(|bytes| !bytes.is_empty()) {
                    let reading = live.within(|_, meter| meter.ask(|| read_by(bytes)));
                    self.count(reading);
                }
                Ok(read)
            }
            Err(error) => {
                let is_passing = matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                );
                if !is_passing {
                    self.failed = Some((error.kind(), error.to_string()));
                    self.end(End::Failed);
                }
                Err(error)
            }
        }
    }
}

impl Settling {
    /// Blocks until the iterator or reader has ended, and its cost is settled or safe after a first attempt. Call it
    /// after the end, or on a thread other than the consumer's. Returns the receipt, or `None` if nothing was
    /// consumed and the budget was given back.
    ///
    /// # Errors
    /// Any [`Error`] if the cost was not accepted, was refused, or is neither settled nor recorded.
    pub fn wait(&self) -> Result<Option<Receipt>, Error> {
        self.0.check()?;
        block_on(self.0.shared(), self.clone())
    }
}
