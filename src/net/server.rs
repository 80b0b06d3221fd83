//! The runtime and everything that all connections share; start and stop.
//!
//! Threads: [`Settings::threads`] workers run every session (more than cores, because a step may wait for the disk), one
//! blocking thread a core for slow work, and the lookout. A connection is one task.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::accept::{Seldom, Site};
use super::ask::{Asker, LOOK_UPS};
use super::caps::Caps;
use super::cert::Certificates;
use super::drain::Drain;
use super::listener::Bound;
use super::lookout::{Lookout, Post};
use super::pool::Pool;
use super::signal::Signals;
use super::tls::Acceptor;
use super::{Address, Settings};
use crate::wire::{Peer, Session};

/// Least number of session threads.
const MIN_THREADS: usize = 8;

/// Session threads a core: how many may wait for the disk while one computes.
const THREADS_PER_CORE: usize = 4;

/// After the drain, how long blocking threads get before the process goes on without them.
const RUNTIME_END: Duration = Duration::from_secs(2);

/// Makes the session for a new connection.
pub type Opener = Arc<dyn Fn(Peer) -> Box<dyn Session> + Send + Sync>;

/// A listening socket and what is spoken there.
pub struct Endpoint {
    /// The socket.
    pub bound: Bound,
    /// The protocol.
    pub open: Opener,
}

/// What all connections share.
pub struct Shared {
    pub(super) settings: Settings,
    pub(super) caps: Arc<Caps>,
    pub(super) drain: Arc<Drain>,
    pub(super) pool: Pool,
    pub(super) asker: Asker,
    pub(super) tls: Option<Acceptor>,
    pub(super) lookout: Post,
    pub(super) next_id: AtomicU64,
    pub(super) refused: Seldom,
}

/// A running server. Dropped without [`Server::stop`], it ends at once.
pub struct Server {
    /// Taken by `stop`.
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    addresses: Vec<(String, Address)>,
}

impl Server {
    /// Start to accept on `endpoints`. Fails if a listener wants TLS and there are no certificates, or the system gives no threads.
    pub fn start(
        settings: Settings,
        certificates: Option<Arc<Certificates>>,
        endpoints: Vec<Endpoint>,
    ) -> io::Result<Server> {
        let tls = certificates
            .map(|certificates| Acceptor::new(certificates, settings.clients.as_ref()))
            .transpose()
            .map_err(io::Error::other)?;
        if let Some(e) = endpoints.iter().find(|e| e.bound.listener.tls && tls.is_none()) {
            let name = &e.bound.listener.name;
            return Err(io::Error::other(format!("listener `{name}` wants TLS, but there is no certificate")));
        }
        let lookout = Arc::new(Lookout::default());
        let runtime = runtime(&settings, &lookout)?;
        let shared = Arc::new(Shared {
            caps: Caps::new(&settings),
            drain: Arc::default(),
            pool: Pool::new(),
            asker: Asker::new(settings.authorities.clone()),
            tls,
            lookout: lookout.start(runtime.handle().clone())?,
            next_id: AtomicU64::new(1),
            refused: Seldom::default(),
            settings,
        });
        let mut addresses = Vec::new();
        let context = runtime.enter();
        for Endpoint { bound, open } in endpoints {
            addresses.push((bound.listener.name.clone(), bound.address()?));
            Site::start(bound, open, shared.clone())?;
        }
        drop(context);
        Ok(Server { runtime: Some(runtime), shared, addresses })
    }

    /// Names of the listeners, and where they really listen.
    pub fn addresses(&self) -> &[(String, Address)] {
        &self.addresses
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.drain.count()
    }

    /// Take over this process's signals, whatever thread they reach, until its end.
    pub fn signals(&self) -> io::Result<Signals> {
        let handle = self.handle()?;
        let _context = handle.enter();
        Signals::install(handle.clone())
    }

    fn handle(&self) -> io::Result<&Handle> {
        self.runtime.as_ref().map(Runtime::handle).ok_or_else(|| io::Error::other("the server has stopped"))
    }

    /// Call `f` every `period` until the server stops, on a session thread: `f` may look at files, not wait.
    pub fn every(&self, period: Duration, f: impl Fn() + Send + 'static) {
        let Some(runtime) = &self.runtime else { return };
        runtime.spawn(async move {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                f();
            }
        });
    }

    /// Stop: accept nobody any more, ask every session to leave, give transfers [`Settings::drain`], then close.
    /// Returns how many connections had to be cut.
    pub fn stop(mut self) -> usize {
        let Some(runtime) = self.runtime.take() else { return 0 };
        self.shared.drain.stop();
        let limit = self.shared.settings.drain;
        let drained = runtime.block_on(async { tokio::time::timeout(limit, self.shared.drain.empty()).await });
        let cut = if drained.is_ok() { 0 } else { self.shared.drain.count() };
        runtime.shutdown_timeout(RUNTIME_END);
        cut
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime(settings: &Settings, lookout: &Arc<Lookout>) -> io::Result<Runtime> {
    let threads = match settings.threads {
        0 => MIN_THREADS.max(THREADS_PER_CORE * Pool::threads()),
        n => n,
    };
    let (parked, unparked) = (lookout.clone(), lookout.clone());
    Builder::new_multi_thread()
        .worker_threads(threads)
        // So neither of the two waits for a thread that the other has.
        .max_blocking_threads(Pool::threads() + LOOK_UPS)
        .thread_name("session")
        .on_thread_park(move || parked.parked())
        .on_thread_unpark(move || unparked.unparked())
        .enable_all()
        .build()
}
