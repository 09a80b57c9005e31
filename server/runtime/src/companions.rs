//! What a program runs beside its server: started with it, and given time to end before the disk is closed.

use std::pin::Pin;

use ::http::Extensions;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::measures::Measures;

/// What a program adds to a server for as long as it runs: reading the settings again changes nothing of it.
#[derive(Default)]
pub(crate) struct Lasting {
    /// Values for its parties.
    pub(crate) values: Extensions,
    /// The flags that it is made from.
    pub(crate) flags: &'static [&'static str],
    /// What runs beside the server.
    pub(crate) companions: Vec<Companion>,
    /// What may be wrong, besides what the server itself knows.
    pub(crate) complaints: Vec<Complaint>,
    /// Numbers for the operator.
    pub(crate) measures: Vec<Measures>,
}

/// A sentence about what is wrong now, if anything is.
pub(crate) type Complaint = Box<dyn Fn() -> Option<String> + Send + Sync>;
/// Starts what runs beside the server, with the sign to end.
pub(crate) type Companion = Box<dyn FnOnce(Stop) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
/// Ready when it is time to end.
pub(crate) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The companions that run. They end with this.
pub(crate) struct Companions {
    tasks: JoinSet<()>,
    /// Tells them to end.
    stop: CancellationToken,
}

impl Companions {
    pub(crate) fn start(companions: Vec<Companion>) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for companion in companions {
            tasks.spawn(companion(Box::pin(stop.clone().cancelled_owned())));
        }
        Self { tasks, stop }
    }

    /// Tells them to end, and waits until they have, or until `deadline`: then they are cut off.
    pub(crate) async fn end(mut self, deadline: Instant) {
        self.stop.cancel();
        if timeout_at(deadline, async { while self.tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::debug!("what runs beside the server did not end in time, and is cut off");
        }
    }
}
