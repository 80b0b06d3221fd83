//! `mailcote serve`: the daemon, in the foreground, until SIGTERM.

use super::{Done, Failure};
use crate::config::Config;
use crate::daemon;

/// Run until told to stop.
pub fn run(config: Config) -> Done {
    daemon::init_log(&config.log).map_err(Failure::Other)?;
    daemon::run(config).map_err(|e| {
        let said = e.to_string();
        if e.is_configuration() { Failure::Setup(said) } else { Failure::Other(said) }
    })
}
