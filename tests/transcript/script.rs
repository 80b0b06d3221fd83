//! The language of transcripts: one dialogue a file, read line by line into [`Step`]s.
//!
//! Refuses what it does not know, with file and line, so that a typing mistake cannot become a test that passes.
//! `tests/README.md` has the language in full.

use std::collections::HashMap;

/// One line of a transcript.
#[derive(Debug, Clone)]
pub enum Step {
    /// `1> text`
    Send(Vec<u8>),
    /// `1< pattern` (the next line) and `1<~ pattern` (some line from here on).
    Expect { pattern: String, skip: bool },
    /// `1! pattern`
    Forbid(String),
    /// `1= n`
    Count(usize),
    /// `1x`
    ServerCloses,
    /// `1c`
    ClientCloses,
    /// `1deflate`
    Compress,
    /// `1tls`
    StartTls,
    /// `do ...`
    Do(Vec<String>),
}

/// A step with the connection it is about (`None` for `do`) and its line number.
#[derive(Debug, Clone)]
pub struct Line {
    pub number: usize,
    pub connection: Option<char>,
    pub step: Step,
    /// `# dovecot: differs, because ...` stands right before it.
    pub explained: Option<String>,
}

/// What a whole file says about Dovecot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// `# dovecot: lacks NAME`: a capability that the installed one must not have.
    Lacks(String),
    /// `# dovecot: file differs, because ...`: something in it must come out differently.
    Differs(String),
}

/// A whole file.
#[derive(Debug, Default, Clone)]
pub struct Script {
    pub given: Vec<Vec<String>>,
    pub lines: Vec<Line>,
    /// The file says `pending`: it is about something not built yet and must fail.
    pub pending: bool,
    /// What the file says about Dovecot.
    pub beside: Option<Beside>,
}

impl Script {
    /// Read a transcript. Errors name the line.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut script = Script::default();
        let mut explained = None;
        for (index, raw) in text.lines().enumerate() {
            let number = index + 1;
            let line = raw.trim_end_matches('\r');
            if let Some(text) = line.strip_prefix("# dovecot:") {
                match remark(text.trim()) {
                    Some(Remark::File(beside)) => script.beside = Some(beside),
                    Some(Remark::Line(why)) => explained = Some(why),
                    None => return Err(format!("line {number}: not understood: {line}")),
                }
                continue;
            }
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            match words[0].as_str() {
                "pending" => script.pending = true,
                "given" => script.given.push(words[1..].to_vec()),
                "do" => {
                    let step = Step::Do(words[1..].to_vec());
                    script.lines.push(Line { number, connection: None, step, explained: explained.take() });
                }
                _ => {
                    let step = conversation(line).ok_or_else(|| format!("line {number}: not understood: {line}"))?;
                    let connection = line.chars().next();
                    script.lines.push(Line { number, connection, step, explained: explained.take() });
                }
            }
        }
        Ok(script)
    }
}

enum Remark {
    File(Beside),
    Line(String),
}

/// `differs, because ...`, `file differs, because ...`, `lacks NAME`.
fn remark(text: &str) -> Option<Remark> {
    let why = |text: &str| text.strip_prefix("differs, because ").map(str::to_owned);
    if let Some(text) = text.strip_prefix("file ") {
        return why(text).map(|why| Remark::File(Beside::Differs(why)));
    }
    if let Some(name) = text.strip_prefix("lacks ") {
        return Some(Remark::File(Beside::Lacks(name.to_owned())));
    }
    why(text).map(Remark::Line)
}

fn conversation(line: &str) -> Option<Step> {
    let rest = line.strip_prefix(|c: char| c.is_ascii_digit())?;
    if rest == "x" {
        return Some(Step::ServerCloses);
    }
    if rest == "c" {
        return Some(Step::ClientCloses);
    }
    if rest == "deflate" {
        return Some(Step::Compress);
    }
    if rest == "tls" {
        return Some(Step::StartTls);
    }
    if let Some(count) = rest.strip_prefix('=') {
        return count.trim().parse().ok().map(Step::Count);
    }
    if let Some(text) = rest.strip_prefix('>') {
        return unescape(text.strip_prefix(' ').unwrap_or(text), true).map(Step::Send);
    }
    if let Some(pattern) = rest.strip_prefix("<~ ") {
        return Some(Step::Expect { pattern: pattern.into(), skip: true });
    }
    if let Some(pattern) = rest.strip_prefix('<') {
        return Some(Step::Expect { pattern: pattern.strip_prefix(' ').unwrap_or(pattern).into(), skip: false });
    }
    rest.strip_prefix("! ").map(|pattern| Step::Forbid(pattern.into()))
}

/// `\r \n \0 \xHH \\`; with `line`, CRLF is added unless the text ends in `\-`.
pub fn unescape(text: &str, line: bool) -> Option<Vec<u8>> {
    let (text, end) = match text.strip_suffix("\\-") {
        Some(open) if line => (open, &b""[..]),
        _ => (text, if line { &b"\r\n"[..] } else { b"" }),
    };
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend(c.to_string().bytes());
            continue;
        }
        match chars.next()? {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            '0' => bytes.push(0),
            'x' => {
                let hex: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&hex, 16).ok()?);
            }
            '\\' => bytes.push(b'\\'),
            // IMAP flags and special-use names are full of backslashes; a letter that is no escape keeps its own.
            other => bytes.extend(format!("\\{other}").bytes()),
        }
    }
    bytes.extend(end);
    Some(bytes)
}

/// Values bound by `$name` in expected lines.
pub type Bound = HashMap<String, String>;

/// Put bound values into a line that is sent. A `$name` that is not bound stays (keywords begin with `$`).
pub fn substitute(text: &[u8], bound: &Bound) -> Vec<u8> {
    if !text.contains(&b'$') {
        return text.to_vec();
    }
    let mut text = String::from_utf8_lossy(text).into_owned();
    let mut names: Vec<_> = bound.keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        text = text.replace(&format!("${name}"), &bound[name]);
    }
    text.into_bytes()
}

/// Does `line` look like `pattern`? `…` stands for anything, `$lower` binds or compares, all else is literal
/// (with the escapes of `unescape`). Bindings are made only if all matches.
pub fn matches(pattern: &str, line: &[u8], bound: &mut Bound) -> bool {
    let line = String::from_utf8_lossy(line);
    let mut trial = bound.clone();
    let parts = parts(pattern);
    let fits = fit(&parts, &line, &mut trial);
    if fits {
        *bound = trial;
    }
    fits
}

enum Part {
    Text(String),
    Any,
    Name(String),
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    let mut text = String::new();
    let flush = |text: &mut String, parts: &mut Vec<Part>| {
        if !text.is_empty() {
            let bytes = unescape(text, false).unwrap_or_else(|| panic!("bad escape in {text}"));
            parts.push(Part::Text(String::from_utf8_lossy(&bytes).into_owned()));
            text.clear();
        }
    };
    while let Some(c) = rest.chars().next() {
        if c == '…' {
            flush(&mut text, &mut parts);
            parts.push(Part::Any);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let name: String =
            rest.chars().skip(1).take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_').collect();
        if c == '$' && !name.is_empty() {
            flush(&mut text, &mut parts);
            rest = &rest[1 + name.len()..];
            parts.push(Part::Name(name));
            continue;
        }
        text.push(c);
        rest = &rest[c.len_utf8()..];
    }
    flush(&mut text, &mut parts);
    parts
}

fn fit(parts: &[Part], line: &str, bound: &mut Bound) -> bool {
    let Some(first) = parts.first() else { return line.is_empty() };
    match first {
        Part::Text(text) => line.strip_prefix(text.as_str()).is_some_and(|rest| fit(&parts[1..], rest, bound)),
        Part::Any => (0..=line.len())
            .filter(|at| line.is_char_boundary(*at))
            .any(|at| fit(&parts[1..], &line[at..], &mut *bound)),
        Part::Name(name) => {
            if let Some(value) = bound.get(name).cloned() {
                return line.strip_prefix(value.as_str()).is_some_and(|rest| fit(&parts[1..], rest, bound));
            }
            let end = line.find([' ', ')', ']', ';', '>', '\r']).unwrap_or(line.len());
            if end == 0 {
                return false;
            }
            bound.insert(name.clone(), line[..end].to_owned());
            fit(&parts[1..], &line[end..], bound)
        }
    }
}
