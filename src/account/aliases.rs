//! A domain's `aliases` file, as aliases(5) has it.
//!
//! ```text
//! # comment
//! team: alice, bob,
//!     carol@example.org          a line that begins with a blank continues the one before
//! "john smith": john
//! @: alice                       everybody else in this domain (catch-all)
//! ```
//!
//! Owns the reading of the file and the writing of one entry. Names and members without a domain are of the file's own
//! domain. Refuses programs (`|command`), files and `:include:`, which deliver mail past the store: such a line, like
//! every other that is wrong, is a [`Problem`] and its name is kept as broken, so that mail to it waits and is not
//! refused.

use super::domain;
use super::lines::{Problem, lines};
use crate::mail::address::Address;

/// Members in one alias; more is a mailing list and wants its own program.
pub const MAX_MEMBERS: usize = 1000;

/// One entry of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Local part in lower case; empty for the catch-all `@`.
    pub name: String,
    /// The domain of the file, in canonical form.
    pub domain: String,
    /// Where mail goes; never empty. Domains are in canonical form.
    pub members: Vec<Address>,
    /// Line and column of each member, from 1, in their order.
    pub places: Vec<(usize, usize)>,
    /// Its first and last line in the file, from 1.
    pub lines: (usize, usize),
}

impl Alias {
    /// Is the user of its own name among its members?
    pub fn lists_itself(&self) -> bool {
        self.members.iter().any(|member| member.domain == self.domain && member.local.to_lowercase() == self.name)
    }
}

/// What a file contains.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Entries in the order of the file.
    pub aliases: Vec<Alias>,
    /// Names of entries with mistakes.
    pub broken: Vec<String>,
    /// Is there a mistake in an entry whose name cannot be read?
    pub nameless: bool,
    /// All mistakes.
    pub problems: Vec<Problem>,
}

/// Read the aliases file of `domain` (in canonical form).
pub fn parse(bytes: &[u8], domain: &str) -> Parsed {
    let mut parsed = Parsed::default();
    // Pieces of one entry: number and text of each of its lines.
    let mut entry: Vec<(usize, &str)> = Vec::new();
    for (number, text) in lines(bytes) {
        let text = match text {
            Ok(text) => text,
            Err(problem) => {
                parsed.problems.push(problem);
                parsed.nameless = true;
                continue;
            }
        };
        match part(text) {
            Part::Nothing => continue,
            Part::Begins => parsed.take(&std::mem::take(&mut entry), domain),
            Part::Continues => {}
        }
        entry.push((number, text));
    }
    parsed.take(&entry, domain);
    parsed
}

/// What a line is to the entries of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An empty line or a comment: also inside of an entry, which goes on behind it.
    Nothing,
    /// The first line of an entry.
    Begins,
    /// One more line of the entry before.
    Continues,
}

/// What is this line?
pub fn part(text: &str) -> Part {
    if text.trim().is_empty() || text.trim_start().starts_with('#') {
        Part::Nothing
    } else if text.starts_with([' ', '\t']) {
        Part::Continues
    } else {
        Part::Begins
    }
}

/// The name of the entry that begins with this line, as in [`Alias::name`]; none if it cannot be read.
pub fn name_of(head: &str, domain: &str) -> Option<String> {
    split_name(head, domain).ok().map(|(name, _)| name)
}

impl Parsed {
    fn take(&mut self, entry: &[(usize, &str)], domain: &str) {
        let (Some((first, head)), Some((last, _))) = (entry.first(), entry.last()) else { return };
        let (name, rest) = match split_name(head, domain) {
            Ok(found) => found,
            Err((offset, message)) => {
                self.problems.push(Problem::at(*first, head, offset, message));
                self.nameless = true;
                return;
            }
        };
        if self.aliases.iter().any(|alias| alias.name == name) {
            self.problems.push(Problem::at(*first, head, 0, "alias was defined before; the first one counts"));
            return;
        }
        let (mut members, mut places) = (Vec::new(), Vec::new());
        let mut problems = Vec::new();
        for (index, (number, text)) in entry.iter().enumerate() {
            for (offset, member) in items(text, if index == 0 { rest } else { 0 }) {
                match parse_member(member, domain) {
                    Ok(member) => {
                        members.push(member);
                        places.push((*number, Problem::at(*number, text, offset, "").column));
                    }
                    Err(message) => problems.push(Problem::at(*number, text, offset, message)),
                }
            }
        }
        if members.is_empty() && problems.is_empty() {
            problems.push(Problem::at(*first, head, head.len(), "alias leads to nobody; name a user or an address"));
        } else if members.len() > MAX_MEMBERS {
            problems.push(Problem::at(*first, head, 0, format!("alias has more than {MAX_MEMBERS} members")));
        }
        if problems.is_empty() {
            self.aliases.push(Alias { name, domain: domain.to_owned(), members, places, lines: (*first, *last) });
        } else {
            self.broken.push(name);
            self.problems.append(&mut problems);
        }
    }
}

/// An entry as a line of the file, checked by reading it back.
pub fn format(name: &str, members: &[&str], domain: &str) -> Result<String, String> {
    let quoted =
        if name.contains([':', ' ', '#', ',']) && !name.starts_with('"') { format!("{name:?}") } else { name.into() };
    let line = format!("{quoted}: {}", members.join(", "));
    if line.contains(['\n', '\r']) {
        return Err("an alias has to be on one line".into());
    }
    let parsed = parse(line.as_bytes(), domain);
    match parsed.problems.first() {
        Some(problem) => Err(problem.message.clone()),
        None if parsed.aliases.len() == 1 => Ok(line),
        None => Err(format!("{name:?} cannot be the name of an alias")),
    }
}

/// The name before the colon, in lower case, and where the members begin.
fn split_name(head: &str, domain: &str) -> Result<(String, usize), (usize, String)> {
    if head.starts_with([' ', '\t']) {
        return Err((0, "line begins with a blank but there is no alias before it to continue".into()));
    }
    let colon = unquoted(head, ':').ok_or((head.len(), "alias has no colon after its name".to_owned()))?;
    let text = head[..colon].trim();
    if let Some(at) = text.strip_prefix('@') {
        return if at.is_empty() || domain::canonical(at) == domain {
            Ok((String::new(), colon + 1))
        } else {
            Err((0, format!("catch-all of {at} in the file of {domain}")))
        };
    }
    let address = parse_member(text, domain).map_err(|message| (0, message))?;
    if address.domain != domain {
        return Err((0, format!("alias of {} in the file of {domain}", address.domain)));
    }
    Ok((address.local.to_lowercase(), colon + 1))
}

/// The texts between commas behind byte `from`, with their places; empty ones are passed over.
fn items(text: &str, from: usize) -> Vec<(usize, &str)> {
    let mut items = Vec::new();
    let mut start = from;
    while start <= text.len() {
        let end = unquoted(&text[start..], ',').map_or(text.len(), |at| start + at);
        let raw = &text[start..end];
        let item = raw.trim();
        if !item.is_empty() {
            items.push((start + raw.len() - raw.trim_start().len(), item));
        }
        start = end + 1;
    }
    items
}

/// Where `wanted` stands outside of double quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// A member or a name: an address, or a local part of this domain.
fn parse_member(text: &str, domain: &str) -> Result<Address, String> {
    let bare = text.strip_prefix('"').unwrap_or(text);
    if bare.starts_with('|') {
        return Err(format!("{text}: programs are not run from aliases"));
    }
    if bare.starts_with('/') {
        return Err(format!("{text}: mail is not delivered to files; name a user"));
    }
    if bare.starts_with(":include:") {
        return Err(format!("{text}: :include: is not supported; list the members here"));
    }
    let has_domain = unquoted(text, '@').is_some();
    let whole = if has_domain { text.to_owned() } else { format!("{text}@{domain}") };
    let mut address = Address::parse(&whole).map_err(|e| match comma_missing(text, domain) {
        Some(names) => format!("{text:?} is not one address; is a comma missing: {names}?"),
        None => format!("{text:?}: {e}"),
    })?;
    address.domain = domain::canonical(&address.domain);
    Ok(address)
}

/// The members between which somebody forgot the commas.
fn comma_missing(text: &str, domain: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let all_good =
        words.len() > 1 && !text.contains('"') && words.iter().all(|word| parse_member(word, domain).is_ok());
    all_good.then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(parsed: &Parsed) -> Vec<String> {
        parsed.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn entries() {
        let parsed = parse(
            b"# who is who\n\nTeam: alice, Bob@Demo.Test,\n\t# not a member\n  carol@other.test\n\"john smith\": john\n@: alice\nx@demo.test: y\r\nq: \"a,b\"@demo.test, \"c:d\"\n",
            "demo.test",
        );
        assert_eq!(told(&parsed), [""; 0]);
        let flat: Vec<(String, Vec<String>, (usize, usize))> = parsed
            .aliases
            .iter()
            .map(|a| (a.name.clone(), a.members.iter().map(ToString::to_string).collect(), a.lines))
            .collect();
        let row = |name: &str, members: &[&str], lines| {
            (name.to_owned(), members.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>(), lines)
        };
        assert_eq!(
            flat,
            [
                row("team", &["alice@demo.test", "Bob@demo.test", "carol@other.test"], (3, 5)),
                row("john smith", &["john@demo.test"], (6, 6)),
                row("", &["alice@demo.test"], (7, 7)),
                row("x", &["y@demo.test"], (8, 8)),
                row("q", &["\"a,b\"@demo.test", "\"c:d\"@demo.test"], (9, 9)),
            ]
        );
    }

    #[test]
    fn mistakes() {
        for (text, says, broken) in [
            (" alice\n", "1:1: line begins with a blank", None),
            ("team alice\n", "1:11: alias has no colon", None),
            ("team:\n", "1:6: alias leads to nobody", Some("team")),
            ("team: alice, |prog\n", "1:14: |prog: programs", Some("team")),
            ("team: alice,\n \"|prog x\"\n", "2:2: \"|prog x\": programs", Some("team")),
            ("team: /var/mail/x\n", "1:7: /var/mail/x: mail is not delivered to files", Some("team")),
            ("team: :include:/x\n", "1:7: :include:/x: :include:", Some("team")),
            ("team: a@@b\n", "1:7:", Some("team")),
            (
                "team: x, alice bob\n",
                "1:10: \"alice bob\" is not one address; is a comma missing: alice, bob?",
                Some("team"),
            ),
            ("x@other.test: a\n", "1:1: alias of other.test", None),
            ("@other.test: a\n", "1:1: catch-all of other.test", None),
        ] {
            let parsed = parse(text.as_bytes(), "demo.test");
            assert!(told(&parsed)[0].starts_with(says), "{text:?}: {:?}", told(&parsed));
            assert_eq!(parsed.broken.first().map(String::as_str), broken, "{text:?}");
            assert_eq!(parsed.nameless, broken.is_none(), "{text:?}");
        }
        let parsed = parse(b"a: b\n\xff: c\nA: d\n", "demo.test");
        assert_eq!(told(&parsed), ["2:1: not UTF-8 text", "3:1: alias was defined before; the first one counts"]);
        assert_eq!(parsed.aliases.len(), 1, "the good line counts");
    }

    #[test]
    fn writing() {
        assert_eq!(format("team", &["alice", "bob@x.test"], "demo.test").unwrap(), "team: alice, bob@x.test");
        assert_eq!(format("john smith", &["john"], "demo.test").unwrap(), "\"john smith\": john");
        assert_eq!(format("@", &["alice"], "demo.test").unwrap(), "@: alice");
        for (name, member) in [("team", "|x"), ("a\nb", "c"), ("", "c"), ("#x", "|c")] {
            assert!(format(name, &[member], "demo.test").is_err(), "{name:?} {member:?}");
        }
    }
}
