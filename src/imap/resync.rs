//! What went away while a client was not there: VANISHED (EARLIER) (RFC 7162 3.2.10.1).
//!
//! From the folder's history, if that goes back far enough; else everything that the client may know and that is not there,
//! which is correct and merely longer. Never a UID that the session's view has: that one is still to be told, without EARLIER.

use super::view::{Uids, View};
use crate::store::Mailbox;
use crate::wire::Out;

/// UID ranges in one response: a line of some 20 KB at most.
const RANGES_A_LINE: usize = 1000;

/// VANISHED (EARLIER) responses that are to be written.
#[derive(Debug, Default)]
pub struct Vanished {
    ranges: Vec<(u32, u32)>,
    written: usize,
}

impl Vanished {
    /// UIDs in `wanted` (sorted ranges) that went after `modseq`, as far as they are above `floor`.
    pub fn new(view: &View, mailbox: &Mailbox, wanted: &[(u32, u32)], modseq: u64, floor: u32) -> Vanished {
        let wanted: Vec<(u32, u32)> = wanted
            .iter()
            .map(|(low, high)| ((*low).max(floor.saturating_add(1)), *high))
            .filter(|(low, high)| low <= high)
            .collect();
        let ranges = match mailbox.expunged_since(modseq) {
            Some(gone) => of_history(&gone, &wanted, view.uids()),
            None => all_gaps(&wanted, view.uids()),
        };
        Vanished { ranges, written: 0 }
    }

    /// Write until the output is full. Returns whether all is written.
    pub fn write(&mut self, out: &mut Out) -> bool {
        while self.written < self.ranges.len() {
            if out.full() {
                return false;
            }
            let end = self.ranges.len().min(self.written + RANGES_A_LINE);
            let texts: Vec<String> = self.ranges[self.written..end].iter().map(text).collect();
            out.line(format!("* VANISHED (EARLIER) {}", texts.join(",")));
            self.written = end;
        }
        true
    }
}

fn text((low, high): &(u32, u32)) -> String {
    if low == high { low.to_string() } else { format!("{low}:{high}") }
}

/// UIDs of `gone` (sorted) that are wanted and not there, as ranges.
fn of_history(gone: &[u32], wanted: &[(u32, u32)], there: &Uids) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let is_wanted = |uid: u32| {
        let range = wanted.get(wanted.partition_point(|(_, high)| *high < uid));
        range.is_some_and(|(low, _)| *low <= uid)
    };
    for &uid in gone.iter().filter(|uid| is_wanted(**uid) && there.find(**uid).is_none()) {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    ranges
}

/// Everything that is wanted and not there.
fn all_gaps(wanted: &[(u32, u32)], there: &Uids) -> Vec<(u32, u32)> {
    let mut ranges = Vec::new();
    for &(low, high) in wanted {
        let mut next = Some(low);
        for uid in there.iter_from(there.below(low)).take_while(|uid| *uid <= high) {
            if let Some(next) = next.filter(|next| *next < uid) {
                ranges.push((next, uid - 1));
            }
            next = uid.checked_add(1);
        }
        ranges.extend(next.filter(|next| *next <= high).map(|next| (next, high)));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    type Ranges = &'static [(u32, u32)];

    #[test]
    fn from_history() {
        type Case = (&'static [u32], Ranges, &'static [u32], Ranges);
        let table: &[Case] = &[
            (&[], &[(1, 9)], &[], &[]),
            (&[3, 4, 5, 8], &[(1, 9)], &[1, 2], &[(3, 5), (8, 8)]),
            (&[3, 4, 5, 8], &[(4, 4), (6, 7)], &[], &[(4, 4)]),
            (&[3, 4, 5], &[(1, 9)], &[4], &[(3, 3), (5, 5)]),
            (&[3], &[], &[], &[]),
        ];
        for (gone, wanted, there, expected) in table {
            assert_eq!(
                of_history(gone, wanted, &there.iter().copied().collect()),
                *expected,
                "{gone:?} {wanted:?} {there:?}"
            );
        }
    }

    #[test]
    fn without_history() {
        type Case = (Ranges, &'static [u32], Ranges);
        let table: &[Case] = &[
            (&[(1, 9)], &[], &[(1, 9)]),
            (&[(1, 9)], &[1, 5, 9], &[(2, 4), (6, 8)]),
            (&[(2, 3), (7, 8)], &[3, 7], &[(2, 2), (8, 8)]),
            (&[(1, u32::MAX)], &[u32::MAX], &[(1, u32::MAX - 1)]),
            (&[], &[1], &[]),
        ];
        for (wanted, there, expected) in table {
            assert_eq!(all_gaps(wanted, &there.iter().copied().collect()), *expected, "{wanted:?} {there:?}");
        }
    }

    #[test]
    fn long_answers_are_cut_into_lines() {
        let ranges: Vec<(u32, u32)> = (1..=2500).map(|n| (n * 2, n * 2)).collect();
        let mut vanished = Vanished { ranges, written: 0 };
        let mut out = Out::new();
        while !vanished.write(&mut out) {}
        let lines = String::from_utf8_lossy(out.bytes()).into_owned();
        assert_eq!(lines.lines().count(), 3);
        assert!(lines.starts_with("* VANISHED (EARLIER) 2,4,6,") && lines.ends_with(",4998,5000\r\n"), "{lines}");
    }
}
