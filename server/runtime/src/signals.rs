//! The signals that end a program, and the one that makes it read its settings again.

use std::io;

/// Ready at the first Ctrl-C, SIGTERM or SIGQUIT, or at SIGHUP unless that is for reloads. The second signal ends the program at once.
pub(crate) fn stop(reloads: bool) -> io::Result<impl Future<Output = ()>> {
    let mut signals = Ends::new(reloads)?;
    let (stop, stopping) = tokio::sync::oneshot::channel();
    // The task ends with the program.
    tokio::spawn(async move {
        signals.next().await;
        // The server may have ended for another reason.
        let _ = stop.send(());
        signals.next().await;
        tracing::warn!("a second signal ended the server at once; values that were not on the disk yet are lost");
        std::process::exit(1);
    });
    Ok(async move {
        // The task above always sends before it drops the sender.
        let _ = stopping.await;
    })
}

#[cfg(unix)]
use unix::Ends;
#[cfg(unix)]
pub(crate) use unix::Hangups;

#[cfg(unix)]
mod unix {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind as Kind, signal};

    /// The signals that end a program.
    pub(super) struct Ends {
        terminate: Signal,
        quit: Signal,
        interrupt: Signal,
        hangups: Hangups,
    }

    impl Ends {
        pub(super) fn new(reloads: bool) -> io::Result<Self> {
            let hangups = Hangups::new(!reloads)?;
            // Tools that rotate logs send these to other servers. Without a handler they would end this one without a goodbye.
            // With another, the system would end it when a file reaches the limit of its size. Now the write fails. The handler stays
            // when the signal is dropped.
            let file_size = Kind::from_raw(rustix::process::Signal::XFSZ.as_raw());
            for ignored in [Kind::user_defined1(), Kind::user_defined2(), file_size] {
                drop(signal(ignored)?);
            }
            let [terminate, quit, interrupt] = [Kind::terminate(), Kind::quit(), Kind::interrupt()].map(signal);
            Ok(Self { terminate: terminate?, quit: quit?, interrupt: interrupt?, hangups })
        }

        pub(super) async fn next(&mut self) {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.quit.recv() => {}
                _ = self.interrupt.recv() => {}
                () = self.hangups.next() => {}
            }
        }
    }

    /// SIGHUP, if the program reloads.
    pub(crate) struct Hangups(Option<Signal>);

    impl Hangups {
        pub(crate) fn new(are_waited_for: bool) -> io::Result<Self> {
            Ok(Self(are_waited_for.then(|| signal(Kind::hangup())).transpose()?))
        }

        /// Ready at the next SIGHUP.
        pub(crate) async fn next(&mut self) {
            match &mut self.0 {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(not(unix))]
struct Ends;

#[cfg(not(unix))]
impl Ends {
    fn new(_: bool) -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// This system has no SIGHUP.
#[cfg(not(unix))]
pub(crate) struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    pub(crate) fn new(_: bool) -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
