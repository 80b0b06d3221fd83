//! Where log lines go: standard error, one line an event, which systemd hands to the journal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Log what `filter` lets through (a level, or what `tracing` understands). Under systemd without times, which the journal has
/// itself. A second call changes nothing.
///
/// # Errors
/// The filter cannot be understood; the text says why.
pub fn init(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("log = \"{filter}\": {e}"))?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // The journal sets this for what it reads (systemd.exec(5)).
    let done =
        if std::env::var_os("JOURNAL_STREAM").is_some() { lines.without_time().try_init() } else { lines.try_init() };
    if done.is_ok() {
        log_panics();
    }
    Ok(())
}

/// A panic in a session ends that connection only; the log must still have it.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload_as_str().unwrap_or("panic");
        tracing::error!(at, thread = std::thread::current().name(), "panic, please report this: {payload}");
    }));
}
