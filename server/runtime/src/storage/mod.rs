//! What is kept across restarts: a key-value store for each room, in one fjall database on a separate thread.
//!
//! Rooms do not wait for the disk. A write goes into a map in memory, which keeps the newest value of each key. The thread
//! writes the whole map as one atomic batch a few times a second. A read sees what was written before it.

mod db;
mod files;
mod foreign;
mod journal;
mod open;
mod reading;
mod writer;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use db::Db;
pub use reading::{Progress, Reading};

/// Separates the parts of a database key. Party names and room ids have no control characters.
const SEPARATOR: u8 = 0;

/// The beginning of the keys of alarms; see `party::alarm`.
pub(crate) const ALARMS: &[u8] = b"alarm\0";
/// The beginning of the keys of rooms' own values.
const ROOMS: &[u8] = b"room\0";

/// Why a storage operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The key is empty or longer than [`Storage::MAX_KEY_BYTES`].
    #[error("a key has 1 to 2048 bytes, not {0}")]
    Key(usize),
    /// The value, as JSON, is longer than [`Storage::MAX_VALUE_BYTES`].
    #[error("a value has at most 131072 bytes as JSON, not {0}")]
    Value(usize),
    /// More keys than [`Storage::MAX_BATCH`] in one call.
    #[error("one call names at most 128 keys, not {0}")]
    Batch(usize),
    /// The value is not of the type asked for, or cannot be written as JSON.
    #[error("the JSON of the value has another form than expected: {0}")]
    Json(#[from] serde_json::Error),
    /// The disk did not answer in time.
    #[error("the disk did not answer within 5 s")]
    Timeout,
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] fjall::Error),
    /// The disk takes no writes at the moment, for example because it is full. Stored values cannot be read until it does
    /// again.
    #[error("the database is closed until the disk takes writes again")]
    Unavailable,
    /// The disk takes no writes or is too slow, and as many values wait for it as are allowed. This write was refused. Try again
    /// later.
    #[error("{} values already wait for the disk; try again later", db::MAX_PENDING)]
    Full,
    /// The server is stopping.
    #[error("storage is closed")]
    Closed,
}

pub(crate) type Key = Vec<u8>;
/// The value `None` deletes the key.
type Batch = BTreeMap<Key, Option<Bytes>>;
type Rows = Vec<(Key, Bytes)>;

/// One room's values, in the order of their keys' bytes. Cloning gives another handle.
///
/// A value has any type that serde can write as JSON. A read sees all earlier writes. A write does not wait for the disk.
///
/// ```
/// use connection_counter_runtime::{ListOptions, party::*};
///
/// /// Adds to a player's points, and returns everyone's.
/// async fn score(room: &Room, player: &str, points: u32) -> Result<Vec<(String, u32)>> {
///     let key = format!("points/{player}");
///     let before: u32 = room.storage().get(&key).await?.unwrap_or(0);
///     room.storage().put(&key, &(before + points))?;
///     Ok(room.storage().list(ListOptions { prefix: "points/", ..ListOptions::default() }).await?)
/// }
/// ```
#[derive(Clone)]
pub struct Storage {
    /// The database.
    db: Db,
    /// The beginning of the room's keys in the database.
    prefix: Key,
}

/// Which keys to list. The default is all. Keys are compared by their bytes.
#[derive(Clone, Debug, Default)]
pub struct ListOptions<'a> {
    /// Only keys that start with this.
    pub prefix: &'a str,
    /// Only keys from this one on.
    pub start: Option<&'a str>,
    /// Only keys after this one.
    pub start_after: Option<&'a str>,
    /// Only keys before this one.
    pub end: Option<&'a str>,
    /// Last key first.
    pub reverse: bool,
    /// At most this many.
    pub limit: Option<usize>,
}

impl Storage {
    /// Bytes of a key.
    pub const MAX_KEY_BYTES: usize = 2048;
    /// Bytes of a value, as JSON.
    pub const MAX_VALUE_BYTES: usize = 128 * 1024;
    /// Keys in one call.
    pub const MAX_BATCH: usize = 128;

    pub(crate) fn of_room(db: Db, party: &str, room: &str) -> Self {
        Self { db, prefix: [ROOMS, &joined(&[party.as_bytes(), room.as_bytes(), b""])].concat() }
    }

    /// The value under `key`. It sees every earlier [`put`](Self::put).
    ///
    /// # Errors
    /// Fails if the value has another type, or if the disk fails or does not answer in 5 s.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StorageError> {
        let value = self.db.get(self.key(key)?).await?;
        Ok(value.map(|value| serde_json::from_slice(&value)).transpose()?)
    }

    /// Sets the value under `key`. It returns at once. The value survives a crash half a second later, and a power cut five
    /// seconds later.
    ///
    /// # Errors
    /// Fails if a limit is exceeded, or with [`StorageError::Full`] if the disk is far behind. Then nothing is written.
    pub fn put<T: Serialize>(&self, key: &str, value: &T) -> Result<(), StorageError> {
        self.db.write([(self.key(key)?, Some(encoded(value)?))].into())
    }

    /// The values under these keys. Keys without a value are left out.
    ///
    /// # Errors
    /// Fails like [`get`](Self::get), and with [`StorageError::Batch`] if there are more than [`Self::MAX_BATCH`] keys.
    pub async fn get_many<T: DeserializeOwned>(&self, keys: &[&str]) -> Result<BTreeMap<String, T>, StorageError> {
        batch_fits(keys.len())?;
        let mut values = BTreeMap::new();
        for &key in keys {
            if let Some(value) = self.get(key).await? {
                values.insert(key.to_owned(), value);
            }
        }
        Ok(values)
    }

    /// Sets several values at once. After a crash, either all of them are stored or none.
    ///
    /// # Errors
    /// Fails like [`put`](Self::put), and with [`StorageError::Batch`] if there are more than [`Self::MAX_BATCH`] values.
    pub fn put_many<T: Serialize>(&self, values: &[(&str, T)]) -> Result<(), StorageError> {
        batch_fits(values.len())?;
        let rows = values.iter().map(|(key, value)| Ok((self.key(key)?, Some(encoded(value)?))));
        self.db.write(rows.collect::<Result<_, StorageError>>()?)
    }

    /// Deletes several values at once.
    ///
    /// # Errors
    /// Fails like [`put_many`](Self::put_many). Then nothing is deleted.
    pub fn delete_many(&self, keys: &[&str]) -> Result<(), StorageError> {
        batch_fits(keys.len())?;
        self.db.write(keys.iter().map(|key| Ok((self.key(key)?, None))).collect::<Result<_, StorageError>>()?)
    }

    /// Deletes everything that the room has stored. Its alarm stays.
    ///
    /// # Errors
    /// Fails if the disk fails. Then nothing is deleted. Also fails if the disk does not answer in 5 s. Then it may be deleted
    /// later.
    pub async fn delete_all(&self) -> Result<(), StorageError> {
        self.db.forget(&self.prefix).await
    }

    /// Deletes the value under `key`, if there is one.
    ///
    /// # Errors
    /// Fails if the key is invalid, or with [`StorageError::Full`]. Then nothing is deleted.
    pub fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.db.write([(self.key(key)?, None)].into())
    }

    /// Keys and values, in order.
    ///
    /// # Errors
    /// Fails like [`get`](Self::get).
    pub async fn list<T: DeserializeOwned>(&self, options: ListOptions<'_>) -> Result<Vec<(String, T)>, StorageError> {
        let rows = self.rows(options).await?.into_iter();
        rows.map(|(key, value)| Ok((key, serde_json::from_slice(&value)?))).collect()
    }

    /// Reads all values whose keys start with `prefix`, for a room that must not wait for the disk.
    #[must_use]
    pub fn read(&self, prefix: &'static str) -> Reading {
        Reading::new(self.clone(), prefix)
    }

    /// Blocks the disk of the whole server until the returned value is dropped, to test what a party does without it.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn stall(&self) -> impl Send + use<> {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        // A closed thread writes nothing anyway.
        let _ = self.db.0.orders.send(writer::Order::Stall(held));
        hold
    }

    async fn rows(&self, options: ListOptions<'_>) -> Result<Vec<(String, Bytes)>, StorageError> {
        let within = |key: &str| [&self.prefix, key.as_bytes()].concat();
        let mut from = within(options.prefix);
        let mut to = after_prefix(&from);
        if let Some(start) = options.start {
            from = from.max(within(start));
        }
        if let Some(before) = options.start_after {
            let mut first_after = within(before);
            first_after.push(0);
            from = from.max(first_after);
        }
        if let Some(end) = options.end {
            to = to.min(within(end));
        }
        let limit = options.limit.unwrap_or(usize::MAX);
        let rows = self.db.list(from, to, options.reverse, limit).await?.into_iter();
        let key = |key: Key| String::from_utf8_lossy(key.get(self.prefix.len()..).unwrap_or_default()).into_owned();
        Ok(rows.map(|(bytes, value)| (key(bytes), value)).collect())
    }

    fn key(&self, key: &str) -> Result<Key, StorageError> {
        match key.len() {
            1..=Self::MAX_KEY_BYTES => Ok([&self.prefix, key.as_bytes()].concat()),
            bytes => Err(StorageError::Key(bytes)),
        }
    }
}

fn encoded<T: Serialize>(value: &T) -> Result<Bytes, StorageError> {
    let value = serde_json::to_vec(value)?;
    if value.len() > Storage::MAX_VALUE_BYTES {
        return Err(StorageError::Value(value.len()));
    }
    Ok(value.into())
}

fn batch_fits(keys: usize) -> Result<(), StorageError> {
    if keys > Storage::MAX_BATCH { Err(StorageError::Batch(keys)) } else { Ok(()) }
}

/// Joins the parts of a database key.
pub(crate) fn joined(parts: &[&[u8]]) -> Key {
    parts.join(&SEPARATOR)
}

/// The first key after all keys that start with `prefix`.
pub(crate) fn after_prefix(prefix: &[u8]) -> Key {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests;
