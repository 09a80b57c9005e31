//! Which room an address leads to, and which host it names.

use http::{HeaderMap, Request, header};
use percent_encoding::percent_decode_str;

use crate::{
    error::Error,
    party::{self, Result, RoomKey, Rooms},
    server::{Addresses, QueryAddress},
};

/// Characters of a path that are quoted.
const MAX_QUOTED: usize = 100;

/// Refuses a request that names two hosts. A proxy may go by the other one (RFC 9112, section 3.2).
pub(crate) fn check_host(headers: &HeaderMap) -> Result<()> {
    if headers.get_all(header::HOST).iter().nth(1).is_some() { Err(Error::Hosts) } else { Ok(()) }
}

/// The room that a request is for: `/parties/:party/:room[/…]`, `/party/:room[/…]` for the party `main`, or one of the
/// addresses that the program added. A WebSocket handshake is always for a room.
pub(crate) fn room<B>(request: &Request<B>, rooms: &Rooms, addresses: Addresses) -> Option<Result<RoomKey>> {
    let uri = request.uri();
    let named = party_and_room(uri.path(), rooms).or_else(|| shortened(uri.path(), addresses.short, rooms));
    if let Some((party, room)) = named {
        if addresses.operator_party == Some(party) {
            return None;
        }
        let room = percent_decode_str(room).decode_utf8().map_err(|_| Error::RoomEncoding);
        return Some(room.and_then(|room| rooms.room_key(party, &room)));
    }
    let is_handshake = request.headers().contains_key(header::SEC_WEBSOCKET_KEY);
    // Proxies change paths more often than queries, and a handshake is for nothing but a room.
    let is_meant = |segment| is_handshake || uri.path().trim_end_matches('/').rsplit('/').next() == Some(segment);
    if let Some(QueryAddress { segment, party }) = addresses.query_address
        && is_meant(segment)
        && let Some(id) = party::query_value(uri, party)
    {
        return Some(rooms.room_key(party, &id));
    }
    is_handshake.then(|| Err(Error::NoPartyForHandshake(uri.path().chars().take(MAX_QUOTED).collect())))
}

fn party_and_room<'a>(path: &'a str, rooms: &Rooms) -> Option<(&'a str, &'a str)> {
    let path = without_slashes(path.strip_prefix('/')?);
    let prefix = rooms.shared().config().prefix.as_str();
    let (party, rest) = match path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => without_slashes(rest).split_once('/')?,
        None => ("main", path.strip_prefix("party/")?),
    };
    room_of(party, rest, rooms)
}

/// Party and room of a short address, which may be below any path of a proxy.
fn shortened<'a>(path: &'a str, short: Option<&'static str>, rooms: &Rooms) -> Option<(&'a str, &'a str)> {
    let (party, mut rest) = (short?, path);
    loop {
        let (segment, after) = rest.split_once('/')?;
        if segment == party {
            return room_of(segment, after, rooms);
        }
        rest = after;
    }
}

/// The party and the room at the beginning of the rest of a path.
fn room_of<'a>(party: &'a str, rest: &'a str, rooms: &Rooms) -> Option<(&'a str, &'a str)> {
    let rest = without_slashes(rest);
    let room = if rooms.id_has_slashes(party) { rest } else { rest.split('/').next()? };
    (!room.is_empty()).then_some((party, room))
}

/// Removes extra slashes. A proxy that joins two paths may add one.
fn without_slashes(path: &str) -> &str {
    path.trim_start_matches('/')
}
