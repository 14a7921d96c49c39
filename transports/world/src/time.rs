//! The passage of time, which jumps to the next event.

use std::time::Duration;

use super::{Violation, World};

impl World {
    /// Lets this much time pass.
    ///
    /// # Errors
    /// The first invariant that was violated.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.now.saturating_add(time);
        while self.jump(until)? {}
        Ok(())
    }

    /// Lets time pass until `is_reached` returns true, at most a day. Returns whether that happened.
    ///
    /// # Errors
    /// The first invariant that was violated.
    pub fn run_until(&mut self, is_reached: impl Fn(&Self) -> bool) -> Result<bool, Violation> {
        self.run_until_or(Duration::from_secs(86_400), is_reached)
    }

    /// Lets time pass until `is_reached` returns true, at most this long. Returns whether that happened.
    ///
    /// # Errors
    /// The first invariant that was violated.
    pub fn run_until_or(
        &mut self,
        longest: Duration,
        is_reached: impl Fn(&Self) -> bool,
    ) -> Result<bool, Violation> {
        let until = self.now.saturating_add(longest);
        while !is_reached(self) {
            if !self.jump(until)? {
                return Ok(is_reached(self));
            }
        }
        Ok(true)
    }

    /// Jumps to the next event, or to `until` if that is earlier. Returns whether an event happened.
    fn jump(&mut self, until: Duration) -> Result<bool, Violation> {
        self.verdict()?;
        let (at, next) = self.next();
        if at > until {
            self.now = self.now.max(until);
            return Ok(false);
        }
        self.now = self.now.max(at);
        self.journal.set_time(self.now);
        match next {
            Next::Nothing => return Ok(false),
            Next::Poll(session) => self.drive(session),
            Next::Event => {
                if let Some((_, event)) = self.schedule.pop_first() {
                    self.handle_event(event);
                }
            }
        }
        self.send_marked_requests();
        self.check_cost_locations();
        self.verdict()?;
        Ok(true)
    }

    pub(super) fn verdict(&self) -> Result<(), Violation> {
        self.violation.clone().map_or(Ok(()), Err)
    }

    fn next(&self) -> (Duration, Next) {
        let mut first = (Duration::MAX, Next::Nothing);
        let mut consider = |at: Duration, next: Next| {
            if at < first.0 {
                first = (at, next);
            }
        };
        if let Some((&(at, _), _)) = self.schedule.first_key_value() {
            consider(at, Next::Event);
        }
        for (index, session) in self.living_sessions() {
            if let Some(wake) = session.wake {
                let asleep_until = self.processes[session.process.0].asleep_until;
                consider(wake.max(asleep_until), Next::Poll(index));
            }
        }
        first
    }
}

/// The next event.
#[derive(Clone, Copy, Debug)]
enum Next {
    Nothing,
    Event,
    Poll(usize),
}
