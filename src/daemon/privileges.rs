//! Who we are after start-up.
//!
//! Started as root, the daemon opens its ports and reads its keys, then becomes the account of the setting `user`. With virtual users
//! no capability is left. With system users two are, CAP_SETUID and CAP_SETGID: session threads take on a user's identity for file access
//! (`store::Owner`). Nothing else is needed to reach mail in home directories of mode 0700.
//!
//! Not started as root, nothing is changed but capabilities that systemd may have given for the ports.

use std::ffi::CString;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, User, initgroups, setgid, setuid};
use tracing::{info, warn};

/// File descriptors beside those of connections: listeners, logs, files that steps have open, removed files that
/// are held for a moment (512).
const SPARE_FILES: u64 = 2048;

/// What could not be done, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account to run as is not there.
    #[error("there is no account `{0}` to run as; make it (`useradd --system {0}`), or set `user` to another")]
    NoUser(String),
    /// The system refused.
    #[error("cannot give up root's rights ({0}): {1}")]
    System(&'static str, String),
    /// System users need what we do not have.
    #[error("`accounts.system_domains` needs CAP_SETUID and CAP_SETGID: start as root, or let systemd give them")]
    Missing,
}

/// Which capabilities stay.
fn kept(system_users: bool) -> CapsHashSet {
    if !system_users {
        return CapsHashSet::new();
    }
    CapsHashSet::from([Capability::CAP_SETUID, Capability::CAP_SETGID])
}

/// Become `user` if we are root, keep only the capabilities that are needed, and never gain any again.
pub fn become_user(user: &str, system_users: bool) -> Result<(), Error> {
    let failed = |what: &'static str| move |e: nix::Error| Error::System(what, e.to_string());
    let kept = kept(system_users);
    let permitted = caps::read(None, CapSet::Permitted).map_err(|e| Error::System("capabilities", e.to_string()))?;
    if !kept.is_subset(&permitted) {
        return Err(Error::Missing);
    }
    if Uid::effective().is_root() {
        let account = User::from_name(user).map_err(failed("getpwnam"))?.ok_or_else(|| Error::NoUser(user.into()))?;
        if !account.uid.is_root() {
            let name = CString::new(user).map_err(|_| Error::NoUser(user.into()))?;
            // Else the kernel clears the permitted set when the last uid 0 goes.
            prctl::set_keepcaps(true).map_err(failed("keep capabilities"))?;
            initgroups(&name, account.gid).map_err(failed("groups"))?;
            setgid(account.gid).map_err(failed("group"))?;
            setuid(account.uid).map_err(failed("user"))?;
            info!(user, "no longer root");
        }
    }
    prctl::set_no_new_privs().map_err(failed("no new privileges"))?;
    limit(&kept)
}

fn limit(to: &CapsHashSet) -> Result<(), Error> {
    let failed = |e: caps::errors::CapsError| Error::System("capabilities", e.to_string());
    // The order matters: a set may never hold what the permitted one does not.
    caps::clear(None, CapSet::Ambient).or_else(|e| if to.is_empty() { Ok(()) } else { Err(e) }).map_err(failed)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).map_err(failed)?;
    caps::set(None, CapSet::Effective, to).map_err(failed)?;
    caps::set(None, CapSet::Permitted, to).map_err(failed)
}

/// Raise the limit of open files to what `connections` need, as far as the system lets us.
pub fn raise_file_limit(connections: usize) {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(SPARE_FILES);
    if let Some(limit) = raised_to(wanted).filter(|limit| *limit < wanted) {
        warn!(limit, wanted, "too few open files allowed for limits.connections; raise LimitNOFILE");
    }
}

/// The limit that holds after it was raised to `wanted`, or as far as we may; `None` if the system does not tell it.
fn raised_to(wanted: u64) -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < wanted {
        // Root may raise the hard limit too, if it has CAP_SYS_RESOURCE; for others the first attempt fails. What came of it is asked
        // below.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted.max(hard))
            .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard));
    }
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    /// Set in the child process that really gives up its rights.
    const CHILD: &str = "MAILCOTE_TEST_GIVES_UP_ROOT";

    fn effective() -> CapsHashSet {
        caps::read(None, CapSet::Effective).unwrap()
    }

    #[test]
    fn a_limit_that_cannot_be_reached_is_told() {
        // Above what a kernel gives to anybody (fs.nr_open).
        let wanted = 1 << 40;
        let reached = raised_to(wanted).unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(reached < wanted && (reached, reached) == (soft, hard), "{reached} {soft} {hard}");
    }

    /// Run by the next test in a process of its own, as root.
    #[test]
    fn child() {
        let Ok(mode) = std::env::var(CHILD) else { return };
        let system_users = mode == "system";
        assert!(matches!(become_user("no-such-account", system_users), Err(Error::NoUser(_))));
        become_user("nobody", system_users).unwrap();
        assert!(!Uid::effective().is_root() && (system_users || setuid(Uid::from_raw(0)).is_err()));
        let session = std::thread::spawn(|| (effective(), fs::read("/etc/shadow").is_ok())).join().unwrap();
        assert_eq!(session, (kept(system_users), false));
        println!("gave up root as {mode}");
    }

    #[test]
    fn root_is_given_up_and_session_threads_keep_only_the_right_to_be_a_user() {
        if !Uid::effective().is_root() {
            eprintln!("not root: cannot see how root's rights are given up");
            return;
        }
        for mode in ["virtual", "system"] {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "daemon::privileges::tests::child", "--nocapture", "--test-threads=1"])
                .env(CHILD, mode)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
            assert!(child.status.success() && said.contains(&format!("gave up root as {mode}")), "{mode}: {said}");
        }
    }
}
