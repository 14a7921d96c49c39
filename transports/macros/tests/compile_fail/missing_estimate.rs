use cycles_tokio::{Error, cycles};

#[cycles]
async fn nothing() -> Result<(), Error> {
    Ok(())
}

#[cycles(actual = 5, unit = "TOKENS")]
async fn only_the_cost() -> Result<(), Error> {
    Ok(())
}

fn main() {}
