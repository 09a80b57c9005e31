//! Sends back every message, as the Autobahn suite requires.

use connection_counter::party::{Connection, Message, Party, Result, Room};

#[derive(Default)]
pub(crate) struct Echo;

impl Party for Echo {
    async fn on_message(&mut self, _room: &mut Room, connection: &Connection, message: Message) -> Result {
        connection.send(message)
    }
}
