//! What viewers ask of their page: which links they watch, within their limits.

use std::collections::{BTreeMap, BTreeSet};

use connection_counter_protocol::{PageId, PageMessage, close};

use super::{LINKS, Link, PATIENCE, Page, page_id, sets};
use crate::{
    Access, Progress, Refusal, Settings,
    party::{Connection, Message, Result, Room},
    stored,
};

impl Page {
    pub(super) fn subscribe(&mut self, room: &Room, connection: &Connection, links: &[String]) -> Result {
        let limits = &room.setting::<Settings>()?.limits;
        let access = room.setting::<Access>()?;
        let Some(viewer) = self.viewers.get_mut(&connection.key()) else { return Ok(()) };
        if links.len() > limits.links_per_message {
            let message = format!(
                "{} links in one message are more than {}; nothing was subscribed, send them in parts",
                links.len(),
                limits.links_per_message
            );
            say(connection, "too-many-links", message);
            return Ok(());
        }
        if self.links.len() + links.len() > limits.links_per_room {
            // Those that are only remembered make room for those that are watched.
            forget_unwatched(&mut self.links, room)?;
        }
        let mut asked = BTreeSet::new();
        let mut refused: Vec<(&String, Refusal)> = Vec::new();
        let mut left_out = 0;
        let mut watched = viewer.watches.as_ref().map_or(0, |links| links.len());
        let page = page_id(room);
        for text in links {
            let id = match link_of(text, &page, access, &mut viewer.alias) {
                Ok(id) => id,
                Err(refusal) => {
                    refused.push((text, refusal));
                    continue;
                }
            };
            let is_watched = sets::has(&viewer.watches, &id) || asked.contains(&id);
            let full = watched >= limits.links_per_connection
                || !self.links.contains_key(&id) && self.links.len() >= limits.links_per_room;
            if full && !is_watched {
                left_out += 1;
                continue;
            }
            let link = self.links.entry(id.clone()).or_default();
            if !is_watched {
                watched += 1;
                link.watchers += 1;
                if link.watchers == 1 {
                    self.unsettled.insert(id.clone());
                }
            }
            asked.insert(id);
        }
        if viewer.watches.is_none() {
            // The snapshot is all it has to know.
            viewer.told = self.telling.version();
        }
        let links = sets::with(&viewer.watches, asked.clone());
        self.sets.replace(&mut viewer.watches, links);
        // What is known is told at once; the rest comes when it is.
        self.send_snapshot(room, connection, asked)?;
        say_what_is_missing(connection, &refused, left_out);
        Ok(())
    }

    /// Reads the links that are remembered, as far as the disk is quick. What it remembers is a convenience.
    pub(super) async fn recall(&mut self, room: &Room) {
        while let Some(past) = &mut self.past {
            match past.next::<()>(PATIENCE).await {
                Ok(Progress::Rows(rows)) => {
                    for id in rows.iter().filter_map(|(id, ())| PageId::parse(id).ok()) {
                        self.links.entry(id).or_default().kept = true;
                    }
                }
                Ok(Progress::End) => self.past = None,
                Ok(Progress::NotYet) => return,
                Err(error) => {
                    tracing::error!(page = room.id(), %error, "links could not be read; going on without");
                    return;
                }
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, room: &Room, connection: &Connection, links: &[String]) -> Result {
        let access = room.setting::<Access>()?;
        let Some(viewer) = self.viewers.get_mut(&connection.key()) else { return Ok(()) };
        let watches = &mut viewer.watches;
        let named = links.iter().filter_map(|text| PageId::parse(text).ok());
        let named = named.map(|id| access.main_page(&id).unwrap_or(id));
        let left: BTreeSet<PageId> = named.filter(|id| sets::has(watches, id)).collect();
        let all = watches.iter().flat_map(|links| links.iter());
        let stay = all.filter(|id| !left.contains(*id)).cloned().collect();
        self.sets.replace(watches, stay);
        self.unwatch(left.iter());
        Ok(())
    }

    /// One viewer less watches these.
    pub(super) fn unwatch<'a>(&mut self, links: impl Iterator<Item = &'a PageId>) {
        for id in links {
            if let Some(link) = self.links.get_mut(id) {
                link.watchers = link.watchers.saturating_sub(1);
                if link.watchers == 0 {
                    self.unsettled.insert(id.clone());
                }
            }
        }
    }

    /// A malformed message is answered once; who goes on is not speaking our language.
    pub(super) fn warn(&mut self, connection: &Connection, reason: &str) -> Result {
        let Some(viewer) = self.viewers.get_mut(&connection.key()) else { return Ok(()) };
        if std::mem::replace(&mut viewer.warned, true) {
            return connection.close(close::POLICY, "a second malformed message");
        }
        let hint = r#"send {"type":"subscribe","links":["…"]}; the next malformed message closes the connection"#;
        say(connection, "bad-message", format!("{reason}; {hint}"));
        Ok(())
    }
}

/// The page that a link of this page leads to, under the main name of its site. Notes the other name, if it has that.
fn link_of(text: &str, page: &PageId, access: &Access, alias: &mut Option<Box<str>>) -> Result<PageId, Refusal> {
    let named = PageId::parse(text)?;
    let id = match access.main_page(&named) {
        Some(main) => {
            *alias = named.site().map(Into::into);
            main
        }
        None => named,
    };
    if id.site() == page.site() || access.serves(id.site()) {
        Ok(id)
    } else {
        Err(Refusal::SiteNotServed(id.counter_room().to_owned()))
    }
}

fn say_what_is_missing(connection: &Connection, refused: &[(&String, Refusal)], left_out: usize) {
    if let Some((text, error)) = refused.first() {
        let shown: String = text.chars().take(80).collect();
        say(connection, "bad-link", format!("{shown:?}: {error}; {} refused, the others count", refused.len()));
    }
    if left_out > 0 {
        let message = format!("{left_out} links are more than may be watched at a time; the others are watched");
        say(connection, "too-many-links", message);
    }
}

/// Remembers a link that leads somewhere: what no one has ever viewed while someone watched it is not worth the disk, for
/// anyone can invent it.
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
pub(super) fn forget_unwatched(links: &mut BTreeMap<PageId, Link>, room: &Room) -> Result {
    for (id, link) in links.extract_if(.., |_, link| link.watchers == 0 && !link.subscribed) {
        if link.kept {
            stored(room.storage().delete(&link_key(&id)))?;
        }
    }
    Ok(())
}

fn say(connection: &Connection, code: &str, message: String) {
    tracing::debug!(code, message, "a message was refused");
    if let Ok(message) = Message::json(&PageMessage::Error { code: code.to_owned(), message }) {
        // Who cannot take it is closing.
        let _ = connection.send(message);
    }
}

fn link_key(id: &PageId) -> String {
    format!("{LINKS}{id}")
}
