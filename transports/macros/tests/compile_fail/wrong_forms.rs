use cycles_tokio::models::Amount;
use cycles_tokio::{CyclesClient, Error, cycles};

#[cycles(estimate = Amount::tokens(1000), unit = "CREDITS")]
async fn units_that_are_at_odds() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, actual = Amount::tokens(result.len() as i64))]
async fn a_cost_in_another_unit() -> Result<String, Error> {
    Ok(String::new())
}

#[cycles(estimate = 1000, dimensions = {"region": "eu"})]
async fn a_dictionary() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, dimensions = {"region" = "eu"}, action_tags = "prod", agent = 7)]
async fn no_lists() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, ttl_ms = "60s", grace_period_ms = 60_001, dry_run = 1, client = "default")]
async fn no_numbers() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, ttl_ms = 999, grace_period_ms = -1)]
async fn too_short() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, ttl_ms = 86_400_001, action_kind = "", tenant = "acme corp")]
async fn too_long() -> Result<(), Error> {
    Ok(())
}

#[cycles(
    estimate = 1000,
    action_kind = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
    action_tags = ["ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"],
    dimensions = [("tier", 1)],
)]
async fn too_many_letters() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = result.len(), agent = item)]
async fn before_there_is_any() -> Result<String, Error> {
    Ok(String::new())
}

#[cycles(estimate = 1000, actual = item.len())]
async fn is_no_stream() -> Result<String, Error> {
    Ok(String::new())
}

/// All of this is right.
#[cycles(
    estimate = price(result).max([1].iter().map(|item| *item).sum()),
    unit = "TOKENS",
    action_tags = ["", tag],
    dimensions = { let tier = ("tier", tag); [tier] },
    ttl_ms = 1_000,
    grace_period_ms = 0,
    client = client,
)]
async fn names_its_argument(client: CyclesClient, result: &str, tag: &str) -> Result<(), Error> {
    Ok(())
}

fn price(text: &str) -> usize {
    text.len()
}

fn main() {}
