//! Random values on and around limits.

use cycles_proto::models::{Amount, JsonObject, Unit};
use serde_json::{Value, json};

use crate::dice::Dice;

/// A text of the allowed length, or slightly longer or shorter, with characters of 1 to 4 bytes.
pub(crate) fn text(dice: &mut Dice, least: usize, most: usize) -> String {
    let length = match dice.roll(12) {
        0 => least,
        1 => most,
        2 => most + 1,
        3 => least.saturating_sub(1),
        _ => least.max(1) + dice.roll(12) as usize,
    };
    let plain = dice.percent(60);
    let odd = [
        'é', '漢', '🦀', '\u{0}', '\n', '"', '\\', '/', ' ', '\u{7f}', '\u{2028}', '%', '+', '&', '=',
    ];
    (0..length)
        .map(|_| match plain {
            true => dice.pick(&['a', 'B', '7', '_', '.', '-']),
            false => dice.pick(&odd),
        })
        .collect()
}

/// The same, with the characters that are allowed in scope names.
pub(crate) fn name(dice: &mut Dice, most: usize) -> String {
    match dice.percent(85) {
        true => dice.pick(&["acme", "bot", "Web", "a.b", "x_y-z", "7"]).to_owned(),
        false => text(dice, 1, most),
    }
}

pub(crate) fn maybe<T>(dice: &mut Dice, percent: u64, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    dice.percent(percent).then(|| make(dice))
}

/// One of the bounds, a neighbour of it, or a value between them.
pub(crate) fn within(dice: &mut Dice, least: u64, most: u64) -> u64 {
    match dice.roll(10) {
        0 => least,
        1 => most,
        2 => most.saturating_add(1),
        3 => least.saturating_sub(1),
        4 => u64::MAX,
        _ => least + dice.roll(most - least),
    }
}

pub(crate) fn amount(dice: &mut Dice) -> Amount {
    let unit = match dice.roll(20) {
        0 => Unit::from("PEBBLES"),
        roll => {
            [Unit::Tokens, Unit::UsdMicrocents, Unit::Credits, Unit::RiskPoints][roll as usize % 4].clone()
        }
    };
    let size = dice.pick(&[0, 1, 40, 40, 1_000, 5_000_000_000, i64::MAX, -1, i64::MIN]);
    Amount::new(unit, size)
}

pub(crate) fn object(dice: &mut Dice) -> JsonObject {
    let count = dice.roll(4);
    (0..count).map(|_| (text(dice, 0, 20), value(dice, 3))).collect()
}

fn value(dice: &mut Dice, depth: u64) -> Value {
    match dice.roll(if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(dice.percent(50)),
        2 => json!(dice.pick(&[0, -1, i64::MAX, i64::MIN])),
        3 => json!(0.5),
        4 => json!(text(dice, 0, 30)),
        5 => (0..dice.roll(3)).map(|_| value(dice, depth - 1)).collect(),
        _ => json!({ text(dice, 0, 5): value(dice, depth - 1) }),
    }
}
