//! The life of a room: it takes its events one after another and runs its party's hooks, until it is idle.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{Connection, Party, Request, Result, Room, event::Event, mailbox::Inbox};
use crate::{
    close::{self, Close},
    error::Error,
    notice::Notice,
};

/// How long a failed room waits before it starts again by itself. The wait doubles with each failure, up to a quarter of an
/// hour.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
const MAX_RESTART_DOUBLINGS: u32 = 11;

/// What woke the room.
enum Woken {
    Event(Event),
    Tick,
    Idle,
    Ended,
}

/// The room's life, from its first event until it is idle.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` keeps its arguments twice, and every room in memory has one of these"
)]
pub(super) fn run<P: Party>(mut room: Room, mut inbox: Inbox) -> impl Future<Output = ()> + Send {
    async move {
        let mut party: Option<P> = None;
        // Only requests of strangers have come so far.
        let mut only_asked = true;
        loop {
            // There is one timer for both.
            let wakes_at = room.tick_at.or_else(|| leaves_at::<P>(&room, only_asked));
            let woken = tokio::select! {
                event = inbox.recv() => event.map_or(Woken::Ended, Woken::Event),
                () = sleep_until(wakes_at) => room.tick_at.map_or(Woken::Idle, |_| Woken::Tick),
            };
            match &woken {
                Woken::Event(event) => only_asked &= matches!(event, Event::Request { outside: true, .. }),
                Woken::Tick => room.tick_at = None,
                Woken::Idle if !room.rooms.retire(&room.key, &inbox, &mut room.connections) => continue,
                Woken::Idle | Woken::Ended => return,
            }
            // The future is boxed, because a room waits most of the time, and hooks need more memory than the rest of it.
            Box::pin(guarded(&mut room, &mut party, woken)).await;
        }
    }
}

/// When the room leaves memory if nothing happens. `None` if it stays.
fn leaves_at<P: Party>(room: &Room, only_asked: bool) -> Option<Instant> {
    if !may_sleep::<P>(room) {
        return None;
    }
    let at_once = only_asked && room.rooms.are_crowded();
    let idle_after = if at_once { Duration::ZERO } else { room.config().limits.room_idle };
    Instant::now().checked_add(idle_after)
}

fn may_sleep<P: Party>(room: &Room) -> bool {
    (P::HIBERNATES || room.connections.is_empty()) && !room.stays_awake
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Handles one event. If a hook panics, the party's value is dropped and its connections are closed, but this task goes
/// on.
async fn guarded<P: Party>(room: &mut Room, party: &mut Option<P>, woken: Woken) {
    let handled = AssertUnwindSafe(handle(room, party, woken)).catch_unwind().await;
    if handled.is_err() {
        // The panic itself, with its file and line, is already on standard error.
        static PANICKED: Notice = Notice::fault();
        let key = &room.key;
        PANICKED.give(|| {
            format!("room {key}: a hook panicked. Its connections are closed, and the next event starts it afresh")
        });
        *party = None;
        // This does nothing unless the room panicked before it had handled its alarm, for example in `on_start`.
        room.rooms.shared().alarms.failed(&room.key);
        // The next event starts the room again. If none comes, this tick does, because other rooms may rely on what it has
        // lost.
        room.tick_in(RESTART_PAUSE * 2_u32.pow(room.failures.min(MAX_RESTART_DOUBLINGS)));
        room.stays_awake = false;
        room.failures = room.failures.saturating_add(1);
        for connection in std::mem::take(&mut room.connections).into_values() {
            connection.close_with(Error::RoomFailed.close());
        }
    }
}

/// Starts the party if it has not started, and runs the hook for the event.
async fn handle<P: Party>(room: &mut Room, started: &mut Option<P>, woken: Woken) {
    let party = match started {
        Some(party) => party,
        None => {
            let mut party = P::default();
            match party.on_start(room).await {
                Ok(()) => {
                    room.failures = 0;
                    started.insert(party)
                }
                Err(error) => return refuse(room, woken, error),
            }
        }
    };
    let hook = match woken {
        Woken::Event(event) => run_hook(room, party, event).await,
        Woken::Tick => party.on_tick(room).await,
        Woken::Idle | Woken::Ended => Ok(()),
    };
    if let Err(error) = hook {
        log_failure(room, &error);
    }
}

/// Runs the hook for an event. If a caller waits for the result, it gets the error. All other errors are returned.
async fn run_hook<P: Party>(room: &mut Room, party: &mut P, event: Event) -> Result {
    match event {
        Event::Connect { connection, request, reply } => {
            let answer = connect(room, party, connection, &request).await;
            // The caller may be gone. Then the close event is on its way.
            let _ = reply.send(answer);
        }
        Event::Message { connection, message } => {
            if room.connections.get(connection.key()).is_some() {
                party.on_message(room, &connection, message).await?;
            }
        }
        Event::Close { connection, close } => {
            if room.connections.remove(connection.key()).is_some() {
                if close.code == close::ABNORMAL
                    && let Err(error) = party.on_error(room, &connection, &close.reason).await
                {
                    log_failure(room, &error);
                }
                party.on_close(room, &connection, close.code, &close.reason).await?;
            }
        }
        Event::Request { request, reply: None, .. } => drop(party.on_request(room, *request).await?),
        // The caller is gone, so nobody needs the answer.
        Event::Request { reply: Some(reply), .. } if reply.is_closed() => {}
        Event::Request { request, reply: Some(reply), .. } => {
            // The caller may no longer wait.
            let _ = reply.send(party.on_request(room, *request).await);
        }
        // The alarm was set again or cancelled while it was on its way.
        Event::Alarm if !room.rooms.shared().alarms.is_ringing(&room.key) => {}
        Event::Alarm => {
            let rung = AssertUnwindSafe(party.on_alarm(room)).catch_unwind().await;
            settle_alarm(room, rung);
        }
    }
    Ok(())
}

/// Runs `on_connect`. If it fails, the handshake still succeeds, and the reason is in the close frame, because browsers hide
/// the body of a failed handshake from the page.
async fn connect<P: Party>(room: &mut Room, party: &mut P, connection: Connection, request: &Request) -> Result {
    if room.connections.len() >= room.config().limits.connections_per_room {
        return Err(Error::RoomFull);
    }
    let tagged = party.connection_tags(&connection, request).and_then(|tags| connection.set_tags(tags));
    let greeted = match tagged {
        Ok(()) => {
            room.connections.insert(connection.key(), connection.clone());
            party.on_connect(room, &connection, request).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = greeted {
        close_ungreeted(room, &connection, &error);
    }
    Ok(())
}

fn close_ungreeted(room: &Room, connection: &Connection, error: &Error) {
    log_failure(room, error);
    connection.close_with(Close::new(close::INTERNAL, &error.to_string()));
}

/// Logs the error of a hook: as an error if the fault is ours, and at level `debug` if it is a stranger's bad input.
fn log_failure(room: &Room, error: &Error) {
    // A client may leave at any time, also while a hook answers it.
    if error.status().is_client_error() || matches!(error, Error::ConnectionClosed) {
        tracing::debug!(room = %room.key, %error, "a hook refused its input, or its client has left");
    } else {
        static FAILED: Notice = Notice::fault();
        FAILED.give(|| format!("room {}: a hook failed: {error}", room.key));
    }
}

/// The room could not start. This tells the callers that wait for it.
fn refuse(room: &Room, woken: Woken, error: Error) {
    static REFUSED: Notice = Notice::fault();
    REFUSED.give(|| format!("room {}: it could not start: {error}", room.key));
    match woken {
        Woken::Event(Event::Connect { connection, reply, .. }) => {
            close_ungreeted(room, &connection, &error);
            drop(reply.send(Ok(())));
        }
        Woken::Event(Event::Request { reply: Some(reply), .. }) => drop(reply.send(Err(error))),
        Woken::Event(Event::Alarm) => drop(room.rooms.shared().alarms.failed(&room.key)),
        _ => {}
    }
}

/// Deletes an alarm that succeeded, and sets one that failed again.
fn settle_alarm(room: &mut Room, rung: std::result::Result<Result, Box<dyn std::any::Any + Send>>) {
    let alarms = &room.rooms.shared().alarms;
    let failure = match &rung {
        Ok(Ok(())) => return alarms.done(&room.key),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it panicked".to_owned(),
    };
    let again_in = alarms.failed(&room.key);
    static FAILED: Notice = Notice::fault();
    FAILED.give(|| format!("room {}: an alarm failed: {failure}. It rings again in {again_in:?}", room.key));
    if let Err(panic) = rung {
        // The caller handles the panic, as for every hook.
        std::panic::resume_unwind(panic);
    }
}
