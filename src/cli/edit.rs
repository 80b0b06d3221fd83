//! Edit a `users` or `aliases` file as an administrator would: one line changes, everything else stays.
//!
//! Owns the lines of one file while it is open. Keeps comments, order, unknown fields, mode and owner. Two commands at
//! once take turns (a lock on the domain's directory), and a reader sees the old file or the new one. A cut leaves the old
//! file, and perhaps `NAME.tmp` beside it, which the next edit overwrites.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Group, Uid, User};

use super::Failure;
use crate::account::domain::canonical;
use crate::config::Config;
use crate::fsio;

/// Mode of a new file: passwords are for the administrator and the daemon's group.
const FILE_MODE: u32 = 0o640;
/// Mode of a new directory, likewise.
pub const DIR_MODE: u32 = 0o750;

/// An open file of lines.
pub struct TextFile {
    path: PathBuf,
    lines: Vec<String>,
    before: Option<fs::Metadata>,
    group: Option<Gid>,
    _lock: Flock<File>,
}

/// Say what the system said about a path.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure + '_ {
    move |e| Failure::Other(format!("{}: {e}", path.display()))
}

impl TextFile {
    /// Open `path` for editing, alone; a missing file is empty. Its directory must exist.
    pub fn open(path: &Path, config: &Config) -> Result<TextFile, Failure> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let lock = Flock::lock(File::open(dir).map_err(at(dir))?, FlockArg::LockExclusive)
            .map_err(|(_, e)| Failure::Other(format!("{}: lock: {e}", dir.display())))?;
        let (text, before) = match fs::read_to_string(path) {
            Ok(text) => (text, Some(fs::metadata(path).map_err(at(path))?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => (String::new(), None),
            Err(e) => return Err(at(path)(e)),
        };
        let lines = text.lines().map(str::to_owned).collect();
        Ok(TextFile { path: path.into(), lines, before, group: daemon_group(config), _lock: lock })
    }

    /// The entry whose name (up to the first `:`) is `name` in any case: the lines it takes, with its continuation lines.
    pub fn find(&self, name: &str) -> Option<std::ops::Range<usize>> {
        let start =
            self.lines.iter().position(|line| entry_name(line).is_some_and(|n| n.eq_ignore_ascii_case(name)))?;
        let more = self.lines[start + 1..].iter().take_while(|line| is_continuation(line)).count();
        Some(start..start + 1 + more)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines of an entry.
    pub fn lines(&self, entry: std::ops::Range<usize>) -> &[String] {
        &self.lines[entry]
    }

    /// Put `line` in the place of an entry; `None` removes it.
    pub fn replace(&mut self, entry: std::ops::Range<usize>, line: Option<String>) {
        self.lines.splice(entry, line);
    }

    /// Add a line at the end.
    pub fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Write it back, wholly or not at all, with the mode and owner it had.
    pub fn save(self) -> Result<(), Failure> {
        let mut text = self.lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        self.write(text.as_bytes()).map_err(at(&self.path))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        // Not fsio::replace: the new file must have its owner before it has its name, or the daemon could not read it
        // for a moment.
        let temporary = fsio::beside(&self.path, ".tmp");
        match fsio::unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = fsio::create(&temporary, 0o600)?;
        let done = self
            .give_owner(&file)
            .and_then(|()| fsio::write(&file, &temporary, bytes))
            .and_then(|()| fsio::sync_all(&file, &temporary))
            .and_then(|()| fsio::rename(&temporary, &self.path));
        if let Err(e) = done {
            // The first error is the one to report; the leftover is overwritten next time.
            let _ = fs::remove_file(&temporary);
            return Err(e);
        }
        fsio::sync_dir(self.path.parent().unwrap_or(Path::new(".")))
    }

    fn give_owner(&self, file: &File) -> io::Result<()> {
        let (mode, uid, gid) = match &self.before {
            Some(before) => (before.mode() & 0o7777, Some(before.uid()), Some(before.gid())),
            None => (FILE_MODE, None, self.group.map(Gid::as_raw)),
        };
        if Uid::effective().is_root() {
            fchown(file, uid, gid)?;
        }
        // After the owner: changing the owner may clear bits.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
    }
}

/// Group of the account the daemon runs as, where we may give files to it.
pub fn daemon_group(config: &Config) -> Option<Gid> {
    if !Uid::effective().is_root() {
        return None;
    }
    let user = User::from_name(&config.user).ok().flatten();
    user.map(|user| user.gid).or_else(|| Some(Group::from_name(&config.user).ok()??.gid))
}

/// Does the line belong to the entry above it (aliases(5))?
fn is_continuation(line: &str) -> bool {
    line.starts_with([' ', '\t']) && !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

/// Name of the entry that begins in this line, without the domain that people may have written behind it; `@` for the
/// catch-all.
pub fn entry_name(line: &str) -> Option<&str> {
    if line.starts_with([' ', '\t', '#']) {
        return None;
    }
    let name = line.split_once(':')?.0.trim();
    let name = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(name);
    match name.rfind('@') {
        Some(0) => Some("@"),
        Some(at) => Some(&name[..at]),
        None => Some(name).filter(|name| !name.is_empty()),
    }
}

/// An address as an administrator gives it, `user@domain`, and the directory of its domain, which must be served.
pub fn place(config: &Config, address: &str) -> Result<(String, PathBuf), Failure> {
    let Some((name, domain)) = address.rsplit_once('@') else {
        return Err(Failure::Other(format!("\"{address}\" is not a full address such as alice@example.org")));
    };
    Ok((name.to_owned(), domain_dir(config, domain)?))
}

/// The directory of a domain that is served.
pub fn domain_dir(config: &Config, domain: &str) -> Result<PathBuf, Failure> {
    if !crate::config::is_host_name(domain) {
        return Err(Failure::Other(format!("\"{domain}\" is not a domain name")));
    }
    let canonical = canonical(domain);
    // The directory may be written in another form: capitals, an international name.
    if let Some(name) = domains(config)?.into_iter().find(|name| self::canonical(name) == canonical) {
        return Ok(config.accounts.domains.join(name));
    }
    Err(Failure::Other(format!(
        "{domain} is not served: there is no {}; \"mailcote domain add {domain}\" makes it",
        config.accounts.domains.join(canonical).display()
    )))
}

/// Every domain that is served, sorted.
pub fn domains(config: &Config) -> Result<Vec<String>, Failure> {
    let dir = &config.accounts.domains;
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(at(dir)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Entries of a file: name and the rest, continuation lines joined by a space. A missing file has none.
pub fn entries(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(at(path)(e)),
    };
    let mut all: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(name) = entry_name(line) {
            let rest = line.split_once(':').map_or("", |(_, rest)| rest).trim();
            all.push((name.to_owned(), rest.to_owned()));
            open = true;
        } else if is_continuation(line)
            && open
            && let Some((_, rest)) = all.last_mut()
        {
            rest.push(' ');
            rest.push_str(line.trim());
        } else {
            open = false;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const BEFORE: &str =
        "# staff\nalice:{PLAIN}a::::::\n\n# Bob left a note\nbob:{PLAIN}b::::::future=1\nteam: alice,\n  bob\n# end\n";

    #[test]
    fn one_line_changes_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, BEFORE).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let config = Config::parse(Path::new("/x/mailcote.toml"), "").unwrap();
        let mut file = TextFile::open(&path, &config).unwrap();
        let bob = file.find("BOB").unwrap();
        file.replace(bob, Some("bob:{PLAIN}new::::::future=1".into()));
        file.save().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), BEFORE.replace("}b", "}new"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o604);

        let mut file = TextFile::open(&path, &config).unwrap();
        let team = file.find("team").unwrap();
        assert_eq!(file.lines(team.clone()).len(), 2);
        file.replace(team, None);
        file.push("new: alice".into());
        file.save().unwrap();
        let after = fs::read_to_string(&path).unwrap();
        assert!(after.ends_with("future=1\n# end\nnew: alice\n"), "{after}");
        assert_eq!(entries(&path).unwrap().len(), 3);
    }

    #[test]
    fn names_of_entries() {
        for (line, name) in [
            ("alice:{PLAIN}a", Some("alice")),
            ("alice@example.org:{PLAIN}a", Some("alice")),
            ("\"john smith\": john", Some("john smith")),
            ("@: alice", Some("@")),
            ("@example.org: alice", Some("@")),
            ("# alice: x", None),
            ("  bob: x", None),
            (": x", None),
        ] {
            assert_eq!(entry_name(line), name, "{line}");
        }
    }

    #[test]
    fn a_new_file_is_not_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let config = Config::parse(Path::new("/x/mailcote.toml"), "").unwrap();
        let mut file = TextFile::open(&path, &config).unwrap();
        file.push("a:b".into());
        file.save().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }
}
