use cycles_tokio::cycles;

#[derive(Debug)]
struct OwnError;

#[cycles(estimate = 1000)]
async fn returns_nothing() {}

#[cycles(estimate = 1000)]
async fn returns_a_value() -> String {
    String::new()
}

#[cycles(estimate = 1000)]
async fn returns_some_trait() -> impl Iterator<Item = u32> {
    0..3
}

#[cycles(estimate = 1000)]
async fn has_an_error_of_its_own() -> Result<String, OwnError> {
    Err(OwnError)
}

type Answer = std::collections::BTreeMap<String, String>;

#[cycles(estimate = 1000)]
async fn returns_what_only_the_compiler_knows() -> Answer {
    Answer::new()
}

fn main() {}
