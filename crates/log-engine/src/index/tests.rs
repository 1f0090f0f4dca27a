//! The index against a plain list of keys: whatever is added, whenever the process dies, whatever happens to the files.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use proptest::prelude::*;
use proptest::sample::Index as Pick;

use super::dir::{NewFile, ReadAt};
use super::*;
use crate::disk::RealDisk;

mod memory;
mod of_a_log;

use memory::MemoryDir;

type Key = [u8; 32];

const SMALL: Shape = Shape { base_bits: 2, fan_bits: 1 };

fn root_of(size: u64) -> Hash {
    let mut root = [7; 32];
    root[..8].copy_from_slice(&size.to_le_bytes());
    Hash(root)
}

/// Keys of several kinds: as hashes are, all alike in their leading bits, of few tags, of one.
fn key(kind: u8, n: u64) -> Key {
    let mut key = [0; 32];
    let random =
        (n + 1).wrapping_mul(0xd134_2543_de82_ef95).rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let tag = match kind % 4 {
        0 => random,
        1 => random >> 40 | 0xabcd << 48,
        2 => (random % 5) << 60,
        _ => u64::MAX,
    };
    key[..8].copy_from_slice(&tag.to_be_bytes());
    key[24..].copy_from_slice(&n.to_be_bytes());
    key
}

/// A log as far as its index knows it, the index, and its disk.
struct House {
    shape: Shape,
    dir: MemoryDir,
    log: Arc<Mutex<Vec<Key>>>,
    worker: Worker,
    damaged: bool,
}

fn open(dir: &MemoryDir, shape: Shape, log: &Arc<Mutex<Vec<Key>>>) -> Result<Worker, OpenIndexError<()>> {
    let size = log.lock().unwrap().len() as u64;
    let keys = {
        let log = Arc::clone(log);
        Box::new(move |leaves: std::ops::Range<u64>| {
            let leaves = usize::try_from(leaves.start).unwrap()..usize::try_from(leaves.end).unwrap();
            Ok(log.lock().unwrap()[leaves].to_vec())
        })
    };
    let belongs = |size, root: &Hash| Ok(*root == root_of(size));
    let worker = Worker::open(Box::new(dir.clone()), shape, (size, root_of(size)), keys, belongs)?;
    worker.complete().map_err(|stop| match stop {
        Stop::Io(error) => OpenIndexError::Io(error),
        other => panic!("{other:?}"),
    })?;
    add(&worker, log).unwrap();
    Ok(worker)
}

/// Adds what the log has and the index has not.
fn add(worker: &Worker, log: &Arc<Mutex<Vec<Key>>>) -> io::Result<()> {
    let from = worker.index().complete_to();
    let log = log.lock().unwrap();
    let new: Vec<_> = log.iter().copied().zip(0..).skip(usize::try_from(from).unwrap()).collect();
    worker.index().add(&new, log.len() as u64, &root_of(log.len() as u64))
}

impl House {
    fn new(shape: Shape) -> Self {
        let (dir, log) = (MemoryDir::default(), Arc::default());
        let worker = open(&dir, shape, &log).unwrap();
        Self { shape, dir, log, worker, damaged: false }
    }

    fn append(&self, kind: u8, count: u64) {
        let mut log = self.log.lock().unwrap();
        let from = log.len() as u64;
        log.extend((from..from + count).map(|n| key(kind, n)));
    }

    fn add(&self) {
        add(&self.worker, &self.log).unwrap();
    }

    /// As long as there is something to do and the disk lives.
    fn work(&self) {
        while self.worker.step().is_ok_and(|did| did) {}
    }

    /// What was not durable may be lost, and the process begins again.
    fn reopen(&mut self) {
        // The first may die too, of what was to strike the process before.
        if let Ok(worker) = open(&self.dir, self.shape, &self.log) {
            self.worker = worker;
        }
        self.dir.revive();
        self.worker = open(&self.dir, self.shape, &self.log).unwrap();
    }

    fn look_up(&self, key: &Key) -> Vec<u64> {
        self.worker.index().candidates(key).unwrap_or_else(|error| {
            assert!(self.damaged, "{error}");
            self.work();
            self.worker.index().candidates(key).unwrap()
        })
    }

    fn check(&self) {
        let mut wanted: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let log = self.log.lock().unwrap().clone();
        let added = self.worker.index().complete_to();
        for (key, leaf) in log.iter().zip(0..added) {
            wanted.entry(tag(key)).or_default().push(leaf);
        }
        for (tag, leaves) in &wanted {
            let mut key = [0xee; 32];
            key[..6].copy_from_slice(&tag.to_be_bytes()[2..]);
            assert_eq!(&self.look_up(&key), leaves);
        }
        for n in 0..20 {
            let absent = key(0, u64::MAX - 1 - n);
            assert_eq!(self.look_up(&absent), wanted.get(&tag(&absent)).cloned().unwrap_or_default());
        }
    }

    fn levels(&self) -> Vec<(u8, u64)> {
        self.worker.index().read().runs.iter().map(|run| (run.extent.level, run.extent.number)).collect()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append(u8, u8),
    Add,
    Step,
    Work,
    /// The disk takes so many more operations, and the seed says what becomes of the last.
    DieAfter(u8, u64),
    Reopen,
    Flip(Pick, Pick, u8),
    Cut(Pick, Pick),
    Lose(Pick),
    Check,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (any::<u8>(), 0..30_u8).prop_map(|(kind, count)| Op::Append(kind, count)),
        5 => Just(Op::Add),
        3 => Just(Op::Step),
        3 => Just(Op::Work),
        3 => (0..60_u8, any::<u64>()).prop_map(|(left, seed)| Op::DieAfter(left, seed)),
        2 => Just(Op::Reopen),
        1 => (any::<Pick>(), any::<Pick>(), 0..8_u8).prop_map(|(file, byte, bit)| Op::Flip(file, byte, bit)),
        1 => (any::<Pick>(), any::<Pick>()).prop_map(|(file, len)| Op::Cut(file, len)),
        1 => any::<Pick>().prop_map(Op::Lose),
        2 => Just(Op::Check),
    ];
    prop::collection::vec(op, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn answers_as_the_list_does(ops in ops(), base_bits in 0..4_u8, fan_bits in 1..3_u8) {
        let mut house = House::new(Shape { base_bits, fan_bits });
        for op in ops {
            match op {
                Op::Append(kind, count) => house.append(kind, count.into()),
                Op::Add => house.add(),
                Op::Step => drop(house.worker.step()),
                Op::Work => house.work(),
                Op::DieAfter(left, seed) => house.dir.die_after(left.into(), seed),
                Op::Reopen => house.reopen(),
                Op::Flip(file, byte, bit) => house.damaged |= house.dir.damage(&file, |bytes| {
                    if !bytes.is_empty() {
                        let at = byte.index(bytes.len());
                        bytes[at] ^= 1 << bit;
                    }
                }),
                Op::Cut(file, len) => house.damaged |= house.dir.damage(&file, |bytes| {
                    let len = len.index(bytes.len() + 1);
                    bytes.truncate(len);
                }),
                // An open file stays readable when its name is gone.
                Op::Lose(file) => drop(house.dir.lose(&file)),
                Op::Check => {
                    if house.dir.may_die() {
                        house.reopen();
                    }
                    house.check();
                }
            }
        }
        house.reopen();
        house.check();
        house.add();
        house.work();
        house.check();
        house.reopen();
        house.check();
    }
}

#[test]
fn runs_are_merged_through_the_levels_and_their_files_are_all_there_is() {
    let house = House::new(SMALL);
    for _ in 0..4 * 16 - 1 {
        house.append(0, 1);
        house.add();
        house.work();
    }
    // 63 leaves: 32, 16, 8, 4, and three in memory.
    assert_eq!(house.levels(), [(3, 0), (2, 2), (1, 6), (0, 14)]);
    assert_eq!(
        house.dir.names(),
        ["0-0000000014.run", "1-0000000006.run", "2-0000000002.run", "3-0000000000.run"]
    );
    house.check();
    house.append(0, 1);
    house.add();
    house.work();
    assert_eq!(house.levels(), [(4, 0)]);
    assert_eq!(house.dir.names(), ["4-0000000000.run"]);
    house.check();
}

#[test]
fn entries_of_one_tag_are_all_found_in_one_run_and_across_runs_and_in_memory() {
    let house = House::new(SMALL);
    house.append(3, 31);
    house.add();
    house.work();
    assert_eq!(house.levels(), [(2, 0), (1, 2), (0, 6)]);
    assert_eq!(house.look_up(&key(3, 99)), (0..31).collect::<Vec<_>>());
    assert!(house.look_up(&key(0, 99)).is_empty());
}

/// One tag fills many pages; the entries around it are still found.
#[test]
fn skewed_tags_fill_pages_and_hide_nothing() {
    let shape = Shape { base_bits: 12, fan_bits: 1 };
    for kinds in [[3, 3], [0, 3], [1, 1], [2, 0]] {
        let mut house = House::new(shape);
        for kind in kinds {
            house.append(kind, 2048 + 1024);
            house.append(0, 1024);
        }
        house.add();
        house.work();
        assert_eq!(house.levels(), [(1, 0)]);
        house.check();
        house.reopen();
        house.check();
    }
}

/// Whatever byte of a run is hit, at rest or under way: the answer is right, and the file is as before.
#[test]
fn damage_of_any_byte_is_found_and_mended() {
    let shape = Shape { base_bits: 10, fan_bits: 1 };
    let mut house = House::new(shape);
    house.append(0, 1024 + 5);
    house.add();
    house.work();
    house.damaged = true;
    let good = house.dir.read("0-0000000000.run");
    assert!(good.len() > 2 * 4096);
    let keys: Vec<_> = house.log.lock().unwrap().iter().copied().step_by(101).collect();
    let tables = good.len() - good.len() % 4096;
    for at in (0..tables).step_by(37).chain(tables..good.len()) {
        for at_rest in [true, false] {
            house.dir.write("0-0000000000.run", |bytes| bytes[at] ^= 1 << (at % 8));
            if at_rest {
                house.reopen();
            }
            for (key, n) in keys.iter().zip((0..).step_by(101)) {
                assert_eq!(house.look_up(key), [n]);
            }
            if at_rest || at < tables {
                assert!(house.dir.read("0-0000000000.run") == good, "byte {at}");
            }
            house.dir.write("0-0000000000.run", |bytes| bytes.clone_from(&good));
        }
    }
    for len in (0..good.len()).step_by(61) {
        house.dir.write("0-0000000000.run", |bytes| bytes.truncate(len));
        house.reopen();
        assert!(house.dir.read("0-0000000000.run") == good, "{len} bytes");
    }
}

#[test]
fn a_part_made_again_is_merged_with_its_neighbours() {
    let house = House::new(SMALL);
    house.append(0, 12);
    house.add();
    house.work();
    assert_eq!(house.levels(), [(1, 0), (0, 2)]);
    house.dir.write("0-0000000002.run", |bytes| bytes[100] ^= 1);
    house.append(0, 4);
    house.add();
    house.work();
    assert_eq!(house.levels(), [(2, 0)]);
    house.check();
}

#[test]
fn runs_of_another_tree_or_another_place_are_not_believed() {
    let mut house = House::new(SMALL);
    house.append(0, 32);
    house.add();
    house.work();
    let other = house.dir.read("3-0000000000.run");
    // The same run under another number, and of a log that was longer.
    for (name, kept) in [("3-0000000001.run", 64), ("3-0000000000.run", 31), ("2-0000000000.run", 16)] {
        let mut house = House::new(SMALL);
        house.append(1, kept);
        house.dir.put(name, other.clone());
        house.reopen();
        house.check();
    }
    let fork = House::new(SMALL);
    fork.append(1, 32);
    let entries: Vec<_> = fork.log.lock().unwrap().iter().copied().zip(0..).collect();
    fork.worker.index().add(&entries, 32, &Hash([9; 32])).unwrap();
    fork.work();
    house.dir.write("3-0000000000.run", |bytes| bytes.clone_from(&fork.dir.read("3-0000000000.run")));
    house.reopen();
    house.check();
    assert!(house.dir.read("3-0000000000.run") == other);
    // The log of an earlier day.
    house.log.lock().unwrap().truncate(20);
    house.reopen();
    house.check();
}

#[test]
fn an_index_of_another_kind_is_removed_whatever_it_is() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("index");
    fs::create_dir_all(dir.join("keyspaces/0/tables")).unwrap();
    for name in [
        "version",
        "lock",
        "0.jnl",
        "keyspaces/0/tables/7",
        ".0-0000000000.run.tmp",
        "0-7.run",
        "0-+000000000.run",
    ] {
        fs::write(dir.join(name), b"of another program").unwrap();
    }
    let keys: Vec<_> = (0..9).map(|n| key(0, n)).collect();
    let open = || {
        let source = keys.clone();
        let keys = Box::new(move |leaves: std::ops::Range<u64>| {
            Ok(leaves.map(|leaf| source[usize::try_from(leaf).unwrap()]).collect())
        });
        let belongs = |size, root: &Hash| Ok::<_, ()>(*root == root_of(size));
        let worker = Worker::open(
            Box::new(DiskDir { disk: Arc::new(RealDisk), path: dir.clone() }),
            SMALL,
            (9, root_of(9)),
            keys,
            belongs,
        )
        .unwrap();
        worker.complete().unwrap();
        worker
    };
    let found = |worker: &Worker| -> Vec<_> {
        keys.iter().map(|key| worker.index().candidates(key).unwrap()).collect()
    };
    let wanted: Vec<Vec<u64>> = (0..9).map(|n| if n < 8 { vec![n] } else { vec![] }).collect();
    let worker = open();
    assert_eq!(worker.index().complete_to(), 8);
    assert_eq!(found(&worker), wanted);
    let names = || fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(), ["1-0000000000.run"]);
    drop(worker);
    // On the disk too, a run is read again, and one that was cut is made again.
    assert_eq!(found(&open()), wanted);
    let run = dir.join("1-0000000000.run");
    let whole = fs::read(&run).unwrap();
    fs::write(&run, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(found(&open()), wanted);
    assert_eq!(fs::read(&run).unwrap(), whole);
}

/// No descriptors left, or the disk is full: nothing is thrown away for that.
#[test]
fn what_passes_by_itself_costs_nothing() {
    let mut house = House::new(SMALL);
    house.append(0, 23);
    house.add();
    house.work();
    let names = house.dir.names();
    house.dir.refuse(Some(rustix::io::Errno::MFILE.raw_os_error()));
    assert!(
        matches!(open(&house.dir, SMALL, &house.log), Err(OpenIndexError::Io(error)) if crate::files::passes(&error))
    );
    house.dir.refuse(None);
    assert_eq!(house.dir.names(), names);
    house.reopen();
    house.dir.refuse(Some(rustix::io::Errno::NOSPC.raw_os_error()));
    house.append(0, 4);
    house.add();
    assert!(matches!(house.worker.step(), Err(Stop::Io(error)) if crate::files::passes(&error)));
    house.check();
    house.dir.refuse(None);
    house.work();
    assert_eq!(house.levels(), [(2, 0), (1, 2)]);
    house.check();
}

#[test]
fn a_disk_that_stays_full_holds_the_log_back_and_a_broken_one_stops_it() {
    let house = House::new(SMALL);
    let (dir, log, index) = (house.dir.clone(), Arc::clone(&house.log), Arc::clone(house.worker.index()));
    let add = |count: u64| {
        let mut log = log.lock().unwrap();
        let from = log.len() as u64;
        let new: Vec<_> = (from..from + count).map(|n| (key(0, n), n)).collect();
        index.add(&new, from + count, &root_of(from + count))?;
        log.extend(new.iter().map(|(key, _)| key));
        io::Result::Ok(())
    };
    dir.refuse(Some(rustix::io::Errno::NOSPC.raw_os_error()));
    let worker = std::thread::spawn(|| house.worker.run());
    let refused = loop {
        if let Err(error) = add(1) {
            break error;
        }
        assert!(log.lock().unwrap().len() < 1_000_000, "never refused");
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::NOSPC.raw_os_error()));
    assert!(log.lock().unwrap().len() > MAX_WAITING_PARTS * 4);
    dir.refuse(None);
    while add(1).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    dir.refuse(Some(rustix::io::Errno::IO.raw_os_error()));
    while add(1).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    worker.join().unwrap();
    assert_eq!(add(1).unwrap_err().raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
}

#[test]
fn leaves_come_in_order_and_may_come_again() {
    let house = House::new(SMALL);
    let index = house.worker.index();
    let root = root_of(3);
    index.add(&[(key(0, 0), 0), (key(0, 1), 1)], 2, &root).unwrap();
    index.add(&[(key(0, 1), 1), (key(0, 2), 2)], 3, &root).unwrap();
    assert_eq!(index.candidates(&key(0, 1)).unwrap(), [1]);
    assert!(index.add(&[(key(0, 4), 4)], 5, &root).is_err());
    assert!(index.add(&[], 4, &root).is_err());
    assert_eq!(index.complete_to(), 3);
}
