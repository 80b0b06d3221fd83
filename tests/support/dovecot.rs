//! An installed Dovecot 2.3, run privately: its own configuration, sockets, log and mail below one directory, loopback ports of its own.
//!
//! Started as root, it keeps mail as `nobody` (Dovecot refuses uid 0); otherwise everything is ours. Ends when dropped,
//! by the pid that we started. Users are whoever logs in, all with the password [`PASSWORD`].

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Every user's password.
pub const PASSWORD: &str = "secret";
/// How long Dovecot may take to listen.
const START: Duration = Duration::from_secs(20);
/// `nobody` and `nogroup` of Debian: owner of the mail when we are root.
pub const NOBODY: u32 = 65534;

/// A running Dovecot.
pub struct Dovecot {
    child: Child,
    root: PathBuf,
    /// IMAP in clear.
    pub imap: u16,
    /// POP3 in clear.
    pub pop3: u16,
    /// LMTP.
    pub lmtp: u16,
}

impl Dovecot {
    /// Is it installed?
    pub fn installed() -> bool {
        Path::new("/usr/sbin/dovecot").exists()
    }

    /// Start below `root` (an existing empty directory) with `extra` lines of configuration.
    pub fn start(root: &Path, extra: &str) -> Dovecot {
        let (imap, pop3, lmtp) = (free_port(), free_port(), free_port());
        let owner = if nix::unistd::geteuid().is_root() { NOBODY } else { nix::unistd::geteuid().as_raw() };
        let group = if nix::unistd::geteuid().is_root() { NOBODY } else { nix::unistd::getegid().as_raw() };
        std::fs::create_dir_all(root.join("mail")).expect("a directory for the mail");
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(root.join("mail"), Some(owner), Some(group)).expect("chown");
            open_way(root);
        }
        let config = configuration(root, owner, group, [imap, pop3, lmtp], extra);
        std::fs::write(root.join("dovecot.conf"), config).expect("a configuration");
        let child = Command::new("/usr/sbin/dovecot")
            .arg("-F")
            .arg("-c")
            .arg(root.join("dovecot.conf"))
            .stdin(Stdio::null())
            .spawn()
            .expect("dovecot starts");
        let dovecot = Dovecot { child, root: root.into(), imap, pop3, lmtp };
        let deadline = Instant::now() + START;
        for port in [imap, pop3, lmtp] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "dovecot does not listen: {}", dovecot.log());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        dovecot
    }

    /// Its configuration file, for `doveadm -c`.
    pub fn config(&self) -> PathBuf {
        self.root.join("dovecot.conf")
    }

    /// Where `user`'s Maildir is.
    pub fn maildir(&self, user: &str) -> PathBuf {
        maildir(&self.root, user)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("dovecot.log")).unwrap_or_default()
    }

    /// Process id of the master.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Where `user`'s Maildir is below `root`.
pub fn maildir(root: &Path, user: &str) -> PathBuf {
    root.join("mail").join(user).join("Maildir")
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        // It may have ended by itself; then there is nothing to end.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Let `nobody` walk down to `root`, below the temporary directory only.
fn open_way(root: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for dir in root.ancestors().take_while(|dir| dir.starts_with(std::env::temp_dir()) && **dir != std::env::temp_dir())
    {
        let mode = std::fs::metadata(dir).expect("a directory").permissions().mode();
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode | 0o711)).expect("chmod");
    }
}

fn configuration(root: &Path, uid: u32, gid: u32, [imap, pop3, lmtp]: [u16; 3], extra: &str) -> String {
    let root = root.display();
    let internal = if nix::unistd::geteuid().is_root() {
        String::new()
    } else {
        let name =
            nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map_or(uid.to_string(), |u| u.name);
        format!(
            "default_internal_user = {name}\ndefault_login_user = {name}\ndefault_internal_group = {gid}\n\
             service anvil {{\n  chroot =\n}}\nservice imap-login {{\n  chroot =\n}}\nservice pop3-login {{\n  chroot =\n}}\n"
        )
    };
    format!(
        "base_dir = {root}/run\nstate_dir = {root}/run\nlog_path = {root}/dovecot.log\nprotocols = imap pop3 lmtp\n\
         listen = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\nmail_location = maildir:{root}/mail/%n/Maildir\n\
         first_valid_uid = 1\nauth_mechanisms = plain login\nmail_max_userip_connections = 0\n\
         passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={root}/mail/%n\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service pop3-login {{\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  inet_listener pop3s {{\n    port = 0\n  }}\n}}\n\
         service lmtp {{\n  inet_listener lmtp {{\n    port = {lmtp}\n  }}\n}}\n\
         service stats {{\n  unix_listener stats-writer {{\n    mode = 0666\n  }}\n}}\n{internal}{extra}\n"
    )
}
