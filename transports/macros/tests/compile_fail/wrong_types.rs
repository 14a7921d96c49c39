use cycles_tokio::{Error, cycles};

#[cycles(estimate = dollars * 100.0)]
async fn a_fraction(dollars: f64) -> Result<(), Error> {
    let _ = dollars;
    Ok(())
}

#[cycles(estimate = 1000, agent = number)]
async fn a_number(number: u64) -> Result<(), Error> {
    let _ = number;
    Ok(())
}

#[cycles(estimate = 1000, ttl_ms = text, dry_run = text)]
async fn a_text(text: &str) -> Result<(), Error> {
    let _ = text;
    Ok(())
}

#[cycles(estimate = 1000, client = text)]
async fn no_client(text: &str) -> Result<(), Error> {
    let _ = text;
    Ok(())
}

#[cycles(estimate = 1000, action_tags = number)]
async fn no_list(number: u64) -> Result<(), Error> {
    let _ = number;
    Ok(())
}

fn main() {}
