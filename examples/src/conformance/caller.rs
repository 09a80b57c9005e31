//! Calls other rooms as a request says, and returns the result.

use connection_counter::party::{Message, Party, Request, Response, Result, Room, Stub, json};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::asked;

#[derive(Default)]
pub(crate) struct Caller;

/// Which room to call, and how.
#[derive(Deserialize)]
struct Order {
    party: String,
    room: String,
    #[serde(default)]
    path: String,
    /// The body of a POST. Without it, the request is a GET.
    body: Option<Value>,
    /// Opens a connection instead, and sends this.
    say: Option<String>,
    /// How many messages to receive before closing it.
    #[serde(default)]
    hear: usize,
}

impl Party for Caller {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let order: Order = asked(&request)?;
        let answer = match room.parties().get(&order.party).and_then(|party| party.room(&order.room)) {
            Ok(stub) => call(&stub, order).await,
            Err(error) => Err(error),
        };
        json(&answer.unwrap_or_else(|error| json!({ "error": error.to_string() })))
    }
}

async fn call(stub: &Stub, order: Order) -> Result<Value> {
    let mut request = Request::default();
    if let Ok(uri) = order.path.parse() {
        *request.uri_mut() = uri;
    }
    if let Some(said) = order.say {
        return converse(stub, request, said, order.hear).await;
    }
    if let Some(body) = order.body {
        *request.method_mut() = Method::POST;
        *request.body_mut() = serde_json::to_vec(&body)?.into();
    }
    let response = stub.fetch(request).await?;
    let body: Value = serde_json::from_slice(response.body())?;
    Ok(json!({ "status": response.status().as_u16(), "body": body }))
}

async fn converse(stub: &Stub, request: Request, said: String, hear: usize) -> Result<Value> {
    let mut socket = stub.socket(request).await?;
    socket.send(Message::text(said))?;
    let mut heard = Vec::new();
    while heard.len() < hear
        && let Some(Message::Text(text)) = socket.recv().await?
    {
        heard.push(text.to_string());
    }
    socket.close(4001, "heard enough");
    Ok(json!({ "heard": heard }))
}
