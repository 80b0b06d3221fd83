//! The same dialogues held with an installed Dovecot 2.3, so that a transcript is checked by more than its author's reading of the RFC.
//!
//! One Dovecot for all files, with plugins for what it can do, and fresh mail for each. The rules are looser than for us, since two right
//! servers need not say the same thing in the same words:
//!
//! - within one command, untagged responses may come in any order, and the names inside parentheses too; upper and lower case are the same;
//! - the words for people are not compared, nor is a response code of NO or BAD that only one of the two gives (RFC 5530: advice);
//! - Dovecot may say `* OK ...`, `* FLAGS`, `* CAPABILITY`, `* ENABLED`, `* BYE` and RECENT more often than expected, but no other data.
//!
//! All else is a disagreement. A file or a line that has one says why (`# dovecot: differs, because ...`, see `tests/README.md`); a disagreement
//! that is not explained fails, and so does an explanation of none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::drive::{Connection, Socket};
use super::outside::Outside;
use super::run::World;
use super::script::{self, Bound, Line, Script, Step, matches, substitute};
use super::support::dovecot::{Dovecot, NOBODY, free_port};
use super::world::certificate;

/// How long Dovecot may take for a line; it tells what others did in a folder after half a second.
const LINE_WAIT: Duration = Duration::from_secs(2);

/// Loopback addresses that it listens on.
const HOSTS: u8 = 16;

/// A Dovecot for transcripts.
pub struct Site {
    dovecot: Dovecot,
    imaps: u16,
    client: Arc<rustls::ClientConfig>,
    root: tempfile::TempDir,
    /// How many transcripts were played.
    played: u8,
    tls: bool,
    outside: Outside,
}

impl Site {
    /// Start it.
    pub fn start() -> Result<Site, String> {
        let root = tempfile::tempdir().map_err(|e| e.to_string())?;
        let client = certificate(root.path())?;
        let imaps = free_port();
        let users: String = ["alice", "bob"]
            .iter()
            .map(|name| format!("{name}:{{PLAIN}}{name}-secret\n{name}@demo.test:{{PLAIN}}{name}-secret\n"))
            .collect();
        fs::write(root.path().join("users"), users).map_err(|e| e.to_string())?;
        let dovecot = Dovecot::start(root.path(), &settings(root.path(), imaps));
        let outside = Outside::new(PathBuf::new(), None);
        Ok(Site { dovecot, imaps, client, root, played: 0, tls: false, outside })
    }

    /// Fresh mail for `script`, and play it. `Err` for people.
    pub fn play(&mut self, script: &Script) -> Result<(), String> {
        self.clear(&script.given)?;
        match &script.beside {
            None => play(script, self, true),
            Some(script::Beside::Lacks(name)) => match self.capabilities()?.contains(name) {
                true => Err(format!("Dovecot has {name}: take `lacks` away")),
                false => Ok(()),
            },
            Some(script::Beside::Differs(_)) => match play(script, self, false) {
                Ok(()) => Err("`file differs`, but nothing does: take the explanation away".into()),
                Err(_) => Ok(()),
            },
        }
    }

    /// What it says it can do after login.
    fn capabilities(&mut self) -> Result<Vec<String>, String> {
        let mut connection = self.connect()?;
        connection.send(b"a LOGIN alice alice-secret\r\nb CAPABILITY\r\n");
        loop {
            let line = connection.line()?.ok_or("Dovecot closed the connection")?;
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some(all) = line.strip_prefix("* CAPABILITY ") {
                return Ok(all.split(' ').map(str::to_owned).collect());
            }
        }
    }

    /// The address for the present dialogue: Dovecot keeps the mail of each apart, since a process of the last dialogue may
    /// still be at work when the next one begins.
    fn host(&self) -> std::net::Ipv4Addr {
        [127, 0, 0, 1 + self.played % HOSTS].into()
    }

    fn clear(&mut self, given: &[Vec<String>]) -> Result<(), String> {
        self.played = self.played.wrapping_add(1);
        let host = self.host();
        let old = self.root.path().join(format!("mail/{host}"));
        if old.exists() {
            fs::remove_dir_all(&old).map_err(|e| e.to_string())?;
        }
        let owner = nix::unistd::geteuid().is_root().then_some(NOBODY);
        self.outside = Outside::new(old.join("alice/Maildir"), owner);
        self.outside.make("INBOX")?;
        for home in [&old, &old.join("alice")] {
            std::os::unix::fs::chown(home, owner, owner).map_err(|e| e.to_string())?;
        }
        self.tls = false;
        for words in given {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match words[..] {
                ["tls"] => self.tls = true,
                ["folder", name] => {
                    // Ours makes the folders above it, too.
                    for (end, _) in name.match_indices('/') {
                        self.outside.make(&name[..end])?;
                    }
                    self.outside.make(name)?;
                }
                _ => drop(self.outside.given(&words)?),
            }
        }
        Ok(())
    }
}

impl World for Site {
    fn connect(&mut self) -> Result<Box<dyn Connection>, String> {
        let port = if self.tls { self.imaps } else { self.dovecot.imap };
        Ok(Box::new(Socket::connect_to((self.host(), port).into(), self.tls, self.client.clone(), LINE_WAIT)?))
    }

    fn act(&mut self, words: &[String]) -> Result<(), String> {
        self.outside.act(words)
    }
}

fn settings(root: &Path, imaps: u16) -> String {
    let certs: PathBuf = root.join("certs/localhost");
    let mailboxes: String = ["Drafts", "Sent", "Junk", "Trash", "Archive"]
        .iter()
        .map(|name| format!("  mailbox {name} {{\n    auto = create\n    special_use = \\{name}\n  }}\n"))
        .collect();
    format!(
        "passdb {{\n  driver = passwd-file\n  args = {root}/users\n}}\n\
         listen = {hosts}\nmail_location = maildir:{root}/mail/%l/%n/Maildir\nauth_failure_delay = 0\n\
         namespace inbox {{\n  inbox = yes\n  separator = /\n{mailboxes}}}\n\
         service anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n\
         ssl = yes\nssl_cert = <{certs}/fullchain.pem\nssl_key = <{certs}/privkey.pem\n\
         service imap-login {{\n  inet_listener imaps {{\n    port = {imaps}\n    ssl = yes\n  }}\n}}\n\
         mail_plugins = acl quota\nprotocol imap {{\n  mail_plugins = acl quota imap_acl imap_quota imap_zlib\n  imap_metadata = yes\n}}\n\
         mail_attribute_dict = file:{root}/mail/%l/%n/attributes\n\
         plugin {{\n  acl = vfile\n  quota = maildir:User quota\n  quota_max_mail_size = 1M\n}}\n",
        root = root.display(),
        hosts = (1..=HOSTS).map(|n| format!("127.0.0.{n}")).collect::<Vec<_>>().join(", "),
        certs = certs.display(),
    )
}

/// A conversation's state beyond its connection.
struct Side {
    connection: Box<dyn Connection>,
    /// Untagged lines since the last command that nothing expected yet.
    pool: Vec<Vec<u8>>,
    forbidden: Vec<String>,
    /// A tagged line came since the last command.
    ended: bool,
    /// Where the last line that was read ended: how much of a literal is to come, and whether the response goes on behind it.
    literal: usize,
    inside: bool,
    /// What Dovecot says more than expected is not looked at, since the transcript does not look either.
    loose: bool,
    /// The rest of this command was explained away.
    skipping: bool,
}

/// `explaining`: explanations at lines count; else the first disagreement is the end.
fn play(script: &Script, world: &mut dyn World, explaining: bool) -> Result<(), String> {
    let mut player = Player { world, explaining, sides: BTreeMap::new(), bound: Bound::new(), log: Vec::new() };
    let mut wrong = Vec::new();
    for line in &script.lines {
        let Err(why) = player.play(line) else { continue };
        let tail: Vec<_> = player.log.iter().rev().take(6).rev().cloned().collect();
        wrong.push(format!("line {}: {why}\n    so far:\n      {}", line.number, tail.join("\n      ")));
        match line.connection {
            Some(c) if explaining && player.sides.contains_key(&c) => player.give_up(c),
            _ => break,
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ")) }
}

struct Player<'a> {
    world: &'a mut dyn World,
    explaining: bool,
    sides: BTreeMap<char, Side>,
    bound: Bound,
    log: Vec<String>,
}

impl Player<'_> {
    fn play(&mut self, line: &Line) -> Result<(), String> {
        let explained = line.explained.is_some() && self.explaining;
        match self.step(line) {
            Ok(_) if !explained => Ok(()),
            Ok(false) => Err("explained, but the command was given up before this line".into()),
            Ok(true) => Err("explained, but Dovecot does not differ here: take the explanation away".into()),
            Err(why) if !explained => Err(why),
            Err(_) => {
                line.connection.into_iter().for_each(|c| self.give_up(c));
                Ok(())
            }
        }
    }

    /// One step. `Err` is a disagreement; `Ok(false)`: it was not looked at.
    fn step(&mut self, line: &Line) -> Result<bool, String> {
        let Some(c) = line.connection else {
            let Step::Do(words) = &line.step else { return Err("a step without a connection".into()) };
            return self.world.act(words).map(|()| true);
        };
        if !self.sides.contains_key(&c) {
            let connection = self.world.connect()?;
            let side = Side {
                connection,
                pool: Vec::new(),
                forbidden: Vec::new(),
                ended: false,
                literal: 0,
                inside: false,
                loose: true,
                skipping: false,
            };
            self.sides.insert(c, side);
        }
        if self.side(c).skipping && !matches!(line.step, Step::Send(_) | Step::ClientCloses | Step::StartTls) {
            return Ok(false);
        }
        match &line.step {
            Step::Send(bytes) => self.send(c, bytes),
            Step::Expect { pattern, skip } => {
                self.side(c).loose |= skip;
                self.expect(c, pattern)?;
            }
            Step::Forbid(pattern) => self.side(c).forbidden.push(pattern.clone()),
            Step::Count(_) => self.side(c).loose = true,
            Step::ServerCloses => while self.read(c)?.is_some() {},
            Step::ClientCloses => drop(self.sides.remove(&c)),
            Step::StartTls => self.side(c).connection.start_tls()?,
            Step::Compress => self.side(c).connection.compress()?,
            Step::Do(_) => return Err("`do` takes no connection".into()),
        }
        Ok(true)
    }

    fn side(&mut self, c: char) -> &mut Side {
        self.sides.get_mut(&c).expect("opened above")
    }

    fn send(&mut self, c: char, bytes: &[u8]) {
        let bytes = substitute(bytes, &self.bound);
        let shown = String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>().escape_debug().to_string();
        self.log.push(format!("{c}> {shown}"));
        let side = self.side(c);
        (side.ended, side.loose, side.skipping) = (false, false, false);
        side.pool.clear();
        side.forbidden.clear();
        side.connection.send(&bytes);
    }

    /// The next line, and whether it ends a command (a tagged reply or a continuation request).
    fn read(&mut self, c: char) -> Result<Option<(Vec<u8>, bool)>, String> {
        let line = self.side(c).connection.line()?;
        let Some(line) = line else {
            self.log.push(format!("{c}x"));
            return Ok(None);
        };
        let shown: String = String::from_utf8_lossy(&line).chars().take(400).collect();
        self.log.push(format!("{c}< {shown}"));
        let side = self.sides.get_mut(&c).expect("opened above");
        let ends = side.follow(&line);
        side.ended |= ends;
        match side.forbidden.iter().any(|pattern| matches(pattern, &line, &mut self.bound.clone())) {
            true => Err(format!("forbidden here: {shown}")),
            false => Ok(Some((line, ends))),
        }
    }

    fn expect(&mut self, c: char, pattern: &str) -> Result<(), String> {
        let side = self.sides.get_mut(&c).expect("opened above");
        if let Some(at) = side.pool.iter().position(|line| agrees(pattern, line, &mut self.bound)) {
            side.pool.remove(at);
            return Ok(());
        }
        loop {
            let (line, ends) = match self.read(c) {
                Ok(Some(read)) => read,
                Ok(None) => return Err(format!("expected {pattern}, but Dovecot closed the connection")),
                Err(why) => return Err(format!("expected {pattern}: {why}")),
            };
            let fits = agrees(pattern, &line, &mut self.bound);
            let side = self.side(c);
            if fits && ends && !side.loose {
                return match side.pool.iter().find(|line| !is_noise(line)) {
                    None => Ok(()),
                    Some(more) => Err(format!("Dovecot says more: {}", String::from_utf8_lossy(more))),
                };
            }
            if fits {
                return Ok(());
            }
            let shown = String::from_utf8_lossy(&line).into_owned();
            side.pool.push(line);
            if ends {
                return Err(format!("expected {pattern}\n    but Dovecot says {shown}"));
            }
        }
    }

    /// This command is explained: read what is left of it.
    fn give_up(&mut self, c: char) {
        self.side(c).forbidden.clear();
        while !self.side(c).ended {
            match self.read(c) {
                Ok(Some(_)) => {}
                // It says nothing more, or is gone; what the transcript wants next will show it.
                Ok(None) | Err(_) => break,
            }
        }
        self.side(c).skipping = true;
    }
}

impl Side {
    /// Keep count of literals. Is `line` a tagged reply or a continuation request, and not a part of an untagged response?
    fn follow(&mut self, line: &[u8]) -> bool {
        if self.literal >= line.len() + 2 {
            self.literal -= line.len() + 2;
            return false;
        }
        let ends = !self.inside && !line.starts_with(b"* ");
        let rest = &line[std::mem::take(&mut self.literal).min(line.len())..];
        let announced = rest.strip_suffix(b"}").and_then(|rest| {
            let digits = &rest[rest.iter().rposition(|b| *b == b'{')? + 1..];
            std::str::from_utf8(digits).ok()?.parse().ok()
        });
        self.inside = announced.is_some();
        self.literal = announced.unwrap_or(0);
        ends
    }
}

/// Lines that Dovecot may say more often.
fn is_noise(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let words = ["* OK ", "* FLAGS ", "* CAPABILITY ", "* ENABLED", "* BYE "];
    words.iter().any(|word| line.starts_with(word)) || line.ends_with(" RECENT")
}

/// Do pattern and line say the same, by the rules above?
fn agrees(pattern: &str, line: &[u8], bound: &mut Bound) -> bool {
    if matches(pattern, line, bound) {
        return true;
    }
    let line = String::from_utf8_lossy(line);
    let (mut expected, mut said) = (Said::new(pattern), Said::new(&line));
    if matches!(said.condition, "NO" | "BAD") && (expected.code.is_empty() || said.code.is_empty()) {
        (expected.code, said.code) = ("", "");
    }
    let (expected, said) = (expected.text(), said.text());
    let lower = |text: &str| text.to_ascii_lowercase();
    // A keyword such as $Forwarded would turn into a name to be bound.
    matches(&expected, said.as_bytes(), bound)
        || !has_keyword(&expected) && matches(&lower(&expected), lower(&said).as_bytes(), bound)
}

fn has_keyword(pattern: &str) -> bool {
    pattern.match_indices('$').any(|(at, _)| pattern[at + 1..].starts_with(|c: char| c.is_ascii_uppercase()))
}

/// A response without the words for people.
struct Said<'a> {
    tag: &'a str,
    /// OK, NO, BAD, BYE; empty for data.
    condition: &'a str,
    /// With brackets.
    code: &'a str,
    rest: &'a str,
}

impl Said<'_> {
    fn new(line: &str) -> Said<'_> {
        let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (condition, words) = rest.split_once(' ').unwrap_or((rest, ""));
        if !matches!(condition, "OK" | "NO" | "BAD" | "BYE" | "PREAUTH") {
            return Said { tag, condition: "", code: "", rest };
        }
        let code = if words.starts_with('[') { words.find(']').map_or("", |end| &words[..=end]) } else { "" };
        Said { tag, condition, code, rest: "" }
    }

    fn text(&self) -> String {
        let text = [self.tag, self.condition, self.code, self.rest].join(" ");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, inside)) = rest.split_once('(') {
            out.push_str(before);
            out.push('(');
            rest = inside;
            let end = rest.find(['(', ')', '"']).unwrap_or(rest.len());
            if rest[end..].starts_with(')') {
                let words: Vec<&str> = rest[..end].split(' ').collect();
                // The items of STATUS are pairs of name and number.
                let mut items: Vec<_> = words.chunks(if self.rest.starts_with("STATUS ") { 2 } else { 1 }).collect();
                items.sort_unstable();
                out.push_str(&items.concat().join(" "));
                rest = &rest[end..];
            }
        }
        out.push_str(rest);
        if self.tag == "*" && self.rest.starts_with("ESEARCH ") {
            // RFC 4731 3.1: the result options come in any order.
            let mut words: Vec<&str> = out.split(' ').collect();
            words.sort_unstable();
            return words.join(" ");
        }
        out
    }
}

#[test]
fn what_counts_as_the_same() {
    let table = [
        ("a OK …", "a OK done", true),
        ("a NO [CANNOT] …", "a NO Invalid mailbox name", true),
        ("a NO [CANNOT] …", "a NO [NONEXISTENT] x", false),
        ("a NO …", "a BAD x", false),
        ("a BAD Select a mailbox first", "a BAD No mailbox selected.", true),
        ("a OK [COPYUID 1 2 3] …", "a OK done", false),
        ("* FLAGS (\\\\Draft \\\\Seen)", "* FLAGS (\\Seen \\Draft)", true),
        ("* 1 FETCH (UID 1 FLAGS (b a))", "* 1 FETCH (UID 1 FLAGS (a b))", true),
        ("* 1 FETCH (FLAGS (a))", "* 1 FETCH (FLAGS (b))", false),
        ("* ESEARCH (TAG \"a\") MIN 1 COUNT 2", "* ESEARCH (TAG \"a\") COUNT 2 MIN 1", true),
        ("* STATUS x (MESSAGES 1 UIDNEXT $v)", "* STATUS x (UIDNEXT 2 MESSAGES 1)", true),
        ("* STATUS x (MESSAGES 1 UIDNEXT 2)", "* STATUS x (UIDNEXT 1 MESSAGES 2)", false),
        ("* 1 FETCH (BODY[HEADER.FIELDS (to)] {9}", "* 1 FETCH (BODY[HEADER.FIELDS (TO)] {9}", true),
    ];
    for (pattern, line, same) in table {
        assert_eq!(agrees(pattern, line.as_bytes(), &mut Bound::new()), same, "{pattern} / {line}");
    }
}
