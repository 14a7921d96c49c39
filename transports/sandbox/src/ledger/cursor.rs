//! Cursors of paged reads: plain numbers for unsorted pages, a position bound to the query for sorted ones.

use serde::{Deserialize, Serialize};

/// The position at which a sorted page ended, and the query that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SortedCursor {
    v: u8,
    /// Sort key.
    pub(super) sb: String,
    /// Sort direction.
    pub(super) sd: String,
    /// Hash of the filters.
    pub(super) fh: String,
    /// Value of the sort key in the last row; absent if that is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lsv: Option<String>,
    /// Id of the last row.
    pub(super) lrid: String,
}

impl SortedCursor {
    pub(super) fn new(sb: &str, sd: &str, fh: String, lsv: Option<String>, lrid: &str) -> Self {
        Self {
            v: 1,
            sb: sb.to_owned(),
            sd: sd.to_owned(),
            fh,
            lsv,
            lrid: lrid.to_owned(),
        }
    }

    /// Encodes the cursor as JSON in base64url, without padding.
    pub(super) fn encode(&self) -> Option<String> {
        serde_json::to_vec(self).ok().map(|json| to_base64url(&json))
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&from_base64url(text)?)
            .ok()
            .filter(|cursor: &Self| cursor.v == 1)
    }
}

/// FNV-1a over `text`: stable across versions, unlike the hashers of the standard library.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes in base64url, without padding.
pub(super) fn to_base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let digit = bits >> (18 - 6 * place) & 0x3F;
            text.push(ALPHABET.get(digit as usize).copied().map_or('A', char::from));
        }
    }
    text
}

fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes();
    let digits: Option<Vec<u32>> = digits
        .map(|byte| {
            ALPHABET
                .iter()
                .position(|digit| *digit == byte)
                .and_then(|place| u32::try_from(place).ok())
        })
        .collect();
    let mut bytes = Vec::new();
    for chunk in digits?.chunks(4) {
        let bits = chunk.iter().fold(0_u32, |bits, digit| bits << 6 | digit) << (6 * (4 - chunk.len()));
        // Four digits encode three bytes, three encode two, two encode one; a single digit is invalid.
        bytes.extend(
            bits.to_be_bytes()
                .iter()
                .skip(1)
                .take(chunk.len().checked_sub(1).filter(|n| *n > 0)?),
        );
    }
    Some(bytes)
}
