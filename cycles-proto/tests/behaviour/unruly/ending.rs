//! The end: everything is answered, and the session has to come to rest.

use super::*;

impl Driver {
    /// Answers everything and lets time pass until the session ends.
    pub(super) fn end(&mut self) {
        self.session.close(self.now, Close::Leaving);
        self.is_closed = true;
        for _ in 0..20_000 {
            self.asked = 0;
            while let Some(ticket) = self.out.keys().next().copied() {
                let path = self.out[&ticket].call.request.uri().path();
                // A release is repeated for as long as its lease lasts, and some leases last for ever.
                if path.ends_with("/release") {
                    let released = r#"{"status":"RELEASED","released":{"unit":"TOKENS","amount":9}}"#;
                    self.answer_with(ticket, &http::Response::new(released.into()));
                } else if path.ends_with("/extend") {
                    let refused = r#"{"error":"NOT_FOUND","message":"m","request_id":"q"}"#;
                    let refused = http::Response::builder().status(404).body(refused.into());
                    self.answer_with(ticket, &refused.unwrap());
                } else {
                    self.fails(ticket, FailureKind::Connect);
                }
            }
            while !self.stores.is_empty() {
                self.stored(0, false);
            }
            while let Some((ticket, ..)) = self.scans.pop() {
                self.session
                    .handle_scanned(self.now, ticket, Some(Scanned::default()));
            }
            match self.session.poll(self.now) {
                Step::Send(call) => self.sends(call),
                Step::Withdraw(ticket) => {
                    if let Some(out) = self.out.get_mut(&ticket) {
                        out.is_withdrawn = true;
                    }
                }
                Step::Store(ticket, principal, write) => self.stores(ticket, principal, write),
                Step::Notify(_, event) => self.told(&event),
                Step::Scan { .. } => panic!("it is closed, and reads"),
                Step::Unclaim(_) => {}
                // Nothing is sent any more, so it may retry for ever; all records are on disk.
                Step::Wait(_) if self.session.closed() == Some(Close::WritingOnly) => {
                    return assert!(self.session.is_written());
                }
                Step::Wait(Some(at)) => self.later(at - self.now.mono),
                Step::Wait(None) if self.out.is_empty() && self.stores.is_empty() => {
                    return self.check_the_end();
                }
                Step::Wait(None) => {}
            }
        }
        panic!("it comes to no end: {:?}", self.session);
    }

    pub(super) fn check_the_end(&self) {
        assert!(
            self.session.is_idle() && self.session.is_written(),
            "{:?}",
            self.session
        );
        assert!(
            self.marks.is_empty(),
            "marks that nobody removes: {:?}",
            self.marks
        );
        for (key, book) in &self.books {
            assert!(self.session.is_over(*key), "{}", book.name);
            assert_eq!(book.shadowed, u32::from(book.is_shadow()), "{book:?}");
            assert!(
                book.is_forgotten || self.session.outcome(*key).is_some(),
                "{} ended without a word",
                book.name
            );
        }
        for (flush, until) in &self.flushes {
            let is_over = self.session.flushed(*flush).is_some();
            assert!(
                is_over || *until + Flushed::LAST_LOOK > self.now.mono,
                "a flush does not end"
            );
        }
    }
}
