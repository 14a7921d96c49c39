//! The driver: does what machines ask, and watches them while it does.

use std::collections::BTreeSet;
use std::time::Duration;

use cycles_proto::lifecycle::Outcome;
use cycles_proto::step::{Event, JournalWrite};
use cycles_proto::{Call, Failure, FailureKind, Now, Step, Ticket};
use cycles_sandbox::{Operation, ReservationStatus};

use super::audit::{Heard, Watch, broken, keeps_secret};
use super::happenings::{Arrival, Happening, Hearing};
use super::life::{LifeId, Sent, Told};
use super::network::{Answer, Fate};
use super::process::{EPOCH, Seat};
use super::{ProcessId, Rule, World};

/// The most steps that a machine may hand out at one time: far more than any has reason to.
const STEPS_AT_ONCE: usize = 100;

impl World {
    /// Polls a machine until it waits or is done, and does what it asks.
    pub(super) fn drive(&mut self, index: usize) {
        self.busy.insert(index);
        self.polls(index);
        let seat = &self.seats[index];
        if seat.is_done && seat.wake.is_none() {
            self.busy.remove(&index);
        }
    }

    fn polls(&mut self, index: usize) {
        self.seats[index].wake = None;
        for _ in 0..STEPS_AT_ONCE {
            if self.violation.is_some() {
                return;
            }
            let seat = &mut self.seats[index];
            let process = &mut self.processes[seat.process.0];
            if !process.is_alive {
                return;
            }
            let now = process.now(self.now);
            let life = seat.life;
            let is_held = seat.machine.grant().is_some();
            seat.watch.polling(now, is_held, &self.lives[life.0]);
            let step = seat.machine.poll(now);
            self.steps += 1;
            let is_last = process.steps_left.as_mut().is_some_and(|left| {
                *left = left.saturating_sub(1);
                *left == 0
            });
            // A process may end before it does what was asked, or after.
            let is_cut = is_last && self.dice.chance(0.5);
            let rests = match step {
                _ if is_cut => true,
                Step::Send(call) => self.sends(index, now, call),
                Step::Store(ticket, write) => self.begins_to_store(index, now, ticket, write),
                Step::Notify(event) => self.tells(index, now, event),
                Step::Wait(until) => self.waits(index, now, until),
                Step::Done => self.ends(index),
            };
            if is_last {
                let process = self.seats[index].process;
                return self.crash(process);
            }
            if rests {
                return;
            }
        }
        let life = self.seats[index].life;
        self.check(
            Some(life),
            broken(Rule::Ends, format!("machine {index} never comes to rest")),
        );
    }

    fn sends(&mut self, index: usize, now: Now, call: Call) -> bool {
        let operation = Operation::of(call.request.method(), call.request.uri().path());
        let seat = &mut self.seats[index];
        let (id, process) = (seat.life, seat.process);
        seat.tickets.insert(call.ticket);
        self.tickets.push(call.ticket);
        let life = &mut self.lives[id.0];
        let held = seat.watch.sending(life, now, operation, &call);
        let header = call.request.headers().get("x-idempotency-key");
        let key = header.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        life.requests.push(Sent {
            at: self.now,
            process,
            operation,
            key,
            body: call.request.body().clone(),
        });
        self.check(Some(id), held);
        let fault = self.faults.strike(EPOCH.saturating_add(self.now), operation);
        self.note(|| {
            let fault = fault
                .as_ref()
                .map(|fault| format!(", and {fault} strikes"))
                .unwrap_or_default();
            format!(
                "{id}, machine {index} sends {} {:?}{fault}",
                operation.name(),
                call.ticket
            )
        });
        let fate = if self.is_server_down {
            Fate::refused(&mut self.dice)
        } else {
            Fate::of(&call, fault.as_ref(), &mut self.dice)
        };
        self.dispatch(index, &call, fate);
        false
    }

    fn dispatch(&mut self, seat: usize, call: &Call, fate: Fate) {
        let (sent, ticket) = (self.now, call.ticket);
        let deadline = sent.saturating_add(call.timeout);
        let mut answer = Some((fate.answer, fate.way_back));
        // Mostly the driver keeps the time of a call as well; if it does not, the machine has to.
        let is_timed = self.dice.chance(0.5);
        if is_timed {
            let heard = Heard::Failure(Failure::new(FailureKind::Timeout));
            let hearing = Hearing {
                seat,
                ticket,
                sent,
                heard,
                is_first: true,
            };
            self.plan(deadline, Happening::Hears(Box::new(hearing)));
        }
        if let (true, Some((Answer::Fixed(heard), way_back))) = (fate.arrives.is_empty(), &answer) {
            let (heard, at) = (heard.clone(), sent.saturating_add(*way_back));
            let hearing = Hearing {
                seat,
                ticket,
                sent,
                heard,
                is_first: true,
            };
            self.plan(at, Happening::Hears(Box::new(hearing)));
        }
        for after in fate.arrives {
            let arrival = Arrival {
                seat,
                ticket,
                request: call.request.clone(),
                answer: answer.take(),
                sent,
                deadline,
            };
            self.plan(sent.saturating_add(after), Happening::Arrives(Box::new(arrival)));
        }
    }

    fn begins_to_store(&mut self, index: usize, now: Now, ticket: Ticket, write: JournalWrite) -> bool {
        let seat = &mut self.seats[index];
        seat.tickets.insert(ticket);
        self.tickets.push(ticket);
        let (id, secret) = (
            seat.life,
            self.processes[seat.process.0]
                .config
                .api_key()
                .expose()
                .to_owned(),
        );
        let mut held = seat.watch.storing(&mut self.lives[id.0], now, ticket, &write);
        if let JournalWrite::Put(record) = &write {
            held = held.and_then(|()| keeps_secret("a record", &record.to_json(), &secret));
            self.by_reservation
                .entry(record.reservation_id().clone())
                .or_insert(id);
            if !seat.watch.is_resumed {
                let process = &mut self.processes[seat.process.0];
                process.replayer.live(record.id().clone());
            }
            seat.record = Some(record.id().clone());
        }
        self.check(Some(id), held);
        self.note(|| format!("{id}, machine {index} stores {}", described(&write)));
        let longest = if self.dice.chance(0.02) { 60_000 } else { 20 };
        let at = self.now + Duration::from_millis(self.dice.below(longest));
        let write = Box::new(write);
        self.plan(
            at,
            Happening::Stores {
                seat: index,
                ticket,
                write,
            },
        );
        false
    }

    fn tells(&mut self, index: usize, now: Now, event: Event) -> bool {
        let seat = &mut self.seats[index];
        let (id, process) = (seat.life, seat.process);
        let life = &mut self.lives[id.0];
        if let Event::Granted { response, .. } = &event
            && let Some(reservation) = &response.reservation_id
        {
            life.reservation_id = Some(reservation.clone());
            self.by_reservation.insert(reservation.clone(), id);
        }
        seat.watch.told(life, &event);
        let process_of = &mut self.processes[process.0];
        process_of.tally.note(&event);
        if let Event::SettlementFailed { error, .. } | Event::BeatFailed { error, .. } = &event {
            process_of.replayer.observe(now, Some(error));
        }
        let secret = process_of.config.api_key().expose();
        let held = keeps_secret("an event", &format!("{event:?}"), secret);
        self.check(Some(id), held);
        self.note(|| format!("{id}, machine {index} at {:?} tells {}", now.mono, brief(&event)));
        let at = self.now;
        self.lives[id.0].events.push(Told { at, process, event });
        false
    }

    fn waits(&mut self, index: usize, now: Now, until: Option<Duration>) -> bool {
        let seat = &self.seats[index];
        let id = seat.life;
        let life = &self.lives[id.0];
        let mut held = seat.watch.waits(life, now, until);
        let is_at_home = life.book.home == Some(index);
        if is_at_home && life.book.is_running && seat.machine.grant().is_none() {
            held =
                held.and_then(|()| broken(Rule::ActionGoesOn, "its reservation was given up while it ran"));
        }
        self.check(Some(id), held);
        if self.dice.chance(self.driver.spurious_polls) {
            self.polls_for_nothing(index, now, until);
        }
        let process = &self.processes[self.seats[index].process.0];
        let mut wake = until.map(|until| process.at(until));
        if self.dice.chance(self.driver.late_polls) {
            let late = Duration::from_millis(self.dice.below(5_000));
            wake = wake.map(|wake| wake.saturating_add(late));
        }
        self.seats[index].wake = wake;
        true
    }

    /// A needless poll: at the same time, or one that was before it.
    fn polls_for_nothing(&mut self, index: usize, now: Now, until: Option<Duration>) {
        let glitch = Duration::from_millis(self.dice.below(3));
        // All of the state is a long text, so it is compared now and then only.
        let is_thorough = self.dice.chance(0.05);
        let seat = &mut self.seats[index];
        let before = is_thorough.then(|| format!("{:?}", seat.machine));
        let earlier = Now {
            mono: now.mono.saturating_sub(glitch),
            ..now
        };
        let step = seat.machine.poll(earlier);
        let after = is_thorough.then(|| format!("{:?}", seat.machine));
        let id = seat.life;
        let held = match step {
            Step::Wait(at) if at == until && before == after => Ok(()),
            Step::Wait(at) if at == until => broken(Rule::SpuriousPoll, "it changed the machine"),
            other @ (Step::Send(_) | Step::Store(..) | Step::Notify(_) | Step::Wait(_) | Step::Done) => {
                broken(
                    Rule::SpuriousPoll,
                    format!("instead of a wait until {until:?} came {other:?}"),
                )
            }
        };
        self.check(Some(id), held);
    }

    fn ends(&mut self, index: usize) -> bool {
        let seat = &mut self.seats[index];
        seat.watch.gives_up_releasing();
        if core::mem::replace(&mut seat.is_done, true) {
            return true;
        }
        let id = seat.life;
        let life = &mut self.lives[id.0];
        let reservation = life.reservation_id.as_ref();
        let state = reservation.and_then(|reservation| self.ledger.reservation(reservation.as_str()));
        let is_released = state.is_some_and(|state| state.status == ReservationStatus::Released);
        let process = &mut self.processes[seat.process.0];
        if core::mem::take(&mut seat.is_ending) {
            let record = seat.record.as_ref();
            process.tally.end(record, seat.machine.receipt().as_ref());
        }
        let now = process.now(self.now);
        if let (Some(id), outcome) = (&seat.record, seat.machine.outcome()) {
            match outcome {
                outcome if seat.watch.is_resumed => {
                    let is_left = process.replayer.handle_ended(now, id, outcome);
                    process.tally.note_replayed(id, outcome, is_left);
                }
                Some(Outcome::Settled(receipt)) => process.replayer.ended(now, id, Some(receipt)),
                Some(_) | None => {}
            }
        }
        let held = match seat.machine.outcome() {
            None => broken(Rule::Ends, "it is done, and has no outcome"),
            Some(_) if life.book.home == Some(index) && life.book.is_running => {
                broken(Rule::ActionGoesOn, "it ended before its caller said a word")
            }
            Some(outcome) => {
                let held = seat.watch.ended(life, outcome, is_released);
                life.outcomes.push(outcome.clone());
                held
            }
        };
        self.note(|| format!("{id}, machine {index} is done"));
        self.check(Some(id), held);
        self.replay(self.seats[index].process);
        true
    }

    pub(super) fn sit(
        &mut self,
        life: LifeId,
        process: ProcessId,
        machine: Box<dyn super::Machine>,
        watch: Watch,
    ) -> usize {
        self.seats.push(Seat {
            life,
            process,
            machine,
            watch,
            record: None,
            wake: None,
            is_done: false,
            is_ending: false,
            tickets: BTreeSet::new(),
        });
        self.seats.len() - 1
    }
}

fn described(write: &JournalWrite) -> String {
    match write {
        JournalWrite::Put(record) => format!("a record in {} mode", record.mode()),
        JournalWrite::Remove(_) => "that the record goes".to_owned(),
        JournalWrite::SetAside(_, aside) => format!("that the record is {aside:?}"),
    }
}

/// The first words of an event.
fn brief(event: &Event) -> String {
    let text = format!("{event:?}");
    text.chars().take(160).collect()
}
