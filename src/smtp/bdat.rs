//! BDAT (RFC 3030): the message in counted chunks.
//!
//! The octets follow the command whether it is accepted or not, so a refused chunk is read and forgotten, and only a
//! command whose count cannot be read ends the session: nobody knows where the next command begins.
//!
//! No octet in a chunk can end the message, so line ends are no matter of smuggling here. An LF without CR becomes a line end,
//! which it is in the Maildir anyway: Exchange sends by BDAT what it may not send by DATA. A CR without LF and a NUL are
//! refused as in DATA (RFC 3030 3: without BINARYMIME a message consists of lines).

use memchr::memchr3;

use super::data::conclude;
use super::intake::Intake;
use super::parse;
use super::reply::{self, Reply};
use super::session::{Smtp, State, Then};
use crate::wire::dot::Flaw;
use crate::wire::{Input, Out};

/// Digits of a chunk size: what fits in 64 bits. More is no size of a message.
const SIZE_DIGITS: usize = 20;

/// The message that BDAT has begun.
pub(super) struct Begun {
    intake: Intake,
    lines: LineEnds,
}

/// The octets of one BDAT command.
pub(super) struct Chunk {
    size: u64,
    left: u64,
    last: bool,
    /// Where they go, or why they go nowhere.
    into: Result<Box<Begun>, Reply>,
}

/// `BDAT octets [LAST]`
pub(super) fn bdat(session: &mut Smtp, argument: &str) -> Then {
    let (digits, rest) = parse::split(argument);
    let last = rest.eq_ignore_ascii_case("LAST");
    let Some(size) = parse::number(digits, SIZE_DIGITS).filter(|_| last || rest.is_empty()) else {
        return Then::Close(reply::BDAT_SYNTAX);
    };
    let into = match session.begun.take() {
        Some(begun) => Ok(begun),
        None => begin(session).map(Box::new),
    };
    session.state = State::Bdat(Chunk { size, left: size, last, into });
    Then::Go
}

fn begin(session: &mut Smtp) -> Result<Begun, Reply> {
    if let Some(refusal) = session.cannot_take_message() {
        return Err(refusal);
    }
    let transaction = session.transaction.take_if(|transaction| transaction.recipients() > 0);
    let transaction = transaction.ok_or(reply::NO_RECIPIENTS)?;
    Ok(Begun { intake: Intake::new(session, transaction), lines: LineEnds::default() })
}

/// Use what has arrived of the chunk; `None` if more of it is to come.
pub(super) fn take(session: &mut Smtp, input: &mut Input, out: &mut Out) -> Option<Then> {
    let State::Bdat(chunk) = &mut session.state else { return None };
    let bytes = input.bytes();
    let here = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(bytes.len());
    if let Ok(begun) = &mut chunk.into {
        begun.add(&bytes[..here]);
    }
    input.consume(here);
    chunk.left -= here as u64;
    if chunk.left > 0 {
        return None;
    }
    let State::Bdat(chunk) = std::mem::replace(&mut session.state, State::Command) else { return None };
    Some(match chunk.into {
        Err(refusal) => Then::Reply(refusal),
        Ok(begun) if chunk.last => {
            let Begun { intake, lines } = *begun;
            conclude(session, intake, lines.flaw_at_end(), out)
        }
        Ok(begun) => {
            let received = || Reply::made(250, "2.0.0", format!("{} octets received", chunk.size));
            let reply = begun.refusal().unwrap_or_else(received);
            session.begun = Some(begun);
            Then::Reply(reply)
        }
    })
}

impl Begun {
    fn add(&mut self, bytes: &[u8]) {
        let Begun { intake, lines } = self;
        lines.pass(bytes, |piece| intake.add(piece));
    }

    fn refusal(&self) -> Option<Reply> {
        self.lines.flaw.map(reply::flawed).or_else(|| self.intake.refused().cloned())
    }
}

/// Makes every line end CRLF, over chunks cut anywhere.
#[derive(Default)]
struct LineEnds {
    after_cr: bool,
    flaw: Option<Flaw>,
}

impl LineEnds {
    /// Give `bytes` to `sink` in few large pieces; nothing any more once there is a flaw.
    fn pass(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) {
        if self.flaw.is_some() {
            return;
        }
        let (mut from, mut pos) = (0, 0);
        while pos < bytes.len() {
            if std::mem::take(&mut self.after_cr) {
                if bytes[pos] != b'\n' {
                    self.flaw = Some(Flaw::BareCr);
                    return;
                }
                pos += 1;
                continue;
            }
            let Some(special) = memchr3(b'\r', b'\n', 0, &bytes[pos..]) else { break };
            pos += special + 1;
            match bytes[pos - 1] {
                b'\r' => self.after_cr = true,
                b'\n' => {
                    sink(&bytes[from..pos - 1]);
                    sink(b"\r\n");
                    from = pos;
                }
                _ => {
                    self.flaw = Some(Flaw::Nul);
                    return;
                }
            }
        }
        sink(&bytes[from..]);
    }

    fn flaw_at_end(&self) -> Option<Flaw> {
        self.flaw.or(self.after_cr.then_some(Flaw::BareCr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        type Row<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
        let rows: &[Row] = &[
            ("lines", b"a\r\nb\r\n", Some(b"a\r\nb\r\n")),
            ("no end", b"a", Some(b"a")),
            ("bare LF", b"\na\nb\r\n\n", Some(b"\r\na\r\nb\r\n\r\n")),
            ("a dot is a dot", b"\r\n.\r\n..\r\n", Some(b"\r\n.\r\n..\r\n")),
            ("bare CR", b"a\rb", None),
            ("two CR", b"a\r\r\n", None),
            ("CR at the end", b"a\r", None),
            ("NUL", b"a\0", None),
        ];
        for (name, bytes, want) in rows {
            for cut in 0..=bytes.len() {
                let (mut lines, mut got) = (LineEnds::default(), Vec::new());
                for part in [&bytes[..cut], &bytes[cut..]] {
                    lines.pass(part, |piece| got.extend_from_slice(piece));
                }
                let got = lines.flaw_at_end().is_none().then_some(got);
                assert_eq!(got.as_deref(), *want, "{name} cut at {cut}");
            }
        }
    }
}
