//! Uses its storage step by step as a request says, and returns the result of each step.

use std::collections::BTreeMap;

use connection_counter::{
    ListOptions, Storage, StorageError,
    party::{Party, Request, Response, Result, Room, json},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::asked;

#[derive(Default)]
pub(crate) struct Store;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Step {
    Put(String, Value),
    /// Puts a string that has this many bytes as JSON.
    PutBytes(String, usize),
    Get(String),
    Delete(String),
    PutMany(BTreeMap<String, Value>),
    GetMany(Vec<String>),
    DeleteMany(Vec<String>),
    List(Range),
    DeleteAll,
}

/// `ListOptions`, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Range {
    prefix: String,
    start: Option<String>,
    start_after: Option<String>,
    end: Option<String>,
    reverse: bool,
    limit: Option<usize>,
}

impl Party for Store {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let mut outcomes = Vec::new();
        for step in asked::<Vec<Step>>(&request)? {
            let outcome = take(room.storage(), step).await;
            outcomes.push(outcome.unwrap_or_else(|error| json!({ "error": error.to_string() })));
        }
        json(&outcomes)
    }
}

async fn take(storage: &Storage, step: Step) -> std::result::Result<Value, StorageError> {
    Ok(match step {
        Step::Put(key, value) => json!(storage.put(&key, &value)?),
        Step::PutBytes(key, bytes) => json!(storage.put(&key, &"x".repeat(bytes.saturating_sub("\"\"".len())))?),
        Step::Get(key) => json!(storage.get::<Value>(&key).await?),
        Step::Delete(key) => json!(storage.delete(&key)?),
        Step::PutMany(values) => {
            let values: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value)).collect();
            json!(storage.put_many(&values)?)
        }
        Step::GetMany(keys) => json!(storage.get_many::<Value>(&borrowed(&keys)).await?),
        Step::DeleteMany(keys) => json!(storage.delete_many(&borrowed(&keys))?),
        Step::List(range) => {
            let options = ListOptions {
                prefix: &range.prefix,
                start: range.start.as_deref(),
                start_after: range.start_after.as_deref(),
                end: range.end.as_deref(),
                reverse: range.reverse,
                limit: range.limit,
            };
            json!(storage.list::<Value>(options).await?)
        }
        Step::DeleteAll => json!(storage.delete_all().await?),
    })
}

fn borrowed(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}
