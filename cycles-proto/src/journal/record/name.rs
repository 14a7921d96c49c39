//! The names of records: the directory of a server and a principal, and the file of a reservation. Which of the files
//! in a directory count is decided in `journal/scan.rs`.

use core::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::RecordId;
use crate::config::CyclesConfig;
use crate::models::ReservationId;

/// The inputs to the name of a directory, which is the first 16 hex digits of PBKDF2-HMAC-SHA256 over them, with
/// [`ROUNDS`](Self::ROUNDS) rounds and 32 bytes of output.
///
/// The principal is the tenant if one is configured, so that records outlive an API key. The password may be the API
/// key, so there is no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Partition {
    /// The password.
    pub password: String,
    /// The salt, which contains the server's address exactly as configured.
    pub salt: String,
}

impl Partition {
    /// The number of rounds.
    pub const ROUNDS: u32 = 30_000;

    /// Whether the password is a tenant, which is not a secret, rather than an API key.
    pub fn is_of_a_tenant(&self) -> bool {
        self.password.starts_with(TENANT)
    }

    /// The partition of this configuration's records.
    pub fn of(config: &CyclesConfig) -> Self {
        // A tenant in a configuration is never blank.
        let password = match &config.subject().tenant {
            Some(tenant) => format!("{TENANT}{tenant}"),
            None => format!("key\n{}", config.api_key().expose()),
        };
        Self {
            password,
            salt: format!("runcycles-commit-journal\n{}", config.base_url),
        }
    }
}

/// The start of a tenant's password.
const TENANT: &str = "tenant\n";

/// The file name for a reservation: `v2-<sha256 of the id>.json`, with the hash of the id's UTF-8 bytes.
pub fn file_name(reservation: &ReservationId) -> String {
    stem(reservation) + ".json"
}

/// The file name under which the record of a second cost waits while the first has [`file_name`]: `v2-<sha256 of the
/// id>.<half of the sha256 of key and amount>.waiting`. Other SDKs remove [`file_name`] without checking its key, but
/// ignore files with this ending.
pub fn waiting_file_name(id: &RecordId) -> String {
    stem_of_cost(id) + ".waiting"
}

/// The part before the ending in the names of a reservation's files.
pub(in crate::journal) fn stem(reservation: &ReservationId) -> String {
    let mut stem = String::from("v2-");
    push_hex(&mut stem, &Sha256::digest(reservation.as_str().as_bytes()));
    stem
}

/// Like [`stem`], for files of which each cost of a reservation may have its own.
pub(in crate::journal) fn stem_of_cost(id: &RecordId) -> String {
    let RecordId {
        reservation,
        key,
        actual,
    } = id;
    let mut cost = key.as_str().to_owned();
    if let Some((unit, amount)) = actual {
        // Writing to a string cannot fail.
        let _ = write!(cost, "\n{amount} {}", unit.as_str());
    }
    let mut stem = stem(reservation) + ".";
    push_hex(&mut stem, &Sha256::digest(cost.as_bytes())[..16]);
    stem
}

pub(super) fn push_hex(name: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
}

/// The file name that older versions use, which several reservations may share.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Amount;

    /// The hashes come from `sha256sum`.
    #[test]
    fn a_file_is_named_after_the_bytes_of_its_reservations_id() {
        for (id, hash) in [
            (
                "rsv_0001",
                "8f8f2347a914389b8185bbd2e0af6194971aa15f85c74e729426a30404a3ac34",
            ),
            (
                "rsv_0019",
                "4c53fc914cc7965882afe05e1a4c75281e6d9914002a03abdbf0d30db2573dc4",
            ),
            (
                "rsv_a",
                "80bbb4b84643293ad96bc2381b863301591d0acc7afb0858cd7bcdee5f698099",
            ),
            (
                "rsv_A",
                "453e1b0d52a9aa1e0d6d97ebafa5b6471d2475365bffb7c13bfcf263a1689aed",
            ),
            (
                "rsv_a ",
                "9303724ebe429e3ab8515c13e9952a9c0fe28f64a89f5266e03c5d86117e0340",
            ),
            (
                "rsv_\u{e4}",
                "93f12d3d40d066d3acb547bc2ff00d9db834b45dd09f1f7edece283ef78348d8",
            ),
            (
                "rsv_a\u{308}",
                "1abd6c399ed277efb1473e9ec43cc7edc51d30e0aaa70818ad963d681f02fbed",
            ),
        ] {
            assert_eq!(file_name(&id.into()), format!("v2-{hash}.json"), "{id:?}");
        }
    }

    /// The hashes come from `sha256sum`.
    #[test]
    fn a_record_that_waits_is_named_after_its_key_and_amount_too() {
        let sha = "8f8f2347a914389b8185bbd2e0af6194971aa15f85c74e729426a30404a3ac34";
        for (actual, cost) in [
            (None, "2c70e12b7a0646f92279f427c7b38e73"),
            (Some(Amount::tokens(5)), "ed3de1226e0451d2a9931a1d4a586b27"),
        ] {
            let name = waiting_file_name(&RecordId::new("rsv_0001", "key", actual));
            assert_eq!(name, format!("v2-{sha}.{cost}.waiting"));
        }
    }

    #[test]
    fn an_older_name_keeps_letters_digits_and_two_signs() {
        assert_eq!(legacy_file_name(&"rsv/a é-1".into()), "rsv_a__-1.json");
    }
}
