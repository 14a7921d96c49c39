use cycles_tokio::{Error, cycles};

#[cycles(estimate = 1000, actual = prompt.len())]
async fn the_body_takes_it_away(prompt: String) -> Result<String, Error> {
    Ok(prompt)
}

#[cycles(estimate = price(prompt))]
async fn the_estimate_takes_it_away(prompt: String) -> Result<String, Error> {
    Ok(prompt)
}

fn price(prompt: String) -> usize {
    prompt.len()
}

fn main() {}
