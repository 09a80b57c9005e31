//! Which room an address leads to, and which host it names.

use http::{HeaderMap, Request, Uri, header};
use percent_encoding::percent_decode_str;

use crate::{
    error::Error,
    party::{self, Result, RoomKey, Rooms},
    refusals,
    server::{Addresses, QueryAddress},
    upgrade,
};

/// Characters of an address that are quoted.
const MAX_QUOTED: usize = 100;

/// Refuses a request that names two hosts. A proxy may go by the other one (RFC 9112, section 3.2).
pub(crate) fn check_host(headers: &HeaderMap) -> Result<()> {
    if headers.get_all(header::HOST).iter().nth(1).is_some() { Err(Error::Hosts) } else { Ok(()) }
}

/// The room that a request is for: `/parties/:party/:room[/…]`, `/party/:room[/…]` for the party `main`, or one of the
/// addresses that the program added. A WebSocket handshake is always for a room.
pub(crate) fn room<B>(request: &Request<B>, rooms: &Rooms, addresses: Addresses) -> Option<Result<RoomKey>> {
    let uri = request.uri();
    let key = |(party, room)| {
        let room = percent_decode_str(room).decode_utf8().map_err(|_| Error::RoomEncoding)?;
        rooms.room_key(party, &room)
    };
    let named = party_and_room(uri.path(), rooms);
    if named.is_some_and(|(party, _)| addresses.operator_party == Some(party)) {
        return None;
    }
    let named = named.map(key);
    // A path that a proxy puts before ours may look like a party's.
    if !matches!(named, None | Some(Err(Error::UnknownParty(_)))) {
        return named;
    }
    if let Some((party, id)) = addresses.query_address.and_then(|address| asked_for(request, address)) {
        return Some(rooms.room_key(party, &id));
    }
    if let Some(short) = shortened(uri.path(), addresses.short, rooms) {
        return Some(key(short));
    }
    if upgrade::is_meant(request.headers()) {
        return Some(Err(Error::NoPartyForHandshake(quoted(uri.path()))));
    }
    named
}

/// The party and the room that the query names. Proxies change paths more often than queries, and a handshake is for nothing but a
/// room, so it may have any path.
fn asked_for<B>(request: &Request<B>, address: QueryAddress) -> Option<(&'static str, String)> {
    let QueryAddress { segment, party } = address;
    let uri = request.uri();
    let is_handshake = upgrade::is_meant(request.headers());
    let is_meant = is_handshake || uri.path().trim_end_matches('/').rsplit('/').next() == Some(segment);
    let id = is_meant.then(|| party::query_value(uri, party)).flatten()?;
    // Clients encode this character. If it arrives as it is, the id may have had an `&`, too, and is cut off there.
    if is_handshake && let Some((before, _)) = raw_query_value(uri, party).and_then(|raw| raw.split_once('?')) {
        refusals::note_decoded_query(&quoted(before));
    }
    Some((party, id))
}

/// The value of a query parameter as it arrived.
fn raw_query_value<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The beginning of an address, for the log.
fn quoted(address: &str) -> String {
    address.chars().take(MAX_QUOTED).collect()
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
        // A proxy may serve us below a path with the party's name.
        if segment == party && after.split('/').next() != Some(party) {
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
