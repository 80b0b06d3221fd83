//! Messages ended by a line with a single dot: reading them from SMTP DATA, writing them for POP3.
//!
//! # Reading
//!
//! [`DotReader`] finds the end of a message and takes away the dots that the sender stuffed in (RFC 5321 4.5.2). Only
//! `CRLF . CRLF` ends a message. In December 2023 (and with more forms in 2024) it was published that servers
//! which also accept `LF . LF`, `LF . CRLF`, `CR . CR` and the like can be made to see two messages where the
//! sender's server saw one, and the second then seems to come from that server ("SMTP smuggling"). So here a CR
//! without LF, an LF without CR, and a NUL (which some servers drop, so that `CRLF NUL . CRLF` becomes an end) make the message
//! [`Flaw`]ed: it is read to its true end, nothing more of it is handed on, and the caller refuses it. RFC 5321 2.3.8
//! forbids bare CR and LF; RFC 2045 2.7 and 2.8 forbid them and NUL in any message not sent as BINARYMIME.
//!
//! # Writing
//!
//! [`DotWriter`] turns a message as it lies on disk (LF) into the wire form (CRLF, dots stuffed), block by block.

use memchr::{memchr, memchr3};

/// Why a message must be refused though its end was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A CR without LF.
    BareCr,
    /// An LF without CR.
    BareLf,
    /// A NUL.
    Nul,
}

/// Where the reader is within a line.
///
/// ```text
///  LineStart --'.'--> Dot --CR--> DotCr --LF--> (end)
///  any but Cr and DotCr --CR--> Cr --LF--> LineStart
///  a flaw leads to Text, never to LineStart: only CRLF begins a line
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Text,
    Cr,
    Dot,
    DotCr,
}

/// Reads one message; see the module.
#[derive(Debug)]
pub struct DotReader {
    at: At,
    flaw: Option<Flaw>,
}

impl Default for DotReader {
    fn default() -> Self {
        Self::new()
    }
}

impl DotReader {
    /// At the start of a message (the CRLF of the command line is the one before the first line).
    pub fn new() -> Self {
        DotReader { at: At::LineStart, flaw: None }
    }

    /// What is wrong with the message so far: the first thing found.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// Look at `bytes`, give the message's own bytes to `sink` in few large pieces. Returns how many bytes belong to
    /// this message and whether it ended with them; bytes behind the end are the next command.
    pub fn read(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> (usize, bool) {
        let mut pos = 0;
        // Start of the piece that was looked at and not handed on yet.
        let mut from = 0;
        while pos < bytes.len() {
            let byte = bytes[pos];
            match self.at {
                At::LineStart | At::Text => {
                    if self.at == At::LineStart && byte == b'.' {
                        // Stuffed, or the end: in neither case is it part of the message.
                        self.hand_on(&bytes[from..pos], &mut sink);
                        self.at = At::Dot;
                        pos += 1;
                        from = pos;
                        continue;
                    }
                    let Some(special) = memchr3(b'\r', b'\n', 0, &bytes[pos..]) else {
                        self.at = At::Text;
                        break;
                    };
                    pos += special + 1;
                    self.at = match bytes[pos - 1] {
                        b'\r' => At::Cr,
                        b'\n' => self.flawed(Flaw::BareLf),
                        _ => self.flawed(Flaw::Nul),
                    };
                }
                At::Cr if byte == b'\n' => {
                    self.at = At::LineStart;
                    pos += 1;
                }
                At::DotCr if byte == b'\n' => return (pos + 1, true),
                // The byte itself is looked at again, as text.
                At::Cr | At::DotCr => self.at = self.flawed(Flaw::BareCr),
                At::Dot if byte == b'\r' => {
                    self.at = At::DotCr;
                    pos += 1;
                    from = pos;
                }
                At::Dot => self.at = At::Text,
            }
        }
        self.hand_on(&bytes[from..], &mut sink);
        (bytes.len(), false)
    }

    fn flawed(&mut self, flaw: Flaw) -> At {
        self.flaw.get_or_insert(flaw);
        At::Text
    }

    fn hand_on(&self, piece: &[u8], sink: &mut impl FnMut(&[u8])) {
        if self.flaw.is_none() && !piece.is_empty() {
            sink(piece);
        }
    }
}

/// Writes one message; see the module.
#[derive(Debug)]
pub struct DotWriter {
    line_start: bool,
    after_cr: bool,
}

impl Default for DotWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl DotWriter {
    /// At the start of a message.
    pub fn new() -> Self {
        DotWriter { line_start: true, after_cr: false }
    }

    /// Add a block of the message, cut anywhere, with LF or CRLF line ends.
    pub fn write(&mut self, block: &[u8], out: &mut Vec<u8>) {
        out.reserve(block.len() + block.len() / 16);
        let mut rest = block;
        while !rest.is_empty() {
            if self.line_start && rest[0] == b'.' {
                out.push(b'.');
            }
            let Some(lf) = memchr(b'\n', rest) else {
                out.extend_from_slice(rest);
                self.line_start = false;
                self.after_cr = rest.ends_with(b"\r");
                return;
            };
            let text = &rest[..lf];
            out.extend_from_slice(text);
            let has_cr = if text.is_empty() { self.after_cr } else { text.ends_with(b"\r") };
            out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
            self.line_start = true;
            self.after_cr = false;
            rest = &rest[lf + 1..];
        }
    }

    /// End the message: the line end it may lack, and the dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.line_start {
            out.extend_from_slice(if self.after_cr { b"\n" } else { b"\r\n" });
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Message, flaw, bytes left behind the end; `None` if there was no end.
    fn read(parts: &[&[u8]]) -> Option<(Vec<u8>, Option<Flaw>, usize)> {
        let (mut reader, mut message) = (DotReader::new(), Vec::new());
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut passed = 0;
        for part in parts {
            let (used, end) = reader.read(part, |piece| message.extend_from_slice(piece));
            passed += used;
            if end {
                return Some((message, reader.flaw(), total - passed));
            }
            assert_eq!(used, part.len());
        }
        None
    }

    #[test]
    fn messages() {
        let rows: &[(&str, &[u8], &[u8])] = &[
            ("empty", b".\r\n", b""),
            ("one line", b"a\r\n.\r\n", b"a\r\n"),
            ("stuffed dot", b"..\r\n.\r\n", b".\r\n"),
            ("a dot the client forgot to stuff", b".a\r\n.\r\n", b"a\r\n"),
            ("dots later in a line", b"a.\r\n..b.\r\n.\r\n", b"a.\r\n.b.\r\n"),
            ("three dots", b"...\r\n.\r\n", b"..\r\n"),
            ("eight bit", b"\xff\x01\t\r\n.\r\n", b"\xff\x01\t\r\n"),
        ];
        for (name, wire, want) in rows {
            let whole = [*wire, b"QUIT\r\n"].concat();
            for cut in 0..whole.len() {
                let (head, tail) = whole.split_at(cut);
                let (message, flaw, left) = read(&[head, tail]).unwrap();
                assert_eq!((message.as_slice(), flaw), (*want, None), "{name} cut at {cut}");
                if cut == 0 {
                    assert_eq!(left, 6, "{name}");
                }
            }
            let bytes: Vec<&[u8]> = wire.chunks(1).collect();
            assert_eq!(read(&bytes), Some((want.to_vec(), None, 0)), "{name} byte by byte");
        }
    }

    /// The sequences published for SMTP smuggling since 2023, and their relatives: none ends the message, each makes
    /// it refused, and the true end behind them is found.
    #[test]
    fn smuggling() {
        let rows: &[(&[u8], Flaw)] = &[
            (b"\n.\n", Flaw::BareLf),
            (b"\n.\r\n", Flaw::BareLf),
            (b"\n.\r", Flaw::BareLf),
            (b"\r.\r\n", Flaw::BareCr),
            (b"\r.\r", Flaw::BareCr),
            (b"\r.\n", Flaw::BareCr),
            (b"\r\n.\n", Flaw::BareLf),
            (b"\r\n.\r", Flaw::BareCr),
            (b"\r\n.\r\r\n", Flaw::BareCr),
            (b"\r\r\n.\r\r\n", Flaw::BareCr),
            (b"\r\n\n.\r\n", Flaw::BareLf),
            (b"\n\n.\r\n", Flaw::BareLf),
            (b"\r\n\r.\r\n", Flaw::BareCr),
            (b"\r\n\x00.\r\n", Flaw::Nul),
            (b"\r\n.\x00\r\n", Flaw::Nul),
            (b"\r\x00\n.\r\n", Flaw::BareCr),
            (b"\r\n.\r\x00\n", Flaw::BareCr),
            (b"\x00\r\n.x\r\n", Flaw::Nul),
            (b"\n\r.\r\n", Flaw::BareLf),
            (b"\n\r\n.\n\r\n", Flaw::BareLf),
        ];
        for (sequence, want) in rows {
            let wire = [b"a", *sequence, b"MAIL FROM:<admin@bank.example>\r\n.\r\n"].concat();
            for cut in 0..wire.len() {
                let (head, tail) = wire.split_at(cut);
                let (_, flaw, left) = read(&[head, tail]).unwrap_or_else(|| panic!("{sequence:?} lost the end"));
                assert_eq!(flaw, Some(*want), "{sequence:?}");
                assert_eq!(left, 0, "{sequence:?} ended the message");
            }
        }
    }

    /// A form that ends the message truly, in its place: the doubled CR makes it refused, and no byte behind is swallowed.
    #[test]
    fn a_flawed_message_ends_where_it_ends() {
        let (_, flaw, left) = read(&[b"a\r\r\n.\r\nQUIT\r\n"]).unwrap();
        assert_eq!((flaw, left), (Some(Flaw::BareCr), 6));
    }

    #[test]
    fn nothing_is_handed_on_behind_a_flaw() {
        let mut pieces = Vec::new();
        let mut reader = DotReader::new();
        reader.read(b"good\r\n", |piece| pieces.extend_from_slice(piece));
        reader.read(b"bad\nmore\r\n.\r\n", |piece| pieces.extend_from_slice(piece));
        assert_eq!(pieces, b"good\r\n");
    }

    #[test]
    fn unstuffed_text_comes_in_one_piece() {
        let mut pieces = 0;
        DotReader::new().read(b"a\r\nb\r\nc\r\n", |_| pieces += 1);
        assert_eq!(pieces, 1);
    }

    fn write(parts: &[&[u8]]) -> Vec<u8> {
        let (mut writer, mut out) = (DotWriter::new(), Vec::new());
        for part in parts {
            writer.write(part, &mut out);
        }
        writer.finish(&mut out);
        out
    }

    #[test]
    fn writing() {
        let rows: &[(&str, &[u8], &[u8])] = &[
            ("empty", b"", b".\r\n"),
            ("line ends", b"a\nb\n", b"a\r\nb\r\n.\r\n"),
            ("CRLF stays", b"a\r\nb\r\n", b"a\r\nb\r\n.\r\n"),
            ("dots", b".\n..a\nb.\n", b"..\r\n...a\r\nb.\r\n.\r\n"),
            ("no line end at the end", b"a", b"a\r\n.\r\n"),
            ("empty lines", b"\n\n", b"\r\n\r\n.\r\n"),
            ("CR at the end", b"a\r", b"a\r\n.\r\n"),
        ];
        for (name, file, want) in rows {
            for cut in 0..=file.len() {
                let (head, tail) = file.split_at(cut);
                assert_eq!(write(&[head, tail]), *want, "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let file: &[u8] = b".\n.\n\n..x\nend\n";
        let (message, flaw, _) = read(&[&write(&[file])]).unwrap();
        assert_eq!(flaw, None);
        assert_eq!(message.split(|b| *b == b'\r').collect::<Vec<_>>().concat(), file);
    }
}
