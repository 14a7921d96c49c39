//! All orders of the operations of processes that change and scan one directory at the same time.

use std::io::ErrorKind;

use super::by_hand::NOW;
use super::*;

/// An act of a process.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Change(Box<JournalWrite>),
    Scan,
    /// A person sends the cost of an entry again, or discards it.
    Restore(Box<JournalEntry>, EntryChange),
    Discard(Box<JournalEntry>),
    /// Another SDK settles the cost under the reservation's name, and removes that file without checking it.
    SettleElsewhere,
}

/// The results that a process has received. Together with its acts, they are all that it knows.
pub(super) type Heard = Vec<Result<OpOutcome, ErrorKind>>;

/// A moment: the directory, and the results that each process has received, as indices into the [known](Orders) ones.
pub(super) type Moment = (usize, Vec<usize>);

/// The state of a process: how many acts are over, and what comes next.
pub(super) struct Stand {
    over: usize,
    pub(super) next: Option<FileOp>,
}

/// What a later process finds to settle, and the costs in all files.
pub(super) struct Left {
    found: BTreeSet<RecordId>,
    anywhere: BTreeSet<RecordId>,
}

/// Distinct values, by index.
pub(super) struct Known<T> {
    places: BTreeMap<T, usize>,
    pub(super) values: Vec<T>,
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
pub(super) fn stand(acts: &[Act], heard: &Heard) -> Stand {
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

pub(super) fn go_on<'a, T>(
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

pub(super) fn settle_elsewhere() -> Next<'static, ()> {
    Next::of(|desk| async move {
        let name = OsString::from(home());
        let found = desk.ask(FileOp::Read { name: name.clone() }).await;
        if let Ok(OpOutcome::Found(Found::Bytes(_))) = found {
            let _ = desk.ask(FileOp::Remove { name }).await;
        }
    })
}

/// The cost that another SDK considered settled after these results.
pub(super) fn settled_elsewhere(acts: &[Act], heard: &Heard) -> Option<RecordId> {
    let [Act::SettleElsewhere] = acts else { return None };
    let Some(Ok(OpOutcome::Found(Found::Bytes(bytes)))) = heard.first() else {
        return None;
    };
    Some(JournalRecord::parse(bytes).unwrap().id().clone())
}

/// All orders of the operations of several processes on one directory.
pub(super) struct Orders<'a> {
    before: &'a Memory,
    processes: &'a [Vec<Act>],
    /// Whether a process may end at any moment.
    ends: bool,
    disks: Known<Disk>,
    /// What a later process finds in each of these directories, once checked.
    left: BTreeMap<usize, Left>,
    /// The results that each process may have received.
    pub(super) pasts: Known<(usize, Heard)>,
    /// The state of the process for each of these.
    pub(super) stands: Vec<Stand>,
}

impl<'a> Orders<'a> {
    pub(super) fn new(before: &'a Memory, processes: &'a [Vec<Act>], ends: bool) -> Self {
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
    pub(super) fn explore(&mut self, lost: &mut dyn FnMut(&Self, &Moment, &RecordId)) -> usize {
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
    pub(super) fn after(&mut self, (disk, pasts): &Moment, process: usize) -> Vec<Moment> {
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

    pub(super) fn past(&mut self, process: usize, heard: Heard) -> usize {
        let place = self.pasts.place((process, heard));
        if place == self.stands.len() {
            let heard = &self.pasts.values[place].1;
            self.stands.push(stand(&self.processes[process], heard));
        }
        place
    }

    pub(super) fn lost_at(&mut self, (disk, pasts): &Moment) -> Vec<RecordId> {
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

    pub(super) fn assert_nothing_is_lost(&mut self) -> usize {
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
