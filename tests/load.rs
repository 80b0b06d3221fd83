//! What strangers and other programs do to the real binary, and what it does to those who only want their mail: nothing.
//!
//! Each test starts its own `mailcote demo`.

#[path = "load/arrivals.rs"]
mod arrivals;
#[path = "load/attacks.rs"]
mod attacks;
#[path = "load/client.rs"]
mod client;
#[path = "load/garbage.rs"]
mod garbage;
#[path = "load/injection.rs"]
mod injection;
#[path = "load/long_search.rs"]
mod long_search;
#[path = "load/names.rs"]
mod names;
mod support;
