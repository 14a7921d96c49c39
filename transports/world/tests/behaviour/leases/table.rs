//! Prints the days as a table.

use super::day::{Day, Tally};
use super::{SEED, check, days};

pub const RTTS_MS: [u64; 5] = [1, 50, 200, 500, 1_000];

#[test]
#[ignore = "takes half a minute in release"]
fn the_days_side_by_side() {
    let (mut stops, mut expected) = (0.0, 0.0);
    for (is_measured, title) in [(true, "With"), (false, "Without")] {
        for loss in [0, 5] {
            println!("\n### {title} `remaining_ttl_ms`, {loss} % of the attempts to extend lost\n");
            println!("| TTL | server | round trip | beats | fewest | repeats | stops | n × p² | lapses |");
            println!("|--:|---|--:|--:|--:|--:|---|--:|--:|");
            for day in days(is_measured, loss, &RTTS_MS, 24) {
                let tally = day.run(SEED);
                println!("{}", row(day, &tally));
                check(day, &tally);
                if is_measured && loss > 0 && day.can_hold_the_reserve() {
                    stops += tally.stops.len() as f64;
                    expected += day.demanded_stops(&tally);
                }
            }
        }
    }
    println!("\n{stops} stops where the reserve fits, {expected:.0} expected");
    assert!(
        (stops - expected).abs() <= 4.0 * f64::sqrt(expected),
        "{stops} stops, {expected} expected"
    );
}

fn row(day: Day, tally: &Tally) -> String {
    let mut kinds: Vec<String> = tally.stops.iter().map(|stop| format!("{stop:?}")).collect();
    kinds.sort();
    kinds.dedup();
    let stops = match tally.stops.len() {
        0 => "0".to_owned(),
        many => format!("{many} {}", kinds.join(", ")),
    };
    format!(
        "| {} s | {} | {} ms | {} | {} | {} | {stops} | {:.1} | {} |",
        day.ttl_ms / 1_000,
        day.rule,
        day.rtt_ms,
        tally.beats,
        day.fewest_beats(),
        tally.repeats,
        day.two_losses(tally),
        tally.lapses,
    )
}
