//! Stands in for a model: it takes a moment, uses some tokens, and says how many.

use std::time::Duration;

use cycles_examples::Failure;

/// The tokens of a question.
pub(crate) fn tokens(question: &str) -> i64 {
    i64::try_from(question.len() / 4 + 1).unwrap_or(i64::MAX).min(100)
}

/// Answers the question. Returns the answer and the tokens of both.
///
/// # Errors
/// Never; a real model may fail.
pub(crate) async fn answer(question: &str) -> Result<(String, i64), Failure> {
    let tokens = tokens(question);
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok((format!("You ask: {question}\n"), tokens + 200))
}
