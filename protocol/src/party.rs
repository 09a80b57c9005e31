//! Page ↔ counter: bodies of the requests the two parties send each other, and what a `GET` on either answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PageId;

/// Viewers by page id.
pub type Counts = BTreeMap<PageId, u32>;

/// What a page asks of its site's counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CounterRequest {
    /// "I have this many viewers now." Always the whole count, never a difference.
    Update {
        /// The page that reports.
        id: PageId,
        /// Its viewers.
        connection_count: u32,
        /// Grows with every report of one page, so that a late one is told from a new one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
    },
    /// "Tell me when these change." Answered with their [`Counts`].
    Subscribe {
        /// The page that wants to know.
        subscriber_id: PageId,
        /// The pages it links to.
        subscribe_to_room_ids: Vec<PageId>,
    },
    /// "No one here looks at these links any more."
    Unsubscribe {
        /// The page that wanted to know.
        subscriber_id: PageId,
        /// The pages it no longer links to.
        unsubscribe_from_room_ids: Vec<PageId>,
    },
    /// "I have lost everything: forget which links I wanted to know about." What a page subscribes to next comes after it.
    Forget {
        /// The page that wanted to know.
        subscriber_id: PageId,
    },
    /// "Other machines count other numbers now: ask which."
    Elsewhere,
}

/// What a counter tells a page that subscribed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PageRequest {
    /// Counts of linked pages that changed since the last such message.
    Update {
        /// Viewers by page id.
        connections: Counts,
        /// Grows with every message of one counter, so that a late one is told from a new one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
    },
    /// "I have lost everything: tell me your count and your links again."
    Resync,
}

/// `GET /parties/page/:id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageReport {
    /// The page, in its one spelling.
    pub id: PageId,
    /// Who views it now.
    pub viewers: u32,
    /// Counts of the pages its viewers' links lead to.
    pub connections: Counts,
}

/// `GET /parties/counter/:site?page=ID`: the viewers of one page of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCount {
    /// The page, in its one spelling.
    pub id: PageId,
    /// Who views it now. 0 if no one has ever viewed it.
    pub viewers: u32,
}

/// `GET /parties/counter/:site`. With `?detail`, `T` is [`PageDetail`]. At most a second old.
///
/// It lists the 1,000 busiest pages; `?limit=N` asks for 1 to 10,000, and `?prefix=TEXT` for those only whose id begins
/// with `TEXT`.
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
    /// By page id: pages that have viewers; with `?detail` also those that had some or that others link to.
    pub pages: BTreeMap<PageId, T>,
    /// How many more there are. Not sent where it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// Whether more pages are to come, because the server has just started and still reads what is stored. Ask again in a
    /// moment. Not sent where it is false; pages that have viewers are never missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub still_reading: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What a counter knows of one page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageDetail {
    /// Who views it now.
    pub viewers: u32,
    /// The most viewers it ever had at once.
    pub peak: u32,
    /// When that was, in milliseconds since 1970 (UTC); 0 if it never had a viewer.
    pub peak_at_ms: u64,
    /// When its count last changed, in milliseconds since 1970 (UTC); 0 if it never did.
    pub last_activity_ms: u64,
}
