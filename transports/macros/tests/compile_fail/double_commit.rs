use cycles_tokio::models::{Amount, CommitRequest};
use cycles_tokio::{Error, ReservationGuard};

async fn twice(guard: ReservationGuard) -> Result<(), Error> {
    let cost = CommitRequest::builder().actual(Amount::tokens(5)).build();
    guard.commit(cost.clone()).await?;
    guard.commit(cost).await?;
    Ok(())
}

fn main() {}
