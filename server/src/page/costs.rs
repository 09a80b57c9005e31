//! The memory that a viewer's links take, which counts against the viewer's address, and how many links one address may add to
//! a page.

use std::collections::{HashMap, HashSet};

use connection_counter_protocol::PageId;

use super::{Link, sets::LinkSet};
use crate::{Error, Reservation};

/// Bytes of memory that a watched link takes at the page and at its counter, in addition to its id. `tests/strangers.rs`
/// measured 300 to 600.
const LINK_BYTES: usize = 600;
/// How many copies of a link's id there are: at the page, and at its counter, which also knows who watches it.
const ID_COPIES: usize = 3;
/// Bytes of memory that the counter of one more site takes. The same test measured 4 to 5 KB.
const COUNTER_BYTES: usize = 6 * 1024;

/// Bytes that a link takes, without its site's counter.
fn link_bytes(id: &PageId) -> usize {
    LINK_BYTES + ID_COPIES * id.as_str().len()
}

/// The site of a link, if its counter is not this one. Ids without a site have one common counter.
fn foreign_site<'a>(id: &'a PageId, counter: &str) -> Option<&'a str> {
    id.site().filter(|site| *site != counter)
}

/// Bytes that a set of links takes, on a page of this counter. The links are in order.
pub(super) fn bytes(links: &[PageId], counter: &str) -> usize {
    let mut sites: Vec<_> = links.iter().filter_map(|id| foreign_site(id, counter)).collect();
    // The links of one site are next to each other, because they are in order.
    sites.dedup();
    links.iter().map(link_bytes).sum::<usize>() + COUNTER_BYTES * sites.len()
}

/// Reserves memory while a viewer asks for more links.
pub(super) struct LinkMemory<'a> {
    /// The counter of the page.
    counter: &'a str,
    /// The links that the viewer watched before.
    watches: &'a LinkSet,
    /// Other sites that memory was reserved for since then.
    sites: HashSet<Box<str>>,
    /// The memory that is reserved.
    held: &'a mut Reservation,
}

impl<'a> LinkMemory<'a> {
    pub(super) fn new(counter: &'a str, watches: &'a LinkSet, held: &'a mut Reservation) -> Self {
        Self { counter, watches, sites: HashSet::new(), held }
    }

    /// Reserves memory for one more link.
    ///
    /// # Errors
    /// Fails with [`Error::TooMuchFromAddress`].
    pub(super) fn reserve(&mut self, id: &PageId) -> Result<(), Error> {
        let site = foreign_site(id, self.counter).filter(|site| !self.knows(site));
        self.held.grow(link_bytes(id) + site.map_or(0, |_| COUNTER_BYTES))?;
        self.sites.extend(site.map(Into::into));
        Ok(())
    }

    fn knows(&self, site: &str) -> bool {
        let before = self.watches.as_ref().map_or(&[][..], |links| links);
        let first = before.get(before.partition_point(|id| !is_of_or_after(id, site)));
        self.sites.contains(site) || first.is_some_and(|id| id.site() == Some(site))
    }
}

/// Whether a link belongs to this site, or comes after its links in order.
fn is_of_or_after(id: &PageId, site: &str) -> bool {
    let start = site.bytes().chain(std::iter::once(b'/'));
    id.as_str().bytes().ge(start)
}

/// The addresses that added the watched links of a page. Each address may add at most as many as are still free after that.
/// So half of a page's links are left for others, and half of the rest for the next address. No address can use up all
/// links of a page.
#[derive(Default)]
pub(super) struct Brought(HashMap<u64, usize>);

impl Brought {
    /// Whether an address may add another link to a page that has this many free. Loopback may always, because its readers
    /// cannot be told apart.
    pub(super) fn may_bring(&self, address: Option<u64>, free: usize) -> bool {
        free > 0 && address.is_none_or(|address| self.0.get(&address).is_none_or(|brought| *brought < free))
    }

    /// This address has added a link.
    pub(super) fn add(&mut self, link: &mut Link, address: Option<u64>) {
        link.brought_by = address;
        if let Some(address) = address {
            *self.0.entry(address).or_default() += 1;
        }
    }

    /// A link is no longer watched.
    pub(super) fn remove(&mut self, link: &mut Link) {
        let Some(address) = link.brought_by.take() else { return };
        if let Some(brought) = self.0.get_mut(&address) {
            *brought -= 1;
            if *brought == 0 {
                self.0.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn ids(names: &[&str]) -> Vec<PageId> {
        let mut ids: Vec<_> = names.iter().map(|name| PageId::parse(name).unwrap()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn links_take_the_same_memory_together_and_one_by_one() {
        let all = ids(&["a", "own.org/x", "own.org/y", "b-c.org/x", "b.org/x", "b.org/y", "b.org:8080/x", "c.org/x"]);
        for before in 0..all.len() {
            // The links are asked for in any order, and some are watched already.
            let (watched, more): (Vec<_>, Vec<_>) =
                all.iter().cloned().enumerate().partition(|(idx, _)| idx % 3 == before % 3);
            let watched: Vec<_> = watched.into_iter().map(|(_, id)| id).collect();
            let mut held = Reservation::default();
            held.grow(bytes(&watched, "own.org")).unwrap();
            let watches = Some(Arc::new(watched));
            let mut memory = LinkMemory::new("own.org", &watches, &mut held);
            for (_, id) in more.iter().rev() {
                memory.reserve(id).unwrap();
            }
            assert_eq!(held.bytes(), bytes(&all, "own.org"));
        }
    }

    #[test]
    fn each_other_site_takes_the_memory_of_one_counter() {
        let own = bytes(&ids(&["own.org/x", "own.org/y"]), "own.org");
        assert_eq!(bytes(&ids(&["abc.org/x", "abc.org/y"]), "own.org"), own + COUNTER_BYTES);
        assert_eq!(bytes(&ids(&["abc.org/x", "def.org/y"]), "own.org"), own + 2 * COUNTER_BYTES);
    }

    #[test]
    fn each_address_can_add_half_of_the_free_links() {
        let (mut brought, mut links) = (Brought::default(), Vec::new());
        let mut bring_all = |brought: &mut Brought, address| {
            let before = links.len();
            while brought.may_bring(Some(address), 1_000 - links.len()) {
                let mut link = Link::default();
                brought.add(&mut link, Some(address));
                links.push(link);
            }
            links.len() - before
        };
        assert_eq!([1, 2, 3].map(|address| bring_all(&mut brought, address)), [500, 250, 125]);
        assert!(brought.may_bring(None, 1) && !brought.may_bring(None, 0));
        links.iter_mut().for_each(|link| brought.remove(link));
        assert!(brought.0.is_empty());
    }
}
