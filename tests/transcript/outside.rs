//! What other programs do to alice's Maildir in a transcript (`given ... in`, `do ...`): plain file operations.
//!
//! The Maildir may be a server's own or that of a Dovecot beside it, which keeps mail as another user: then what is made belongs to
//! that user. Files are numbered in the order in which they came, so that their names are the same on every run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Seconds since 1970 that every given message has as its INTERNALDATE: 1 January 2026, noon UTC.
const GIVEN_DATE: u64 = 1_767_268_800;

/// Other programs, at work in one Maildir++.
pub struct Outside {
    /// Where INBOX is.
    pub maildir: PathBuf,
    /// Who owns what is made, if that is not us.
    pub owner: Option<u32>,
    delivered: AtomicU32,
}

impl Outside {
    /// In `maildir`; what is made there belongs to `owner` (user and group), if that is not us.
    pub fn new(maildir: PathBuf, owner: Option<u32>) -> Outside {
        Outside { maildir, owner, delivered: AtomicU32::new(0) }
    }

    /// `given ...` about messages; false if it is about something else.
    pub fn given(&self, words: &[&str]) -> Result<bool, String> {
        match *words {
            [count, "messages" | "message", "in", folder] => {
                let count: u32 = count.parse().map_err(|_| format!("given {count}: not a number"))?;
                for n in 1..=count {
                    self.deliver(numbered(n).as_bytes(), folder)?;
                }
            }
            ["file", file, "in", folder] => self.deliver(&data(file)?, folder)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `do ...`.
    pub fn act(&self, words: &[String]) -> Result<(), String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["deliver", file, "to", folder] => self.deliver(&data(file)?, folder),
            ["remove", n, "from", folder] => fs::remove_file(self.nth(n, folder)?).map_err(|e| e.to_string()),
            ["spoil", n, "in", folder] => {
                let path = self.nth(n, folder)?;
                let root = nix::unistd::geteuid().is_root();
                std::os::unix::fs::chown(&path, root.then_some(0), None).map_err(|e| e.to_string())?;
                let mode = std::os::unix::fs::PermissionsExt::from_mode(if root { 0o600 } else { 0 });
                fs::set_permissions(&path, mode).map_err(|e| e.to_string())
            }
            ["flag", n, "in", folder, flags] => {
                let path = self.nth(n, folder)?;
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let base = name.split(':').next().unwrap_or_default();
                let to = self.folder(folder).join("cur").join(format!("{base}:2,{flags}"));
                fs::rename(&path, to).map_err(|e| e.to_string())
            }
            ["find", count, "in", sub, "of", folder] => {
                let dir = self.folder(folder).join(sub);
                let found = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?.count();
                if found.to_string() == count { Ok(()) } else { Err(format!("{found} files in {}", dir.display())) }
            }
            _ => Err(format!("do {}: not understood", words.join(" "))),
        }
    }

    /// Make an empty folder, as a shell script would.
    pub fn make(&self, name: &str) -> Result<(), String> {
        let folder = self.folder(name);
        for dir in ["cur", "new", "tmp"] {
            fs::create_dir_all(folder.join(dir)).map_err(|e| e.to_string())?;
            self.own(&folder.join(dir))?;
        }
        if folder != self.maildir {
            let file = folder.join("maildirfolder");
            fs::write(&file, "").map_err(|e| e.to_string())?;
            self.own(&file)?;
        }
        self.own(&folder)
    }

    fn folder(&self, name: &str) -> PathBuf {
        let spelled = mailcote::mail::utf7::encode(&name.replace('/', "."));
        if name == "INBOX" { self.maildir.clone() } else { self.maildir.join(format!(".{spelled}")) }
    }

    /// As another program delivers: a file in tmp/, renamed into new/.
    fn deliver(&self, text: &[u8], folder: &str) -> Result<(), String> {
        let folder = self.folder(folder);
        let n = self.delivered.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{GIVEN_DATE}.M{n:06}P7.outside");
        let path = folder.join("tmp").join(&name);
        let fail = |e: std::io::Error| format!("{}: {e}", path.display());
        fs::write(&path, text).map_err(fail)?;
        self.own(&path)?;
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(GIVEN_DATE);
        fs::File::open(&path).and_then(|file| file.set_modified(date)).map_err(fail)?;
        fs::rename(&path, folder.join("new").join(&name)).map_err(fail)
    }

    fn own(&self, path: &Path) -> Result<(), String> {
        if self.owner.is_none() {
            return Ok(());
        }
        std::os::unix::fs::chown(path, self.owner, self.owner).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// The n-th message of a folder, in name order.
    fn nth(&self, n: &str, folder: &str) -> Result<PathBuf, String> {
        let n: usize = n.parse().map_err(|_| format!("{n}: not a number"))?;
        let mut files = Vec::new();
        for sub in ["new", "cur"] {
            let dir = self.folder(folder).join(sub);
            for entry in fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))? {
                files.push(entry.map_err(|e| e.to_string())?.path());
            }
        }
        files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        files.get(n.wrapping_sub(1)).cloned().ok_or_else(|| format!("{folder} has no message {n}"))
    }
}

/// Message number n of `given n messages`.
fn numbered(n: u32) -> String {
    format!(
        "From: Sender <sender@example.net>\nTo: alice@demo.test\nSubject: message {n}\n\
         Date: Thu, 1 Jan 2026 12:00:0{} +0000\nMessage-ID: <{n}@example.net>\n\nbody {n}\n",
        n % 10
    )
}

fn data(file: &str) -> Result<Vec<u8>, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/messages").join(file);
    fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
}
