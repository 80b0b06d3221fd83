//! Signals to this process.

use std::io;

use tokio::runtime::Handle;
use tokio::signal::unix::{self, SignalKind};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: drain and end.
    Stop,
    /// SIGHUP: read the files again.
    Reload,
}

/// The signals that mean something to us.
pub struct Signals {
    runtime: Handle,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    /// To be called within the runtime.
    pub(super) fn install(runtime: Handle) -> io::Result<Signals> {
        Ok(Signals {
            runtime,
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Wait for the next.
    pub fn wait(&mut self) -> Signal {
        let Signals { runtime, terminate, interrupt, hangup } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => Signal::Stop,
                _ = interrupt.recv() => Signal::Stop,
                _ = hangup.recv() => Signal::Reload,
            }
        })
    }
}
