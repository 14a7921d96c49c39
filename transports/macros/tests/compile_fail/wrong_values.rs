use cycles_tokio::{Error, cycles};

#[cycles(estimate = 1000, unit = "TOKEN")]
async fn no_such_unit() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, overage_policy = "DENY")]
async fn no_such_policy() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 0.5)]
async fn a_fraction() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = -5)]
async fn less_than_nothing() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = "1000 TOKENS")]
async fn a_text() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = |text, max_tokens| max_tokens * 10, actual = |result| result.len() * 5)]
async fn as_in_python(text: &str, max_tokens: i64) -> Result<String, Error> {
    Ok(text.repeat(max_tokens as usize))
}

#[cycles(estimate = 1000, dimensions = ["region"])]
async fn no_pair() -> Result<(), Error> {
    Ok(())
}

fn main() {}
