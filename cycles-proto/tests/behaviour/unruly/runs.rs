//! The acts of a run's callers, and what is known about a run from outside.

use cycles_proto::outcome::NotMarked;
use cycles_proto::run::{RunOptions, Step as Ask};
use cycles_proto::session::{EndedStep, KeepKey, MarkedStep, StepKey};

use super::*;

#[derive(Debug, Default)]
pub(super) struct Run {
    open: Vec<Open>,
    ended: Vec<EndedStep>,
    keeps: Vec<KeepKey>,
    /// The steps whose requests leave once that is on disk.
    marked: Vec<MarkedStep>,
    /// What the steps cost that have ended.
    pub(super) total: i64,
    is_finishing: bool,
    /// Whether its end has begun.
    is_over: bool,
}

/// An open step.
#[derive(Clone, Copy, Debug)]
struct Open {
    key: StepKey,
    estimate: i64,
    spent: i64,
    /// How many of its requests left and were not taken back.
    dispatched: u32,
}

impl Open {
    /// What the step costs if it ends without a cost.
    fn cost(&self) -> i64 {
        match (self.spent, self.dispatched) {
            (0, 1..) => self.estimate,
            (spent, _) => spent,
        }
    }
}

impl Run {
    /// Notes that its caller ended it at once.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// What the run costs if it ends now.
    pub(super) fn cost(&self) -> i64 {
        self.total + self.open.iter().map(Open::cost).sum::<i64>()
    }
}

impl Driver {
    /// Makes the reservation a run, or does something with its steps.
    pub(super) fn act_on_run(&mut self, key: ReservationKey, amount: &Amount) {
        let (session, now) = (&mut self.session, self.now);
        let book = self.books.get_mut(&key).unwrap();
        let Some(run) = &mut book.run else {
            let most = Duration::from_millis([0, 3_000, 100_000][self.dice.below(3)]);
            if session.begin_run(now, key, RunOptions::new(most)).is_ok() {
                book.run = Some(Run::default());
            }
            return;
        };
        let at = self.dice.below(run.open.len().max(1));
        match self.dice.below(8) {
            0..=2 => {
                let keep = run.keeps.last().copied().filter(|_| self.dice.one_in(2));
                if let Ok(step) = session.draw(now, key, &Ask::new(amount.clone()), keep) {
                    assert!(!run.is_finishing && !run.is_over, "a step of a run that is over");
                    run.open.push(Open {
                        key: step,
                        estimate: amount.amount,
                        spent: 0,
                        dispatched: 0,
                    });
                }
            }
            3 if at < run.open.len() => {
                let open = &mut run.open[at];
                match self.dice.below(4) {
                    0 if !run.is_over => {
                        if self.dice.one_in(2) {
                            session.step_dispatched(open.key);
                            open.dispatched += 1;
                        } else {
                            let marking = session.step_dispatched_durably(now, open.key);
                            let is_held = !matches!(marking, Err(NotMarked::NotHeld));
                            open.dispatched += u32::from(is_held);
                            run.marked.extend(marking.ok());
                        }
                    }
                    1 if !run.is_over => {
                        session.step_not_charged(open.key);
                        open.dispatched = open.dispatched.saturating_sub(1);
                    }
                    _ if session.step_spent(open.key, amount).is_ok() => {
                        open.spent = open.spent.max(amount.amount);
                    }
                    _ => {}
                }
            }
            4 if at < run.open.len() && !run.is_over => {
                let open = run.open.swap_remove(at);
                run.ended.push(session.abandon_step(now, open.key));
                run.total += open.cost();
            }
            5 | 6 if at < run.open.len() && !run.is_over => {
                let open = run.open.swap_remove(at);
                match session.end_step(now, open.key, amount) {
                    Ok(ended) => {
                        run.ended.push(ended);
                        run.total += amount.amount;
                    }
                    Err(_) => {
                        run.total += open.cost();
                        book.is_untaken = true;
                    }
                }
            }
            5 | 6 if at < run.open.len() => {
                let step = run.open[at].key;
                assert!(session.end_step(now, step, amount).is_err(), "its run is over");
            }
            7 if self.dice.one_in(2) => run.keeps.extend(session.keep(now, key, amount).ok()),
            7 if !run.keeps.is_empty() => session.give_back(run.keeps.swap_remove(0)),
            _ => {
                session.finish_run(now, key);
                run.is_finishing = true;
            }
        }
        run.is_over |= run.is_finishing && run.open.is_empty();
        book.is_decided |= run.is_over;
        run.ended.retain(|ended| !session.is_step_stored(*ended));
        run.marked.retain(|step| session.step_marked(*step).is_none());
    }
}
