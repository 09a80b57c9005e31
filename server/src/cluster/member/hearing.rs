//! How a node handles the frames of others: which nodes count, and their counts.

use std::time::{Duration, Instant};

use super::{
    super::{
        peer::{Peer, State},
        wire::{Body, Frame, Node, Refused},
    },
    ALIVE_INTERVAL, ASK_INTERVAL, BUCKETS, Event, Heard, Member,
};

/// Time between two requests for everything because frames are missing. They must not add many frames to an overloaded
/// bus.
const ASK_INTERVAL_AFTER_LOSS: Duration = Duration::from_secs(2);
/// Other nodes that count. A cluster of 40 nodes holds ten million viewers.
const MAX_NODES: usize = 256;
/// Nodes that do not count yet.
const MAX_STRANGERS: usize = 256;
/// Pages of all other nodes. Each takes 24 to 48 bytes.
const MAX_PAGES: usize = 8_000_000;

impl Member {
    /// Handles a frame of another node.
    ///
    /// # Errors
    /// Returns why it was refused. The caller counts that with [`Tallies::refuse`](super::Tallies::refuse).
    pub(crate) fn on_frame(&mut self, now: Instant, frame: &Frame) -> Result<Heard, Refused> {
        if frame.node == self.me {
            return Ok(Heard::default());
        }
        if !(self.reads.oldest..=self.reads.newest).contains(&frame.version) {
            // It arrived, so it is not missing.
            self.peers.entry(frame.node).and_modify(|peer| peer.pass_over(frame.sequence));
            return Err(Refused::Version);
        }
        let body = match Body::read(&frame.payload) {
            Err(Refused::Kind) => Err(Refused::Kind),
            read => Ok(read?),
        };
        let known = self.peers.get(&frame.node);
        if known.is_none() && self.strangers() >= MAX_STRANGERS {
            return Err(Refused::TooManyNodes);
        }
        if known.is_none_or(|peer| peer.comes_back(now, ALIVE_INTERVAL)) {
            // That node counts us once we say that we hear it.
            self.told_alive_at = None;
        }
        let peer = self.peers.entry(frame.node).or_insert_with(|| Peer::new(now, frame));
        let lost = peer.admit(now, frame.sequence, frame.payload.len())?;
        if peer.state == State::Alive && lost > 0 {
            self.tallies.lost = self.tallies.lost.saturating_add(lost);
            self.ask(ASK_INTERVAL_AFTER_LOSS);
        }
        let body = body?;
        if let Body::Alive { heard, .. } = &body {
            self.hears_us(now, frame.node, heard)?;
        }
        self.take_in(frame.node, body)
    }

    /// Lets a node count that has heard us a moment ago.
    fn hears_us(&mut self, now: Instant, node: Node, heard: &[(Node, u64)]) -> Result<(), Refused> {
        let Some((_, sequence)) = heard.iter().find(|(node, _)| *node == self.me) else { return Ok(()) };
        let tick = self.said.partition_point(|(_, before)| before < sequence).checked_sub(1);
        let Some((said, _)) = tick.and_then(|tick| self.said.get(tick)) else { return Ok(()) };
        let counting = self.peers.len() - self.strangers();
        let Some(peer) = self.peers.get_mut(&node) else { return Ok(()) };
        if !peer.hears_us(now, *said) {
            return Ok(());
        }
        if peer.state == State::Stranger && counting >= MAX_NODES {
            return Err(Refused::TooManyNodes);
        }
        peer.turn(State::Alive, &mut self.changed);
        self.events.push(Event::Came(node));
        // Neither node has used the other's counts until now.
        self.hasty_buckets = BUCKETS;
        self.ask(ASK_INTERVAL);
        Ok(())
    }

    fn strangers(&self) -> usize {
        self.peers.values().filter(|peer| peer.state == State::Stranger).count()
    }

    /// Handles the content of a frame. Of an unknown node, only the versions that it reads are used.
    fn take_in(&mut self, node: Node, body: Body) -> Result<Heard, Refused> {
        let mut heard = Heard::default();
        let is_stranger = self.peers.get(&node).is_none_or(|peer| peer.state == State::Stranger);
        match body {
            body if is_stranger && !matches!(body, Body::Alive { .. }) => return Err(Refused::Unproven),
            Body::Delta(_) | Body::Full { .. } if self.peers.values().map(Peer::pages).sum::<usize>() > MAX_PAGES => {
                return Err(Refused::TooManyPages);
            }
            Body::Who => self.hasty_buckets = BUCKETS,
            Body::NamesWanted(keys) => heard.wanted = keys,
            Body::Names(names) => heard.names = names,
            body => {
                if body == Body::Bye {
                    self.events.push(Event::Left(node));
                }
                if let Some(peer) = self.peers.get_mut(&node) {
                    peer.apply(body, &mut self.changed)?;
                }
            }
        }
        Ok(heard)
    }

    /// Nodes that do not answer no longer count, and nodes that have been silent for long are forgotten.
    pub(super) fn look_for_silence(&mut self, now: Instant) {
        for (node, peer) in &mut self.peers {
            if peer.state == State::Alive && peer.is_overdue(now) {
                peer.turn(State::Silent, &mut self.changed);
                self.events.push(Event::Silent(*node));
            }
        }
        self.peers.retain(|_, peer| !peer.is_forgotten(now));
    }
}
