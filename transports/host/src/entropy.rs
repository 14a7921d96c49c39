//! Randomness that never repeats.

use cycles_proto::{ConfigError, Error, Seed};

/// The system has no randomness to give. Nothing was sent: without it a key could be somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness, so no idempotency key can be made and nothing was sent: {0}")]
pub struct NoEntropy(getrandom::Error);

/// 16 bytes from the operating system. They are asked for every time and kept nowhere, so a fork or a restored
/// image of the machine does not repeat them.
///
/// # Errors
/// If the system has none, which happens in a sandbox that forbids asking.
pub fn seed() -> Result<Seed, NoEntropy> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(NoEntropy)?;
    Ok(Seed(bytes))
}

impl From<NoEntropy> for Error {
    fn from(error: NoEntropy) -> Self {
        ConfigError::Adapter(error.to_string()).into()
    }
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
        let error = Error::from(NoEntropy(getrandom::Error::UNSUPPORTED));
        assert!(error.to_string().contains("nothing was sent"), "{error}");
    }
}
