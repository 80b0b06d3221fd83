//! The time, in one place, so that a test can set it.
//!
//! Owns: nothing but an offset. Everything in Mailcote that asks "what time is it" for a date, an age or
//! a file name asks here; timeouts of sockets belong to `net` and use the runtime's own timer.
//! Never fails: a clock before 1970 reads as 1970.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds that a test has moved the clock by.
static OFFSET_MICROS: AtomicI64 = AtomicI64::new(0);

/// Now, as time since 1970-01-01 UTC.
pub fn now() -> Duration {
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(real.as_micros()).unwrap_or(i64::MAX);
    let moved = micros.saturating_add(OFFSET_MICROS.load(Ordering::Relaxed));
    Duration::from_micros(u64::try_from(moved).unwrap_or(0))
}

/// Now in whole seconds since 1970.
pub fn unix() -> i64 {
    i64::try_from(now().as_secs()).unwrap_or(i64::MAX)
}

/// Move the clock of this process. For tests of retention and retry.
pub fn shift(by: i64) {
    OFFSET_MICROS.fetch_add(by.saturating_mul(1_000_000), Ordering::Relaxed);
}
