//! IMAP URLs of messages and their parts, as CATENATE takes them (RFC 4469 3, RFC 5092).
//!
//! ```text
//! url = ["/" mailbox [";UIDVALIDITY=" number]] ["/"] ";UID=" number ["/;SECTION=" section]
//! ```
//!
//! Only relative ones: of this user's own mail, or, without a mailbox, of the one that is open. What the section names is copied as FETCH BODY
//! would send it, block by block, and sets no \Seen. Everything that is wrong with one is `NO [BADURL ...]`; a disk that fails is what it always is.

use std::sync::Arc;

use super::context::{Context, State};
use super::parse::fetch::Section;
use super::parse::{Bad, Cursor};
use super::reply::Reply;
use super::section::{self, Piece};
use super::source::{Extent, Measure, Source, Stream};
use super::upload::{Checks, Upload};
use crate::mail::part::Tree;
use crate::mail::scan::Scanner;
use crate::store::acl::Rights;
use crate::store::{self, Mailbox, Name};
use crate::wire::Out;

/// A URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    /// `None`: the open one.
    mailbox: Option<String>,
    uid_validity: Option<u32>,
    uid: u32,
    section: Section,
}

/// A message that a URL names, so that several of its parts cost one look through it.
pub struct Opened {
    mailbox: Arc<Mailbox>,
    uid: u32,
    source: Source,
    tree: Tree,
}

/// Add what `text` names to the message in `upload`.
pub fn copy(context: &mut Context, text: &[u8], upload: &mut Upload) -> Result<(), Reply> {
    let bad = || bad_url(text);
    let url = Url::parse(text).ok_or_else(bad)?;
    let mailbox = find(context, &url).map_err(|error| error.map_or_else(bad, Reply::from))?;
    let is_same = |opened: &Opened| Arc::ptr_eq(&opened.mailbox, &mailbox) && opened.uid == url.uid;
    let opened = match upload.opened.take().filter(is_same) {
        Some(opened) => opened,
        None => open(mailbox, url.uid, upload)?.ok_or_else(bad)?,
    };
    let added = add(&opened, &url, upload)?;
    upload.opened = Some(opened);
    if added { Ok(()) } else { Err(bad()) }
}

/// Open and look through a message; `None` if it is not there.
fn open(mailbox: Arc<Mailbox>, uid: u32, upload: &mut Upload) -> Result<Option<Opened>, Reply> {
    let file = match mailbox.open(uid) {
        Err(store::Error::Gone) => return Ok(None),
        result => result?,
    };
    let source = Source::new(file, Extent::All).map_err(|error| failed(uid, error))?;
    upload.looks_through(source.size())?;
    let tree = scan(&source).map_err(|error| failed(uid, error))?;
    Ok(Some(Opened { mailbox, uid, source, tree }))
}

fn failed(uid: u32, error: std::io::Error) -> Reply {
    store::Error::io(format!("message with UID {uid}").as_ref(), error).into()
}

/// Add the section of the message; false if it has no such.
fn add(opened: &Opened, url: &Url, upload: &mut Upload) -> Result<bool, Reply> {
    let Opened { source, tree, .. } = opened;
    let failed = |error| failed(url.uid, error);
    // The header's may have 8 bits only if the message that was there had them.
    let checks = Checks { binary: false, utf8: true };
    match section::find(&url.section, source, Some(tree)).map_err(failed)? {
        Piece::Nothing => Ok(false),
        Piece::Text(text) => {
            upload.announce(text.len() as u64, checks)?;
            upload.write(&text);
            Ok(true)
        }
        Piece::Range(range, size) => {
            let mut unlimited = u64::MAX;
            let size = match size {
                Some(size) => size,
                None => {
                    let mut measure = Measure::new(range.clone(), u64::MAX, None);
                    loop {
                        if let Some(size) = measure.step(source, &mut unlimited).map_err(failed)? {
                            break size;
                        }
                    }
                }
            };
            upload.announce(size, checks)?;
            let (mut stream, mut out) = (Stream::new(range, 0..size, None), Out::new());
            loop {
                let end = stream.step(source, &mut out, &mut unlimited).map_err(failed)?;
                upload.write(out.bytes());
                out.clear();
                if end.is_some() {
                    return Ok(true);
                }
            }
        }
    }
}

/// RFC 4469 4.1: the code has the URL, if that can stand in a code.
fn bad_url(text: &[u8]) -> Reply {
    let printable = std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b']' && b != b'\\'));
    let code = printable.map_or("BADURL \"\"".to_owned(), |text| format!("BADURL {text}"));
    Reply::no(code, "No such message or part")
}

/// The folder of a URL; `Err(None)`: the URL is wrong.
fn find(context: &mut Context, url: &Url) -> Result<Arc<Mailbox>, Option<store::Error>> {
    let mailbox = match (&url.mailbox, &context.state) {
        (Some(name), _) => {
            let name = Name::parse(name).map_err(|_| None)?;
            match context.place(&name) {
                // What the user may not read is not there for him.
                Ok(place) if !place.rights.has(Rights::READ) => return Err(None),
                Ok(place) => place.mailbox().map_err(Some)?,
                Err(store::Error::NotFound) => return Err(None),
                Err(error) => return Err(Some(error)),
            }
        }
        (None, State::Selected(..)) => {
            context.renew_rights().map_err(Some)?;
            let selected = context.selected().map_err(|_| None)?;
            if !selected.rights.has(Rights::READ) {
                return Err(None);
            }
            Arc::clone(&selected.mailbox)
        }
        _ => return Err(None),
    };
    mailbox.refresh().map_err(Some)?;
    match url.uid_validity {
        Some(uid_validity) if uid_validity != mailbox.uid_validity() => Err(None),
        _ => Ok(mailbox),
    }
}

fn scan(source: &Source) -> std::io::Result<Tree> {
    let (mut scanner, mut at, mut buffer) = (Scanner::default(), 0, Vec::new());
    loop {
        let block = source.block(at, source.size(), &mut buffer)?;
        if block.is_empty() {
            return Ok(scanner.finish());
        }
        scanner.push(block);
        at += block.len() as u64;
    }
}

impl Url {
    fn parse(text: &[u8]) -> Option<Url> {
        let text = std::str::from_utf8(text).ok()?;
        let (mailbox, rest) = match text.strip_prefix('/') {
            Some(path) => {
                let at = find_ignoring_case(path, "/;UID=")?;
                (Some(&path[..at]), &path[at + 1..])
            }
            None => (None, text),
        };
        let rest = rest.get(..5).filter(|key| key.eq_ignore_ascii_case(";UID=")).map(|_| &rest[5..])?;
        let (uid, section) = match rest.split_once('/') {
            Some((uid, section)) => (uid, Some(section)),
            None => (rest, None),
        };
        let (mailbox, uid_validity) = match mailbox.map(|path| (path, find_ignoring_case(path, ";UIDVALIDITY="))) {
            Some((path, Some(at))) => (Some(&path[..at]), Some(nz_number(&path[at + ";UIDVALIDITY=".len()..])?)),
            Some((path, None)) => (Some(path), None),
            None => (None, None),
        };
        let mailbox = match mailbox.map(decode) {
            Some(name) => Some(name.filter(|name| !name.is_empty())?),
            None => None,
        };
        Some(Url { mailbox, uid_validity, uid: nz_number(uid)?, section: self::section(section)? })
    }
}

fn section(text: Option<&str>) -> Option<Section> {
    let text = match text {
        Some(text) => decode(text.get(9..).filter(|_| text[..9].eq_ignore_ascii_case(";SECTION="))?)?,
        None => String::new(),
    };
    let bracketed = format!("[{text}]");
    let mut cursor = Cursor::new(bracketed.as_bytes());
    let parsed = cursor.section(true).and_then(|section| cursor.end().map(|()| section));
    parsed.map_err(|bad: Bad| bad).ok().filter(|section| section.partial.is_none())
}

fn nz_number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != 0)
}

fn find_ignoring_case(text: &str, what: &str) -> Option<usize> {
    text.to_ascii_uppercase().find(what)
}

/// RFC 3986 2.1, of UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok().filter(|d| !d.starts_with('+'))?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parse::fetch::What;

    #[test]
    fn urls() {
        let parse = |text: &str| {
            let url = Url::parse(text.as_bytes())?;
            Some((url.mailbox, url.uid_validity, url.uid, url.section.path, url.section.what))
        };
        let some = |mailbox: Option<&str>, validity, uid, path: &[u32], what| {
            Some((mailbox.map(str::to_owned), validity, uid, path.to_vec(), what))
        };
        let table = [
            ("/Drafts;UIDVALIDITY=385759045/;UID=20", some(Some("Drafts"), Some(385_759_045), 20, &[], What::Whole)),
            ("/Drafts/;UID=20/;section=HEADER", some(Some("Drafts"), None, 20, &[], What::Header)),
            ("/a/b%20c/;UID=20/;Section=1.2.MIME", some(Some("a/b c"), None, 20, &[1, 2], What::Mime)),
            ("/M%C3%BCll/;uid=1/;section=3", some(Some("Müll"), None, 1, &[3], What::Whole)),
            (";UID=7", some(None, None, 7, &[], What::Whole)),
            (";UID=7/;SECTION=TEXT", some(None, None, 7, &[], What::Text)),
            ("/;UID=7", None),
            ("/Drafts", None),
            ("/Drafts/;UID=0", None),
            ("/Drafts/;UID=+1", None),
            ("/Drafts/;UID=1/", None),
            ("/Drafts/;UID=1/;SECTION=x", None),
            ("/Drafts/;UID=1/;SECTION=1]<0.1>", None),
            ("/Drafts/;UID=1/;PARTIAL=0.5", None),
            ("/Drafts;UIDVALIDITY=x/;UID=1", None),
            ("/%zz/;UID=1", None),
            ("/%ff/;UID=1", None),
            ("imap://host/Drafts/;UID=1", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
