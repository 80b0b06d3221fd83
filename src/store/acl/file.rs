//! `dovecot-acl`: who may do what with a folder, in Dovecot's format.
//!
//! ```text
//! owner akxeilprwts
//! user=bob@example.org lrs
//! "-user=carol smith@example.org" w
//! anyone l :read write-seen
//! ```
//!
//! An identifier (with `-` before it: rights that are taken away), rights by letter, rights by name behind a colon. An identifier with a
//! space is quoted whole. Letters, names and lines that we do not know are kept as they are.
//!
//! **Who has which right**, as in Dovecot: of the entries that concern somebody the most specific one counts alone: `user=` before `owner` before `group=` before
//! `authenticated` before `anyone`; a negative entry takes away what the positive one of its kind, or a less specific one, gave. The owner begins with all
//! rights, and keeps [`Rights::OWNERS`] whatever the file says. There are no groups here: their entries are kept and concern nobody.
//! `anyone` and `authenticated` concern the users of the owner's domain, and only where the configuration allows it (Dovecot's `acl_anyone`).

use super::Rights;

/// Entries in a file: a team with names of its own.
pub const MAX_ENTRIES: usize = 500;

/// Whom an entry concerns; the more specific, the greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identifier {
    /// Everybody.
    Anyone,
    /// Everybody who has logged in, which is everybody here.
    Authenticated,
    /// A group; there are none, but Dovecot's files may name some.
    Group(String),
    /// Whose folder it is.
    Owner,
    /// A login.
    User(String),
    /// A group before which users do not count.
    GroupOverride(String),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whom it concerns.
    pub identifier: Identifier,
    /// It takes rights away.
    pub is_negative: bool,
    /// Which.
    pub rights: Rights,
    /// Letters and names that we do not know, as they stand behind the identifier.
    unknown: (String, String),
}

/// The lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acl {
    /// In the order of the file.
    pub entries: Vec<Entry>,
    /// Lines that are none.
    others: Vec<String>,
}

/// Somebody, as an ACL sees him.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// His login.
    pub login: &'a str,
    /// The folder is his own.
    pub is_owner: bool,
    /// Do `anyone` and `authenticated` count?
    pub anyone: bool,
}

impl Identifier {
    fn parse(text: &str) -> Option<Identifier> {
        Some(match text.split_once('=') {
            None => match text {
                "anyone" => Identifier::Anyone,
                "authenticated" => Identifier::Authenticated,
                "owner" => Identifier::Owner,
                _ => return None,
            },
            Some(("user", name)) if !name.is_empty() => Identifier::User(name.into()),
            Some(("group", name)) if !name.is_empty() => Identifier::Group(name.into()),
            Some(("group-override", name)) if !name.is_empty() => Identifier::GroupOverride(name.into()),
            Some(_) => return None,
        })
    }

    /// As the file has it.
    pub fn text(&self) -> String {
        match self {
            Identifier::Anyone => "anyone".into(),
            Identifier::Authenticated => "authenticated".into(),
            Identifier::Owner => "owner".into(),
            Identifier::User(name) => format!("user={name}"),
            Identifier::Group(name) => format!("group={name}"),
            Identifier::GroupOverride(name) => format!("group-override={name}"),
        }
    }

    fn concerns(&self, who: &Who<'_>) -> bool {
        match self {
            Identifier::Anyone | Identifier::Authenticated => who.anyone && !who.is_owner,
            Identifier::Owner => who.is_owner,
            Identifier::User(name) => name.eq_ignore_ascii_case(who.login),
            Identifier::Group(_) | Identifier::GroupOverride(_) => false,
        }
    }
}

impl Acl {
    /// Read a file.
    pub fn parse(text: &str) -> Acl {
        let mut acl = Acl::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            // Also more than SETACL would make: another program's, and each may take a right away.
            match Entry::parse(line) {
                Some(entry) => acl.entries.push(entry),
                None => acl.others.push(line.into()),
            }
        }
        acl
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let lines = self.entries.iter().map(Entry::render).chain(self.others.iter().cloned());
        lines.map(|line| line + "\n").collect()
    }

    /// What somebody may do.
    pub fn rights(&self, who: &Who<'_>) -> Rights {
        let mut rights = if who.is_owner { Rights::ALL } else { Rights::NONE };
        let mut mine: Vec<&Entry> = self.entries.iter().filter(|entry| entry.identifier.concerns(who)).collect();
        mine.sort_by_key(|entry| (&entry.identifier, entry.is_negative));
        for entry in mine {
            rights = if entry.is_negative { rights.without(entry.rights) } else { entry.rights };
        }
        if who.is_owner { rights.with(Rights::OWNERS) } else { rights }
    }

    /// The entry of an identifier.
    pub fn entry(&self, identifier: &Identifier, is_negative: bool) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.identifier == *identifier && entry.is_negative == is_negative)
    }

    /// Give an identifier these rights. False if there are too many entries.
    pub(super) fn set(&mut self, identifier: &Identifier, is_negative: bool, rights: Rights) -> bool {
        let same = |entry: &&mut Entry| entry.identifier == *identifier && entry.is_negative == is_negative;
        if let Some(entry) = self.entries.iter_mut().find(same) {
            entry.rights = rights;
            return true;
        }
        let entry = Entry { identifier: identifier.clone(), is_negative, rights, unknown: Default::default() };
        self.entries.push(entry);
        self.entries.sort_by_key(|entry| (entry.is_negative, entry.identifier.text()));
        self.entries.len() <= MAX_ENTRIES
    }

    /// Remove an identifier.
    pub(super) fn remove(&mut self, identifier: &Identifier, is_negative: bool) {
        self.entries.retain(|entry| entry.identifier != *identifier || entry.is_negative != is_negative);
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Entry> {
        let (identifier, rest) = match line.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (identifier, rest) = line.split_once(' ').unwrap_or((line, ""));
                (identifier.to_owned(), rest)
            }
        };
        let (is_negative, identifier) = match identifier.strip_prefix('-') {
            Some(rest) => (true, Identifier::parse(rest)?),
            None => (false, Identifier::parse(&identifier)?),
        };
        let (letters, names) = rest.split_once(':').unwrap_or((rest, ""));
        let mut entry = Entry { identifier, is_negative, rights: Rights::NONE, unknown: Default::default() };
        for letter in letters.trim().chars() {
            match Rights::of_letter(letter) {
                Some(right) => entry.rights = entry.rights.with(right),
                None => entry.unknown.0.push(letter),
            }
        }
        for name in names.split_whitespace() {
            match Rights::of_name(name) {
                Some(right) => entry.rights = entry.rights.with(right),
                None => entry.unknown.1.push_str(&format!(" {name}")),
            }
        }
        Some(entry)
    }

    fn render(&self) -> String {
        let mut identifier = format!("{}{}", if self.is_negative { "-" } else { "" }, self.identifier.text());
        if identifier.contains([' ', '"', '\\']) {
            identifier = format!("\"{}\"", identifier.replace('\\', "\\\\").replace('"', "\\\""));
        }
        let letters: String = self.rights.letters().collect();
        let names =
            if self.unknown.1.is_empty() { String::new() } else { format!(" :{}", self.unknown.1.trim_start()) };
        format!("{identifier} {letters}{}{names}", self.unknown.0)
    }
}

/// The text up to the closing quote, and what follows it and a space.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text[at + 1..].trim_start())),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(text: &str) -> Rights {
        text.chars().filter_map(Rights::of_letter).fold(Rights::NONE, |sum, right| sum.with(right))
    }

    /// As a Dovecot 2.3.19 wrote it.
    const DOVECOTS: &str =
        "group=grp l\nowner akxeilprwts\nuser=bob@demo.test ilrws\n\"-user=carol smith@demo.test\" lr\n";

    #[test]
    fn dovecots_file_comes_back() {
        let acl = Acl::parse(DOVECOTS);
        assert_eq!(acl.entries.len(), 4);
        assert_eq!(acl.entry(&Identifier::User("carol smith@demo.test".into()), true).unwrap().rights, rights("lr"));
        let written = acl.render();
        assert_eq!(written.lines().nth(1), Some("owner lrswipkxtea"));
        assert_eq!(Acl::parse(&written), acl);
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let text = "user=a lrQ :future\n# a comment\nfuture=x y\nuser=b lr :expunge\n";
        let mut acl = Acl::parse(text);
        assert_eq!(acl.entries[1].rights, rights("lre"));
        acl.set(&Identifier::User("a".into()), false, rights("l"));
        assert_eq!(acl.render(), "user=a lQ :future\nuser=b lre\n# a comment\nfuture=x y\n");
    }

    #[test]
    fn the_most_specific_entry_counts() {
        let rows = [
            ("", "bob", false, ""),
            ("", "alice", true, "lrswipkxtea"),
            ("anyone lr\n", "bob", false, "lr"),
            ("anyone lr\nuser=bob l\n", "bob", false, "l"),
            ("user=bob lr\n-user=bob r\n", "bob", false, "l"),
            ("anyone lrs\n-user=bob s\n", "bob", false, "lr"),
            ("user=bob lrs\n-anyone s\n", "bob", false, "lrs"),
            ("owner lr\n", "alice", true, "lra"),
            ("anyone l\n", "alice", true, "lrswipkxtea"),
            ("owner lr\nuser=alice lrs\n", "alice", true, "lrsa"),
            ("owner \n", "alice", true, "la"),
            ("user=BOB lr\n", "bob", false, "lr"),
            ("group=staff lr\n", "bob", false, ""),
        ];
        for (text, login, is_owner, expected) in rows {
            let who = Who { login, is_owner, anyone: true };
            assert_eq!(Acl::parse(text).rights(&who), rights(expected), "{text:?} {login}");
        }
        let who = Who { login: "bob", is_owner: false, anyone: false };
        assert_eq!(Acl::parse("anyone lr\nauthenticated lr\n").rights(&who), Rights::NONE);
    }
}
