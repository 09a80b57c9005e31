//! What happens to the counts of a counter that has failed.

use std::time::Instant;

use connection_counter_protocol::PageId;

use super::{Cluster, ClusterFeed, GRACE, Site, member::TICK, seal::Seal, wire::Node};
use crate::counter::elsewhere::{Elsewhere, Feed};

const SITE: &str = "example.org";

/// Two nodes that hear each other, each with a counter of the same site.
struct Pair {
    nodes: [Cluster; 2],
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let nodes = [1, 2].map(|name| Cluster::new(Seal::new("pair", "a secret for two"), Node(name), Vec::new()));
        let now = Instant::now();
        for node in &nodes {
            node.set_connected(now, true);
            node.state().sites.insert(SITE.into(), Site::default());
        }
        let mut pair = Self { nodes, now };
        // At first they are strangers to each other.
        pair.pass(10);
        pair
    }

    fn feed(&self, node: usize) -> ClusterFeed {
        ClusterFeed { cluster: self.nodes[node].clone(), site: SITE.to_owned() }
    }

    /// A counter on a node, where the page has these viewers.
    fn counter(&self, node: usize, page: &PageId, viewers: u32) -> ClusterFeed {
        let mut feed = self.feed(node);
        set(&mut feed, page, viewers);
        feed
    }

    fn pass(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.now += TICK;
            let messages = self.nodes.each_ref().map(|node| node.on_tick(self.now));
            for (from, to) in [(0, 1), (1, 0)] {
                messages[from].iter().for_each(|message| self.nodes[to].on_message(self.now, message));
            }
        }
    }

    fn pass_grace(&mut self) {
        self.pass(u32::try_from(2 * GRACE.as_millis() / TICK.as_millis()).unwrap());
    }
}

/// The counter is told how many viewers the page has.
fn set(feed: &mut ClusterFeed, page: &PageId, viewers: u32) {
    let (key, _) = feed.watch(page);
    feed.set(page, key, viewers);
}

#[test]
fn counts_of_a_counter_that_does_not_come_back_are_forgotten() {
    let mut pair = Pair::new();
    let page = PageId::parse("example.org/page").unwrap();
    let lost = pair.counter(0, &page, 3);
    pair.pass(2);
    assert_eq!(pair.nodes[1].viewers(&page), 3);
    drop(lost);
    pair.pass(2);
    assert_eq!(pair.nodes[1].viewers(&page), 3, "the next counter may know them");
    pair.pass_grace();
    assert_eq!(pair.nodes[1].viewers(&page), 0);
}

#[test]
fn counts_are_forgotten_even_if_the_page_has_lost_its_last_viewer_elsewhere() {
    let mut pair = Pair::new();
    let page = PageId::parse("example.org/page").unwrap();
    let (lost, mut other) = (pair.counter(0, &page, 3), pair.counter(1, &page, 2));
    pair.pass(2);
    drop(lost);
    set(&mut other, &page, 0);
    pair.pass(2);
    let mut next = pair.feed(0);
    assert_eq!(next.changes(), [(page.clone(), 0)]);
    pair.pass_grace();
    assert_eq!(pair.nodes[1].viewers(&page), 0);
}

#[test]
fn the_next_counter_keeps_the_counts_that_it_is_told_again() {
    let mut pair = Pair::new();
    let page = PageId::parse("example.org/page").unwrap();
    let lost = pair.counter(0, &page, 3);
    drop(lost);
    let _next = pair.counter(0, &page, 4);
    pair.pass_grace();
    assert_eq!(pair.nodes[1].viewers(&page), 4);
}
