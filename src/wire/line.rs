//! Takes lines out of an [`Input`], with a limit.
//!
//! Owns one bit of state: whether the rest of a line that is too long is being passed over. Refuses lines over the
//! limit (they are drained to their end, so that the next line is read as what it is and memory stays at one
//! read), and, when told to be [`Ends::Strict`], lines that end in a bare LF or contain a bare CR or LF: two
//! servers that disagree about where a line ends is how SMTP smuggling works. Fails by saying so in [`Taken`];
//! the protocol words the reply.

use memchr::memchr;

use super::Input;

/// How much of one endless line is passed over before the caller is told to give up: 1 MiB is a thousand times
/// what any command may have, and costs a stranger more than us.
const MAX_DRAIN: usize = 1024 * 1024;

/// What may end a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// CRLF only; anything else is [`Taken::Bare`]. For SMTP and LMTP.
    Strict,
    /// CRLF or LF, as POP3 and IMAP clients (and people with a terminal) send. A CR elsewhere is left in the line.
    Lenient,
}

/// What was found at the front of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A whole line is not there yet.
    Partial,
    /// The line was longer than the limit; it is gone, up to and including its end.
    TooLong,
    /// More than 1 MiB without a line end: close, this is no client.
    Endless,
    /// [`Ends::Strict`]: the line did not end in CRLF, or had a CR inside; it is gone. A bare LF is taken for the end, so
    /// that a client that sends nothing else gets an answer and does not wait for ever; what it sent is not obeyed.
    Bare,
}

/// Takes lines, one after another. Use a new one after throwing input away.
#[derive(Debug, Default)]
pub struct Lines {
    drained: usize,
}

impl Lines {
    /// Nothing taken yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next line, at most `limit` bytes of text (its end not counted).
    pub fn take(&mut self, input: &mut Input, limit: usize, ends: Ends) -> Taken {
        let bytes = input.bytes();
        let Some(lf) = memchr(b'\n', bytes) else {
            // One more for the CR that may have arrived without its LF.
            if self.drained == 0 && bytes.len() <= limit + 1 {
                return Taken::Partial;
            }
            self.drained += bytes.len();
            input.discard();
            return if self.drained > MAX_DRAIN { Taken::Endless } else { Taken::Partial };
        };
        let text = bytes[..lf].strip_suffix(b"\r");
        let bare = text.is_none() || text.is_some_and(|text| memchr(b'\r', text).is_some());
        let text = text.unwrap_or(&bytes[..lf]);
        let taken = if std::mem::take(&mut self.drained) > 0 || text.len() > limit {
            Taken::TooLong
        } else if bare && ends == Ends::Strict {
            Taken::Bare
        } else {
            Taken::Line(text.to_vec())
        };
        input.consume(lf + 1);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> Input {
        let mut input = Input::new();
        input.extend(bytes);
        input
    }

    fn line(text: &str) -> Taken {
        Taken::Line(text.into())
    }

    #[test]
    fn table() {
        use Ends::{Lenient, Strict};
        let rows: &[(&str, &[u8], Ends, Taken)] = &[
            ("plain", b"NOOP\r\n", Strict, line("NOOP")),
            ("empty", b"\r\n", Strict, line("")),
            ("as long as may be", b"12345678\r\n", Strict, line("12345678")),
            ("one more", b"123456789\r\n", Strict, Taken::TooLong),
            ("bare LF", b"NOOP\n", Strict, Taken::Bare),
            ("bare LF, lenient", b"NOOP\n", Lenient, line("NOOP")),
            ("CR inside", b"NO\rOP\r\n", Strict, Taken::Bare),
            ("two CR", b"NOOP\r\r\n", Strict, Taken::Bare),
            ("CR inside, lenient", b"NO\rOP\r\n", Lenient, line("NO\rOP")),
            ("not yet", b"NOO", Strict, Taken::Partial),
            ("LF not yet", b"12345678\r", Strict, Taken::Partial),
            ("only CR", b"NOOP\r", Lenient, Taken::Partial),
        ];
        for (name, bytes, ends, want) in rows {
            let mut input = input(bytes);
            assert_eq!(Lines::new().take(&mut input, 8, *ends), *want, "{name}");
            assert_eq!(input.is_empty(), *want != Taken::Partial, "{name}");
        }
    }

    #[test]
    fn a_long_line_is_drained_and_the_next_is_whole() {
        let bytes = b"0123456789abcdef\r\nNOOP\r\n";
        for cut in 1..bytes.len() {
            let (mut lines, mut input, mut got) = (Lines::new(), Input::new(), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                input.extend(part);
                loop {
                    match lines.take(&mut input, 8, Ends::Strict) {
                        Taken::Partial => break,
                        taken => got.push(taken),
                    }
                }
                assert!(input.bytes().len() <= 9, "keeps at most one line");
            }
            assert_eq!(got, [Taken::TooLong, line("NOOP")], "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_line_ends() {
        let (mut lines, mut input, mut passed) = (Lines::new(), Input::new(), 0);
        loop {
            input.extend(&[b'x'; 4096]);
            passed += 4096;
            match lines.take(&mut input, 1000, Ends::Lenient) {
                Taken::Partial => assert!(input.is_empty()),
                taken => break assert_eq!(taken, Taken::Endless),
            }
        }
        assert!(passed > MAX_DRAIN && passed <= MAX_DRAIN + 4096);
    }
}
