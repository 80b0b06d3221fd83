//! Edit a `users` or `aliases` file as an administrator would: one line changes, everything else stays.
//!
//! Owns the lines of one file while it is open. What is one entry is said by the modules of `account` that read these files for
//! the server. Keeps comments, order, unknown fields, mode, owner, and a symbolic link; refuses to write where owner or group
//! would change. Two commands at once take turns (a lock on the domain's directory), and a reader sees the old file or the new one. A cut leaves the old
//! file, and perhaps `NAME.tmp` beside it, which the next edit overwrites.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Group, Uid, User};

use super::Failure;
use crate::account::aliases::{self, Part};
use crate::account::domain::canonical;
use crate::account::users;
use crate::config::Config;
use crate::fsio;

/// Mode of a new file: passwords are for the administrator and the daemon's group.
const FILE_MODE: u32 = 0o640;
/// Mode of a new directory, likewise.
pub const DIR_MODE: u32 = 0o750;

/// Which of a domain's two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One user a line.
    Users,
    /// Entries of one line or more.
    Aliases,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Users, Kind::Aliases];

    /// The name of the file.
    pub fn file(self) -> &'static str {
        match self {
            Kind::Users => "users",
            Kind::Aliases => "aliases",
        }
    }
}

/// One entry of a file, also one with mistakes.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name as it is written, without a domain behind it; `@` for the catch-all.
    pub name: String,
    /// What stands behind the colon, lines joined by a space.
    pub rest: String,
    /// Numbers of its lines, from 0. Comments and empty lines between them are not its own.
    pub lines: Vec<usize>,
    /// The name as it is compared; none if the server cannot read it.
    key: Option<String>,
}

/// An open file of lines.
pub struct TextFile {
    /// As the configuration has it.
    path: PathBuf,
    /// Where it really is, if that is a link.
    real: PathBuf,
    kind: Kind,
    /// The canonical name.
    domain: String,
    lines: Vec<String>,
    before: Option<fs::Metadata>,
    group: Option<Gid>,
    _lock: Flock<File>,
}

/// Say what the system said about a path.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure + '_ {
    move |e| Failure::Other(format!("{}: {e}", path.display()))
}

/// Keep other commands out of a domain's directory.
pub fn lock(dir: &Path) -> Result<Flock<File>, Failure> {
    Flock::lock(File::open(dir).map_err(at(dir))?, FlockArg::LockExclusive)
        .map_err(|(_, e)| Failure::Other(format!("{}: lock: {e}", dir.display())))
}

impl TextFile {
    /// Open a file of the domain in `dir` for editing, alone; a missing file is empty. The directory must exist.
    pub fn open(dir: &Path, kind: Kind, config: &Config) -> Result<TextFile, Failure> {
        let lock = lock(dir)?;
        let path = dir.join(kind.file());
        // A link stays one: what it leads to is replaced. One that leads nowhere is not replaced by a file of ours.
        let real = match fs::symlink_metadata(&path) {
            Ok(_) => fs::canonicalize(&path).map_err(at(&path))?,
            Err(_) => path.clone(),
        };
        let (text, before) = match fs::read_to_string(&real) {
            Ok(text) => (text, Some(fs::metadata(&real).map_err(at(&real))?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => (String::new(), None),
            Err(e) => return Err(at(&real)(e)),
        };
        let lines = text.lines().map(str::to_owned).collect();
        let (domain, group) = (domain_of(dir), daemon_group(config));
        Ok(TextFile { path, real, kind, domain, lines, before, group, _lock: lock })
    }

    /// Every entry of this name, in any case. The server knows the first one only; where that goes, the next one counts.
    pub fn find(&self, name: &str) -> Vec<Entry> {
        let key = key(name);
        let mut all = split(&self.lines, self.kind, &self.domain);
        all.retain(|entry| entry.key.as_ref() == Some(&key));
        all
    }

    /// Where it is, as the configuration has it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of line `number`, from 0.
    pub fn line(&self, number: usize) -> &str {
        self.lines.get(number).map_or("", String::as_str)
    }

    /// Put `line` in the place of the first of these lines; the others go, and all of them for `None`. What stands between stays.
    pub fn replace(&mut self, lines: &[usize], line: Option<String>) {
        let Some((first, _)) = lines.split_first() else { return };
        let text = std::mem::take(&mut self.lines).into_iter().enumerate();
        let keep = |(number, old): (usize, String)| match &line {
            Some(new) if number == *first => Some(new.clone()),
            _ if lines.contains(&number) => None,
            _ => Some(old),
        };
        self.lines = text.filter_map(keep).collect();
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
        self.write(text.as_bytes()).map_err(at(&self.real))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        // Not fsio::replace: the new file must have its owner before it has its name, or the daemon could not read it
        // for a moment.
        let temporary = fsio::beside(&self.real, ".tmp");
        match fsio::unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = fsio::create(&temporary, 0o600)?;
        let done = self
            .give_owner(&file)
            .and_then(|()| fsio::write(&file, &temporary, bytes))
            .and_then(|()| fsio::sync_all(&file, &temporary))
            .and_then(|()| fsio::rename(&temporary, &self.real));
        if let Err(e) = done {
            // The first error is the one to report; the leftover is overwritten next time.
            let _ = fs::remove_file(&temporary);
            return Err(e);
        }
        fsio::sync_dir(self.real.parent().unwrap_or(Path::new(".")))
    }

    /// The mode, owner and group that the old file has.
    ///
    /// # Errors
    /// They cannot be kept: then the new file must not take the old one's place, or the server might not be able to read it.
    fn give_owner(&self, file: &File) -> io::Result<()> {
        let (mode, uid, gid) = match &self.before {
            Some(before) => (before.mode() & 0o7777, Some(before.uid()), Some(before.gid())),
            None => (FILE_MODE, None, self.group.map(Gid::as_raw)),
        };
        let made = file.metadata()?;
        let (uid, gid) = (uid.filter(|uid| *uid != made.uid()), gid.filter(|gid| *gid != made.gid()));
        if uid.is_some() || gid.is_some() {
            fchown(file, uid, gid).map_err(|e| {
                io::Error::new(e.kind(), format!("its owner and group cannot be kept ({e}); run this command as root"))
            })?;
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

/// The domain whose files are in `dir`.
fn domain_of(dir: &Path) -> String {
    canonical(&dir.file_name().unwrap_or_default().to_string_lossy())
}

/// A name as somebody typed it, in the form in which names are compared; the catch-all is empty.
fn key(name: &str) -> String {
    let bare = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    if bare == "@" { String::new() } else { bare.to_lowercase() }
}

/// The entries of a file, cut as the server cuts them.
fn split(lines: &[String], kind: Kind, domain: &str) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        match (aliases::part(line), kind, all.last_mut()) {
            (Part::Nothing, ..) => {}
            (Part::Continues, Kind::Aliases, Some(entry)) => {
                entry.lines.push(number);
                entry.rest.push(' ');
                entry.rest.push_str(line.trim());
            }
            _ => {
                let (head, rest) = line.split_once(':').unwrap_or((line, ""));
                let name = entry_name(line).unwrap_or_else(|| head.trim());
                let key = match kind {
                    Kind::Users => users::name(head, domain).ok().map(str::to_lowercase),
                    Kind::Aliases => aliases::name_of(line, domain),
                };
                all.push(Entry { name: name.into(), rest: rest.trim().into(), lines: vec![number], key });
            }
        }
    }
    all
}

/// Name of the entry that begins in this line, without the domain that people may have written behind it; `@` for the
/// catch-all.
fn entry_name(line: &str) -> Option<&str> {
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

/// Entries of a file of the domain in `dir`. A missing file has none.
pub fn entries(dir: &Path, kind: Kind) -> Result<Vec<Entry>, Failure> {
    let path = dir.join(kind.file());
    match fs::read_to_string(&path) {
        Ok(text) => {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            Ok(split(&lines, kind, &domain_of(dir)))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(at(&path)(e)),
    }
}

/// The entries that are the server's for this name, and those that are so when it goes.
pub fn called(entries: Vec<Entry>, name: &str) -> impl Iterator<Item = Entry> {
    let key = key(name);
    entries.into_iter().filter(move |entry| entry.key.as_ref() == Some(&key))
}

/// Are these two the same address? Names without a domain are of `domain`.
pub fn same(one: &str, other: &str, domain: &str) -> bool {
    let whole = |text: &str| {
        let (name, at) = text.rsplit_once('@').unwrap_or((text, domain));
        (key(name), canonical(at))
    };
    whole(one) == whole(other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The directory of a domain with these files.
    fn domain(users: &str, aliases: &str) -> (tempfile::TempDir, PathBuf, Config) {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("one.test");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("users"), users).unwrap();
        fs::write(place.join("aliases"), aliases).unwrap();
        (dir, place, Config::parse(Path::new("/x/mailcote.toml"), "").unwrap())
    }

    #[test]
    fn one_line_changes_and_the_rest_stays() {
        let before = "# staff\nalice:{PLAIN}a::::::\n\n# Bob left a note\nbob:{PLAIN}b::::::future=1\n# end\n";
        let (_dir, place, config) = domain(before, "");
        let path = place.join("users");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let mut file = TextFile::open(&place, Kind::Users, &config).unwrap();
        let bob = file.find("BOB");
        assert_eq!(bob.len(), 1);
        file.replace(&bob[0].lines, Some("bob:{PLAIN}new::::::future=1".into()));
        file.save().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), before.replace("}b", "}new"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o604);
    }

    /// An entry ends where it ends for the server: what is left of it would belong to the one above.
    #[test]
    fn an_entry_goes_on_behind_comments_and_empty_lines() {
        let before = "staff: eve\nteam: alice,\n# who joined later\n    bob,\n\n  # and\n\tcarol\nlast: dan\n";
        for (line, after) in [
            (None, "staff: eve\n# who joined later\n\n  # and\nlast: dan\n"),
            (Some("team: bob"), "staff: eve\nteam: bob\n# who joined later\n\n  # and\nlast: dan\n"),
        ] {
            let (_dir, place, config) = domain("", before);
            let mut file = TextFile::open(&place, Kind::Aliases, &config).unwrap();
            let team = file.find("Team");
            assert_eq!((team[0].lines.as_slice(), team[0].rest.as_str()), (&[1, 3, 6][..], "alice, bob, carol"));
            file.replace(&team[0].lines, line.map(str::to_owned));
            file.save().unwrap();
            let text = fs::read_to_string(place.join("aliases")).unwrap();
            assert_eq!(text, after);
            let parsed = aliases::parse(text.as_bytes(), "one.test");
            assert!(parsed.problems.is_empty());
            assert_eq!(parsed.aliases[0].members.len(), 1, "staff has nobody more than before");
        }
    }

    #[test]
    fn names_are_compared_as_the_server_does() {
        let users = "Ärger:{PLAIN}a\närger@One.Test:{PLAIN}b\nx@other.test:c\nno-colon\n";
        let (_dir, place, config) = domain(users, "\"a:b\": x\n@ONE.test: y\n");
        let file = TextFile::open(&place, Kind::Users, &config).unwrap();
        let lines = |name: &str| file.find(name).into_iter().map(|entry| entry.lines[0]).collect::<Vec<_>>();
        assert_eq!((lines("ÄRGER"), lines("x"), lines("No-Colon")), (vec![0, 1], vec![], vec![3]));
        drop(file);
        let file = TextFile::open(&place, Kind::Aliases, &config).unwrap();
        assert_eq!((file.find("A:B").len(), file.find("@").len()), (1, 1));
        assert!(same("Ärger@bücher.test", "ärger", "xn--bcher-kva.test") && !same("a@x.test", "a", "y.test"));
    }

    #[test]
    fn a_link_stays_a_link() {
        let (dir, place, config) = domain("", "");
        let real = dir.path().join("real");
        fs::rename(place.join("users"), &real).unwrap();
        std::os::unix::fs::symlink(&real, place.join("users")).unwrap();
        let mut file = TextFile::open(&place, Kind::Users, &config).unwrap();
        file.push("ann:".into());
        file.save().unwrap();
        assert!(fs::symlink_metadata(place.join("users")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "ann:\n");
        fs::remove_file(&real).unwrap();
        assert!(TextFile::open(&place, Kind::Users, &config).is_err(), "it leads nowhere");
    }

    /// As root: the group stays, and somebody who may not give files away changes nothing.
    #[test]
    fn a_file_whose_group_cannot_be_kept_is_not_replaced() {
        if !Uid::effective().is_root() {
            eprintln!("not root: cannot make a file of another group");
            return;
        }
        let (dir, place, config) = domain("ann:\n", "");
        let edit = || {
            let mut file = TextFile::open(&place, Kind::Users, &config).unwrap();
            file.push("eve:".into());
            file.save()
        };
        let gid = || fs::metadata(place.join("users")).unwrap().gid();
        std::os::unix::fs::chown(place.join("users"), None, Some(54321)).unwrap();
        edit().unwrap();
        assert_eq!(gid(), 54321);
        for path in [dir.path(), &place, &place.join("users")] {
            std::os::unix::fs::chown(path, Some(54322), None).unwrap();
        }
        let failed = std::thread::scope(|scope| {
            let editing = scope.spawn(|| {
                let _somebody = crate::store::Owner::User { uid: 54322, gid: 54322 }.assume().unwrap();
                edit().unwrap_err().to_string()
            });
            editing.join().unwrap()
        });
        assert!(failed.contains("cannot be kept"), "{failed}");
        assert_eq!((gid(), fs::read_to_string(place.join("users")).unwrap()), (54321, "ann:\neve:\n".into()));
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
        let (_dir, place, config) = domain("", "");
        let path = place.join("users");
        fs::remove_file(&path).unwrap();
        let mut file = TextFile::open(&place, Kind::Users, &config).unwrap();
        file.push("a:b".into());
        file.save().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }
}
