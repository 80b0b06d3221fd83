//! A switch that one part turns while others look: can TLS be begun by now?
//!
//! Certificates may come after the start. Every session looks when it is asked for its capabilities, so that STARTTLS
//! is offered from the moment on at which it works, and not before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// See the module. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// One that is on or off.
    pub fn new(on: bool) -> Switch {
        Switch(Arc::new(AtomicBool::new(on)))
    }

    /// Is it on?
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Turn it.
    pub fn turn(&self, on: bool) {
        self.0.store(on, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_it() {
        let switch = Switch::default();
        let other = switch.clone();
        assert!(!other.is_on());
        switch.turn(true);
        assert!(other.is_on() && Switch::new(true).is_on());
    }
}
