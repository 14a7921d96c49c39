//! Tests of the threads, with a store that only logs what was done.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar};
use std::thread;
use std::time::Duration;

use cycles_proto::models::{Action, Amount, CommitRequest, Subject};
use cycles_proto::outcome::Aside;
use cycles_proto::record::{JournalRecord, Purpose};
use cycles_proto::time::UnixMillis;

use super::*;

/// Logs changes and syncs. Changes to reservations that start with `held` wait for permission, as do syncs if there is
/// a gate for them.
#[derive(Default)]
struct Notes {
    log: Mutex<Vec<String>>,
    gate: Gate,
    sync_gate: Option<Gate>,
    sync_fails: bool,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// Lets as many pass as were permitted.
#[derive(Default)]
struct Gate {
    permits: Mutex<usize>,
    changed: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut permits = self.permits.lock().unwrap();
        while *permits == 0 {
            permits = self.changed.wait(permits).unwrap();
        }
        *permits -= 1;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    fn permit(&self, count: usize) {
        *self.permits.lock().unwrap() += count;
        self.changed.notify_all();
    }

    fn wait_for(&self, waiting: usize) {
        while self.waiting.load(Ordering::SeqCst) < waiting {
            thread::yield_now();
        }
    }
}

impl Store for Notes {
    fn change(&self, write: &JournalWrite) -> Result<NeedsSync, StoreFailure> {
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let id = reservation_id(write).as_str();
        if id.starts_with("held") {
            self.gate.pass();
        }
        self.log.lock().unwrap().push(match write {
            JournalWrite::Put(_) => format!("put {id}"),
            JournalWrite::PutRun(_) => format!("put the total {id}"),
            JournalWrite::PutMark(_) => format!("put the mark {id}"),
            JournalWrite::RemoveMark(_) => format!("remove the mark {id}"),
            JournalWrite::LeaveMark(_) => format!("leave the mark {id}"),
            JournalWrite::Remove(_) => format!("remove {id}"),
            JournalWrite::SetAside(..) => format!("set aside {id}"),
        });
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        match write {
            JournalWrite::Remove(_) if id.starts_with("broken") => Err(StoreFailure::new("broken")),
            JournalWrite::Remove(_) | JournalWrite::RemoveMark(_) => Ok(NeedsSync::No),
            JournalWrite::Put(_)
            | JournalWrite::PutRun(_)
            | JournalWrite::PutMark(_)
            | JournalWrite::LeaveMark(_)
            | JournalWrite::SetAside(..) => Ok(NeedsSync::Yes),
        }
    }

    fn sync(&self) -> Result<(), StoreFailure> {
        if let Some(gate) = &self.sync_gate {
            gate.pass();
        }
        self.log.lock().unwrap().push("sync".to_owned());
        if self.sync_fails {
            return Err(StoreFailure::new("no sync"));
        }
        Ok(())
    }
}

type Answers = (
    Sender<Result<(), StoreFailure>>,
    Receiver<Result<(), StoreFailure>>,
);

fn record(id: &str) -> JournalRecord {
    let purpose = Purpose {
        subject: Subject::tenant("acme"),
        action: Action::new("k", "n"),
    };
    let commit = CommitRequest::builder().actual(Amount::tokens(1)).build();
    JournalRecord::new(
        "u",
        &id.into(),
        &Arc::new(purpose),
        "key".into(),
        commit,
        UnixMillis(1),
    )
    .unwrap()
}

fn remove(writers: &Writers<Notes>, id: &str, answers: &Answers) {
    submit(writers, JournalWrite::Remove(record(id)), answers);
}

fn set_aside(writers: &Writers<Notes>, id: &str, answers: &Answers) {
    submit(writers, JournalWrite::SetAside(record(id), Aside::Stale), answers);
}

fn submit(writers: &Writers<Notes>, write: JournalWrite, (sender, _): &Answers) {
    let sender = sender.clone();
    writers.push(write, Box::new(move |result| sender.send(result).unwrap()));
    writers.go();
}

fn collect((_, answers): &Answers, count: usize) -> Vec<Result<(), StoreFailure>> {
    answers.iter().take(count).collect()
}

fn log(writers: &Writers<Notes>) -> Vec<String> {
    writers.store().log.lock().unwrap().clone()
}

#[test]
fn changes_of_one_reservation_are_made_in_the_order_in_which_they_came() {
    let writers = Writers::new(Notes::default());
    let answers = mpsc::channel();
    for _ in 0..50 {
        set_aside(&writers, "held", &answers);
        remove(&writers, "held", &answers);
    }
    // The other threads are free and must not take what has to wait.
    for other in 0..50 {
        remove(&writers, &format!("other-{other}"), &answers);
    }
    assert!(collect(&answers, 50).iter().all(Result::is_ok));
    assert!(!log(&writers).iter().any(|line| line.ends_with("held")));
    writers.store().gate.permit(100);
    assert!(collect(&answers, 100).iter().all(Result::is_ok));
    let ours: Vec<_> = log(&writers)
        .into_iter()
        .filter(|line| line.ends_with("held"))
        .collect();
    assert_eq!(ours, ["set aside held", "remove held"].repeat(50));
    assert!(
        writers.0.common().lock().later.is_empty(),
        "nothing is kept of what is done"
    );
}

#[test]
fn no_more_than_eight_threads_write() {
    let writers = Writers::new(Notes::default());
    let answers = mpsc::channel();
    for id in 0..100 {
        remove(&writers, &format!("held-{id}"), &answers);
    }
    writers.store().gate.wait_for(8);
    assert_eq!(writers.0.count().0, 8);
    writers.store().gate.permit(100);
    assert_eq!(collect(&answers, 100).len(), 100);
    assert_eq!(writers.store().most_at_once.load(Ordering::SeqCst), 8);
}

#[test]
fn one_after_the_other_takes_one_thread() {
    let writers = Writers::new(Notes::default());
    let answers = mpsc::channel();
    for id in 0..20 {
        remove(&writers, &format!("r-{id}"), &answers);
        collect(&answers, 1);
        while writers.0.count().1 == 0 {
            thread::yield_now();
        }
    }
    assert_eq!(writers.0.count().0, 1);
}

#[test]
fn one_sync_serves_all_changes_that_were_made_before_it() {
    let notes = Notes {
        sync_gate: Some(Gate::default()),
        ..Notes::default()
    };
    let writers = Writers::new(notes);
    let answers = mpsc::channel();
    let sync_gate = writers.store().sync_gate.as_ref().unwrap();
    set_aside(&writers, "first", &answers);
    sync_gate.wait_for(1);
    for id in 0..30 {
        set_aside(&writers, &format!("r-{id}"), &answers);
    }
    while writers.0.common().lock().unsynced.len() < 30 {
        thread::yield_now();
    }
    assert!(
        answers.1.try_recv().is_err(),
        "nobody is told before what was done lasts"
    );
    sync_gate.permit(1);
    collect(&answers, 1);
    sync_gate.wait_for(1);
    assert!(
        answers.1.try_recv().is_err(),
        "the sync that was under way counts for the first only"
    );
    sync_gate.permit(1);
    assert!(collect(&answers, 30).iter().all(Result::is_ok));
    assert_eq!(log(&writers).iter().filter(|line| *line == "sync").count(), 2);
}

#[test]
fn a_sync_that_fails_is_told_to_all_who_waited_for_it() {
    let notes = Notes {
        sync_fails: true,
        ..Notes::default()
    };
    let writers = Writers::new(notes);
    let answers = mpsc::channel();
    for id in 0..10 {
        set_aside(&writers, &format!("r-{id}"), &answers);
    }
    let failed = Err(StoreFailure::new("no sync"));
    assert_eq!(collect(&answers, 10), vec![failed; 10]);
}

#[test]
fn a_change_that_fails_does_not_keep_back_the_next_of_its_reservation() {
    let writers = Writers::new(Notes::default());
    let answers = mpsc::channel();
    remove(&writers, "broken", &answers);
    set_aside(&writers, "broken", &answers);
    assert_eq!(collect(&answers, 2), [Err(StoreFailure::new("broken")), Ok(())]);
}

#[test]
fn what_was_submitted_is_done_even_if_nobody_is_left_to_see_it() {
    let writers = Writers::new(Notes::default());
    let threads = writers.0.clone();
    let answers = mpsc::channel();
    for id in 0..20 {
        set_aside(&writers, &format!("held-{id}"), &answers);
    }
    drop(writers);
    threads.common().store.gate.permit(20);
    assert!(collect(&answers, 20).iter().all(Result::is_ok));
}

#[test]
fn a_caller_that_panics_when_told_costs_no_thread_and_no_change() {
    let writers = Writers::new(Notes::default());
    let answers = mpsc::channel();
    for id in 0..20 {
        let write = JournalWrite::Remove(record(&format!("r-{id}")));
        let mistake = |_| std::panic::resume_unwind(Box::new("a caller's mistake"));
        writers.push(write, Box::new(mistake));
        writers.go();
        remove(&writers, "after", &answers);
    }
    assert!(collect(&answers, 20).iter().all(Result::is_ok));
}

#[test]
fn threads_that_have_nothing_to_do_end_and_new_ones_start() {
    let writers = Writers::new(Notes::default());
    let answers = mpsc::channel();
    remove(&writers, "first", &answers);
    collect(&answers, 1);
    // The thread is the only other owner.
    while writers.0.is_shared() {
        thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(writers.0.count().0, 0);
    remove(&writers, "second", &answers);
    assert!(collect(&answers, 1)[0].is_ok());
}
