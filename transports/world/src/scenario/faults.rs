//! The faults of a random scenario: server and network faults, and the incidents around the agents, such as crashes,
//! sleep and clock changes.

use std::time::Duration;

use cycles_proto::session::Close;
use cycles_sandbox::{Fault, FaultRule, Operation, When};

use super::dice::Dice;
use crate::JournalHealth;

/// An event from outside the agents.
pub(super) enum Incident {
    Crash,
    Restart,
    /// Another process starts with the same journal.
    AnotherProcess,
    Sleep(Duration),
    ClockJumps(i64),
    ServerClockJumps(i64),
    ServerDown(bool),
    Journal(JournalHealth),
    Frozen(bool),
    NetworkFault(FaultRule),
    FaultsStop,
    /// The record is restored as it was first written.
    RestoresStaleRecord,
    /// One of the callers flushes for this long.
    Flush(u64, Duration),
    Close(Close),
    /// The process ends in steps, within this time.
    ShutDown(Close, Duration),
    /// The state machine of one of the agents' reservations panics.
    Panic(u64),
    /// One of the callers asks for the balances, blocking or not.
    GetBalances(u64, bool),
    /// The caller stops waiting for the balances.
    ForgetGetBalances,
    /// A person lists the journal of one of the callers.
    PersonLists(u64),
    /// A person lists the journal of one of the callers, if told so, and charges or discards the marks in the last list.
    PersonDecides {
        caller: u64,
        lists: bool,
        charges: bool,
        is_forced: bool,
    },
    /// The other keys, one of this tenant and one of another, are revoked or become valid again.
    Revoked(bool),
}

impl Dice<'_> {
    pub(super) fn rule(&mut self, is_rough: bool) -> FaultRule {
        let mut rule = FaultRule::new(self.fault());
        let operations = [
            Operation::CommitReservation,
            Operation::CommitReservation,
            Operation::CreateEvent,
            Operation::ExtendReservation,
            Operation::CreateReservation,
            Operation::ReleaseReservation,
            Operation::GetReservation,
        ];
        let named = if self.one_in(6) { 0 } else { 1 + self.below(2) };
        for _ in 0..named {
            rule = rule.on(self.one_of(&operations));
        }
        rule.when(match self.below(5) {
            0 => When::First(1 + self.below(4)),
            1 => When::Calls([1 + self.below(4)].into()),
            2 => When::For(self.time(1_000, 12)),
            _ => When::Randomly {
                probability: if is_rough { 0.5 } else { 0.15 },
                seed: self.seed(),
            },
        })
    }

    fn fault(&mut self) -> Fault {
        const PAGES: [u16; 9] = [404, 403, 410, 410, 200, 502, 307, 407, 408];
        match self.below(17) {
            0 => Fault::Delay(self.time(100, 10)),
            1 => Fault::Drip(self.time(1, 6)),
            2 => Fault::Status {
                status: self.one_of(&[500, 502, 503, 504]),
                retry_after_s: self.one_in(4).then(|| self.below(30)),
            },
            3 => Fault::Status {
                status: 429,
                retry_after_s: None,
            },
            4 => {
                let longest_s = 1 << self.below(14);
                Fault::Status {
                    status: 429,
                    retry_after_s: Some(self.below(longest_s)),
                }
            }
            5 => Fault::Status {
                status: self.one_of(&[401, 403]),
                retry_after_s: None,
            },
            6 => Fault::StatusAfter(self.one_of(&[500, 502, 503])),
            7 => Fault::Outage,
            8 => Fault::ForeignPage(self.one_of(&PAGES)),
            9 => Fault::ForeignError(self.one_of(&PAGES[..4])),
            10 => Fault::Garbage,
            11 => Fault::Twice(self.time(10, 12)),
            12 => Fault::LoseRequest,
            13 | 14 => Fault::LoseResponse,
            15 => Fault::ResetResponse,
            _ => Fault::Cut,
        }
    }

    pub(super) fn incidents(&mut self, work: Duration) -> Vec<(Duration, Incident)> {
        let mut incidents = Vec::new();
        // Money is at risk around the end of the action.
        let near = |dice: &mut Self| {
            let spread = dice.millis(25_000);
            work.saturating_sub(Duration::from_secs(2)) + spread
        };
        for _ in 0..self.below(4) {
            let at = near(self);
            let later = at + self.time(10, 28);
            match self.below(13) {
                0..3 => {
                    incidents.push((at, Incident::Crash));
                    incidents.push((later, Incident::Restart));
                }
                3 | 4 => incidents.push((at, Incident::AnotherProcess)),
                5 => incidents.push((at, Incident::Sleep(self.time(1_000, 20)))),
                6 => incidents.push((at, Incident::ClockJumps(self.jump()))),
                7 => incidents.push((at, Incident::ServerClockJumps(self.jump()))),
                8 => {
                    incidents.push((at, Incident::ServerDown(true)));
                    incidents.push((at + self.time(1_000, 12), Incident::ServerDown(false)));
                }
                9 => {
                    incidents.push((at, Incident::Journal(self.one_of(&ILL))));
                    incidents.push((later, Incident::Journal(JournalHealth::Works)));
                }
                10 => {
                    incidents.push((at, Incident::Frozen(true)));
                    incidents.push((later, Incident::Frozen(false)));
                }
                11 => {
                    let rule = self.rule(true);
                    incidents.push((at, Incident::NetworkFault(rule)));
                    incidents.push((later, Incident::FaultsStop));
                }
                _ => {
                    incidents.push((later, Incident::RestoresStaleRecord));
                    incidents.push((later + Duration::from_millis(1), Incident::AnotherProcess));
                }
            }
        }
        incidents.sort_by_key(|(at, _)| *at);
        incidents
    }

    /// The crashes that leave marks, and the persons who decide about them.
    pub(super) fn crashes_and_persons(&mut self, work: Duration) -> Vec<(Duration, Incident)> {
        let mut incidents = Vec::new();
        let ends = u64::try_from(work.as_millis()).unwrap_or(u64::MAX);
        for _ in 0..self.below(3) {
            let at = self.millis(ends + 1_000);
            incidents.push((at, Incident::Crash));
            incidents.push((at + self.time(10, 16), Incident::Restart));
        }
        if self.one_in(2) {
            let at = self.millis(ends + 10_000);
            incidents.push((at, Incident::AnotherProcess));
        }
        for _ in 0..self.below(5) {
            let at = self.millis(ends + 1_000) + self.time(10, 26);
            let caller = self.below(4);
            incidents.push((at, Incident::PersonLists(caller)));
            // Some decide twice, or two of them at the same time; and a process may crash in the middle.
            for _ in 0..1 + self.below(3) {
                let at = at + self.time(1, 18);
                let decides = Incident::PersonDecides {
                    caller: self.below(4),
                    lists: self.one_in(3),
                    charges: !self.one_in(3),
                    is_forced: self.one_in(4),
                };
                incidents.push((at, decides));
                if self.one_in(5) {
                    incidents.push((at + self.millis(40), Incident::Crash));
                    incidents.push((at + self.time(10, 16), Incident::Restart));
                }
                if self.one_in(8) {
                    incidents.push((at + self.millis(40), Incident::Sleep(self.time(1_000, 9))));
                }
            }
        }
        incidents
    }

    /// A jump of a clock, from milliseconds to two weeks, forward or back.
    fn jump(&mut self) -> i64 {
        let by = self.time(1, 30).as_millis();
        let by = i64::try_from(by).unwrap_or(0);
        if self.one_in(2) { -by } else { by }
    }
}

/// The faults of a journal that a plan may choose.
const ILL: [JournalHealth; 2] = [JournalHealth::Fails, JournalHealth::WorksButReportsFailure];
