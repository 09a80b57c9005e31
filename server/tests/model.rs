//! Compares random viewers of a real server with a simple model, in which a count is the size of a set.
//!
//! `MODEL_SEED` repeats a run, and `MODEL_OPERATIONS` makes it longer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{
    collections::{BTreeSet, HashSet},
    time::Instant,
};

use fastrand::Rng;
use support::{DEADLINE, TestServer, TestViewer};

/// Operations in all. Every test run includes them, so they may only take a few seconds of processor time.
const OPERATIONS: usize = 4_000;
/// Operations between two comparisons, at most.
const MOST_AT_ONCE: usize = 400;
/// About how many viewers there are at a time.
const CROWD: usize = 30;
/// With these flags no limit is reached, and rooms leave memory in between.
const FLAGS: &[&str] = &["--message-burst=1000000", "--messages-per-second=1000000", "--room-idle-ms=20"];
/// Pages of two sites, and pages without a site.
const PAGES: [&str; 9] = [
    "one.example/a",
    "one.example/b",
    "one.example/c",
    "one.example/d",
    "two.example/a",
    "two.example/b",
    "two.example/c",
    "a",
    "b",
];

/// A viewer, and the counts that it should have.
struct Viewer {
    wire: TestViewer,
    page: usize,
    /// How it is counted. `Err` means that it is not counted.
    person: Result<Option<u8>, ()>,
    watches: BTreeSet<usize>,
    /// The pages that it may get counts of: those that it has watched since its page last answered.
    may_hear_of: BTreeSet<usize>,
}

struct Model {
    server: TestServer,
    rng: Rng,
    viewers: Vec<Viewer>,
}

#[tokio::test]
async fn counts_of_random_viewers_match_a_simple_model() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("MODEL_SEED").unwrap_or_else(|| fastrand::u64(..));
    // Shown when the test fails.
    println!("MODEL_SEED={seed}");
    let mut left = number("MODEL_OPERATIONS").map_or(OPERATIONS, |number| number as usize);
    let mut model = Model { server: TestServer::with(FLAGS).await, rng: Rng::with_seed(seed), viewers: Vec::new() };
    let start = Instant::now();
    while left > 0 {
        let operations = model.rng.usize(1..=MOST_AT_ONCE).min(left);
        for _ in 0..operations {
            model.operate().await;
        }
        model.compare().await;
        left -= operations;
    }
    println!("{:?}", start.elapsed());
    for viewer in std::mem::take(&mut model.viewers) {
        viewer.wire.close().await;
    }
    for page in PAGES {
        let site = page.split_once('/').map_or("all-pages", |(site, _)| site);
        model.server.expect_counted(site, page, 0).await;
    }
}

impl Model {
    async fn operate(&mut self) {
        let kind = self.rng.usize(..100);
        if self.viewers.len() < 2 || kind < 10 && self.viewers.len() < 2 * CROWD {
            return self.join(BTreeSet::new()).await;
        }
        let idx = self.rng.usize(..self.viewers.len());
        match kind {
            // It leaves, with a close frame or without one.
            0..14 => drop(self.leave(idx).await),
            // Its address changes. It reconnects to another page or the same one, and asks for its links again.
            14..24 => {
                let watches = self.leave(idx).await;
                self.join(watches).await;
            }
            24..74 => {
                let links = self.some_pages();
                self.viewers[idx].subscribe(&links).await;
            }
            _ => {
                let links = self.some_pages();
                self.viewers[idx].unsubscribe(&links).await;
            }
        }
    }

    fn some_pages(&mut self) -> BTreeSet<usize> {
        (0..self.rng.usize(1..5)).map(|_| self.rng.usize(..PAGES.len())).collect()
    }

    async fn join(&mut self, watches: BTreeSet<usize>) {
        let page = self.rng.usize(..PAGES.len());
        let person = match self.rng.u8(..10) {
            0 => Err(()),
            // A few people have several tabs.
            1..4 => Ok(Some(self.rng.u8(..3))),
            _ => Ok(None),
        };
        let query = match person {
            Err(()) => "?observe".to_owned(),
            Ok(Some(token)) => format!("?viewer=token-{token}"),
            Ok(None) => String::new(),
        };
        let wire = self.server.viewer(&format!("{}{query}", PAGES[page].replace('/', "%2F"))).await;
        let mut viewer = Viewer { wire, page, person, watches: BTreeSet::new(), may_hear_of: BTreeSet::new() };
        if !watches.is_empty() {
            viewer.subscribe(&watches).await;
        }
        self.viewers.push(viewer);
    }

    /// One viewer leaves. Returns what it watched.
    async fn leave(&mut self, idx: usize) -> BTreeSet<usize> {
        let mut viewer = self.viewers.swap_remove(idx);
        if self.rng.bool() {
            viewer.wire.socket.close(None).await.unwrap();
        }
        viewer.watches
    }

    /// The viewers of each page.
    fn counts(&self) -> [u64; PAGES.len()] {
        std::array::from_fn(|page| {
            let here = self.viewers.iter().filter(|viewer| viewer.page == page);
            let people: Vec<_> = here.filter_map(|viewer| viewer.person.ok()).collect();
            let together: HashSet<_> = people.iter().flatten().collect();
            (people.iter().filter(|token| token.is_none()).count() + together.len()) as u64
        })
    }

    /// Checks that everyone gets the right counts, and no others.
    async fn compare(&mut self) {
        let counts = self.counts();
        for viewer in &mut self.viewers {
            viewer.catch_up().await;
        }
        for (idx, viewer) in self.viewers.iter_mut().enumerate() {
            for page in viewer.watches.clone() {
                viewer.expect(idx, page, counts[page]).await;
            }
        }
    }
}

impl Viewer {
    async fn subscribe(&mut self, links: &BTreeSet<usize>) {
        for page in links.difference(&self.watches) {
            // It must get this count again.
            self.wire.counts.remove(PAGES[*page]);
        }
        self.wire.subscribe(&names(links)).await;
        self.watches.extend(links);
        self.may_hear_of.extend(links);
    }

    async fn unsubscribe(&mut self, links: &BTreeSet<usize>) {
        self.wire.unsubscribe(&names(links)).await;
        self.watches.retain(|page| !links.contains(page));
    }

    /// Waits until its page has handled all of its messages.
    async fn catch_up(&mut self) {
        // This invalid link is refused, after the messages before it.
        self.wire.subscribe(&[""]).await;
        while self.hear("an answer").await["code"] != "bad-link" {}
        self.may_hear_of.clone_from(&self.watches);
    }

    async fn expect(&mut self, idx: usize, page: usize, viewers: u64) {
        let name = PAGES[page];
        while self.wire.counts.get(name) != Some(&viewers) {
            let shown = self.wire.counts.get(name).copied();
            let here = PAGES[self.page];
            self.hear(&format!("viewer {idx} of {here} to see {viewers} viewers of {name}, not {shown:?}")).await;
        }
    }

    async fn hear(&mut self, awaited: &str) -> serde_json::Value {
        let message = self.wire.next_within(DEADLINE).await;
        let message = message.unwrap_or_else(|| panic!("waited in vain for {awaited}"));
        for (name, _) in message["connections"].as_object().into_iter().flatten() {
            let known = self.may_hear_of.iter().any(|page| PAGES[*page] == name);
            assert!(known, "a viewer of {} heard of {name}, which it does not watch", PAGES[self.page]);
        }
        message
    }
}

fn names(links: &BTreeSet<usize>) -> Vec<&'static str> {
    links.iter().map(|page| PAGES[*page]).collect()
}
