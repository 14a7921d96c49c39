use cycles_tokio::{Error, cycles};

#[cycles(estimat = 1000, tll_ms = 5_000, model = "gpt-4")]
async fn misspelled() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, ttl = 5, grace_period = 5, tags = ["a"], policy = "REJECT", action = "a")]
async fn cut_short() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, agent = "a", agent = "b")]
async fn twice() -> Result<(), Error> {
    Ok(())
}

#[cycles(1000)]
async fn without_a_name() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, dry_run)]
async fn without_a_value() -> Result<(), Error> {
    Ok(())
}

fn main() {}
