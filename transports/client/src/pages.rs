//! Lists as streams, a page at a time.

use cycles_proto::Error;
use cycles_proto::models::{Balance, BalanceParams, ListReservationsParams, ReservationSummary};
use futures::stream::{self, Stream, TryStreamExt as _};

use crate::client::Client;

impl Client {
    /// Lists all reservations that `params` select. Each page is fetched when the stream reaches it. An error ends the
    /// stream, which may be dropped at any time.
    pub fn reservations(
        &self,
        params: ListReservationsParams,
    ) -> impl Stream<Item = Result<ReservationSummary, Error>> + Send + use<> {
        stream::try_unfold((self.clone(), Some(params)), async |(client, params)| {
            let Some(mut params) = params else { return Ok(None) };
            let page = client.list_reservations(&params).await?;
            let next = params.turn_to_next(&page).then_some(params);
            Ok::<_, Error>(Some((
                stream::iter(page.reservations.into_iter().map(Ok)),
                (client, next),
            )))
        })
        .try_flatten()
    }

    /// Lists all balances that `params` select. Each page is fetched when the stream reaches it. An error ends the
    /// stream, which may be dropped at any time.
    pub fn balances(
        &self,
        params: BalanceParams,
    ) -> impl Stream<Item = Result<Balance, Error>> + Send + use<> {
        stream::try_unfold((self.clone(), Some(params)), async |(client, params)| {
            let Some(mut params) = params else { return Ok(None) };
            let page = client.get_balances(&params).await?;
            let next = params.turn_to_next(&page).then_some(params);
            Ok::<_, Error>(Some((
                stream::iter(page.balances.into_iter().map(Ok)),
                (client, next),
            )))
        })
        .try_flatten()
    }
}
