//! The actions of callers, and the results that they take.

use super::runs::Run;
use super::*;

impl Driver {
    pub(super) fn act(&mut self) {
        self.asked = 0;
        let keys: Vec<_> = self
            .books
            .iter()
            .filter(|(_, book)| !book.is_forgotten)
            .map(|(key, _)| *key)
            .collect();
        let Some(key) = keys.get(self.dice.below(keys.len().max(1))).copied() else {
            return self.begin();
        };
        let amount = Amount::tokens(i64::try_from(self.dice.below(12)).unwrap() - 2);
        let book = self.books.get_mut(&key).unwrap();
        match self.dice.below(16) {
            0 | 1 => {
                if self.session.spent(key, &amount).is_ok() {
                    book.spent = book.spent.max(amount.amount);
                } else {
                    book.is_untaken = true;
                }
            }
            2..=5 => {
                let request = CommitRequest::builder().actual(amount.clone()).build();
                match self.session.commit(self.now, key, request) {
                    Ok(()) => {
                        assert_eq!(book.cost, None, "one cost is handed over");
                        book.cost = Some(amount.amount);
                        book.is_decided = true;
                    }
                    Err(_) => book.is_untaken = true,
                }
            }
            6 => {
                self.session.release(self.now, key, ReleaseReason::ACTION_FAILED);
                book.run.as_mut().map(Run::end);
                book.is_decided = true;
            }
            7 => {
                let by = Duration::from_millis(60_000);
                let _ = self.session.extend(self.now, key, by);
            }
            8 => {
                self.session.forget(self.now, key);
                book.run.as_mut().map(Run::end);
                (book.is_forgotten, book.is_decided) = (true, true);
            }
            9 if self.dice.one_in(2) => {
                // Taken only while it is held and no cost was handed over, as a request that leaves is.
                if self.session.spent(key, &Amount::tokens(0)).is_ok() {
                    if self.dice.one_in(3) {
                        self.session.not_charged(key);
                        book.dispatched = book.dispatched.saturating_sub(1);
                    } else {
                        if self.dice.one_in(2) {
                            self.session.dispatched(key);
                        } else {
                            let marking = self.session.dispatched_durably(self.now, key);
                            let is_marked = self.has_journal || book.is_shadow();
                            assert_eq!(marking.is_ok(), is_marked, "{marking:?}");
                        }
                        book.dispatched += 1;
                    }
                }
            }
            9 => self.session.helps(key, false),
            10 if self.calls.len() > 2 => {
                let call = self.calls.swap_remove(0);
                self.session.forget_call(self.now, call.id());
            }
            11 if self.dice.one_in(4) => {
                let how = [Close::WhenDone, Close::Leaving, Close::WritingOnly][self.dice.below(3)];
                if self.dice.one_in(2) {
                    let time = Duration::from_millis([0, 900, 60_000][self.dice.below(3)]);
                    self.session.shut_down(self.now, how, self.now.mono + time);
                    self.is_closed = true;
                    // Once its time is up, the session decides about those whose callers have not.
                    self.books.values_mut().for_each(|book| book.is_decided = true);
                    return;
                }
                let is_stricter = self.session.closed().is_none_or(|before| before < how);
                self.session.close(self.now, how);
                self.is_closed = true;
                if how == Close::Leaving && is_stricter {
                    let runs = self.books.values_mut().filter_map(|book| book.run.as_mut());
                    runs.for_each(Run::end);
                }
                if how != Close::WhenDone {
                    self.books.values_mut().for_each(|book| book.is_decided = true);
                }
            }
            12..=14 if self.dice.one_in(2) => self.act_on_run(key, &amount),
            _ => self.begin(),
        }
    }

    /// Starts another reservation, a call, or a flush.
    pub(super) fn begin(&mut self) {
        self.made += 1;
        let seed = seed_of(self.made, 1);
        let caller = self.callers[self.dice.below(2)].clone();
        match self.dice.below(4) {
            0 | 1 => {
                let request = ReservationCreateRequest::builder()
                    .subject(Subject::default())
                    .action(Action::new("k", "n"))
                    .estimate(Amount::tokens(ESTIMATE))
                    .ttl_ms([1_000, 4_000, 60_000, 86_400_000][self.dice.below(4)])
                    .dry_run(self.dice.one_in(16))
                    .build();
                let is_shadow = self.made.is_multiple_of(4) && !request.dry_run;
                let mode = self.made.is_multiple_of(4).then_some(Mode::Shadow);
                let caller = caller.in_mode(mode);
                let reserved = self.session.reserve(self.now, &caller, request, seed);
                assert_eq!(reserved.is_err(), self.is_closed);
                if let Ok(key) = reserved {
                    let name = match is_shadow {
                        true => format!("shadow-{seed}"),
                        false => format!("r-{}", self.made),
                    };
                    self.ids.insert(name.clone(), key);
                    self.books.insert(key, Book::new(name));
                }
            }
            2 => {
                let operation = Operation::health(caller.config(), seed).unwrap();
                let call = self.session.call(self.now, &caller, operation);
                assert_eq!(call.is_err(), self.is_closed);
                self.calls.extend(call);
            }
            _ if self.dice.one_in(4) => self.send_again_by_hand(&caller),
            _ => {
                let until = self.now.mono + Duration::from_millis([0, 900, 60_000][self.dice.below(3)]);
                let flush = self.session.flush(self.now, &caller, until, self.dice.one_in(4));
                self.flushes.push((flush, until));
            }
        }
    }

    /// A person sends a record again, or discards it, and may go away before that is settled.
    fn send_again_by_hand(&mut self, caller: &Caller) {
        let ours = |((of, _), _): &(&(Principal, RecordId), &JournalRecord)| *of == caller.principal();
        let records: Vec<_> = self
            .journals
            .iter()
            .filter(ours)
            .map(|(_, it)| it.clone())
            .collect();
        let Some(record) = records.get(self.dice.below(records.len().max(1))) else {
            return;
        };
        if self.dice.one_in(4) {
            let mut files = Memory::default();
            files.insert("r.json", record.to_json());
            let listed = journal::entries("http://h", self.now.wall).run(|op| files.execute(1, op));
            let mut entries = listed.unwrap().entries;
            self.session.complete_entries(self.now, caller, &mut entries);
            let discard = EntryChange::Discard { is_forced: false };
            if self
                .session
                .check_entry(self.now, caller, &entries[0], discard)
                .is_ok()
            {
                self.journals.remove(&(caller.principal(), record.id().clone()));
                self.session.note_discarded(caller, &entries[0]);
            }
            return;
        }
        let retry = EntryChange::Retry { is_forced: false };
        let settling = self.session.settle_entry(self.now, caller, record.clone(), retry);
        match settling {
            Ok(key) if self.dice.one_in(2) => self.session.forget(self.now, key),
            Ok(key) => self.by_hand.push(key),
            Err(_) => {}
        }
    }

    /// Takes the results for waiting callers.
    pub(super) fn look(&mut self) {
        while let Some(key) = self.session.pop_changed() {
            if let Key::Reservation(key) = key {
                let _ = self.session.granted(key);
                let _ = self.session.receipt(key);
                let _ = self.session.lease_is_lost(self.now, key);
            }
        }
        let answered =
            |session: &mut Session, call: &CallKey<HealthResponse>| session.answer(*call).is_none();
        let session = &mut self.session;
        self.calls.retain(|call| answered(session, call));
        let now = self.now;
        self.by_hand.retain(|key| {
            let is_open = session.entry_receipt(*key).is_none();
            if !is_open {
                session.forget(now, *key);
            }
            is_open
        });
    }
}
