//! What all accounts of this process share: the settings that files depend on, the watch, and the directory syncs.

use super::Settings;
use super::dirsync::DirSyncs;
use super::filename;
use super::leavings::Leavings;
use super::mounts::Mounts;
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
    /// What must be mounted before a home is made.
    pub(super) mounts: Mounts,
}

impl Process {
    /// As the settings say.
    pub(super) fn new(settings: &Settings) -> Process {
        Process {
            host: filename::escape_host(&settings.hostname),
            coexist: settings.coexist,
            watch: Watch::new(),
            syncs: DirSyncs::new(),
            leavings: Leavings::new(),
            mounts: settings.mounts.clone(),
        }
    }

    /// A base that nobody has.
    pub(super) fn unique(&self) -> String {
        filename::unique(&self.host)
    }
}
