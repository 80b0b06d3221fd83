//! Sockets, TLS, timers and the async runtime: nothing outside this module knows any of them.

mod settings;

pub use settings::{Address, Listener, Settings};
