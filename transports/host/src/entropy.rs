//! Randomness from the operating system.

use cycles_proto::{ConfigError, Seed};

/// Returns 16 random bytes from the operating system. They are requested afresh each time and stored nowhere, so a fork
/// or a restored machine image does not repeat them.
///
/// # Errors
/// If the system provides no randomness, such as in a sandbox that forbids the system call.
pub fn seed() -> Result<Seed, ConfigError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(no_entropy)?;
    Ok(Seed(bytes))
}

/// The error if there is no randomness: without it, a key could be the same as another caller's.
fn no_entropy(error: getrandom::Error) -> ConfigError {
    ConfigError::Adapter(format!(
        "the system provides no randomness, so no idempotency key can be made and nothing was sent: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_seed_comes_twice() {
        let seeds: HashSet<[u8; 16]> = (0..10_000).map(|_| seed().unwrap().0).collect();
        assert_eq!(seeds.len(), 10_000);
    }

    #[test]
    fn a_system_without_randomness_is_an_error_that_says_what_did_not_happen() {
        let error = no_entropy(getrandom::Error::UNSUPPORTED);
        assert!(error.to_string().contains("nothing was sent"), "{error}");
    }
}
