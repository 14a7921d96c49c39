//! Where records lie: the directory of a server and a principal, and the file of a reservation.

use core::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::config::CyclesConfig;
use crate::models::ReservationId;

/// The inputs to the name of a directory: the first 16 hex digits of PBKDF2-HMAC-SHA256 over them, with
/// [`ROUNDS`](Self::ROUNDS) rounds and 32 bytes of output.
///
/// The principal is the tenant where one is configured, so that records outlive an API key. The password may
/// be the API key, so there is no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Partition {
    /// The password.
    pub password: String,
    /// The salt, with the server's address exactly as it was configured.
    pub salt: String,
}

impl Partition {
    /// How many rounds it takes.
    pub const ROUNDS: u32 = 30_000;

    /// The partition that this configuration's records lie in.
    pub fn of(config: &CyclesConfig) -> Self {
        // A tenant in a configuration is never blank.
        let password = match &config.subject().tenant {
            Some(tenant) => format!("tenant\n{tenant}"),
            None => format!("key\n{}", config.api_key().expose()),
        };
        Self {
            password,
            salt: format!("runcycles-commit-journal\n{}", config.base_url()),
        }
    }
}

/// The name of the file for a reservation: `v2-<sha256 of the id>.json`.
pub fn file_name(reservation: &ReservationId) -> String {
    let mut name = String::from("v2-");
    for byte in Sha256::digest(reservation.as_str().as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".json");
    name
}

/// The name that older versions gave to the file; several reservations may share one.
pub fn legacy_file_name(reservation: &ReservationId) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
            c
        } else {
            '_'
        }
    };
    let mut name: String = reservation.as_str().chars().map(safe).collect();
    name.push_str(".json");
    name
}
