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

#[cycles(estimate = 9, actual = |r| r.len())]
async fn a_closure_of_another_name() -> Result<String, Error> {
    Ok(String::new())
}

#[cycles(estimate = 9, actual = move |r: &String| price(r, r.len()) + r.r)]
async fn a_closure_with_a_type() -> Result<String, Error> {
    Ok(String::new())
}

#[cycles(estimate = 9, actual = |r| r.iter().map(|r| r.len()).sum::<usize>())]
async fn a_closure_in_a_closure() -> Result<Vec<String>, Error> {
    Ok(Vec::new())
}

#[cycles(estimate = 9, actual = |(text, cost)| text.len() + cost)]
async fn a_closure_that_takes_apart() -> Result<(String, usize), Error> {
    Ok((String::new(), 0))
}

#[cycles(estimate = 9, actual = |r| format!("{r}").len())]
async fn a_closure_that_formats() -> Result<String, Error> {
    Ok(String::new())
}

#[cycles(estimate = 9, actual = |_| 5)]
async fn a_closure_that_does_not_look() -> Result<String, Error> {
    Ok(String::new())
}

#[cycles(estimate = 9, actual_per_item = |chunk| chunk.len())]
async fn a_closure_over_items() -> Result<futures::stream::BoxStream<'static, String>, Error> {
    Ok(Box::pin(futures::stream::empty()))
}

#[cycles(estimate = 9, unit = tokens)]
async fn a_unit_without_quotes() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 9, unit = usd_microcents, overage_policy = allow_with_overdraft)]
async fn names_without_quotes() -> Result<(), Error> {
    Ok(())
}

/// This one is right.
#[cycles(estimate = 9, unit = tokens)]
async fn a_unit_that_is_an_argument(tokens: cycles_tokio::models::Unit) -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, dimensions = ["region"])]
async fn no_pair() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, on_error = "relase")]
async fn no_such_policy_for_errors() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, on_error = hold)]
async fn a_policy_without_quotes() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, mode = "shadwo")]
async fn no_such_mode() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, mode = shadow)]
async fn a_mode_without_quotes() -> Result<(), Error> {
    Ok(())
}

fn main() {}
