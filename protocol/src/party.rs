//! Page ↔ counter: the bodies of the requests between the two parties, and the answers to a `GET` on either.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PageId;

/// Viewers by page id.
pub type Counts = BTreeMap<PageId, u32>;

/// A request of a page to its site's counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CounterRequest {
    /// "I have this many viewers now." It is always the whole count, never a difference.
    Update {
        /// The page that reports.
        id: PageId,
        /// Its viewers.
        connection_count: u32,
        /// It grows with every report of one page, to tell late reports from new ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
    },
    /// "Tell me when these change." The answer is their [`Counts`].
    Subscribe {
        /// The page that subscribes.
        subscriber_id: PageId,
        /// The pages it links to.
        subscribe_to_room_ids: Vec<PageId>,
    },
    /// "None of my viewers watches these links any more."
    Unsubscribe {
        /// The page that unsubscribes.
        subscriber_id: PageId,
        /// The pages it no longer links to.
        unsubscribe_from_room_ids: Vec<PageId>,
    },
    /// "I have lost everything. Forget my subscriptions." The page subscribes again afterwards.
    Forget {
        /// The page that has lost everything.
        subscriber_id: PageId,
    },
    /// "The counts of other machines have changed. Ask which."
    Elsewhere,
}

/// A message of a counter to a page that subscribed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PageRequest {
    /// Counts of linked pages that changed since the last such message.
    Update {
        /// Viewers by page id.
        connections: Counts,
        /// It grows with every message of one counter, to tell late messages from new ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
    },
    /// "I have lost everything. Tell me your count and your links again."
    Resync,
}

/// The answer to `GET /parties/page/:id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageReport {
    /// The page, in its one spelling.
    pub id: PageId,
    /// Its current viewers.
    pub viewers: u32,
    /// Counts of the pages that its viewers' links lead to.
    pub connections: Counts,
}

/// The answer to `GET /parties/counter/:site?page=ID`: the viewers of one page of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCount {
    /// The page, in its one spelling.
    pub id: PageId,
    /// Its current viewers. 0 if no one has ever viewed it.
    pub viewers: u32,
}

/// The answer to `GET /parties/counter/:site`. With `?detail`, `T` is [`PageDetail`]. It is at most a second old.
///
/// It lists the 1,000 busiest pages. `?limit=N` asks for 1 to 10,000 pages, and `?prefix=TEXT` for those whose id begins with
/// `TEXT`.
///
/// ```
/// use connection_counter_protocol::CounterReport;
///
/// let report: CounterReport = serde_json::from_str(r#"{"pages":{"example.org/a":3},"leftOut":41}"#)?;
/// assert_eq!((report.pages.len(), report.left_out), (1, 41));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CounterReport<T = u32> {
    /// By page id, the pages that have viewers. With `?detail` also pages that had viewers or that other pages link to.
    pub pages: BTreeMap<PageId, T>,
    /// How many more pages there are. It is left out if it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// Whether more pages will follow, because the server has just started and still reads what is stored. Ask again in a
    /// moment. It is left out if it is false. Pages with viewers are never missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub still_reading: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What a counter knows about one page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageDetail {
    /// Its current viewers.
    pub viewers: u32,
    /// The most viewers it ever had at once.
    pub peak: u32,
    /// When that was, in milliseconds since 1970 (UTC). 0 if it never had a viewer.
    pub peak_at_ms: u64,
    /// When its count last changed, in milliseconds since 1970 (UTC). 0 if it never changed.
    pub last_activity_ms: u64,
}
