use cycles_tokio::{Error, cycles};

#[cycles(estimate = max_tokns * 10)]
async fn misspelled(max_tokens: i64) -> Result<i64, Error> {
    Ok(max_tokens)
}

#[cycles(estimate = max_tokens * 10, actual = answer.len())]
async fn not_called_result(max_tokens: i64) -> Result<String, Error> {
    Ok(max_tokens.to_string())
}

#[cycles(estimate = body.len())]
async fn a_name_of_the_expansion() -> Result<(), Error> {
    Ok(())
}

fn main() {}
