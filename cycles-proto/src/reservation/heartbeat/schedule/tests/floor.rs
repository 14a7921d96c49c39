//! A server cannot cause a storm of extensions.

use super::*;

/// The result of an extension.
enum Reply {
    Measured { lead_ms: u64, rtt_ms: u64 },
    Grants(u64),
    Fails(BeatFailure),
}

const AT_ONCE: BeatFailure = BeatFailure::Throttled(Some(Duration::ZERO));

/// The times of the attempts to extend within a minute, with a server that answers each by its number.
fn attempts(granted: Observation, mut server: impl FnMut(u64) -> Reply) -> Vec<Duration> {
    let (mut lease, mut next) = Lease::granted(60 * S, at(7 * S), granted);
    let mut attempts = Vec::new();
    let mut expires = 60 * S;
    while let Next::Beat(time) | Next::Retry(time) = next
        && time < at(70 * S)
    {
        let number = attempts.len() as u64;
        assert!(number < 10_000, "a storm");
        attempts.push(time);
        next = match server(number) {
            Reply::Measured { lead_ms, rtt_ms } => lease.renewed(Observation {
                sent: Some(time),
                received: time + at(rtt_ms),
                expires_at_ms: None,
                remaining_ttl_ms: Some(lead_ms + rtt_ms),
            }),
            Reply::Grants(grant_ms) => {
                expires += grant_ms;
                lease.renewed(Observation {
                    sent: Some(time),
                    ..unmeasured(millis_ceil(time), expires)
                })
            }
            Reply::Fails(failure) => lease.failed(time, failure),
        };
    }
    attempts
}

fn grants() -> [Observation; 5] {
    [
        seen(10 * S, 0, 60 * S),
        seen(10 * S, 0, 11_050),
        seen(10 * S, 0, 6_100),
        seen(10 * S, 0, 1),
        unmeasured(10 * S, 60_000),
    ]
}

/// When the window closes, one attempt may follow at once, and then none before the next success; after a success that
/// leaves no window, one may follow. So a sixth attempt is never sent within the shortest wait.
fn assert_no_storm(attempts: &[Duration], what: &str) {
    for six in attempts.windows(6) {
        assert!(six[5] - six[0] >= at(250), "{what}: {six:?}");
    }
}

#[test]
fn a_server_that_throttles_and_says_0_seconds_is_asked_four_times_a_second_at_most() {
    for granted in grants() {
        let sent = attempts(granted, |_| Reply::Fails(AT_ONCE));
        assert!(sent.len() <= 60 * 4 + 1, "{} in a minute", sent.len());
        assert_no_storm(&sent, "always");
        let sent = attempts(granted, |number| match number % 2 {
            0 => Reply::Fails(AT_ONCE),
            _ => Reply::Grants(60_000),
        });
        assert_no_storm(&sent, "in turns");
    }
}

#[test]
fn a_lead_that_is_clamped_just_above_the_reserve_is_beaten_four_times_a_second_at_most() {
    for above in [1, 50, 249] {
        // Two attempts of 5 s and a margin of 1 s.
        let lead_ms = 11_000 + above;
        let sent = attempts(seen(10 * S, 0, 60 * S), |_| Reply::Measured {
            lead_ms,
            rtt_ms: 0,
        });
        assert!(sent.len() > 10, "{}", sent.len());
        for two in sent.windows(2) {
            assert!(two[1] - two[0] >= at(250), "{above}: {two:?}");
        }
    }
}

#[test]
fn whatever_a_server_answers_there_is_no_storm() {
    for seed in 0..2_000_u64 {
        let mut dice = seed;
        let mut below = move |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % sides
        };
        let granted = grants()[below(5) as usize];
        // Each server prefers some answers.
        let kinds = 1 + below(6);
        let sent = attempts(granted, |_| match below(kinds) {
            0 => Reply::Fails(AT_ONCE),
            1 => Reply::Measured {
                lead_ms: 5_990 + below(20),
                rtt_ms: below(2),
            },
            2 => Reply::Measured {
                lead_ms: 10_990 + below(20),
                rtt_ms: below(2),
            },
            3 => Reply::Fails(BeatFailure::Transient),
            4 => Reply::Grants(below(2)),
            _ => Reply::Measured {
                lead_ms: below(12_000),
                rtt_ms: below(100),
            },
        });
        assert_no_storm(&sent, &format!("seed {seed}"));
    }
}
