//! The bytes of a conversation, without sockets.
//!
//! Three things every protocol shares: the [`Input`] that a peer's bytes wait in, the [`Out`] that answers are
//! written to, and the [`Session`] trait, by which a protocol says what it wants next. Lines, SASL and
//! secrets live here too. Nothing in this module reads a file or knows a socket, so a session can be tested by
//! feeding it bytes, cut anywhere.

mod ask;
mod buffers;
pub mod dot;
pub mod line;
mod network;
pub mod sasl;
mod secret;
mod session;
mod switch;

pub use ask::{Asked, Question};
pub use buffers::{Input, Out, STEP_BYTES};
pub use network::{BadNetwork, Network};
pub use secret::Secret;
pub use session::{Answer, Event, Peer, Session, Tls, Unproven, Want, Work};
pub use switch::Switch;
