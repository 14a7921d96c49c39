//! Runs a real [`Reservation`] against a model server for a day or some hours, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::models::{Action, Amount, ReservationCreateRequest, Subject};
use cycles_proto::outcome::Stop;
use cycles_proto::parts::{Reservation, Step};
use cycles_proto::{Call, Ticket};
use cycles_proto::{CyclesConfig, Event, Now, Seed, UnixMillis};

use super::server::{LeaseServer, Rule};
use crate::dice::Dice;

/// The circumstances of a day.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    pub rule: Rule,
    /// Whether the server sends `remaining_ttl_ms`.
    pub is_measured: bool,
    pub ttl_ms: u64,
    pub rtt_ms: u64,
    /// The percentage of extensions that are lost, half of them on the way back.
    pub loss: u64,
    pub hours: u64,
}

/// The result of a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of reservations: one, and one more after every stop and every lapse.
    pub reservations: u64,
    /// Extensions with distinct keys.
    pub beats: u64,
    /// Repeated attempts at them.
    pub repeats: u64,
    /// The reasons for which the heartbeat stopped by its own rules, in order.
    pub stops: Vec<Stop>,
    /// Leases that expired while the heartbeat had not stopped.
    pub lapses: u64,
    /// How often a lease that was still held was reported as lost.
    pub false_alarms: u64,
}

/// The longest delay of the driver's polls, in milliseconds: timers are never on time.
const LATE_MS: u64 = 5;

/// The server's clock when the driver's starts.
const EPOCH_MS: u64 = 1_700_000_000_000;

impl Day {
    /// Runs the day. When the lease of a reservation has expired, or will, another reservation follows.
    pub fn run(self, seed: u64) -> Tally {
        let mut tally = Tally::default();
        // Different days have different random numbers.
        let own = (self.rule.grant_ms(self.ttl_ms) << 32) + self.ttl_ms * 1_000 + self.rtt_ms;
        let mut dice = Dice::new(seed ^ own);
        let config = Arc::new(CyclesConfig::new("cyc_live_key", "http://ledger").unwrap());
        let mut now = Duration::ZERO;
        while now < self.length() {
            tally.reservations += 1;
            let mut random = [0; 16];
            random[..8].copy_from_slice(&tally.reservations.to_be_bytes());
            let machine = Reservation::new(Arc::clone(&config), self.request(), Seed(random)).unwrap();
            let reservation = HeldReservation {
                day: self,
                machine,
                server: LeaseServer::new(self.rule, self.is_measured),
                now,
                exchange: None,
                last_key: String::new(),
            };
            now = reservation.run(&mut tally, &mut dice) + Duration::from_millis(self.ttl_ms);
        }
        tally
    }

    /// The fewest extensions that could hold the lease all the time, if each came at the last moment.
    pub fn fewest_beats(self) -> u64 {
        self.length_ms().div_ceil(self.rule.grant_ms(self.ttl_ms)) - 1
    }

    /// How many extensions the protocol's algorithm needs when nothing is lost: with a clamped lead a beat adds
    /// only what was used since the last one.
    pub fn most_beats(self) -> u64 {
        match self.rule {
            Rule::Adds | Rule::ClampsGrant(_) => self.fewest_beats(),
            Rule::ClampsLead(lead_ms) => self.length_ms() / (lead_ms - self.reserve_ms()),
        }
    }

    /// Whether the first lease, or the one after an immediate extension, is longer than the protocol's reserve
    /// for one failed attempt and one retry.
    pub fn can_hold_the_reserve(self) -> bool {
        let grant_ms = self.rule.grant_ms(self.ttl_ms);
        let lead_ms = match self.rule {
            Rule::Adds | Rule::ClampsGrant(_) => (2 * grant_ms).saturating_sub(2 * self.rtt_ms),
            Rule::ClampsLead(_) => grant_ms.saturating_sub(self.rtt_ms),
        };
        lead_ms > self.reserve_ms()
    }

    fn length_ms(self) -> u64 {
        self.hours * 60 * 60 * 1_000
    }

    fn length(self) -> Duration {
        Duration::from_millis(self.length_ms())
    }

    fn reserve_ms(self) -> u64 {
        2 * self.attempt_ms() + (2 * self.rtt_ms).max(1_000)
    }

    /// The longest duration of an attempt to extend.
    fn attempt_ms(self) -> u64 {
        let limit_ms = (self.rule.grant_ms(self.ttl_ms) / 6).clamp(1_000, 5_000);
        limit_ms.max(2 * self.rtt_ms)
    }

    /// The expected number of times that two attempts in a row are lost.
    pub fn two_losses(self, tally: &Tally) -> f64 {
        tally.beats as f64 * (self.loss as f64 / 100.0).powi(2)
    }

    /// The expected number of stops by the rules. The answer to a repeated extension reports the lease that the first
    /// attempt got, so against a clamped lead a lost answer costs the time since then. If that leaves less than the
    /// reserve, the next beat is due at once: it has no retry, or, if its answer is lost too, is the second one without
    /// a delay.
    pub fn demanded_stops(self, tally: &Tally) -> f64 {
        let attempt_ms = self.attempt_ms();
        let left_ms = self
            .rule
            .grant_ms(self.ttl_ms)
            .saturating_sub(attempt_ms + self.rtt_ms);
        let factor = match self.rule {
            Rule::ClampsLead(_) if left_ms < self.reserve_ms() - attempt_ms / 8 => 1.5,
            Rule::ClampsLead(_) if left_ms < self.reserve_ms() => 1.25,
            Rule::Adds | Rule::ClampsGrant(_) | Rule::ClampsLead(_) => 1.0,
        };
        self.two_losses(tally) * factor
    }

    fn request(self) -> ReservationCreateRequest {
        ReservationCreateRequest::builder()
            .subject(Subject::tenant("acme-corp"))
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(1_000))
            .ttl_ms(self.ttl_ms)
            .build()
    }
}

struct HeldReservation {
    day: Day,
    machine: Reservation,
    server: LeaseServer,
    now: Duration,
    exchange: Option<Exchange>,
    last_key: String,
}

/// An answer in transit.
struct Exchange {
    ticket: Ticket,
    sent: Duration,
    arrives: Duration,
    response: http::Response<Bytes>,
}

impl HeldReservation {
    /// Runs it, and returns the time at which it ended.
    fn run(mut self, tally: &mut Tally, dice: &mut Dice) -> Duration {
        while self.now < self.day.length() {
            match self.machine.poll(self.reading()) {
                Step::Send(call) => self.send(&call, tally, dice),
                Step::Notify(Event::HeartbeatStopped { reason, .. }) => {
                    // A refusal says that the reservation has expired.
                    if reason == Stop::Refused {
                        tally.lapses += 1;
                    } else {
                        tally.stops.push(reason);
                    }
                    return self.now;
                }
                Step::Notify(Event::LeaseLost { .. }) if !self.server.is_over(server_ms(self.now)) => {
                    tally.false_alarms += 1;
                }
                Step::Notify(_) => {}
                Step::Wait(at) => {
                    let late = Duration::from_millis(dice.roll(LATE_MS + 1));
                    let wake = at.map(|at| at + late);
                    match self
                        .exchange
                        .take_if(|exchange| wake.is_none_or(|wake| exchange.arrives <= wake))
                    {
                        Some(exchange) => self.arrive(exchange),
                        None => self.now = wake.expect("something to wait for"),
                    }
                    // The machine has not stopped, so it expects to keep the lease.
                    if self.machine.grant().is_some() && self.server.is_over(server_ms(self.now)) {
                        tally.lapses += 1;
                        return self.now;
                    }
                }
                Step::Done => return self.now,
                step @ Step::Store(..) => panic!("nothing was spent: {step:?}"),
            }
        }
        self.now
    }

    fn send(&mut self, call: &Call, tally: &mut Tally, dice: &mut Dice) {
        let is_beat = call.request.uri().path().ends_with("/extend");
        if is_beat {
            let key = call.request.headers()["x-idempotency-key"].to_str().unwrap();
            if self.last_key == key {
                tally.repeats += 1;
            } else {
                tally.beats += 1;
                self.last_key = key.to_owned();
            }
        }
        let is_lost = is_beat && dice.percent(self.day.loss);
        if is_lost && dice.percent(50) {
            return;
        }
        let rtt = Duration::from_millis(self.day.rtt_ms);
        let response = self.server.handle(server_ms(self.now + rtt / 2), &call.request);
        if !is_lost {
            self.exchange = Some(Exchange {
                ticket: call.ticket,
                sent: self.now,
                arrives: self.now + rtt,
                response,
            });
        }
    }

    fn arrive(&mut self, exchange: Exchange) {
        self.now = exchange.arrives;
        let now = self.reading();
        self.machine
            .handle_response(now, exchange.ticket, exchange.sent, &exchange.response);
    }

    fn reading(&self) -> Now {
        Now {
            mono: self.now,
            wall: UnixMillis(server_ms(self.now)),
        }
    }
}

fn server_ms(now: Duration) -> u64 {
    EPOCH_MS + u64::try_from(now.as_millis()).unwrap()
}
