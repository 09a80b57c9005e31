//! The parties of a server, by name, with their types erased.

use std::{collections::HashMap, marker::PhantomData, pin::Pin};

use http::HeaderMap;

use super::{
    Group, Lobby, Party, Request, Response, Result, RoomKey, Rooms,
    room::{self, Connections},
    rooms::Inbox,
};
use crate::error::StartupError;

/// A party with its type erased.
pub(super) trait Kind: Send + Sync {
    fn forgets(&self) -> bool;
    fn room_id(&self, id: &str) -> Result<String>;
    fn group(&self, lobby: &Lobby) -> Option<Group>;
    fn is_paced(&self, headers: &HeaderMap, lobby: &Lobby) -> bool;
    fn admit(&self, request: Request, lobby: Lobby, websocket: bool) -> Admission;
    fn start(&self, rooms: Rooms, key: RoomKey, connections: Connections, inbox: Inbox);
}

pub(super) type Admission = Pin<Box<dyn Future<Output = Result<Request, Response>> + Send>>;

struct Of<P>(PhantomData<fn() -> P>);

impl<P: Party> Kind for Of<P> {
    fn forgets(&self) -> bool {
        P::FORGETS
    }

    fn room_id(&self, id: &str) -> Result<String> {
        P::room_id(id)
    }

    fn group(&self, lobby: &Lobby) -> Option<Group> {
        P::group(lobby)
    }

    fn is_paced(&self, headers: &HeaderMap, lobby: &Lobby) -> bool {
        P::is_paced(headers, lobby)
    }

    fn admit(&self, request: Request, lobby: Lobby, websocket: bool) -> Admission {
        Box::pin(async move {
            if websocket {
                P::on_before_connect(request, &lobby).await
            } else {
                P::on_before_request(request, &lobby).await
            }
        })
    }

    fn start(&self, rooms: Rooms, key: RoomKey, connections: Connections, inbox: Inbox) {
        // Ends when the room is idle or the server stops; `Rooms::end` waits for it.
        rooms.shared().tasks.clone().spawn(room::run::<P>(rooms, key, connections, inbox));
    }
}

/// The parties of a server, by name.
#[derive(Default)]
pub(crate) struct Kinds(pub(super) HashMap<&'static str, Box<dyn Kind>>);

impl Kinds {
    pub(crate) fn add<P: Party>(&mut self, name: &'static str) -> std::result::Result<(), StartupError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(allowed) {
            return Err(StartupError::Party { name, problem: "has a bad name; use a-z, 0-9, _ and -" });
        }
        if self.0.insert(name, Box::new(Of::<P>(PhantomData))).is_some() {
            return Err(StartupError::Party { name, problem: "is there twice; give one of them another name" });
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of those whose rooms forget what they stored; see [`Party::FORGETS`].
    pub(crate) fn forgetful(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter(|(_, kind)| kind.forgets()).map(|(name, _)| *name)
    }

    /// In alphabetical order.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// The party's name as it was registered, if it was.
    pub(crate) fn name(&self, party: &str) -> Option<&'static str> {
        self.0.get_key_value(party).map(|(name, _)| *name)
    }
}
