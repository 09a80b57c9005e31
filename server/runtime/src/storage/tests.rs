//! Storage compared with a model, at its limits, and with damaged databases.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use proptest::{prelude::*, test_runner::TestCaseResult};
use tempfile::TempDir;

use super::{
    db::{MAX_PENDING, Shared},
    *,
};
use crate::error::StartupError;

/// How long a disk may take to close a database.
const PATIENCE: Duration = Duration::from_secs(20);

/// A database in a folder that is removed afterwards.
struct TestDb {
    db: Db,
    _parent: TempDir,
    folder: PathBuf,
}

impl Deref for TestDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl TestDb {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        Self { db: Db::open(&folder).unwrap(), _parent: parent, folder }
    }

    fn room(&self, id: &str) -> Storage {
        Storage::of_room(self.db.clone(), "page", id)
    }

    async fn reopen(&mut self) {
        self.db.close(PATIENCE).await;
        self.db = Db::open(&self.folder).unwrap();
    }

    /// Simulates a thread that is writing the pending values and does not finish.
    fn begin_write(&self) {
        let mut pending = self.0.pending();
        let next = std::mem::take(&mut pending.next);
        Arc::make_mut(&mut pending.writing).extend(next);
    }

    /// The path of the database.
    fn place(&self) -> PathBuf {
        self.folder.join("db")
    }

    /// The path to which a damaged one is moved.
    fn bad(&self, number: u32) -> PathBuf {
        self.folder.join(format!("db.bad-{number}"))
    }
}

/// Checks again and again until it holds.
async fn wait_until(what: &str, so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_read_sees_the_write_before_it() {
    let mut db = TestDb::new();
    db.room("a").put("key", &1).unwrap();
    assert_eq!(db.room("a").get::<i32>("key").await.unwrap(), Some(1));
    db.reopen().await;
    assert_eq!(db.room("a").get::<i32>("key").await.unwrap(), Some(1));
    db.room("a").delete("key").unwrap();
    assert_eq!(db.room("a").get::<i32>("key").await.unwrap(), None);
    db.reopen().await;
    assert_eq!(db.room("a").get::<i32>("key").await.unwrap(), None);
}

#[tokio::test]
async fn writes_reach_the_disk_without_a_close() {
    let db = TestDb::new();
    db.room("a").put("key", &1).unwrap();
    wait_until("nothing is pending", || {
        let pending = db.0.pending();
        pending.next.is_empty() && pending.writing.is_empty()
    })
    .await;
    assert_eq!(db.room("a").get::<i32>("key").await.unwrap(), Some(1));
}

#[tokio::test]
async fn rooms_see_their_own_values_only() {
    let db = TestDb::new();
    db.room("a").put("key", &"a").unwrap();
    db.room("ab").put("key", &"ab").unwrap();
    Storage::of_room(db.db.clone(), "pages", "a").put("key", &"other party").unwrap();
    assert_eq!(db.room("a").list::<String>(ListOptions::default()).await.unwrap(), [("key".into(), "a".into())]);
}

#[tokio::test]
async fn too_long_keys_and_values_are_refused() {
    let db = TestDb::new();
    let storage = db.room("a");
    let longest_key = "k".repeat(Storage::MAX_KEY_BYTES);
    // Two of the bytes are the quotes.
    let longest_value = "v".repeat(Storage::MAX_VALUE_BYTES - 2);
    storage.put(&longest_key, &longest_value).unwrap();
    assert!(matches!(storage.put("", &1), Err(StorageError::Key(0))));
    assert!(matches!(storage.put(&format!("{longest_key}k"), &1), Err(StorageError::Key(2049))));
    assert!(matches!(storage.put("key", &format!("{longest_value}v")), Err(StorageError::Value(131_073))));
    assert!(matches!(storage.delete(""), Err(StorageError::Key(0))));
    assert!(matches!(storage.get::<i32>("").await, Err(StorageError::Key(0))));
    let all = storage.list::<String>(ListOptions::default()).await.unwrap();
    assert_eq!(all, [(longest_key, longest_value)], "what was refused was not written");
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error() {
    let db = TestDb::new();
    db.room("a").put("key", &"text").unwrap();
    assert!(matches!(db.room("a").get::<i32>("key").await, Err(StorageError::Json(_))));
    assert!(matches!(db.room("a").list::<i32>(ListOptions::default()).await, Err(StorageError::Json(_))));
}

#[tokio::test]
async fn reads_from_a_closed_database_fail() {
    let db = TestDb::new();
    db.close(PATIENCE).await;
    assert!(matches!(db.room("a").get::<i32>("key").await, Err(StorageError::Closed)));
    // A second time does no harm.
    db.room("a").put("key", &1).unwrap();
    db.close(PATIENCE).await;
}

#[test]
fn reads_fail_while_the_database_is_unavailable() {
    let (orders, _inbox) = mpsc::channel();
    let shared = Arc::new(Shared { pending: Mutex::default(), orders });
    let closed = writer::Writer::new(shared, Path::new("nowhere"), None);
    assert!(matches!(closed.get(b"key"), Err(StorageError::Unavailable)));
    let all = closed.list(Key::new(), Key::from("z"), false, usize::MAX);
    assert!(matches!(all, Err(StorageError::Unavailable)), "an empty answer would look like no data");
}

#[tokio::test]
async fn writes_fail_when_too_many_values_wait_for_the_disk() {
    let db = TestDb::new();
    let batch = |from: usize, to: usize| (from..to).map(|key| (key.to_be_bytes().to_vec(), None)).collect::<Batch>();
    // This is like the time after a failed write, with half of the allowed values waiting.
    db.0.pending().writing = Arc::new(batch(0, MAX_PENDING / 2));
    db.0.pending().next = batch(MAX_PENDING, MAX_PENDING + MAX_PENDING / 2 - 1);
    let room = db.room("a");
    let refused = room.put_many(&[("one", 1), ("two", 2)]);
    assert!(matches!(refused, Err(StorageError::Full)), "{refused:?}");
    assert_eq!(room.get::<i32>("one").await.unwrap(), None, "all or none");
    room.put("one", &1).unwrap();
    assert!(matches!(room.put("two", &2), Err(StorageError::Full)));
    assert!(matches!(room.delete("two"), Err(StorageError::Full)));
    // A waiting value may change, because that needs no more memory.
    room.put("one", &3).unwrap();
    assert_eq!(room.get::<i32>("one").await.unwrap(), Some(3));
    assert_eq!(room.get::<i32>("two").await.unwrap(), None);
}

#[tokio::test]
async fn many_rows_are_read_in_slices_and_bad_rows_are_skipped() {
    let db = TestDb::new();
    let rows = (0..5000_u32).map(|number| (format!("n:{number:04}"), number));
    for (key, number) in rows.clone() {
        db.room("a").put(&key, &number).unwrap();
    }
    db.room("a").put("n:0007", &"seven").unwrap();
    db.room("a").put("other", &0).unwrap();
    let mut reading = db.room("a").read("n:");
    let (mut read, mut parts) = (Vec::new(), 0);
    loop {
        match reading.next::<u32>(Duration::from_millis(1)).await.unwrap() {
            Progress::Rows(rows) => read.extend(rows),
            Progress::End => break,
            Progress::NotYet => continue,
        }
        parts += 1;
    }
    let expected = rows.filter(|(_, number)| *number != 7).map(|(key, number)| (key.replace("n:", ""), number));
    assert!(read.into_iter().eq(expected));
    assert_eq!(parts, 3);
}

#[tokio::test]
async fn a_data_folder_in_use_cannot_be_opened_again() {
    let db = TestDb::new();
    assert!(matches!(Db::open(&db.folder), Err(StartupError::DataInUse { .. })));
    assert!(!db.bad(1).exists());
    db.close(PATIENCE).await;
    Db::open(&db.folder).unwrap().close(PATIENCE).await;
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all() {
    let db = TestDb::new();
    let storage = db.room("a");
    let keys: Vec<String> = (0..=Storage::MAX_BATCH).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let values: Vec<(&str, u8)> = keys.iter().map(|key| (*key, 1)).collect();
    assert!(matches!(storage.put_many(&values), Err(StorageError::Batch(129))));
    assert!(matches!(storage.get_many::<u8>(&keys).await, Err(StorageError::Batch(129))));
    assert!(matches!(storage.put_many(&[("good", 1), ("", 2)]), Err(StorageError::Key(0))));
    assert_eq!(storage.list::<u8>(ListOptions::default()).await.unwrap(), []);
    storage.put_many(&values[1..]).unwrap();
    assert!(matches!(storage.delete_many(&keys), Err(StorageError::Batch(129))));
    assert!(matches!(storage.delete_many(&["1", ""]), Err(StorageError::Key(0))));
    assert_eq!(storage.get_many::<u8>(&keys[1..]).await.unwrap().len(), Storage::MAX_BATCH);
    storage.delete_many(&keys[1..]).unwrap();
    assert_eq!(storage.list::<u8>(ListOptions::default()).await.unwrap(), []);
}

#[tokio::test]
async fn a_limit_does_not_count_deleted_keys() {
    let mut db = TestDb::new();
    db.room("a").put_many(&[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]).unwrap();
    db.reopen().await;
    // The deletions wait to be written, and the values are in the database.
    db.room("a").delete_many(&["a", "b", "d"]).unwrap();
    for (reverse, expected) in [(false, ["c", "e"]), (true, ["e", "c"])] {
        let options = ListOptions { reverse, limit: Some(2), ..ListOptions::default() };
        let found = db.room("a").list::<i32>(options).await.unwrap();
        assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), expected);
    }
}

/// What a room may do, and what may happen in between.
#[derive(Clone, Debug)]
enum Step {
    Put(BTreeMap<String, u16>),
    Delete(Vec<String>),
    DeleteAll,
    Get(Vec<String>),
    List(List),
    BeginWrite,
    Reopen,
}

/// [`ListOptions`] with their own texts.
#[derive(Clone, Debug)]
struct List {
    prefix: String,
    start: Option<String>,
    start_after: Option<String>,
    end: Option<String>,
    reverse: bool,
    limit: Option<usize>,
}

impl List {
    fn options(&self) -> ListOptions<'_> {
        ListOptions {
            prefix: &self.prefix,
            start: self.start.as_deref(),
            start_after: self.start_after.as_deref(),
            end: self.end.as_deref(),
            reverse: self.reverse,
            limit: self.limit,
        }
    }

    /// What these options find in an ordered map.
    fn of(&self, model: &BTreeMap<String, u16>) -> Vec<(String, u16)> {
        let within = |key: &String| {
            key.starts_with(&self.prefix)
                && self.start.as_ref().is_none_or(|start| key >= start)
                && self.start_after.as_ref().is_none_or(|before| key > before)
                && self.end.as_ref().is_none_or(|end| key < end)
        };
        let mut found: Vec<_> = model.clone().into_iter().filter(|(key, _)| within(key)).collect();
        if self.reverse {
            found.reverse();
        }
        found.truncate(self.limit.unwrap_or(usize::MAX));
        found
    }
}

fn step() -> impl Strategy<Value = Step> {
    // There are so few keys that they collide, and that limits fall on keys and between them.
    let key = || "[abÿ]{1,2}";
    let keys = || proptest::collection::vec(key(), 1..4);
    let bound = || proptest::option::of("[abÿ]{0,2}");
    let limit = proptest::option::of(0_usize..6);
    let list = ("[abÿ]{0,1}", bound(), bound(), bound(), any::<bool>(), limit).prop_map(
        |(prefix, start, start_after, end, reverse, limit)| List { prefix, start, start_after, end, reverse, limit },
    );
    prop_oneof![
        12 => proptest::collection::btree_map(key(), any::<u16>(), 1..4).prop_map(Step::Put),
        6 => keys().prop_map(Step::Delete),
        1 => Just(Step::DeleteAll),
        4 => keys().prop_map(Step::Get),
        12 => list.prop_map(Step::List),
        4 => Just(Step::BeginWrite),
        2 => Just(Step::Reopen),
    ]
}

proptest! {
    // Each run opens a few databases.
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn storage_behaves_like_an_ordered_map(steps in proptest::collection::vec(step(), 1..60)) {
        block_on(behaves_like_a_map(steps))?;
    }
}

async fn behaves_like_a_map(steps: Vec<Step>) -> TestCaseResult {
    let mut db = TestDb::new();
    let mut model = BTreeMap::new();
    db.room("a!").put("other", &0).unwrap();
    for step in steps {
        let storage = db.room("a");
        match step {
            Step::Put(values) => {
                let rows: Vec<(&str, u16)> = values.iter().map(|(key, value)| (key.as_str(), *value)).collect();
                storage.put_many(&rows).unwrap();
                model.extend(values);
            }
            Step::Delete(keys) => {
                storage.delete_many(&keys.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
                model.retain(|key, _| !keys.contains(key));
            }
            Step::DeleteAll => {
                storage.delete_all().await.unwrap();
                model.clear();
            }
            Step::Get(keys) => {
                let found = storage.get_many(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
                let expected: BTreeMap<_, _> =
                    model.clone().into_iter().filter(|(key, _)| keys.contains(key)).collect();
                prop_assert_eq!(found, expected);
            }
            Step::List(list) => {
                let found = storage.list::<u16>(list.options()).await.unwrap();
                prop_assert_eq!(found, list.of(&model), "{:?}", list);
            }
            Step::BeginWrite => db.begin_write(),
            Step::Reopen => db.reopen().await,
        }
    }
    prop_assert_eq!(db.room("a!").get::<i32>("other").await.unwrap(), Some(0));
    db.close(PATIENCE).await;
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Every file of a database, always in the same order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found.sort();
    found
}

/// Changes bytes of a file, from `at` on.
fn overwrite(file: &Path, at: u64, change: impl FnOnce(&mut [u8; 1])) {
    use std::io::{Read, Seek, SeekFrom, Write};
    let mut file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    change(&mut byte);
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&byte).unwrap();
}

/// Damages one file of a database in one of the ways of disks and people. Returns how.
fn damage(folder: &Path, random: &mut fastrand::Rng) -> String {
    // A journal has 64 MiB from the start. Its content here is in the first bytes.
    const USED_BYTES: u64 = 1000;
    let files = files(folder);
    let file = &files[random.usize(..files.len())];
    let used = fs::metadata(file).unwrap().len().min(USED_BYTES);
    let how = match random.u8(..5) {
        0 if used > 0 => {
            let at = random.u64(..used);
            overwrite(file, at, |byte| byte[0] ^= 1 << random.u8(..8));
            format!("a flipped bit at {at}")
        }
        1 if used > 0 => {
            let length = random.u64(..used);
            fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
            format!("cut to {length} bytes")
        }
        2 => {
            fs::write(file, vec![0; usize::try_from(used).unwrap()]).unwrap();
            "zeroed".to_owned()
        }
        3 => {
            fs::remove_file(file).unwrap();
            "removed".to_owned()
        }
        _ => {
            fs::write(file, std::iter::repeat_with(|| random.u8(..)).take(500).collect::<Vec<_>>()).unwrap();
            "overwritten".to_owned()
        }
    };
    format!("{}: {how}", file.strip_prefix(folder).unwrap().display())
}

/// Checks that the database opens, answers what a start asks, and keeps new values.
async fn expect_usable(db: &mut TestDb, damage: &str) {
    db.db = Db::open(&db.folder).unwrap_or_else(|error| panic!("{damage}: {error}"));
    let alarms = joined(&[b"alarm", b""]);
    let read = db.list(alarms.clone(), after_prefix(&alarms), false, usize::MAX).await;
    assert!(read.is_ok(), "{damage}: {read:?}");
    db.room("new").put("key", &1).unwrap();
    db.reopen().await;
    assert_eq!(db.room("new").get::<i32>("key").await.unwrap(), Some(1), "{damage}");
    db.close(PATIENCE).await;
}

/// A closed database with a value and an alarm.
async fn closed() -> TestDb {
    let db = TestDb::new();
    db.room("a").put("key", &"value").unwrap();
    db.write([(joined(&[b"alarm", b"page", b"a"]), Some(Bytes::from_static(b"{}")))].into()).unwrap();
    db.close(PATIENCE).await;
    db
}

#[tokio::test]
async fn the_database_opens_after_random_damage_to_a_file() {
    for seed in 0..12 {
        let mut db = closed().await;
        let damage = damage(&db.place(), &mut fastrand::Rng::with_seed(seed));
        expect_usable(&mut db, &format!("seed {seed}, {damage}")).await;
    }
}

#[tokio::test]
async fn the_database_opens_after_the_loss_of_any_file() {
    let mut idx = 0;
    loop {
        let mut db = closed().await;
        let Some(file) = files(&db.place()).into_iter().nth(idx) else { break };
        fs::remove_file(&file).unwrap();
        expect_usable(&mut db, &format!("lost {}", file.display())).await;
        idx += 1;
    }
    assert!(idx > 5, "a database has more files than {idx}");
}

#[tokio::test]
async fn the_database_opens_with_a_flipped_bit_in_the_journal() {
    // From the start of the first batch into its first entry: sequence number, kind, lengths, key.
    for at in (2..48).step_by(6) {
        let mut db = closed().await;
        overwrite(&db.place().join("0.jnl"), at, |byte| byte[0] ^= 1);
        expect_usable(&mut db, &format!("a flipped bit at {at}")).await;
    }
}

/// A closed database that has moved its content from the journal to a table, and that table.
async fn with_table() -> (TestDb, PathBuf) {
    let db = TestDb::new();
    db.write([(joined(&[b"alarm", b"page", b"a"]), Some(Bytes::from_static(b"{}")))].into()).unwrap();
    for number in 0..40 {
        db.room("a").put(&format!("{number}"), &"v".repeat(Storage::MAX_VALUE_BYTES - 2)).unwrap();
    }
    let table = db.place().join("keyspaces/1/tables/0");
    wait_until("there is a table", || table.exists()).await;
    db.close(PATIENCE).await;
    (db, table)
}

#[tokio::test]
async fn the_database_opens_with_a_damaged_table() {
    let (mut db, table) = with_table().await;
    // This is its first block, with the alarms, because they come first in the order of keys.
    overwrite(&table, 100, |byte| byte[0] ^= 1);
    expect_usable(&mut db, "a damaged table").await;
}

#[tokio::test]
async fn later_writes_are_kept_after_the_loss_of_the_journal() {
    let (mut db, _) = with_table().await;
    fs::remove_file(db.place().join("0.jnl")).unwrap();
    expect_usable(&mut db, "a lost journal").await;
}

#[tokio::test]
async fn a_damaged_journal_does_not_cost_the_rows_in_tables() {
    type Damage = fn(&Path);
    let lost: Damage = |journal| fs::remove_file(journal).unwrap();
    let flipped: Damage = |journal| overwrite(journal, 2, |byte| byte[0] ^= 1);
    let overwritten: Damage = |journal| fs::write(journal, [7; 500]).unwrap();
    for (how, damage) in [("lost", lost), ("a flipped bit", flipped), ("overwritten", overwritten)] {
        let (mut db, _) = with_rows(100).await;
        let is_journal = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "jnl");
        damage(&files(&db.place()).into_iter().find(is_journal).unwrap());
        db.db = Db::open(&db.folder).unwrap();
        assert_eq!(db.room("a").list::<String>(ListOptions::default()).await.unwrap().len(), 100, "{how}");
        db.room("a").put("new", &"value").unwrap();
        db.reopen().await;
        assert_eq!(db.room("a").list::<String>(ListOptions::default()).await.unwrap().len(), 101, "{how}");
        assert!(!db.bad(2).exists(), "{how}: it is noticed once");
        db.close(PATIENCE).await;
    }
}

/// A closed database whose 10 values are only in its journal, each in a batch of its own.
async fn with_journal() -> (TestDb, PathBuf) {
    let mut db = TestDb::new();
    for number in 0..10 {
        db.room("a").put(&format!("key {number}"), &"x".repeat(1_000)).unwrap();
        db.reopen().await;
    }
    db.close(PATIENCE).await;
    let journal = db.place().join("0.jnl");
    (db, journal)
}

async fn values(db: &TestDb) -> usize {
    db.room("a").list::<String>(ListOptions::default()).await.unwrap().len()
}

#[tokio::test]
async fn damage_in_a_journal_loses_only_the_batches_that_it_is_in() {
    let flipped = |journal: &Path| overwrite(journal, 5_000, |byte| byte[0] ^= 1);
    let zeroed = |journal: &Path| (0..1_500).for_each(|at| overwrite(journal, at, |byte| byte[0] = 0));
    let first = |journal: &Path| overwrite(journal, 0, |byte| byte[0] = 0xff);
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path), usize);
    let damages: [Damage<'_>; 3] =
        [("a flipped bit", &flipped, 9), ("a zeroed block", &zeroed, 8), ("the first byte", &first, 9)];
    for (how, damage, kept) in damages {
        let (mut db, journal) = with_journal().await;
        damage(&journal);
        db.db = Db::open(&db.folder).unwrap();
        assert_eq!(values(&db).await, kept, "{how}");
        db.reopen().await;
        assert_eq!(values(&db).await, kept, "{how}: they are stored");
        assert!(db.bad(1).exists() || db.folder.join("db.journal-1").exists(), "{how}: the damaged one is kept");
        assert!(!db.folder.join("db.journal-2").exists() && !db.bad(2).exists(), "{how}: it is noticed once");
        assert!(!db.folder.join("db.scratch-1").exists(), "{how}: nothing is left over");
        db.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn half_a_batch_at_the_end_of_a_journal_is_no_damage() {
    let (mut db, journal) = with_journal().await;
    let used = fs::read(&journal).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(used as u64 - 300).unwrap();
    db.db = Db::open(&db.folder).unwrap();
    assert_eq!(values(&db).await, 9);
    assert!(!db.folder.join("db.journal-1").exists() && !db.bad(1).exists());
    db.close(PATIENCE).await;
}

#[tokio::test]
async fn a_journal_that_is_a_link_is_kept() {
    let (mut db, journal) = with_journal().await;
    let elsewhere = db.folder.join("elsewhere");
    fs::rename(&journal, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &journal).unwrap();
    db.db = Db::open(&db.folder).unwrap();
    assert_eq!(values(&db).await, 10);
    assert!(!journal.is_symlink());
    db.close(PATIENCE).await;
}

#[tokio::test]
async fn a_database_that_lost_its_version_is_kept() {
    let empty: fn(&Path) = |version| fs::write(version, "").unwrap();
    let lost: fn(&Path) = |version| fs::remove_file(version).unwrap();
    let other: fn(&Path) = |version| fs::write(version, "no version").unwrap();
    let flipped_bits: [fn(&Path); 2] =
        [|version| fs::write(version, b"FJL\x43").unwrap(), |version| fs::write(version, b"FJN\x03").unwrap()];
    for damage in [empty, lost, other].into_iter().chain(flipped_bits) {
        let (mut db, _) = with_journal().await;
        damage(&db.place().join("version"));
        db.db = Db::open(&db.folder).unwrap();
        assert_eq!(values(&db).await, 10);
        assert!(!db.bad(1).exists());
        db.close(PATIENCE).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_are_replaced_or_deleted_while_the_server_runs_lose_nothing() {
    let replaced: fn(&Path) = |place| {
        fs::copy(place.join("0.jnl"), place.join("copy")).unwrap();
        fs::rename(place.join("copy"), place.join("0.jnl")).unwrap();
    };
    let deleted: fn(&Path) = |place| fs::remove_file(place.join("0.jnl")).unwrap();
    let without_tables: fn(&Path) = |place| fs::remove_dir_all(place.join("keyspaces")).unwrap();
    for damage in [replaced, deleted, without_tables] {
        let (mut db, _) = with_journal().await;
        db.db = Db::open(&db.folder).unwrap();
        db.room("a").put("before", &"x").unwrap();
        wait_until("it is written", || db.pending_values() == 0).await;
        damage(&db.place());
        db.room("a").put("after", &"x").unwrap();
        wait_until("it is written", || db.pending_values() == 0).await;
        assert_eq!(db.db.fault(), None);
        db.close(PATIENCE).await;
        db.db = Db::open(&db.folder).unwrap();
        assert_eq!(values(&db).await, 12);
        db.close(PATIENCE).await;
    }
}

#[test]
fn a_pipe_with_the_name_of_the_version_does_not_stop_the_start() {
    let parent = tempfile::tempdir().unwrap();
    let place = parent.path().join("db");
    fs::create_dir(&place).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.join("version")).status();
    assert!(made.expect("this test needs the program mkfifo").success());
    assert!(!foreign::is_of_another_program(&place).unwrap());
}

#[tokio::test]
async fn a_first_start_that_ended_early_is_no_damage() {
    for complete in [&["keyspaces", "version"][..], &["keyspaces/0/tables", "version", "lock"], &["keyspaces", "0.jnl"]]
    {
        let db = TestDb::new();
        db.close(PATIENCE).await;
        fs::remove_dir_all(db.place()).unwrap();
        for name in complete {
            let path = db.place().join(name);
            match *name {
                "version" => fs::write(path, journal::MAGIC).unwrap(),
                "0.jnl" => fs::write(path, [0; 100_000]).unwrap(),
                "lock" => fs::write(path, "").unwrap(),
                _ => fs::create_dir_all(path).unwrap(),
            }
        }
        let opened = Db::open(&db.folder).unwrap();
        assert!(!db.bad(1).exists(), "{complete:?}");
        opened.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_folder_that_is_deleted_while_the_server_runs_is_noticed_and_made_again() {
    let db = TestDb::new();
    db.room("a").put("old", &1).unwrap();
    wait_until("it is written", || db.pending_values() == 0).await;
    fs::remove_dir_all(&db.folder).unwrap();
    db.room("a").put("new", &1).unwrap();
    wait_until("it is noticed", || db.fault().is_some_and(|fault| fault.contains("moved or deleted"))).await;
    wait_until("it takes writes again", || db.fault().is_none() && db.pending_values() == 0).await;
    db.close(PATIENCE).await;
    let again = Db::open(&db.folder).unwrap();
    assert_eq!(Storage::of_room(again.clone(), "page", "a").get::<i32>("new").await.unwrap(), Some(1));
    again.close(PATIENCE).await;
}

#[tokio::test]
async fn a_database_that_may_not_be_read_stays_where_it_is() {
    let mut db = closed().await;
    let (current, kept) = (db.place().join("keyspaces/1/current"), db.folder.join("kept"));
    fs::rename(&current, &kept).unwrap();
    // Root may read everything but a link to itself.
    std::os::unix::fs::symlink(&current, &current).unwrap();
    assert!(matches!(Db::open(&db.folder), Err(StartupError::Data { .. })));
    fs::rename(&kept, &current).unwrap();
    db.db = Db::open(&db.folder).unwrap();
    assert_eq!(db.room("a").get::<String>("key").await.unwrap().as_deref(), Some("value"));
    db.close(PATIENCE).await;
}

#[test]
fn what_another_program_keeps_under_our_names_is_refused_and_not_touched() {
    for names in [
        &["db"][..],
        &["db/schema.rb"],
        &["db/version", "db/users.dat"],
        &["db/lock", "db/users.dat"],
        &["db/1.jnl", "db/users.dat"],
        &["db/keyspaces/a/data", "db/users.dat"],
    ] {
        let parent = tempfile::tempdir().unwrap();
        for name in names {
            let file = parent.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "not yours").unwrap();
        }
        let error = Db::open(parent.path()).err().unwrap_or_else(|| panic!("{names:?}")).to_string();
        assert!(error.contains("not a database of this program") && error.contains("--data"), "{error}");
        assert_eq!(files(parent.path()).len(), names.len(), "{names:?}");
        assert!(names.iter().all(|name| fs::read(parent.path().join(name)).unwrap() == b"not yours"), "{names:?}");
    }
    let parent = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("a volume that is not mounted", parent.path().join("db")).unwrap();
    assert!(Db::open(parent.path()).is_err());
    assert!(fs::read_link(parent.path().join("db")).is_ok());
}

#[test]
fn what_another_program_calls_db_saved_is_not_used() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("db.saved"), "not yours").unwrap();
    Db::open(parent.path()).unwrap();
    assert_eq!(fs::read_to_string(parent.path().join("db.saved")).unwrap(), "not yours");
}

#[tokio::test]
async fn a_damaged_database_is_moved_aside_whole() {
    let mut db = TestDb::new();
    db.close(PATIENCE).await;
    let before = files(&db.place()).len();
    fs::write(db.place().join("version"), b"FJL\x02").unwrap();
    expect_usable(&mut db, "an older version").await;
    assert_eq!(files(&db.bad(1)).len(), before);
    fs::write(db.place().join("version"), b"FJL\x02").unwrap();
    expect_usable(&mut db, "an older version again").await;
    assert!(db.bad(2).exists());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_not_touched() {
    let db = closed().await;
    let (version, unknown) = (db.place().join("version"), db.place().join("9.index"));
    fs::write(&unknown, "a file of the newer version").unwrap();
    for newer in [&b"FJL\x04"[..], b"FJL\x06 and more"] {
        fs::write(&version, newer).unwrap();
        let before = files(&db.folder);
        let error = Db::open(&db.folder).err().unwrap().to_string();
        assert!(error.contains(db.folder.to_str().unwrap()) && error.contains("newer version"), "{error}");
        assert!(error.contains("--data"), "{error}");
        assert_eq!(files(&db.folder), before);
    }
}

#[cfg(unix)]
#[test]
fn a_database_whose_tables_cannot_be_read_is_not_removed() {
    let parent = tempfile::tempdir().unwrap();
    let place = parent.path().join("db");
    fs::create_dir_all(place.join("keyspaces/1")).unwrap();
    // Root may read everything but a link to itself.
    let tables = place.join("keyspaces/1/tables");
    std::os::unix::fs::symlink(&tables, &tables).unwrap();
    open::remove_unfinished(&place).unwrap_err();
    assert!(fs::symlink_metadata(tables).is_ok());
}

#[tokio::test]
async fn the_newest_rows_are_kept_when_no_table_can_be_opened() {
    let (mut db, table) = with_table().await;
    db.db = Db::open(&db.folder).unwrap();
    db.room("a").put("newest", &1).unwrap();
    db.close(PATIENCE).await;
    let half = fs::metadata(&table).unwrap().len() / 2;
    fs::OpenOptions::new().write(true).open(&table).unwrap().set_len(half).unwrap();
    db.db = Db::open(&db.folder).unwrap();
    assert!(db.bad(1).exists());
    assert_eq!(db.room("a").get::<u32>("newest").await.unwrap(), Some(1));
    db.close(PATIENCE).await;
}

#[tokio::test]
async fn no_row_is_lost_with_a_file_that_names_the_list_of_tables() {
    type Damage = fn(&Path);
    let lost: Damage = |current| fs::remove_file(current).unwrap();
    let cut: Damage = |current| fs::write(current, [7]).unwrap();
    let overwritten: Damage = |current| fs::write(current, [7; 25]).unwrap();
    for (keyspace, damage) in [("0", lost), ("1", lost), ("1", cut), ("1", overwritten)] {
        for rows in [10, 100] {
            let (mut db, _) = if rows == 10 { with_journal().await } else { with_rows(100).await };
            damage(&db.place().join("keyspaces").join(keyspace).join("current"));
            db.db = Db::open(&db.folder).unwrap();
            let left = db.room("a").list::<serde_json::Value>(ListOptions::default()).await.unwrap().len();
            assert!(left == rows && !db.bad(1).exists(), "{keyspace}: {left} of {rows}");
            db.room("a").put("new", &1).unwrap();
            db.reopen().await;
            assert_eq!(db.room("a").get::<u32>("new").await.unwrap(), Some(1));
            db.close(PATIENCE).await;
        }
    }
}

#[tokio::test]
async fn other_files_in_the_data_folder_are_kept() {
    let mut db = closed().await;
    fs::write(db.folder.join("thesis.tex"), "years of work").unwrap();
    fs::remove_dir_all(db.place()).unwrap();
    expect_usable(&mut db, "a lost database").await;
    assert_eq!(fs::read_to_string(db.folder.join("thesis.tex")).unwrap(), "years of work");
}

#[test]
fn errors_of_the_machine_do_not_count_as_damage() {
    use std::io::{Error as IoError, ErrorKind as Kind};
    // Linux's numbers for too many open files, no permission, a failing disk, a full one, and a read-only one.
    for number in [24, 13, 5, 28, 30] {
        let at_the_journal = fjall::Error::Io(IoError::from_raw_os_error(number));
        let at_a_table = fjall::Error::Storage(fjall::LsmError::Io(IoError::from_raw_os_error(number)));
        assert!(!open::is_damage(&at_the_journal) && !open::is_damage(&at_a_table), "{at_the_journal}");
    }
    let cut = || IoError::from(Kind::UnexpectedEof);
    assert!(open::is_damage(&fjall::Error::Io(cut())));
    assert!(open::is_damage(&fjall::Error::Storage(fjall::LsmError::Io(cut()))));
    assert!(open::is_damage(&fjall::Error::Storage(fjall::LsmError::Unrecoverable)));
    assert!(open::is_damage(&fjall::Error::InvalidTrailer));
}

#[test]
fn a_data_folder_that_is_a_file_is_not_moved() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("data");
    fs::write(&file, "a file").unwrap();
    assert!(matches!(Db::open(&file), Err(StartupError::Data { .. })));
    assert!(matches!(Db::open(&file.join("below")), Err(StartupError::Data { .. })));
    assert_eq!(fs::read_to_string(file).unwrap(), "a file");
}

#[cfg(unix)]
#[test]
fn a_data_folder_that_is_a_broken_link_is_called_one() {
    let parent = tempfile::tempdir().unwrap();
    let link = parent.path().join("data");
    std::os::unix::fs::symlink("missing", &link).unwrap();
    let error = Db::open(&link).err().unwrap().to_string();
    assert!(error.contains("a link that leads to no folder"), "{error}");
}

/// A closed database with these rows of one room in tables, and its largest table.
async fn with_rows(rows: u32) -> (TestDb, PathBuf) {
    let db = TestDb::new();
    let room = db.room("a");
    for number in 0..rows {
        room.put(
            &format!("{number:06}"),
            &format!("{number} is a number that fills a block of its own sooner or later"),
        )
        .unwrap();
    }
    // This is more than is gathered in memory, so everything before it is written to a table.
    for number in 0..40 {
        db.room("z").put(&format!("{number}"), &"v".repeat(Storage::MAX_VALUE_BYTES - 2)).unwrap();
    }
    let table = db.place().join("keyspaces/1/tables/0");
    wait_until("there is a table", || table.exists()).await;
    db.close(PATIENCE).await;
    (db, table)
}

#[tokio::test]
async fn damage_inside_a_table_loses_only_that_part() {
    const ROWS: u32 = 5_000;
    type Damage = fn(&Path, u64);
    let flip: Damage = |table, at| overwrite(table, at, |byte| byte[0] ^= 4);
    let zero: Damage = |table, at| (at..at + 512).for_each(|at| overwrite(table, at, |byte| byte[0] = 0));
    for (how, damage) in [("a flipped bit", flip), ("zeroed bytes", zero)] {
        for at in [5_000, 60_000] {
            let (mut db, table) = with_rows(ROWS).await;
            damage(&table, at);
            db.db = Db::open(&db.folder).unwrap();
            let read = db.room("a").list::<String>(ListOptions::default()).await;
            let read = read.unwrap_or_else(|error| panic!("{how} at {at}: {error}"));
            let kept = read.len();
            assert!((4_000..5_000).contains(&kept), "{how} at {at}: {kept} of {ROWS} are left");
            assert!(db.bad(1).exists(), "{how} at {at}");
            db.room("a").put("new", &"value").unwrap();
            db.reopen().await;
            assert_eq!(db.room("a").get::<String>("new").await.unwrap().as_deref(), Some("value"), "{how} at {at}");
            assert_eq!(db.room("a").list::<String>(ListOptions::default()).await.unwrap().len(), kept + 1);
            assert!(!db.bad(2).exists(), "{how} at {at}: it is noticed once");
            db.close(PATIENCE).await;
        }
    }
}

#[tokio::test]
async fn foreign_files_and_folders_are_moved_out_and_no_data_is_lost() {
    for level in ["", "keyspaces", "keyspaces/1", "keyspaces/1/tables", "keyspaces/0/tables"] {
        for name in ["@eaDir", ".stfolder", "Thumbs.db", "0 (conflict).jnl", "version.bak"] {
            let mut db = closed().await;
            let foreign = db.place().join(level).join(name);
            let kept = if name.contains('.') && !name.starts_with('.') {
                fs::write(&foreign, "not yours").unwrap();
                PathBuf::from(name)
            } else {
                fs::create_dir(&foreign).unwrap();
                fs::write(foreign.join("picture"), "not yours").unwrap();
                Path::new(name).join("picture")
            };
            db.db = Db::open(&db.folder).unwrap();
            let value = db.room("a").get::<String>("key").await.unwrap();
            assert_eq!(value.as_deref(), Some("value"), "{name} in {level:?}");
            assert!(!db.bad(1).exists(), "{name} in {level:?}");
            let moved = db.folder.join("db.foreign").join(level).join(kept);
            assert_eq!(fs::read_to_string(moved).unwrap(), "not yours", "{name} in {level:?}");
            db.close(PATIENCE).await;
        }
    }
}

#[tokio::test]
async fn a_file_with_the_name_of_the_foreign_folder_is_kept() {
    for taken in ["db.foreign", "db.foreign/keyspaces"] {
        let mut db = closed().await;
        fs::create_dir_all(db.folder.join(taken).parent().unwrap()).unwrap();
        fs::write(db.folder.join(taken), "not yours").unwrap();
        let foreign = db.place().join("keyspaces/@eaDir");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("picture"), "not yours").unwrap();
        db.db = Db::open(&db.folder).unwrap();
        assert_eq!(db.room("a").get::<String>("key").await.unwrap().as_deref(), Some("value"), "{taken}");
        for kept in [taken, "db.foreign-1/keyspaces/@eaDir/picture"] {
            assert_eq!(fs::read_to_string(db.folder.join(kept)).unwrap(), "not yours", "{taken}");
        }
        assert!(!db.bad(1).exists(), "{taken}");
        db.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn no_data_is_lost_when_the_lock_file_is_missing() {
    let mut db = closed().await;
    fs::remove_file(db.place().join("lock")).unwrap();
    db.db = Db::open(&db.folder).unwrap();
    assert_eq!(db.room("a").get::<String>("key").await.unwrap().as_deref(), Some("value"));
    assert!(!db.bad(1).exists());
    db.close(PATIENCE).await;
}

#[tokio::test]
async fn a_database_without_one_of_its_folders_is_moved_aside() {
    for name in ["keyspaces", "keyspaces/0", "keyspaces/1"] {
        let mut db = closed().await;
        fs::remove_dir_all(db.place().join(name)).unwrap();
        expect_usable(&mut db, &format!("lost {name}")).await;
        assert!(db.bad(1).join("0.jnl").exists(), "{name}: what is left is kept");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_with_the_name_of_a_database_file_is_moved_out() {
    for name in ["lock", "9.jnl", "keyspaces/1/tables/9"] {
        let mut db = closed().await;
        let pipe = db.place().join(name);
        // There may be no such file.
        let _ = fs::remove_file(&pipe);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let folder = db.folder.clone();
        let opened = tokio::task::spawn_blocking(move || Db::open(&folder));
        db.db = tokio::time::timeout(PATIENCE, opened).await.expect("the start waits for a pipe").unwrap().unwrap();
        assert_eq!(db.room("a").get::<String>("key").await.unwrap().as_deref(), Some("value"), "{name}");
        assert!(db.folder.join("db.foreign").join(name).exists() && !db.bad(1).exists(), "{name}");
        db.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn foreign_folders_with_numbers_as_names_are_moved_out() {
    for name in ["2", "7", "2024", "007", "+1"] {
        let mut db = closed().await;
        let foreign = db.place().join("keyspaces").join(name);
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("picture"), "not yours").unwrap();
        db.db = Db::open(&db.folder).unwrap();
        assert_eq!(db.room("a").get::<String>("key").await.unwrap().as_deref(), Some("value"), "{name}");
        let moved = db.folder.join("db.foreign/keyspaces").join(name).join("picture");
        assert_eq!(fs::read_to_string(moved).unwrap(), "not yours", "{name}");
        db.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_copy_of_the_folder_of_rows_is_moved_out() {
    let mut db = closed().await;
    let copy = db.place().join("keyspaces/9");
    fs::create_dir(&copy).unwrap();
    fs::copy(db.place().join("keyspaces/1/current"), copy.join("current")).unwrap();
    db.db = Db::open(&db.folder).unwrap();
    assert_eq!(db.room("a").get::<String>("key").await.unwrap().as_deref(), Some("value"));
    assert!(db.folder.join("db.foreign/keyspaces/9/current").exists());
    db.close(PATIENCE).await;
}

#[tokio::test]
async fn an_interrupted_rescue_is_finished_at_the_next_start() {
    let mut db = closed().await;
    fs::rename(db.place(), db.folder.join("db.saved")).unwrap();
    db.db = Db::open(&db.folder).unwrap();
    assert_eq!(db.room("a").get::<String>("key").await.unwrap().as_deref(), Some("value"));
    db.close(PATIENCE).await;
}

#[tokio::test]
async fn delete_all_deletes_more_keys_than_may_wait_for_the_disk() {
    // More than may wait for the disk at a time.
    let keys: Vec<_> = (0..2 * MAX_PENDING).collect();
    let mut db = TestDb::new();
    for part in keys.chunks(MAX_PENDING / 2) {
        let key = |number: &usize| db.room("a").key(&number.to_string()).unwrap();
        db.write(part.iter().map(|number| (key(number), Some(Bytes::from_static(b"1")))).collect()).unwrap();
        wait_until("they are written", || db.0.pending().next.is_empty() && db.0.pending().writing.is_empty()).await;
    }
    // One that waits to be written, and one of another room.
    db.room("a").put("late", &1).unwrap();
    db.room("b").put("key", &1).unwrap();
    let deleted = db.room("a").delete_all().await;
    // On a slow machine this may time out. The values are then deleted later.
    assert!(matches!(deleted, Ok(()) | Err(StorageError::Timeout)), "{deleted:?}");
    db.reopen().await;
    assert_eq!(db.room("a").list::<u32>(ListOptions::default()).await.unwrap(), []);
    assert_eq!(db.room("b").get::<u32>("key").await.unwrap(), Some(1));
    db.close(PATIENCE).await;
}

/// The folder of [`writes_until_it_is_killed`]. Without it, that test is not the child of another.
const CHILD_FOLDER: &str = "STORAGE_TEST_FOLDER";

#[tokio::test]
#[ignore = "the child process of the test after this one"]
async fn writes_until_it_is_killed() {
    let folder = std::env::var_os(CHILD_FOLDER).expect("this test is started by another one");
    let db = Db::open(Path::new(&folder)).unwrap();
    for number in 0_u32.. {
        Storage::of_room(db.clone(), "page", "a").put("number", &number).unwrap();
        println!("wrote {number}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_killed_process_loses_at_most_half_a_second_of_writes() {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        time::Instant,
    };
    // Together these times reach every interval that is too long, shortly before its end.
    for run_ms in [650, 850, 1_000, 1_150] {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "storage::tests::writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(CHILD_FOLDER, &folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut written = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let Some(number) = line.unwrap().strip_prefix("wrote ").map(|number| number.parse::<u32>().unwrap()) else {
                continue;
            };
            written.push((number, Instant::now()));
            if written[0].1.elapsed() > Duration::from_millis(run_ms) {
                break;
            }
        }
        child.kill().unwrap();
        let killed_at = Instant::now();
        child.wait().unwrap();
        let db = Db::open(&folder).unwrap();
        let kept: u32 = Storage::of_room(db.clone(), "page", "a").get("number").await.unwrap().unwrap_or(0);
        let oldest_lost = written.iter().find(|(number, _)| *number > kept);
        let age = oldest_lost.map_or(Duration::ZERO, |(_, at)| killed_at - *at);
        assert!(age <= Duration::from_millis(500), "a write {age:?} old was lost");
        db.close(PATIENCE).await;
    }
}
