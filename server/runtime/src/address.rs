//! Which room an address leads to.

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::{
    error::Error,
    party::{self, Result, RoomKey, Rooms},
    server::{Addresses, QueryAddress},
};

/// The room that an address leads to: `/parties/:party/:room[/…]`, `/party/:room[/…]` for the party `main`, or the short
/// address.
pub(crate) fn room(uri: &Uri, rooms: &Rooms, addresses: Addresses) -> Option<Result<RoomKey>> {
    if let Some((party, room)) = party_and_room(uri.path(), rooms) {
        if addresses.operator_party == Some(party) {
            return None;
        }
        let room = percent_decode_str(room).decode_utf8().map_err(|_| Error::RoomEncoding);
        return Some(room.and_then(|room| rooms.room_key(party, &room)));
    }
    let QueryAddress { segment, party } = addresses.query_address?;
    if uri.path().trim_end_matches('/').rsplit('/').next() != Some(segment) {
        return None;
    }
    Some(rooms.room_key(party, &party::query_value(uri, party)?))
}

fn party_and_room<'a>(path: &'a str, rooms: &Rooms) -> Option<(&'a str, &'a str)> {
    // A proxy that joins two paths may leave a slash too many.
    let without_slashes = |path: &'a str| path.trim_start_matches('/');
    let path = without_slashes(path.strip_prefix('/')?);
    let prefix = rooms.shared().config().prefix.as_str();
    let (party, rest) = match path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => without_slashes(rest).split_once('/')?,
        None => ("main", path.strip_prefix("party/")?),
    };
    let rest = without_slashes(rest);
    let room = if rooms.id_has_slashes(party) { rest } else { rest.split('/').next()? };
    (!room.is_empty()).then_some((party, room))
}
