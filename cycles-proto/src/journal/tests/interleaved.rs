//! Processes that change and scan one directory at the same time, in every order of their operations; any of them may
//! end at any moment. No cost is lost.

use std::io::ErrorKind;

use super::by_hand::{NOW, RETRY};
use super::crashes::{disk, file_systems, states};
use super::*;

/// An act of a process.
#[derive(Clone, Debug)]
enum Act {
    Change(Box<JournalWrite>),
    Scan,
    /// A person sends the cost of an entry again, or discards it.
    Restore(Box<JournalEntry>, EntryChange),
    Discard(Box<JournalEntry>),
    /// Another SDK settles the cost under the reservation's name, and removes that file without checking it.
    SettleElsewhere,
}

/// The results that a process has received. Together with its acts, they are all that it knows.
type Heard = Vec<Result<OpOutcome, ErrorKind>>;

/// A moment: the directory, and the results that each process has received, as indices into the [known](Orders) ones.
type Moment = (usize, Vec<usize>);

/// The state of a process: how many acts are over, and what comes next.
struct Stand {
    over: usize,
    next: Option<FileOp>,
}

/// What a later process finds to settle, and the costs in all files.
struct Left {
    found: BTreeSet<RecordId>,
    anywhere: BTreeSet<RecordId>,
}

/// Distinct values, by index.
struct Known<T> {
    places: BTreeMap<T, usize>,
    values: Vec<T>,
}

impl<T: Clone + Ord> Known<T> {
    const fn new() -> Self {
        Self {
            places: BTreeMap::new(),
            values: Vec::new(),
        }
    }

    fn place(&mut self, value: T) -> usize {
        let next = self.values.len();
        let place = *self.places.entry(value.clone()).or_insert(next);
        if place == next {
            self.values.push(value);
        }
        place
    }
}

/// Replays a process up to the point where it had received these results.
fn stand(acts: &[Act], heard: &Heard) -> Stand {
    let (mut seen, mut heard) = (Seen::default(), heard.iter());
    for (over, act) in acts.iter().enumerate() {
        let next = match act {
            Act::Change(write) => go_on(change(write, URL, &seen), &mut heard).map(|changed| {
                // A failure here means that the other SDK has deleted it.
                changed.iter().for_each(|changed| seen.note(changed));
            }),
            Act::Scan => go_on(scan(URL), &mut heard).map(|scan| seen.note_scan(&scan.unwrap())),
            Act::Restore(entry, how) => go_on(restore(URL, entry, *how, NOW), &mut heard).map(|restored| {
                restored.iter().for_each(|restored| seen.note(&restored.changed));
            }),
            Act::Discard(entry) => go_on(discard(URL, entry, false), &mut heard).map(|_| ()),
            Act::SettleElsewhere => go_on(settle_elsewhere(), &mut heard),
        };
        if let Err(op) = next {
            return Stand { over, next: Some(op) };
        }
    }
    Stand {
        over: acts.len(),
        next: None,
    }
}

fn go_on<'a, T>(
    mut next: Next<'_, T>,
    heard: &mut impl Iterator<Item = &'a Result<OpOutcome, ErrorKind>>,
) -> Result<T, FileOp> {
    loop {
        match next {
            Next::Done(result) => return Ok(result),
            Next::Do(op, paused) => match heard.next() {
                Some(answer) => next = paused.resume(answer.clone().map_err(Into::into)),
                None => return Err(op),
            },
        }
    }
}

fn settle_elsewhere() -> Next<'static, ()> {
    Next::of(|desk| async move {
        let name = OsString::from(home());
        let found = desk.ask(FileOp::Read { name: name.clone() }).await;
        if let Ok(OpOutcome::Found(Found::Bytes(_))) = found {
            let _ = desk.ask(FileOp::Remove { name }).await;
        }
    })
}

/// The cost that another SDK considered settled after these results.
fn settled_elsewhere(acts: &[Act], heard: &Heard) -> Option<RecordId> {
    let [Act::SettleElsewhere] = acts else { return None };
    let Some(Ok(OpOutcome::Found(Found::Bytes(bytes)))) = heard.first() else {
        return None;
    };
    Some(JournalRecord::parse(bytes).unwrap().id().clone())
}

/// All orders of the operations of several processes on one directory.
struct Orders<'a> {
    before: &'a Memory,
    processes: &'a [Vec<Act>],
    /// Whether a process may end at any moment.
    ends: bool,
    disks: Known<Disk>,
    /// What a later process finds in each of these directories, once checked.
    left: BTreeMap<usize, Left>,
    /// The results that each process may have received.
    pasts: Known<(usize, Heard)>,
    /// The state of the process for each of these.
    stands: Vec<Stand>,
}

impl<'a> Orders<'a> {
    fn new(before: &'a Memory, processes: &'a [Vec<Act>], ends: bool) -> Self {
        Self {
            before,
            processes,
            ends,
            disks: Known::new(),
            left: BTreeMap::new(),
            pasts: Known::new(),
            stands: Vec::new(),
        }
    }

    /// Explores all orders, and checks the directory at every moment: if all processes ended there, every cost that
    /// existed or was reported as stored must be found. Reports those that are not. Returns the number of moments.
    fn explore(&mut self, lost: &mut dyn FnMut(&Self, &Moment, &RecordId)) -> usize {
        let disk = self.disks.place(Disk {
            files: self.before.clone(),
            ended: [7].into(),
        });
        let pasts = (0..self.processes.len()).map(|process| self.past(process, Heard::new()));
        let first: Moment = (disk, pasts.collect());
        let mut known = BTreeSet::from([first.clone()]);
        let mut open = vec![first];
        while let Some(moment) = open.pop() {
            for id in self.lost_at(&moment) {
                lost(self, &moment, &id);
            }
            for process in 0..self.processes.len() {
                for next in self.after(&moment, process) {
                    if known.insert(next.clone()) {
                        open.push(next);
                    }
                }
            }
        }
        known.len()
    }

    /// The moments that can follow if this process is next.
    fn after(&mut self, (disk, pasts): &Moment, process: usize) -> Vec<Moment> {
        let number = process as u32;
        let disk_now = &self.disks.values[*disk];
        let Some(op) = &self.stands[pasts[process]].next else {
            return Vec::new();
        };
        if disk_now.ended.contains(&number) {
            return Vec::new();
        }
        let mut executed = disk_now.clone();
        let answer = executed.execute(number, op.clone());
        let mut ended = (self.ends && disk_now.ended.len() == 1).then(|| disk_now.clone());
        let mut heard = self.pasts.values[pasts[process]].1.clone();
        heard.push(answer.map_err(|error| error.kind()));
        let mut after = pasts.clone();
        after[process] = self.past(process, heard);
        let mut moments = vec![(self.disks.place(executed), after)];
        if let Some(mut ended) = ended.take() {
            ended.ended.insert(number);
            moments.push((self.disks.place(ended), pasts.clone()));
        }
        moments
    }

    fn past(&mut self, process: usize, heard: Heard) -> usize {
        let place = self.pasts.place((process, heard));
        if place == self.stands.len() {
            let heard = &self.pasts.values[place].1;
            self.stands.push(stand(&self.processes[process], heard));
        }
        place
    }

    fn lost_at(&mut self, (disk, pasts): &Moment) -> Vec<RecordId> {
        let mut kept: BTreeSet<RecordId> = costs(self.before).into_keys().map(|(_, id)| id).collect();
        let mut gone = BTreeSet::new();
        let mut aside = BTreeSet::new();
        for (acts, past) in self.processes.iter().zip(pasts) {
            gone.extend(settled_elsewhere(acts, &self.pasts.values[*past].1));
            let over = self.stands[*past].over;
            for (place, act) in acts.iter().enumerate() {
                if let Act::Restore(entry, _) | Act::Discard(entry) = act {
                    aside.extend(entry.id().cloned());
                }
                let Act::Change(write) = act else { continue };
                match &**write {
                    JournalWrite::Put(record) if place < over => kept.insert(record.id().clone()),
                    JournalWrite::Remove(record) if place <= over => gone.insert(record.id().clone()),
                    JournalWrite::SetAside(record, _) => aside.insert(record.id().clone()),
                    JournalWrite::Put(_)
                    | JournalWrite::PutRun(_)
                    | JournalWrite::PutMark(_)
                    | JournalWrite::RemoveMark(_)
                    | JournalWrite::LeaveMark(_)
                    | JournalWrite::Remove(_) => false,
                };
            }
        }
        let left = self.left.entry(*disk).or_insert_with(|| {
            let mut disk = self.disks.values[*disk].clone();
            Left {
                found: assert_settles(&mut disk, &self.processes),
                anywhere: costs(&disk.files).into_keys().map(|(_, id)| id).collect(),
            }
        });
        let is_there =
            |id: &RecordId| left.found.contains(id) || aside.contains(id) && left.anywhere.contains(id);
        kept.difference(&gone)
            .filter(|id| !is_there(id))
            .cloned()
            .collect()
    }

    fn assert_nothing_is_lost(&mut self) -> usize {
        self.explore(&mut |orders, (disk, pasts), id| {
            let heard: Vec<_> = pasts.iter().map(|past| &orders.pasts.values[*past]).collect();
            let (disk, before) = (&orders.disks.values[*disk], orders.before);
            panic!(
                "{id} is lost: {:?} over {before:?}: {disk:?} after {heard:?}",
                orders.processes
            )
        })
    }
}

fn put(key: &str) -> Act {
    Act::Change(Box::new(JournalWrite::Put(record(key))))
}

fn switch(key: &str) -> Act {
    Act::Change(Box::new(JournalWrite::Put(event(key))))
}

fn remove(key: &str) -> Act {
    Act::Change(Box::new(JournalWrite::Remove(record(key))))
}

fn set_aside(key: &str, reason: Aside) -> Act {
    Act::Change(Box::new(JournalWrite::SetAside(record(key), reason)))
}

fn directory(files: &[(String, JournalRecord)]) -> Memory {
    let mut directory = Memory::default();
    for (name, record) in files {
        directory.insert(name, record.to_json());
    }
    directory
}

/// The directories in which two processes meet.
fn directories() -> Vec<Memory> {
    let mut torn = Memory::default();
    torn.insert(home(), "torn, and perhaps another cost");
    let directories = [
        vec![],
        vec![(home(), record("K1"))],
        vec![(home(), record("K2")), (waiting("K1"), record("K1"))],
        vec![
            (home(), record("K3")),
            (waiting("K1"), record("K1")),
            (waiting("K2"), record("K2")),
        ],
        vec![(legacy(), record("K1")), (home(), record("K2"))],
        vec![
            (format!("{}.7.0000000a.taken", home()), record("K1")),
            (home(), record("K2")),
        ],
    ];
    let directories = directories.iter().map(|files| directory(files));
    directories.chain([torn]).collect()
}

fn lose_nothing(processes: &[Vec<Act>], ends: bool) -> usize {
    let directories = directories();
    let moments = directories
        .iter()
        .map(|before| Orders::new(before, processes, ends).assert_nothing_is_lost());
    moments.sum()
}

/// The sequences of acts of one process with its cost.
fn ways(key: &str) -> [Vec<Act>; 4] {
    [
        vec![switch(key)],
        vec![remove(key)],
        vec![set_aside(key, Aside::Rejected)],
        vec![Act::Scan],
    ]
}

#[test]
fn two_processes_at_once_lose_no_cost_in_any_order_of_their_operations() {
    let mut moments = 0;
    for first in ways("K1") {
        for second in ways("K2") {
            moments += lose_nothing(&[first.clone(), second], false);
        }
    }
    println!("{moments} moments");
}

#[test]
fn two_processes_with_one_cost_lose_no_other_in_any_order_of_their_operations() {
    let mut moments = 0;
    let ways = ways("K1");
    for (place, first) in ways.iter().enumerate() {
        for second in &ways[place..] {
            moments += lose_nothing(&[first.clone(), second.clone()], false);
        }
    }
    println!("{moments} moments");
}

/// The second process settles the cost that the first is working on, and gives its name to the next one.
#[test]
fn a_name_that_another_cost_has_meanwhile_is_taken_from_it_in_no_order_of_the_operations() {
    let only = directory(&[(home(), record("K1"))]);
    let both = directory(&[(home(), record("K1")), (waiting("K2"), record("K2"))]);
    let mut moments = 0;
    for first in ways("K1") {
        for (before, second) in [
            (&only, vec![remove("K1"), put("K2")]),
            (&both, vec![Act::Scan, remove("K1")]),
        ] {
            let processes = [first.clone(), second];
            moments += Orders::new(before, &processes, true).assert_nothing_is_lost();
        }
    }
    println!("{moments} moments");
}

#[test]
fn two_processes_of_which_one_may_end_at_any_moment_lose_no_cost_in_any_order_of_their_operations() {
    let mut moments = 0;
    for first in ways("K1") {
        moments += lose_nothing(&[first, vec![Act::Scan]], true);
    }
    println!("{moments} moments");
}

/// A person sends a cost again or discards it, while the same cost or another one is settled, set aside or found.
#[test]
fn what_is_done_by_hand_beside_other_processes_loses_no_cost_in_any_order_of_the_operations() {
    let [rejected, _] = aside(Aside::Rejected, "K1");
    let directories = [
        directory(&[(rejected.clone(), record("K1"))]),
        directory(&[(rejected.clone(), record("K1")), (home(), record("K2"))]),
        directory(&[(rejected, record("K1")), (home(), record("K1"))]),
        directory(&[(home(), record("K1")), (waiting("K2"), record("K2"))]),
        directory(&[(home(), record("K2")), (waiting("K1"), record("K1"))]),
    ];
    let mut moments = 0;
    for before in &directories {
        let listed = entries(URL, UnixMillis(0)).run(|op| before.clone().execute(1, op));
        let is_it = |entry: &JournalEntry| entry.id() == Some(record("K1").id());
        for entry in listed.unwrap().entries.into_iter().filter(is_it).map(Box::new) {
            let by_hand = || [Act::Restore(entry.clone(), RETRY), Act::Discard(entry.clone())];
            let others = [
                switch("K1"),
                remove("K1"),
                set_aside("K1", Aside::Rejected),
                remove("K2"),
                Act::Scan,
            ];
            for ours in by_hand() {
                for other in by_hand().into_iter().chain(others.clone()) {
                    let processes = [vec![ours.clone()], vec![other]];
                    moments += Orders::new(before, &processes, true).assert_nothing_is_lost();
                }
            }
        }
    }
    assert!(moments > 1_000, "{moments}");
}

/// A person charges or discards a mark, while another does the same, its owner leaves it, or somebody looks.
#[test]
fn a_mark_that_several_persons_decide_about_becomes_one_cost_or_is_kept() {
    let mark = record("K1").into_mark();
    let charge = EntryChange::ChargeEstimate { is_forced: false };
    let directories = [
        directory(&[(mark_file_name(mark.id(), "7"), mark.clone())]),
        directory(&[
            (mark_file_name(mark.id(), "7"), mark.clone()),
            (home(), record("K2")),
        ]),
    ];
    let mut moments = 0;
    for before in &directories {
        let listed = entries(URL, NOW).run(|op| before.clone().execute(1, op)).unwrap();
        let is_it = |entry: &JournalEntry| entry.kind == EntryKind::Dispatched;
        let entry = Box::new(listed.entries.into_iter().find(is_it).unwrap());
        let by_hand = [Act::Restore(entry.clone(), charge), Act::Discard(entry)];
        for ours in &by_hand {
            for other in by_hand
                .iter()
                .chain(&[remove("K2"), set_aside("K2", Aside::Rejected), Act::Scan])
            {
                let processes = [vec![ours.clone()], vec![other.clone()]];
                moments += Orders::new(before, &processes, true).assert_nothing_is_lost();
            }
        }
    }
    assert!(moments > 500, "{moments}");
}

/// The other SDK removes what it settled by the name alone.
#[test]
fn an_sdk_that_removes_without_a_look_at_the_key_takes_no_cost_of_ours_while_its_own_has_the_name() {
    let before = directory(&[(home(), record("K2"))]);
    let elsewhere = vec![Act::SettleElsewhere];
    let mut moments = 0;
    for ours in [
        vec![put("K1"), switch("K1")],
        vec![put("K1"), set_aside("K1", Aside::Rejected)],
        vec![put("K1"), Act::Scan],
    ] {
        let processes = [ours, elsewhere.clone()];
        moments += Orders::new(&before, &processes, true).assert_nothing_is_lost();
    }
    println!("{moments} moments");
}

/// The remaining gap: both settle the same cost, ours ends first, so that the next cost gets the name, and then the
/// other SDK removes the file of that name. Costs under other names are not affected.
#[test]
fn only_a_cost_that_was_brought_forward_under_its_hands_can_be_taken_by_such_an_sdk() {
    let before = directory(&[(home(), record("K2")), (waiting("K1"), record("K1"))]);
    let processes = [vec![Act::Scan, remove("K2")], vec![Act::SettleElsewhere]];
    let mut moments = 0;
    Orders::new(&before, &processes, false).explore(&mut |orders, (_, pasts), id| {
        moments += 1;
        assert_eq!(id, record("K1").id());
        let elsewhere = &orders.pasts.values[pasts[1]].1;
        assert_eq!(elsewhere.len(), 2, "it has removed the file");
        assert!(
            orders.stands[pasts[0]].next.is_none(),
            "ours had ended the other's cost"
        );
    });
    assert!(moments > 0);
}

/// So many operations of one, then all of the other, then the rest.
#[test]
fn of_two_that_look_through_a_directory_at_once_both_find_every_record() {
    let ids = |scan: Scan| -> BTreeSet<RecordId> {
        let records = scan.records.iter();
        records.map(|record| record.id().clone()).collect()
    };
    let of_the_gone = |state: &[(String, Bytes)]| {
        let mut state = state.to_vec();
        for (name, bytes) in &mut state {
            // What lies under any name may lie in what a writer left that is gone.
            if JournalRecord::parse(bytes).is_ok() && !name.ends_with(".tmp") {
                *name = format!("{name}.7.1.tmp");
            }
        }
        state
    };
    for lacks in file_systems() {
        for state in states()
            .into_iter()
            .flat_map(|state| [of_the_gone(&state), state])
        {
            let expected = ids(disk(lacks, &state).scan_later());
            for before in 0.. {
                let mut disk = disk(lacks, &state);
                let (mut next, mut is_over) = (scan(URL), false);
                for _ in 0..before {
                    match next {
                        Next::Do(op, paused) => next = paused.resume(disk.execute(1, op)),
                        Next::Done(_) => {
                            is_over = true;
                            break;
                        }
                    }
                }
                if is_over {
                    break;
                }
                // What one has in its hands the other leaves to it.
                let in_hand: BTreeSet<_> = disk
                    .files
                    .iter()
                    .filter(|(name, _)| name.to_string_lossy().contains(".1."))
                    .filter_map(|(_, bytes)| Some(JournalRecord::parse(bytes).ok()?.id().clone()))
                    .collect();
                let other = ids(scan(URL).run(|op| disk.execute(2, op)).unwrap());
                let one = ids(next.run(|op| disk.execute(1, op)).unwrap());
                let context = format!("after {before} operations, of {state:?}");
                assert_eq!(one, expected, "{context}");
                assert_eq!(&other | &(&in_hand & &expected), expected, "{context}");
            }
        }
    }
}
