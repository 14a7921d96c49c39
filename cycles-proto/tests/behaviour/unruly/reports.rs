//! The driver's reports: answers, writes and scans, late, in any order, or about nothing; and the passing of time.

use super::*;

impl Driver {
    /// Answers a call, in any order.
    pub(super) fn answer(&mut self) {
        let Some(ticket) = self.one_that_is_out() else {
            return;
        };
        self.asked = 0;
        let out = self.out.get_mut(&ticket).unwrap();
        if !out.has_begun && !self.dice.one_in(8) {
            out.has_begun = self.session.begun(self.now, ticket);
            assert!(
                !(out.has_begun && out.is_withdrawn),
                "it was withdrawn, and begins"
            );
            if self.dice.one_in(3) {
                return;
            }
        }
        if self.dice.one_in(5) || !out.has_begun && out.is_withdrawn {
            let kind = self.dice.failure_kind();
            return self.fails(ticket, kind);
        }
        let path = out.call.request.uri().path().to_owned();
        let key = out.call.request.headers().get("x-cycles-api-key");
        let key = key.map_or("", |key| key.to_str().unwrap()).to_owned();
        let id = self.id_of(ticket);
        let response = self.dice.response(&path, &id, &key);
        self.answer_with(ticket, &response);
    }

    pub(super) fn answer_with(&mut self, ticket: Ticket, response: &http::Response<bytes::Bytes>) {
        let out = self.takes(ticket);
        if let Some(Key::Reservation(key)) = out.of
            && let Some(book) = self.books.get_mut(&key)
        {
            book.answered(out.call.request.uri().path(), response);
        }
        let answer = out.call.reader.read(Ok(response));
        self.session.handle(self.now, ticket, answer);
    }

    pub(super) fn fails(&mut self, ticket: Ticket, kind: FailureKind) {
        let out = self.takes(ticket);
        let answer = out.call.reader.read(Err(Failure::new(kind)));
        self.session.handle(self.now, ticket, answer);
    }

    /// Removes a call from those under way.
    pub(super) fn takes(&mut self, ticket: Ticket) -> Out {
        self.out.remove(&ticket).unwrap()
    }

    pub(super) fn one_that_is_out(&mut self) -> Option<Ticket> {
        let at = self.dice.below(self.out.len().max(1));
        self.out.keys().nth(at).copied()
    }

    pub(super) fn id_of(&self, ticket: Ticket) -> String {
        match self.out.get(&ticket).and_then(|out| out.of) {
            Some(Key::Reservation(key)) => self.books.get(&key).map(|book| book.name.clone()),
            Some(Key::Call(_) | Key::Flush(_) | Key::Stop(_) | Key::Close) | None => None,
        }
        .unwrap_or_else(|| "r-0".to_owned())
    }

    pub(super) fn store(&mut self) {
        if self.stores.is_empty() {
            return;
        }
        self.asked = 0;
        let at = self.dice.below(self.stores.len());
        // The changes of one reservation are made in order.
        let id = self.stores[at].write.id().reservation.clone();
        let is_its = |store: &Store| store.write.id().reservation == id;
        let at = self.stores.iter().position(is_its).unwrap();
        let fails = self.dice.one_in(6);
        self.stored(at, fails);
    }

    pub(super) fn stored(&mut self, at: usize, fails: bool) {
        let Store {
            ticket,
            principal,
            write,
        } = self.stores.remove(at);
        if let JournalWrite::Put(record) = &write {
            self.answered.insert(record.body().to_owned());
        }
        if fails {
            if matches!(write, JournalWrite::RemoveMark(_) | JournalWrite::LeaveMark(_)) {
                self.marks.remove(&(principal, write.id().reservation.clone()));
            }
            let failure = StoreFailure::new("no space left on device");
            return self.session.handle_stored(self.now, ticket, Err(failure));
        }
        let id = (principal, write.id().clone());
        let of_mark = (principal, write.id().reservation.clone());
        match write {
            JournalWrite::Put(record) => {
                self.marks.remove(&of_mark);
                self.journals.insert(id, record);
            }
            JournalWrite::PutMark(_) => drop(self.marks.insert(of_mark)),
            JournalWrite::RemoveMark(_) | JournalWrite::LeaveMark(_) => drop(self.marks.remove(&of_mark)),
            // It is no record yet.
            JournalWrite::PutRun(_) => {}
            JournalWrite::Remove(_) | JournalWrite::SetAside(..) => {
                self.marks.remove(&of_mark);
                self.journals.remove(&id);
            }
        }
        self.session.handle_stored(self.now, ticket, Ok(()));
    }

    pub(super) fn scan(&mut self) {
        if self.scans.is_empty() {
            return;
        }
        self.asked = 0;
        let (ticket, principal, _) = self.scans.remove(0);
        if self.dice.one_in(5) {
            self.session.handle_scanned(self.now, ticket, None);
            return;
        }
        let ours = self.journals.iter().filter(|((of, _), _)| *of == principal);
        let records = ours.map(|(_, record)| record.clone()).collect();
        let scanned = Scanned::new(records, self.dice.one_in(2));
        self.session.handle_scanned(self.now, ticket, Some(scanned));
    }

    /// Lets time pass: a little, up to the requested time, by far, or backwards.
    pub(super) fn pass(&mut self) {
        self.asked = 0;
        let ms = [1, 40, 900, 1_000, 5_000, 7_000, 50_000, 4_000_000][self.dice.below(8)];
        let step = Duration::from_millis(ms);
        if self.dice.one_in(8) {
            // The session knows the present time, so it can see that time goes backwards.
            self.poll();
            let was = self.now;
            self.now.mono = was.mono.saturating_sub(step);
            // For the session, time stands still.
            self.poll();
            self.now = was;
            return;
        }
        self.later(step);
    }

    pub(super) fn later(&mut self, step: Duration) {
        self.now = Now {
            mono: self.now.mono.saturating_add(step),
            wall: self.now.wall.saturating_add(step),
        };
        self.latest = self.now.mono;
    }

    /// Reports things that nobody asked for, or that were answered before.
    pub(super) fn disturb(&mut self) {
        if self.tickets.is_empty() {
            return;
        }
        let ticket = self.tickets[self.dice.below(self.tickets.len())];
        let is_open = self.out.contains_key(&ticket)
            || self.stores.iter().any(|store| store.ticket == ticket)
            || self.scans.iter().any(|(open, ..)| *open == ticket);
        if is_open {
            return;
        }
        self.asked = 0;
        assert!(!self.session.begun(self.now, ticket), "what is over begins again");
        self.session.handle_stored(self.now, ticket, Ok(()));
        assert!(
            !self
                .session
                .handle_scanned(self.now, ticket, Some(Scanned::default()))
        );
    }
}
