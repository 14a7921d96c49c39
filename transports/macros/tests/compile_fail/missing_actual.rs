use cycles_tokio::{Error, cycles};

#[cycles(estimate = 1000, use_estimate_if_actual_not_provided = false)]
async fn nobody_says_what_it_cost() -> Result<(), Error> {
    Ok(())
}

#[cycles(estimate = 1000, use_estimate_if_actual_not_provided = is_known)]
async fn not_known_when_it_is_compiled(is_known: bool) -> Result<bool, Error> {
    Ok(is_known)
}

fn main() {}
