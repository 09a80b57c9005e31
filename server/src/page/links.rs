//! The links that viewers watch, within their limits.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use connection_counter_protocol::{MAX_LINKS_PER_MESSAGE, PageId, PageMessage, close};

use super::{
    LINKS, Link, PATIENCE, Page, Past, Unusual,
    costs::{self, Brought, LinkMemory},
    page_id,
    sets::{self, Change, LinkSet},
};
use crate::{
    Access, Progress, Refusal, Settings, ViewerLimits,
    notice::Notice,
    party::{Connection, Message, Result, Room},
    stored,
};

impl Page {
    pub(super) fn subscribe(&mut self, room: &Room, connection: &Connection, links: &[String]) -> Result {
        let limits = &room.setting::<Settings>()?.limits;
        let access = room.setting::<Access>()?;
        let Some(viewer) = self.viewers.get_mut(connection.key()) else { return Ok(()) };
        if links.len() > limits.links_per_message {
            say_that_links_are_too_many(connection, links.len(), limits.links_per_message);
            return Ok(());
        }
        let page = page_id(room);
        if viewer.watches.is_none() {
            // It needs only the snapshot.
            viewer.told = self.telling.version();
            if let Some((asked, set)) = self.snapshot.as_ref().and_then(|last| last.if_asked_again(links))
                && set.len() <= limits.links_per_connection
                && set.iter().all(|id| is_served(id, &page, access))
                && viewer.held.grow(costs::bytes(&set, page.counter_room())).is_ok()
            {
                viewer.watches = Some(set);
                return self.send_snapshot(room, connection, asked);
            }
        }
        if self.links.len() + links.len() > limits.links_per_room {
            // Links that are only stored are dropped to make room for watched ones.
            forget_unwatched(&mut self.links, room)?;
        }
        let mut order = Order {
            memory: LinkMemory::new(page.counter_room(), &viewer.watches, &mut viewer.held),
            address: connection.address_key(),
            watches: &viewer.watches,
            links: &mut self.links,
            brought: &mut self.brought,
            limits,
            asked: Vec::new(),
            seen: HashSet::new(),
            watched: viewer.watches.as_ref().map_or(0, |links| links.len()),
            left_out: BTreeMap::new(),
        };
        let mut refused: Vec<(&String, Refusal)> = Vec::new();
        for text in links {
            match link_of(text, &page, access, &mut viewer.unusual) {
                Ok(id) => order.take(id),
                Err(refusal) => refused.push((text, refusal)),
            }
        }
        let Order { asked, left_out, .. } = order;
        let links = sets::with(&viewer.watches, &asked);
        let change = self.sets.replace(&mut viewer.watches, links);
        self.apply(change);
        // Known counts are sent at once. The others follow when they arrive.
        self.send_snapshot(room, connection, asked.into())?;
        say_what_is_missing(connection, &refused, &left_out);
        Ok(())
    }

    /// Reads stored links, as far as the disk is fast enough.
    pub(super) async fn recall(&mut self, room: &Room) {
        loop {
            let past = match &mut self.past {
                Past::Unread => {
                    self.past = Past::Reading(Box::new(room.storage().read(LINKS)));
                    continue;
                }
                Past::Reading(past) => past,
                Past::Read => return,
            };
            match past.next::<()>(PATIENCE).await {
                Ok(Progress::Rows(rows)) => {
                    for id in rows.iter().filter_map(|(id, ())| PageId::parse(id).ok()) {
                        self.links.entry(id).or_default().kept = true;
                    }
                }
                Ok(Progress::End) => self.past = Past::Read,
                Ok(Progress::NotYet) => return,
                Err(error) => {
                    static UNREAD: Notice = Notice::fault();
                    let page = room.id().split('?').next().unwrap_or_default();
                    UNREAD.give(|| format!("links of {page} could not be read; going on without: {error}"));
                    return;
                }
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, room: &Room, connection: &Connection, links: &[String]) -> Result {
        let access = room.setting::<Access>()?;
        let Some(viewer) = self.viewers.get_mut(connection.key()) else { return Ok(()) };
        let watches = &mut viewer.watches;
        let named = links.iter().filter_map(|text| PageId::parse(text).ok());
        let named = named.map(|id| access.main_page(&id).unwrap_or(id));
        let left: BTreeSet<PageId> = named.filter(|id| sets::has(watches, id)).collect();
        let all = watches.iter().flat_map(|links| links.iter());
        let stay: Vec<_> = all.filter(|id| !left.contains(*id)).cloned().collect();
        viewer.held.shrink_to(costs::bytes(&stay, page_id(room).counter_room()));
        let change = self.sets.replace(watches, stay);
        self.apply(change);
        Ok(())
    }

    /// Notes which links are watched now, and which no longer are.
    pub(super) fn apply(&mut self, change: Change) {
        for id in change.new.iter().flat_map(|set| set.iter()) {
            if let Some(link) = self.links.get_mut(id) {
                link.sets += 1;
                if link.sets == 1 {
                    self.unsettled.insert(id.clone());
                }
            }
        }
        for id in change.gone.iter().flat_map(|set| set.iter()) {
            if let Some(link) = self.links.get_mut(id) {
                link.sets = link.sets.saturating_sub(1);
                if link.sets == 0 {
                    self.brought.remove(link);
                    self.unsettled.insert(id.clone());
                }
            }
        }
    }

    /// Answers a malformed message once. A client that goes on does not understand the answer.
    pub(super) fn warn(&mut self, connection: &Connection, reason: &str) -> Result {
        let Some(viewer) = self.viewers.get_mut(connection.key()) else { return Ok(()) };
        if std::mem::replace(&mut viewer.unusual.get_or_insert_default().warned, true) {
            return connection.close(close::POLICY, "a second malformed message");
        }
        let hint = r#"send {"type":"subscribe","links":["…"]}; the next malformed message closes the connection"#;
        say(connection, "bad-message", format!("{reason}; {hint}"));
        Ok(())
    }
}

/// The page that a link of this page leads to, under the main name of its site. If the link uses another name, notes that name.
fn link_of(text: &str, page: &PageId, access: &Access, unusual: &mut Option<Box<Unusual>>) -> Result<PageId, Refusal> {
    let named = PageId::parse(text)?;
    let id = match access.main_page(&named) {
        Some(main) => {
            unusual.get_or_insert_default().alias = named.site().map(Into::into);
            main
        }
        None => named,
    };
    if is_served(&id, page, access) { Ok(id) } else { Err(access.refusal_of(id.counter_room())) }
}

/// Whether the server counts this link of a page.
fn is_served(id: &PageId, page: &PageId, access: &Access) -> bool {
    id.site() == page.site() || access.serves(id.site())
}

fn say_that_links_are_too_many(connection: &Connection, links: usize, allowed: usize) {
    static MESSAGE: Notice = Notice::warning();
    let message =
        format!("{links} links in one message are more than {allowed}; nothing was subscribed, send them in parts");
    say(connection, "too-many-links", message);
    MESSAGE.give(|| {
        format!(
            "the links of a message show no counts: it has more than --max-links-per-message allows. The widget sends up \
             to {MAX_LINKS_PER_MESSAGE} at once"
        )
    });
}

fn say_what_is_missing(connection: &Connection, refused: &[(&String, Refusal)], left_out: &BTreeMap<Bound, usize>) {
    if let Some((text, error)) = refused.first() {
        let shown: String = text.chars().take(80).collect();
        say(connection, "bad-link", format!("{shown:?}: {error}; {} refused, the others count", refused.len()));
    }
    for (bound, links) in left_out {
        bound.tell();
        say(connection, "too-many-links", format!("{links} links are more than {bound}; the others are watched"));
    }
}

/// What a viewer's message asks for, while the page handles it.
struct Order<'a> {
    /// Reserves memory for the viewer's address.
    memory: LinkMemory<'a>,
    /// That address.
    address: Option<u64>,
    /// The links that the viewer watched before.
    watches: &'a LinkSet,
    /// The links of the page, and which addresses added them.
    links: &'a mut HashMap<PageId, Link>,
    brought: &'a mut Brought,
    limits: &'a ViewerLimits,
    /// The links of the message that are watched now, in its order.
    asked: Vec<PageId>,
    /// The same, to find duplicates.
    seen: HashSet<PageId>,
    /// How many links the viewer watches now.
    watched: usize,
    /// How many links were left out, for each limit.
    left_out: BTreeMap<Bound, usize>,
}

impl Order<'_> {
    /// Lets the viewer watch a link, or counts it as left out.
    fn take(&mut self, id: PageId) {
        if self.seen.contains(&id) {
            return;
        }
        if !sets::has(self.watches, &id) {
            if let Err(bound) = self.check(&id) {
                *self.left_out.entry(bound).or_default() += 1;
                return;
            }
            let link = self.links.entry(id.clone()).or_default();
            if link.sets == 0 {
                self.brought.add(link, self.address);
            }
            self.watched += 1;
        }
        self.seen.insert(id.clone());
        self.asked.push(id);
    }

    /// Reserves memory for a link, unless a limit is reached.
    fn check(&mut self, id: &PageId) -> Result<(), Bound> {
        if self.watched >= self.limits.links_per_connection {
            return Err(Bound::Connection);
        }
        let free = self.limits.links_per_room.saturating_sub(self.links.len());
        if !self.links.contains_key(id) && !self.brought.may_bring(self.address, free) {
            return Err(Bound::Page);
        }
        // The log already says so.
        self.memory.reserve(id).map_err(|_| Bound::Address)
    }
}

/// Why a link is left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    /// The connection watches as many links as it may.
    Connection,
    /// The page has as many links as it may have, or the address has added as many as it may.
    Page,
    /// The address holds as much memory as it may.
    Address,
}

impl Bound {
    /// Logs that links show no counts.
    fn tell(self) {
        static CONNECTION: Notice = Notice::warning();
        static PAGE: Notice = Notice::warning();
        let (notice, sentence) = match self {
            Self::Connection => (
                &CONNECTION,
                "some links of a page show no counts: one viewer watches as many as --max-links-per-connection allows",
            ),
            Self::Page => (
                &PAGE,
                "some links of a page show no counts: its viewers watch as many as --max-links-per-room allows, or one address \
                 watches half of those",
            ),
            // The runtime logs this.
            Self::Address => return,
        };
        notice.give(|| sentence.to_owned());
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "one connection may watch",
            Self::Page => "may be watched on this page at a time",
            Self::Address => "may be watched from your address at a time",
        })
    }
}

/// Stores a link that has had viewers. A link that was never viewed while it was watched is not stored, because anyone can
/// invent one.
pub(super) fn keep(id: &PageId, link: &mut Link, room: &Room) -> Result {
    if !link.kept {
        link.kept = stored(room.storage().put(&link_key(id), &()))?;
        if link.kept && room.alarm().is_none() {
            room.set_alarm(room.setting::<Settings>()?.cleanup_interval);
        }
    }
    Ok(())
}

/// Forgets links that are only remembered.
pub(super) fn forget_unwatched(links: &mut HashMap<PageId, Link>, room: &Room) -> Result {
    for (id, link) in links.extract_if(|_, link| link.sets == 0 && !link.subscribed) {
        if link.kept {
            stored(room.storage().delete(&link_key(&id)))?;
        }
    }
    Ok(())
}

fn say(connection: &Connection, code: &str, message: String) {
    tracing::debug!(code, message, "a message was refused");
    if let Ok(message) = Message::json(&PageMessage::Error { code: code.to_owned(), message }) {
        // A connection that cannot take it is closing.
        let _ = connection.send(message);
    }
}

fn link_key(id: &PageId) -> String {
    format!("{LINKS}{id}")
}
