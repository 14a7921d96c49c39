//! Lists as iterators, a page at a time.

use std::vec;

use cycles_proto::Error;
use cycles_proto::models::{Balance, BalanceParams, ListReservationsParams, ReservationSummary};

use super::Client;

impl Client {
    /// Lists all reservations that `params` select. `next` blocks while a page is fetched. An error ends the iterator.
    pub fn reservations(
        &self,
        params: ListReservationsParams,
    ) -> impl Iterator<Item = Result<ReservationSummary, Error>> + Send + use<> {
        let client = self.clone();
        Pages::new(params, move |params| {
            let page = client.list_reservations(params)?;
            let has_more = params.turn_to_next(&page);
            Ok((page.reservations, has_more))
        })
    }

    /// Lists all balances that `params` select. `next` blocks while a page is fetched. An error ends the iterator.
    pub fn balances(
        &self,
        params: BalanceParams,
    ) -> impl Iterator<Item = Result<Balance, Error>> + Send + use<> {
        let client = self.clone();
        Pages::new(params, move |params| {
            let page = client.get_balances(params)?;
            let has_more = params.turn_to_next(&page);
            Ok((page.balances, has_more))
        })
    }
}

/// An iterator over the rows of all pages.
struct Pages<P, T, F> {
    /// Selects the next page, if there is one.
    next: Option<P>,
    page: vec::IntoIter<T>,
    /// Fetches a page and returns whether there is another one.
    fetch: F,
}

impl<P, T, F: FnMut(&mut P) -> Result<(Vec<T>, bool), Error>> Pages<P, T, F> {
    fn new(params: P, fetch: F) -> Self {
        Self {
            next: Some(params),
            page: Vec::new().into_iter(),
            fetch,
        }
    }
}

impl<P, T, F: FnMut(&mut P) -> Result<(Vec<T>, bool), Error>> Iterator for Pages<P, T, F> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.page.next() {
                return Some(Ok(row));
            }
            let mut params = self.next.take()?;
            match (self.fetch)(&mut params) {
                Ok((rows, has_more)) => {
                    self.page = rows.into_iter();
                    self.next = has_more.then_some(params);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
