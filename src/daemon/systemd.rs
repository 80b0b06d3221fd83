//! What systemd is told, if it started us (sd_notify(3)). Without it nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// Everything listens.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// SIGHUP came; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot tell systemd about the reload"),
    }
}

/// SIGTERM came.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// We are alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be called, if a watchdog is set: half its time, as sd_watchdog_enabled(3) advises.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot talk to systemd");
    }
}
