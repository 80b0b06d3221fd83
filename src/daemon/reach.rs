//! What the daemon reaches on disk: the directories it makes before it gives up root's rights, those that it is confined to, and
//! whether the file system is there that its mail belongs on.
//!
//! Landlock knows directories as they are at the start. So a file system that is mounted later, on the mail's directory or
//! above it, could be looked at by nobody: the daemon does not start without the one that `mail.mount_point` names, nor makes
//! the mail's directory where one of fstab(5) is missing. Both end in an error that another start may not have (systemd tries
//! again). Where the directory is there all the same, and for homes elsewhere, it starts, and the log says that it has to be started
//! again after the mount. Mount points below the mail's directory may be mounted at any time.
//!
//! A link is followed when its name is granted: the directory of a domain, a users file, resolv.conf may be links to somewhere else.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use tracing::{info, warn};

use super::{Error, sandbox};
use crate::account::Accounts;
use crate::config::{Config, Place};
use crate::store::Mounts;

/// Where the system keeps how names are looked up.
const RESOLVER: [&str; 2] = ["/etc", "/run/systemd/resolve"];

/// The file that says which name server to ask; often a link to what a network manager writes.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Mode of directories that we make for mail and state.
const DIRECTORY_MODE: u32 = 0o700;

/// The directory that all virtual homes lie below: the template up to the first placeholder.
fn mail_root(home: &str) -> PathBuf {
    let fixed = home.split_once('{').map_or(home, |(fixed, _)| fixed);
    let end = fixed.rfind('/').unwrap_or(0);
    PathBuf::from(&fixed[..end])
}

/// Is the file system there that the mail belongs on? See the module.
///
/// # Errors
/// It is missing, and nothing that would be done now could be right.
pub fn mounted(config: &Config, mounts: &Mounts) -> Result<(), Error> {
    let root = mail_root(&config.mail.home);
    let Some(missing) = mounts.missing(&root) else { return Ok(()) };
    let point = missing.display();
    if config.mail.mount_point.as_deref() == Some(missing) {
        return Err(Error::Other(format!(
            "mail.mount_point: no file system is mounted on {point}; mount it, then start"
        )));
    }
    if !root.is_dir() {
        let root = root.display();
        return Err(Error::Other(format!(
            "{root}: is missing, and so is the file system that fstab has mounted on {point}; mount it, then start"
        )));
    }
    warn!(%point, "not mounted, though fstab says so: no new Maildir is made there; restart once it is mounted");
    Ok(())
}

/// Make the directories for mail and state if they are missing, for the account that we will run as.
pub fn make_directories(config: &Config) -> Result<(), Error> {
    let state = config.auth.secret.parent().map(Path::to_owned);
    let index = config.sharing.index.parent().filter(|_| config.sharing.prefix.is_some()).map(Path::to_owned);
    let limits = config.quota_file.as_deref().and_then(Path::parent).map(Path::to_owned);
    let account = Uid::effective().is_root().then(|| User::from_name(&config.user).ok().flatten()).flatten();
    let ids = account.map(|account| (account.uid.as_raw(), account.gid.as_raw()));
    for directory in [Some(mail_root(&config.mail.home)), state, index, limits].into_iter().flatten() {
        make_directory(&directory, ids)
            .map_err(|e| Error::Other(format!("{}: cannot make this directory: {e}", directory.display())))?;
    }
    Ok(())
}

/// Make `directory` and what is missing above it, all for `owner`: who may not pass through the ones above cannot use it.
fn make_directory(directory: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|path| !path.is_dir()).collect();
    for path in missing.into_iter().rev() {
        DirBuilder::new().mode(DIRECTORY_MODE).create(path)?;
        if let Some((uid, gid)) = owner {
            chown(path, Some(uid), Some(gid))?;
        }
        info!(directory = %path.display(), "made");
    }
    Ok(())
}

/// What the configuration names, and homes elsewhere that lines of users files name.
pub fn paths(config: &Config, accounts: &Accounts, mounts: &Mounts) -> sandbox::Paths {
    let mut paths = sandbox::Paths { everywhere: !config.accounts.system_domains.is_empty(), ..Default::default() };
    paths.read_file(&config.file);
    paths.read(&config.accounts.domains);
    for domain in fs::read_dir(&config.accounts.domains).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if domain.is_dir() {
            paths.read(&domain);
            ["users", "aliases"].iter().for_each(|file| paths.read_file(&domain.join(file)));
        }
    }
    paths.certificates(&config.tls.certs);
    if let Some(masters) = &config.auth.masters {
        paths.read_file(masters);
    }
    if config.oauth.is_some() {
        // What the system's resolver reads to look up the endpoint's name, at every question.
        RESOLVER.iter().for_each(|path| paths.read(Path::new(path)));
        paths.read_file(Path::new(RESOLV_CONF));
    }
    let root = mail_root(&config.mail.home);
    for user in accounts.users() {
        let home = user.home.maildir.parent().unwrap_or(&user.home.maildir);
        if !home.starts_with(&root)
            && let Some(there) = existing(home)
        {
            if let Some(point) = mounts.missing(home) {
                let point = point.display();
                warn!(user = user.login, %point, "his file system is not mounted; restart once it is mounted");
            }
            paths.write(there);
        }
    }
    paths.write(&root);
    // When this host started, by which a Dovecot's leftover lock is judged (`store`).
    paths.read(Path::new("/proc/stat"));
    if let Some(state) = config.auth.secret.parent() {
        paths.write(state);
    }
    if let Some(state) = config.quota_file.as_deref().and_then(Path::parent) {
        paths.write(state);
    }
    if let Some(state) = config.sharing.index.parent().filter(|_| config.sharing.prefix.is_some()) {
        paths.write(state);
    }
    for listener in &config.listeners {
        if let Place::Unix(path) = &listener.place
            && let Some(directory) = path.parent()
        {
            paths.write(directory);
        }
    }
    paths
}

/// `path`, or the nearest directory above it that exists; never the root of the file system.
fn existing(path: &Path) -> Option<&Path> {
    path.ancestors().find(|path| path.is_dir()).filter(|path| path.parent().is_some())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::super::Services;
    use super::*;

    /// Only root can give directories away; for others this shows no more than that all are made.
    #[test]
    fn directories_belong_to_the_account_from_the_first_missing_one_on() {
        let dir = tempfile::tempdir().unwrap();
        let owner = if Uid::effective().is_root() { 54321 } else { Uid::effective().as_raw() };
        let before = fs::metadata(dir.path()).unwrap();
        make_directory(&dir.path().join("mailcote/mail"), Some((owner, before.gid()))).unwrap();
        make_directory(&dir.path().join("mailcote"), Some((owner, before.gid()))).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().uid(), before.uid(), "what was there is left alone");
        for made in ["mailcote", "mailcote/mail"] {
            let made = fs::metadata(dir.path().join(made)).unwrap();
            assert_eq!((made.uid(), made.mode() & 0o777), (owner, DIRECTORY_MODE));
        }
    }

    #[test]
    fn homes_elsewhere_are_named_too_and_never_everything() {
        let dir = tempfile::tempdir().unwrap();
        let at = |below: &str| dir.path().join(below);
        for made in ["domains/one.test", "mail", "elsewhere/ann", "disk"] {
            fs::create_dir_all(at(made)).unwrap();
        }
        let users = format!(
            "ann:::::{0}/elsewhere/ann\nbob:::::{0}/disk/not/yet\neve:\ndan:::::/not-there/dan\n",
            dir.path().display()
        );
        fs::write(at("domains/one.test/users"), users).unwrap();
        let text = format!(
            "hostname = \"mail.one.test\"\n[auth]\nsecret = \"mail/secret\"\n[mail]\nhome = \"{}/mail/{{domain}}/{{user}}\"\n",
            dir.path().display()
        );
        let config = Config::parse(&at("mailcote.toml"), &text).unwrap();
        let write = paths(&config, &Services::accounts(&config).unwrap(), &Mounts::default()).write;
        let below: Vec<_> = write.iter().filter_map(|path| path.strip_prefix(dir.path()).ok()).collect();
        assert_eq!(below, [Path::new("disk"), Path::new("elsewhere/ann"), Path::new("mail")]);
        assert!(!write.contains(Path::new("/")));
    }

    /// A domain whose directory, or file, is a link to somewhere else is still read when it changes.
    #[test]
    fn links_out_of_the_tree_are_followed() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        for made in ["domains/two.test", "mail", "shared/one.test", "files"] {
            fs::create_dir_all(base.join(made)).unwrap();
        }
        symlink(base.join("shared/one.test"), base.join("domains/one.test")).unwrap();
        fs::write(base.join("files/passwd"), "ann:\n").unwrap();
        symlink(base.join("files/passwd"), base.join("domains/two.test/users")).unwrap();
        let text = format!(
            "hostname = \"m.test\"\n[auth]\nsecret = \"mail/secret\"\n[mail]\nhome = \"{0}/mail/{{domain}}/{{user}}\"\n\
             [sharing]\nprefix = \"Other\"\nindex = \"{0}/index/deep/shares\"\n",
            base.display()
        );
        let config = Config::parse(&base.join("mailcote.toml"), &text).unwrap();
        make_directories(&config).unwrap();
        assert!(base.join("index/deep").is_dir());
        let read = paths(&config, &Services::accounts(&config).unwrap(), &Mounts::default()).read;
        for wanted in ["shared/one.test", "files", "domains"] {
            assert!(read.contains(&base.join(wanted)), "{wanted}: {read:?}");
        }
    }

    #[test]
    fn mail_without_its_file_system_is_not_started() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        let started = |point: &str| {
            let text = format!("[mail]\nhome = \"{0}/mail/{{user}}\"\nmount_point = \"{0}/{point}\"\n", base.display());
            let config = Config::parse(&base.join("mailcote.toml"), &text).unwrap();
            mounted(&config, &Mounts::read(config.mail.mount_point.as_deref()))
        };
        let error = started("mail").unwrap_err();
        assert!(error.to_string().starts_with("mail.mount_point: ") && !error.is_configuration(), "{error}");
        assert!(started("elsewhere").is_ok());
    }

    #[test]
    fn the_mail_root_is_what_all_homes_share() {
        for (home, root) in [
            ("/var/lib/mailcote/mail/{domain}/{user}/Maildir", "/var/lib/mailcote/mail"),
            ("/srv/mail-{domain}/{user}", "/srv"),
            ("/srv/one", "/srv"),
        ] {
            assert_eq!(mail_root(home), Path::new(root), "{home}");
        }
    }
}
