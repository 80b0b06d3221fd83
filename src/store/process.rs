//! What all accounts of this process share: the settings that files depend on, the watch, and the directory syncs.

use super::dirsync::DirSyncs;
use super::filename;
use super::leavings::Leavings;
use super::watch::Watch;

/// One a process; every open account and folder holds it.
pub(super) struct Process {
    /// Host part of new file names, as a name can bear it.
    pub(super) host: String,
    /// A running Dovecot shares the accounts: honour its dot-locks.
    pub(super) coexist: bool,
    /// Tells what other programs do.
    pub(super) watch: Watch,
    /// Directory entries to the disk.
    pub(super) syncs: DirSyncs,
    /// What removed files occupy.
    pub(super) leavings: Leavings,
}

impl Process {
    /// For files named after `hostname`.
    pub(super) fn new(hostname: &str, coexist: bool) -> Process {
        let (watch, syncs, leavings) = (Watch::new(), DirSyncs::new(), Leavings::new());
        Process { host: filename::escape_host(hostname), coexist, watch, syncs, leavings }
    }

    /// A base that nobody has.
    pub(super) fn unique(&self) -> String {
        filename::unique(&self.host)
    }
}
