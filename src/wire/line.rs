//! Takes lines out of an [`Input`], with a limit.
//!
//! Owns two bits of state: whether the rest of a line that is too long, or that a bare LF has cut, is being passed over. Refuses lines
//! over the limit (they are drained to their end, so that the next line is read as what it is and memory stays at one
//! read), and, when told to be [`Ends::Strict`], lines that contain a bare CR or LF: two servers that disagree about where
//! a line ends is how SMTP smuggling works. To the one that counts only CRLF, what follows a bare LF is the same line, so it is passed
//! over up to the next CRLF and nothing in it is obeyed. Fails by saying so in [`Taken`]; the protocol words the reply.

use memchr::{memchr, memchr_iter};

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
    /// [`Ends::Strict`]: the line had a bare CR or LF in it; what has come of it is gone, and what follows a bare LF up to CRLF will
    /// be. Told once a line, and at the first LF, so that a client that never sends CRLF gets an answer.
    Bare,
}

/// Takes lines, one after another. Use a new one after throwing input away.
#[derive(Debug, Default)]
pub struct Lines {
    /// Bytes passed over of the line that is under way.
    drained: usize,
    /// The last of them was a CR.
    after_cr: bool,
    /// [`Taken::Bare`] was told; the line goes on up to CRLF.
    cut: bool,
}

impl Lines {
    /// Nothing taken yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next line, at most `limit` bytes of text (its end not counted).
    pub fn take(&mut self, input: &mut Input, limit: usize, ends: Ends) -> Taken {
        if self.cut && !self.pass_cut(input) {
            return self.drain(input);
        }
        let bytes = input.bytes();
        let Some(lf) = memchr(b'\n', bytes) else {
            // One more for the CR that may have arrived without its LF.
            if self.drained == 0 && bytes.len() <= limit + 1 {
                return Taken::Partial;
            }
            return self.drain(input);
        };
        let text = bytes[..lf].strip_suffix(b"\r");
        let is_crlf = text.is_some() || lf == 0 && self.after_cr;
        let has_cr = text.is_some_and(|text| memchr(b'\r', text).is_some());
        let text = text.unwrap_or(&bytes[..lf]);
        let taken = if self.drained > 0 || text.len() > limit {
            Taken::TooLong
        } else if (has_cr || !is_crlf) && ends == Ends::Strict {
            Taken::Bare
        } else {
            Taken::Line(text.to_vec())
        };
        input.consume(lf + 1);
        *self = Lines { cut: !is_crlf && ends == Ends::Strict, ..Lines::new() };
        taken
    }

    /// Pass over the rest of a cut line; false if its CRLF has not come.
    fn pass_cut(&mut self, input: &mut Input) -> bool {
        let bytes = input.bytes();
        let ends = |lf: usize| if lf == 0 { self.after_cr } else { bytes[lf - 1] == b'\r' };
        let Some(lf) = memchr_iter(b'\n', bytes).find(|lf| ends(*lf)) else { return false };
        input.consume(lf + 1);
        *self = Lines::new();
        true
    }

    /// Throw away all there is, as part of the line under way.
    fn drain(&mut self, input: &mut Input) -> Taken {
        self.after_cr = input.bytes().last().map_or(self.after_cr, |last| *last == b'\r');
        self.drained += input.bytes().len();
        input.discard();
        if self.drained > MAX_DRAIN { Taken::Endless } else { Taken::Partial }
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
    fn nothing_behind_a_bare_lf_is_a_line_until_crlf() {
        let rows: &[(&str, &[u8], &[Taken])] = &[
            ("one", b"MAIL\nRCPT\r\nNOOP\r\n", &[Taken::Bare, line("NOOP")]),
            ("many", b"A\nB\n\nC\n\r\nNOOP\r\n", &[Taken::Bare, line("NOOP")]),
            ("CR before another byte", b"A\nB\rC\nD\r\nNOOP\r\n", &[Taken::Bare, line("NOOP")]),
            ("behind a long one", b"0123456789abcdef\nQUIT\r\nNOOP\r\n", &[Taken::TooLong, line("NOOP")]),
            ("LF first", b"\nQUIT\r\nNOOP\r\n", &[Taken::Bare, line("NOOP")]),
            ("CRLF in a long one", b"0123456789abcdef\r\nNOOP\r\n", &[Taken::TooLong, line("NOOP")]),
            ("only CR inside", b"A\rB\r\nNOOP\r\n", &[Taken::Bare, line("NOOP")]),
        ];
        for (name, bytes, want) in rows {
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
                }
                assert_eq!(&got, want, "{name}, cut at {cut}");
            }
        }
        let (mut lines, mut input) = (Lines::new(), input(b"A\n"));
        assert_eq!(lines.take(&mut input, 8, Ends::Strict), Taken::Bare, "told at the LF");
        input.extend(&b"B\n".repeat(MAX_DRAIN));
        assert_eq!(lines.take(&mut input, 8, Ends::Strict), Taken::Endless);
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
