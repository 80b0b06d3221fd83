//! Sockets, TLS, timers and the async runtime: nothing outside this module knows any of them.
//!
//! It moves bytes for [`Session`](crate::wire::Session)s and decides nothing about mail. [`bind`] opens the listening sockets, while the process
//! may still do so; [`Server::start`] makes the runtime and accepts; one [`connection`] drives one session.
//!
//! **Threads.** Sessions step directly on the runtime's worker threads, of which there are more than cores, since a step may
//! wait for the disk. Handing every step to a pool of blocking threads would cost two thread switches, more than the
//! step itself. What that takes from the other connections is bounded by [`lookout`]. Only password hashes, which use a core
//! for tens of milliseconds, go to the [`pool`].
//!
//! **What a stranger can take.** Connections are capped over all and per address ([`caps`]); each has deadlines for everything
//! it must do ([`connection`], [`tls`], [`proxy`]); it holds at most one read (64 KiB) and one step's output (256 KiB and what the
//! last answer was long). A refused connection is told so in its protocol.
//!
//! **Stopping.** [`Server::stop`] closes the listeners, tells every session as soon as it wants input, waits for transfers up to a limit,
//! and cuts the rest.

mod accept;
mod ask;
mod caps;
mod cert;
mod connection;
mod deflate;
mod drain;
mod identity;
mod listener;
mod lookout;
mod pace;
mod pool;
mod proxy;
mod server;
mod settings;
mod signal;
mod stream;
mod tls;

#[cfg(test)]
mod tests;

pub use ask::Authorities;
pub use cert::{CHECK as CERTIFICATE_CHECK, CertError, Certificates};
pub use listener::{BindError, Bound, bind};
pub use server::{Endpoint, Opener, Server};
pub use settings::{Address, Listener, Settings};
pub use signal::{Signal, Signals};
pub use tls::ClientAuthorities;
