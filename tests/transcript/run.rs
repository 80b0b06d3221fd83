//! Plays one script against one world, and says precisely where it stopped being true.
//!
//! A failure names the transcript's file and line, what was expected, what came, and the conversation so far.

use std::collections::BTreeMap;

use super::drive::Connection;
use super::script::{Bound, Line, Script, Step, matches, substitute};

/// How many lines a skipping expectation (`<~`) may pass over.
const MAX_SKIPPED: usize = 20_000;

/// What a script is played in: it opens connections and does what other programs would do.
pub trait World {
    /// A new connection to the protocol that the script speaks.
    fn connect(&mut self) -> Result<Box<dyn Connection>, String>;
    /// An outside program does something (`do ...`).
    fn act(&mut self, words: &[String]) -> Result<(), String>;
}

#[derive(Default)]
struct Side {
    forbidden: Vec<String>,
    /// The last command sent began with this word; its final reply is the line that begins with it too (IMAP).
    tag: Option<String>,
    /// Nothing was expected since `forbidden` was said.
    unread: bool,
}

/// Play `script`. The error is for people.
pub fn play(script: &Script, world: &mut dyn World) -> Result<(), String> {
    let mut player =
        Player { world, open: BTreeMap::new(), sides: BTreeMap::new(), bound: Bound::new(), log: Vec::new() };
    for line in &script.lines {
        player.play(line).map_err(|why| {
            let tail: Vec<_> = player.log.iter().rev().take(25).rev().cloned().collect();
            format!("line {}: {why}\n    so far:\n      {}", line.number, tail.join("\n      "))
        })?;
    }
    let ends: Vec<char> = player.open.keys().copied().collect();
    ends.into_iter().try_for_each(|c| player.settle(c))
}

struct Player<'a> {
    world: &'a mut dyn World,
    open: BTreeMap<char, Box<dyn Connection>>,
    sides: BTreeMap<char, Side>,
    bound: Bound,
    log: Vec<String>,
}

impl Player<'_> {
    fn play(&mut self, line: &Line) -> Result<(), String> {
        let Some(c) = line.connection else {
            let Step::Do(words) = &line.step else { return Err("a step without a connection".into()) };
            let words: Vec<String> = words
                .iter()
                .map(|word| String::from_utf8_lossy(&substitute(word.as_bytes(), &self.bound)).into_owned())
                .collect();
            self.log.push(format!("do {}", words.join(" ")));
            return self.world.act(&words);
        };
        if !self.open.contains_key(&c) {
            let connection = self.world.connect()?;
            self.open.insert(c, connection);
            self.sides.insert(c, Side::default());
        }
        match &line.step {
            Step::Send(bytes) => self.send(c, bytes),
            Step::Expect { pattern, skip } => self.expect(c, pattern, *skip),
            Step::Forbid(pattern) => {
                let side = self.side(c);
                side.forbidden.push(pattern.clone());
                side.unread = true;
                Ok(())
            }
            Step::Count(count) => (0..*count).try_for_each(|_| self.read(c).map(drop)),
            Step::ServerCloses => self.closes(c),
            Step::ClientCloses => {
                self.settle(c)?;
                self.open.remove(&c);
                Ok(())
            }
            Step::StartTls => self.connection(c).start_tls(),
            Step::Compress => self.connection(c).compress(),
            Step::Do(_) => Err("`do` takes no connection".into()),
        }
    }

    fn connection(&mut self, c: char) -> &mut dyn Connection {
        self.open.get_mut(&c).expect("opened above").as_mut()
    }

    fn side(&mut self, c: char) -> &mut Side {
        self.sides.get_mut(&c).expect("opened above")
    }

    fn send(&mut self, c: char, bytes: &[u8]) -> Result<(), String> {
        self.settle(c)?;
        let bytes = substitute(bytes, &self.bound);
        let shown = String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>().escape_debug().to_string();
        self.log.push(format!("{c}> {shown}"));
        let first = bytes.split(|b| b" \r\n".contains(b)).next().unwrap_or_default();
        *self.side(c) = Side { tag: Some(String::from_utf8_lossy(first).into_owned()), ..Side::default() };
        self.connection(c).send(&bytes);
        Ok(())
    }

    /// `1!` with no expectation after it: read up to the final reply, which checks the forbidden lines.
    fn settle(&mut self, c: char) -> Result<(), String> {
        while std::mem::take(&mut self.side(c).unread) {
            let tag = format!("{} ", self.side(c).tag.clone().unwrap_or_default());
            while !self.read(c)?.starts_with(tag.as_bytes()) {}
        }
        Ok(())
    }

    fn read(&mut self, c: char) -> Result<Vec<u8>, String> {
        let line = self.connection(c).line()?.ok_or("the server closed the connection")?;
        let shown: String = String::from_utf8_lossy(&line).chars().take(400).collect();
        self.log.push(format!("{c}< {shown}"));
        for pattern in self.side(c).forbidden.clone() {
            if matches(&pattern, &line, &mut self.bound.clone()) {
                return Err(format!("forbidden here: {shown}"));
            }
        }
        Ok(line)
    }

    fn expect(&mut self, c: char, pattern: &str, skip: bool) -> Result<(), String> {
        self.side(c).unread = false;
        for _ in 0..MAX_SKIPPED {
            let line = self.read(c).map_err(|why| format!("expected {pattern}\n    {why}"))?;
            if matches(pattern, &line, &mut self.bound) {
                return Ok(());
            }
            if !skip {
                return Err(format!("expected {pattern}\n    but got  {}", String::from_utf8_lossy(&line)));
            }
        }
        Err(format!("{MAX_SKIPPED} lines and none was {pattern}"))
    }

    fn closes(&mut self, c: char) -> Result<(), String> {
        self.side(c).unread = false;
        let line = self.connection(c).line()?;
        self.open.remove(&c);
        match line {
            None => Ok(()),
            Some(line) => Err(format!("expected the end, got {}", String::from_utf8_lossy(&line))),
        }
    }
}
