//! The parties of a server, by name, with their types erased.

use std::{collections::HashMap, marker::PhantomData};

use http::HeaderMap;

use super::{
    AlarmClock, Group, Lobby, Party, Request, Result, Room, RoomId, RoomKey, Rooms, life,
    mailbox::Inbox,
    rooms::{Admission, Kind},
    table::Connections,
};
use crate::{error::StartupError, reload::Running, storage::Db};

/// A party, with its type.
struct Of<P>(PhantomData<fn() -> P>);

impl<P: Party> Kind for Of<P> {
    fn id_has_slashes(&self) -> bool {
        P::ID_HAS_SLASHES
    }

    fn room_id(&self, id: &str) -> Result<RoomId> {
        P::room_id(id)
    }

    fn same_as(&self, rooms: &Rooms, key: &RoomKey) -> Option<RoomId> {
        P::same_as(&Lobby::new(key.clone(), rooms.clone()))
    }

    fn group(&self, rooms: &Rooms, key: &RoomKey) -> Option<Group> {
        P::group(&Lobby::new(key.clone(), rooms.clone()))
    }

    fn is_paced(&self, headers: &HeaderMap, rooms: &Rooms, key: &RoomKey) -> bool {
        P::is_paced(headers, &Lobby::new(key.clone(), rooms.clone()))
    }

    fn admit(&self, request: Request, rooms: Rooms, key: RoomKey, websocket: bool) -> Admission {
        let lobby = Lobby::new(key, rooms);
        Box::pin(async move {
            if websocket {
                P::on_before_connect(request, &lobby).await
            } else {
                P::on_before_request(request, &lobby).await
            }
        })
    }

    fn start(&self, rooms: Rooms, key: RoomKey, connections: Connections, inbox: Inbox) {
        // The task ends when the room is idle or the server stops. `Rooms::end` waits for it.
        let tasks = rooms.shared().tasks.clone();
        tasks.spawn(life::run::<P>(Room::new(rooms, key, connections), inbox));
    }
}

/// The parties of a server, by name.
#[derive(Default)]
pub(crate) struct Kinds {
    /// Each party's code by its name.
    by_name: HashMap<&'static str, Box<dyn Kind>>,
    /// Parties whose storage is deleted at the start; see [`Party::FORGETS`].
    forgetful: Vec<&'static str>,
}

impl Kinds {
    pub(crate) fn add<P: Party>(&mut self, name: &'static str) -> std::result::Result<(), StartupError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(allowed) {
            return Err(StartupError::Party { name, problem: "has a bad name; use a-z, 0-9, _ and -" });
        }
        if P::FORGETS {
            self.forgetful.push(name);
        }
        if self.by_name.insert(name, Box::new(Of::<P>(PhantomData))).is_some() {
            return Err(StartupError::Party { name, problem: "is there twice; give one of them another name" });
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The parties whose storage is deleted at the start; see [`Party::FORGETS`].
    pub(crate) fn forgetful(&self) -> &[&'static str] {
        &self.forgetful
    }

    /// The names of the parties, in alphabetical order.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.by_name.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// All rooms of these parties.
    pub(crate) fn into_rooms(self, running: Running, alarms: AlarmClock, db: Db) -> Rooms {
        Rooms::new(self.by_name, running, alarms, db)
    }

    /// The key of a room, if the party exists and accepts the id.
    pub(crate) fn key(&self, party: &str, id: &str) -> Option<RoomKey> {
        let (name, kind) = self.by_name.get_key_value(party)?;
        RoomKey::new(name, kind.room_id(id).ok()?).ok()
    }
}
