//! Work that a program runs beside its server. It starts with the server, and gets time to end before the disk is closed.

use std::pin::Pin;

use ::http::Extensions;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::measures::Measures;

/// What a program adds to a server for as long as the server runs. A reload does not change it.
#[derive(Default)]
pub(crate) struct Lasting {
    /// Values for its parties.
    pub(crate) values: Extensions,
    /// The flags that it depends on.
    pub(crate) flags: Vec<&'static str>,
    /// The work that runs beside the server.
    pub(crate) companions: Vec<Companion>,
    /// Problems that the program reports to `/readyz`.
    pub(crate) complaints: Vec<Complaint>,
    /// The program's numbers for the metrics.
    pub(crate) measures: Vec<Measures>,
}

/// Returns a sentence about what is wrong now, if anything is.
pub(crate) type Complaint = Box<dyn Fn() -> Option<String> + Send + Sync>;
/// Starts work beside the server. It gets a future that is ready when it should end.
pub(crate) type Companion = Box<dyn FnOnce(Stop) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
/// Ready when it is time to end.
pub(crate) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The work that runs beside the server. It is cancelled when this is dropped.
pub(crate) struct Companions {
    tasks: JoinSet<()>,
    /// Tells the work to end.
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

    /// Tells the work to end and waits for it. At the deadline it is cancelled.
    pub(crate) async fn end(mut self, deadline: Instant) {
        self.stop.cancel();
        if timeout_at(deadline, async { while self.tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::debug!("work beside the server did not end in time, and is cancelled");
        }
    }
}
