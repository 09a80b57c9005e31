//! Tells the operator of refusals that a flag would change.

use crate::{error::Error, notice::Notice};

/// Tells the operator why strangers are refused, when that is for a limit of ours and not for what they sent.
pub(crate) fn tell(error: &Error) {
    static FULL: Notice = Notice::warning();
    static ADDRESS: Notice = Notice::warning();
    static GROUP: Notice = Notice::warning();
    static ROOM: Notice = Notice::warning();
    static ROOMS: Notice = Notice::warning();
    static MAILBOX: Notice = Notice::warning();
    static CALLS: Notice = Notice::warning();
    static UPGRADE: Notice = Notice::warning();
    let (notice, sentence) = match error {
        Error::ServerFull => {
            (&FULL, "a connection was refused: there are as many as --max-connections and the open files allow")
        }
        Error::TooManyFromAddress => (
            &ADDRESS,
            "an address was refused: it has --max-connections-per-address connections, or came faster than \
             --handshakes-per-second or --requests-per-second. If it is a proxy, name it with --trusted-proxy",
        ),
        Error::GroupFull(_) => (
            &GROUP,
            "a connection was refused: its group has as many as it may, such as a site has \
             --max-connections-per-site",
        ),
        Error::RoomFull => (&ROOM, "a connection was refused: its room has --max-connections-per-room"),
        Error::TooManyRooms => (&ROOMS, "a room could not be started: as many of --max-rooms are in memory as may be"),
        Error::RoomBusy => (&MAILBOX, "a room had no time for an event: --max-mailbox others wait for it"),
        Error::TooManyCalls => (&CALLS, "a room could not call another: --max-calls are under way"),
        Error::UpgradeLost(_) => (
            &UPGRADE,
            "a WebSocket handshake was refused: a proxy on the way lost a part of it. The proxy must speak HTTP/1.1 and pass \
             on the headers Upgrade and Connection",
        ),
        _ => return,
    };
    notice.give(|| sentence.to_owned());
}
