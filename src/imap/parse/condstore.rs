//! Mod-sequences in commands, and the parameters of SELECT (RFC 7162 section 7, RFC 4466 2.1).

use super::{Cursor, Result, SequenceSet};

/// Parameters of SELECT and EXAMINE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SelectParams {
    /// `CONDSTORE`.
    pub condstore: bool,
    /// `QRESYNC (...)`.
    pub qresync: Option<Qresync>,
}

/// What a client knows that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qresync {
    /// The UIDVALIDITY that it knows.
    pub uid_validity: u32,
    /// The mod-sequence up to which it knows everything.
    pub modseq: u64,
    /// The UIDs that it wants to hear of; `None`: all.
    pub known: Option<SequenceSet>,
    /// Message numbers and UIDs that it believes to belong together, ascending.
    pub matches: Vec<(u32, u32)>,
}

/// Pairs of number and UID that are taken from seq-match-data: clients send some ten.
const MAX_MATCHES: usize = 10_000;

impl Cursor<'_> {
    /// `" (CONDSTORE QRESYNC (1 2 3:4 (5 6)))"`, or nothing.
    pub fn select_params(&mut self) -> Result<SelectParams> {
        let mut params = SelectParams::default();
        if self.at_end() || self.rest() == b" " {
            return Ok(params);
        }
        self.space()?;
        self.list1(|cursor| {
            let before = cursor.clone();
            match cursor.word()?.to_ascii_uppercase().as_str() {
                "CONDSTORE" if !params.condstore => params.condstore = true,
                "QRESYNC" if params.qresync.is_none() => {
                    cursor.space()?;
                    params.qresync = Some(cursor.qresync()?);
                }
                "CONDSTORE" | "QRESYNC" => return before.bad("parameter given twice"),
                _ => return before.bad("unknown parameter"),
            }
            Ok(())
        })?;
        Ok(params)
    }

    fn qresync(&mut self) -> Result<Qresync> {
        self.expect(b'(', "expected ( and what is known")?;
        let uid_validity = self.nz_number()?;
        self.space()?;
        let modseq = self.modseq()?;
        let (mut known, mut matches) = (None, Vec::new());
        if self.eat(b' ') {
            if self.peek() != Some(b'(') {
                known = Some(self.plain_set()?);
            }
            if known.is_none() || self.eat(b' ') {
                matches = self.seq_match()?;
            }
        }
        self.expect(b')', "expected )")?;
        Ok(Qresync { uid_validity, modseq, known, matches })
    }

    /// A set without `*` (RFC 7162 section 7 known-uids).
    fn plain_set(&mut self) -> Result<SequenceSet> {
        let before = self.clone();
        let set = self.sequence_set()?;
        if set.0.iter().any(|range| range.first.is_none() || range.last.is_none()) {
            return before.bad("* is not allowed here");
        }
        Ok(set)
    }

    fn seq_match(&mut self) -> Result<Vec<(u32, u32)>> {
        self.expect(b'(', "expected ( and two sets")?;
        let before = self.clone();
        let numbers = self.ascending()?;
        self.space()?;
        let uids = self.ascending()?;
        self.expect(b')', "expected )")?;
        if numbers.len() != uids.len() {
            return before.bad("the two sets differ in length");
        }
        Ok(numbers.into_iter().zip(uids).collect())
    }

    /// RFC 7162 3.2.5.2: in ascending order.
    fn ascending(&mut self) -> Result<Vec<u32>> {
        let before = self.clone();
        let set = self.plain_set()?;
        let mut all: Vec<u32> = Vec::new();
        for range in &set.0 {
            let (low, high) = (range.first.unwrap_or(0), range.last.unwrap_or(0));
            if low > high || all.last().is_some_and(|last| *last >= low) {
                return before.bad("expected a set in ascending order");
            }
            if (high - low) as usize >= MAX_MATCHES.saturating_sub(all.len()) {
                return before.bad("too many numbers to compare");
            }
            all.extend(low..=high);
        }
        Ok(all)
    }

    /// A mod-sequence: 63 bits, not 0.
    pub fn modseq(&mut self) -> Result<u64> {
        match self.modseq_or_zero()? {
            0 => self.bad("a mod-sequence is not 0"),
            modseq => Ok(modseq),
        }
    }

    /// A mod-sequence, or 0.
    pub fn modseq_or_zero(&mut self) -> Result<u64> {
        let before = self.clone();
        let modseq = self.number64()?;
        if modseq > i64::MAX.cast_unsigned() {
            return before.bad("a mod-sequence has 63 bits");
        }
        Ok(modseq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_select() {
        let parse = |text: &str| {
            let mut cursor = Cursor::new(text.as_bytes());
            cursor.select_params().and_then(|params| cursor.end().map(|()| params)).ok()
        };
        let known = |known: Option<&str>, matches: &[(u32, u32)]| SelectParams {
            condstore: false,
            qresync: Some(Qresync {
                uid_validity: 7,
                modseq: 9,
                known: known.map(|set| Cursor::new(set.as_bytes()).sequence_set().unwrap()),
                matches: matches.to_vec(),
            }),
        };
        let table = [
            ("", Some(SelectParams::default())),
            (" ", Some(SelectParams::default())),
            (" (condstore)", Some(SelectParams { condstore: true, qresync: None })),
            (" (QRESYNC (7 9))", Some(known(None, &[]))),
            (" (QRESYNC (7 9 1:5,8))", Some(known(Some("1:5,8"), &[]))),
            (" (QRESYNC (7 9 1:5 (1,3:4 2,6:7)))", Some(known(Some("1:5"), &[(1, 2), (3, 6), (4, 7)]))),
            (" (QRESYNC (7 9 (1 2)))", Some(known(None, &[(1, 2)]))),
            (" (CONDSTORE QRESYNC (7 9))", Some(SelectParams { condstore: true, qresync: known(None, &[]).qresync })),
            (" ()", None),
            (" (CONDSTORE CONDSTORE)", None),
            (" (UNKNOWN)", None),
            (" (QRESYNC)", None),
            (" (QRESYNC (0 9))", None),
            (" (QRESYNC (7 0))", None),
            (" (QRESYNC (7 9223372036854775808))", None),
            (" (QRESYNC (7 9 1:*))", None),
            (" (QRESYNC (7 9 1:5 (2,1 2,6)))", None),
            (" (QRESYNC (7 9 1:5 (1,2 2)))", None),
            (" (QRESYNC (7 9 1:5 (1:4294967295 1:4294967295)))", None),
            (" (QRESYNC (7 9 1:5 ()))", None),
            (" (QRESYNC (7 9 ))", None),
            (" CONDSTORE", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
