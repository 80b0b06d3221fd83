//! What is told of the messages that a SEARCH, SORT or THREAD found (RFC 3501 7.2.5, RFC 4731, 5182, 5267, 9394, 7162).
//!
//! A result is message numbers in their order: of the mailbox, or sorted. From it come the response, which may be megabytes long and is
//! written in steps ([`Line`]), what `$` stands for afterwards, and the mod-sequence.

use std::borrow::Cow;

use super::parse::returns::Returns;
use super::view::View;
use crate::mail::render::number;
use crate::store::Mailbox;
use crate::wire::Out;

/// A response line with many numbers in it.
#[derive(Debug, Default)]
pub struct Line {
    head: String,
    /// From low to high, in the order of the result.
    ranges: Vec<(u32, u32)>,
    between: &'static str,
    tail: String,
    /// Ranges that are written.
    written: usize,
}

impl Line {
    /// Write until the output is full. Returns whether all is written.
    pub fn write(&mut self, out: &mut Out) -> bool {
        out.put(std::mem::take(&mut self.head));
        while let Some((low, high)) = self.ranges.get(self.written) {
            if out.full() {
                return false;
            }
            if self.written > 0 {
                out.put(self.between);
            }
            number(out.buffer(), u64::from(*low));
            if low != high {
                out.put(":");
                number(out.buffer(), u64::from(*high));
            }
            self.written += 1;
        }
        out.line(&self.tail);
        true
    }
}

/// A result and how its messages are named.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Message numbers, in the order of the result.
    pub numbers: &'a [u32],
    /// Told as UIDs.
    pub by_uid: bool,
    /// What the numbers mean.
    pub view: &'a View,
    /// The highest mod-sequence, if it is asked and there is one.
    pub modseq: Option<u64>,
}

impl Found<'_> {
    fn name(&self, number: u32) -> u32 {
        if self.by_uid { self.view.uid(number).unwrap_or(0) } else { number }
    }

    /// `* SEARCH 2 3 6` or `* SORT 3 6 2`.
    pub fn plain(&self, response: &str) -> Line {
        let ranges: Vec<_> = self.numbers.iter().map(|number| (self.name(*number), self.name(*number))).collect();
        let space = if ranges.is_empty() { "" } else { " " };
        // RFC 7162 3.1.6, and 3.1.9 for SORT: only of messages.
        let tail = self.modseq.map_or_else(String::new, |modseq| format!(" (MODSEQ {modseq})"));
        Line { head: format!("* {response}{space}"), ranges, between: " ", tail, written: 0 }
    }

    /// `* ESEARCH (TAG "a") UID MIN 2 COUNT 3 ALL 2,10:11 MODSEQ 7`.
    pub fn extended(&self, tag: &str, returns: Returns) -> Line {
        let mut line = Line { head: format!("* ESEARCH (TAG \"{tag}\")"), between: ",", ..Line::default() };
        if self.by_uid {
            line.head.push_str(" UID");
        }
        // RFC 4731 3.1: nothing found, nothing told but COUNT.
        if let Some(first) = self.numbers.first().filter(|_| returns.min) {
            line.head.push_str(&format!(" MIN {}", self.name(*first)));
        }
        if let Some(last) = self.numbers.last().filter(|_| returns.max) {
            line.head.push_str(&format!(" MAX {}", self.name(*last)));
        }
        if returns.count {
            line.head.push_str(&format!(" COUNT {}", self.numbers.len()));
        }
        if returns.all && !self.numbers.is_empty() {
            line.head.push_str(" ALL ");
            line.ranges = self.runs(self.numbers);
        }
        if let Some(partial) = returns.partial {
            line.ranges = self.runs(&self.numbers[partial.indices(self.numbers.len())]);
            // RFC 9394 3.1: NIL where there is nothing.
            let nothing = if line.ranges.is_empty() { "NIL" } else { "" };
            line.head.push_str(&format!(" PARTIAL ({partial} {nothing}"));
            line.tail.push(')');
        }
        if let Some(modseq) = self.modseq {
            line.tail.push_str(&format!(" MODSEQ {modseq}"));
        }
        line
    }

    /// Ranges of names that follow each other. RFC 5267 3.2: never from high to low.
    fn runs(&self, numbers: &[u32]) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for name in numbers.iter().map(|number| self.name(*number)) {
            match runs.last_mut() {
                Some(run) if run.1.checked_add(1) == Some(name) => run.1 = name,
                _ => runs.push((name, name)),
            }
        }
        runs
    }
}

/// Those of the result that are told, and are `$` if it is to be saved: all, or only what MIN, MAX and PARTIAL name
/// (RFC 5182 section 2.4, RFC 9394 section 3.2). RFC 4731 section 3.2 wants the mod-sequence of just these.
pub fn chosen(numbers: &[u32], returns: Returns) -> Cow<'_, [u32]> {
    let names_some = returns.min || returns.max || returns.partial.is_some();
    if returns.all || returns.count || !names_some {
        return Cow::Borrowed(numbers);
    }
    let partial = returns.partial.map_or(&[][..], |partial| &numbers[partial.indices(numbers.len())]);
    let ends = [numbers.first().filter(|_| returns.min), numbers.last().filter(|_| returns.max)];
    let mut some: Vec<u32> = partial.iter().chain(ends.into_iter().flatten()).copied().collect();
    some.sort_unstable();
    some.dedup();
    Cow::Owned(some)
}

/// The highest mod-sequence of messages; `None` if there are none.
pub fn highest_modseq(numbers: &[u32], view: &View, mailbox: &Mailbox) -> Option<u64> {
    let mut uids: Vec<u32> = numbers.iter().filter_map(|number| view.uid(*number)).collect();
    uids.sort_unstable();
    mailbox.read(|messages| {
        let modseq = |uid: &u32| messages.binary_search_by_key(uid, |m| m.uid).ok().map(|at| messages[at].modseq);
        uids.iter().filter_map(modseq).max()
    })
}

/// How a search may end early: with so many results, from the end of the mailbox or from its beginning. `None`: it must go through all.
pub fn enough(returns: Returns) -> Option<(bool, usize)> {
    if returns.all || returns.count || returns.update || (returns.save && returns.only_save()) {
        return None;
    }
    let ends = [returns.min.then_some((false, 1)), returns.max.then_some((true, 1))];
    let wants = ends.into_iter().flatten().chain(returns.partial.map(|partial| partial.reach()));
    let mut most: Option<(bool, usize)> = None;
    for (from_end, count) in wants {
        match most {
            Some((other, _)) if other != from_end => return None,
            Some((_, before)) if before >= count => {}
            _ => most = Some((from_end, count)),
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parse::Cursor;

    fn returns(text: &str) -> Returns {
        Cursor::new(format!("RETURN ({text}) ").as_bytes()).search_returns(&mut Vec::new()).unwrap().unwrap()
    }

    fn told(mut line: Line) -> String {
        let mut out = Out::new();
        assert!(line.write(&mut out));
        String::from_utf8_lossy(out.bytes()).trim_end().to_owned()
    }

    #[test]
    fn responses() {
        let view = View::of(&[10, 11, 12, 20, 21, 40]);
        let found = |numbers, by_uid, modseq| Found { numbers, by_uid, view: &view, modseq };
        let some: &[u32] = &[2, 3, 4, 6];
        assert_eq!(told(found(some, false, None).plain("SEARCH")), "* SEARCH 2 3 4 6");
        assert_eq!(told(found(some, true, Some(9)).plain("SEARCH")), "* SEARCH 11 12 20 40 (MODSEQ 9)");
        assert_eq!(told(found(&[], true, None).plain("SORT")), "* SORT");
        let table = [
            ("", some, false, "* ESEARCH (TAG \"a\") ALL 2:4,6"),
            ("", some, true, "* ESEARCH (TAG \"a\") UID ALL 11:12,20,40"),
            ("", &[], true, "* ESEARCH (TAG \"a\") UID"),
            ("MIN COUNT", some, false, "* ESEARCH (TAG \"a\") MIN 2 COUNT 4"),
            ("MIN MAX COUNT ALL", &[], false, "* ESEARCH (TAG \"a\") COUNT 0"),
            ("MAX MIN", some, true, "* ESEARCH (TAG \"a\") UID MIN 11 MAX 40"),
            ("PARTIAL 2:3", some, false, "* ESEARCH (TAG \"a\") PARTIAL (2:3 3:4)"),
            ("PARTIAL -1:-2 COUNT", some, false, "* ESEARCH (TAG \"a\") COUNT 4 PARTIAL (-1:-2 4,6)"),
            ("PARTIAL 5:9", some, false, "* ESEARCH (TAG \"a\") PARTIAL (5:9 NIL)"),
            // Sorted: RFC 5267 3.2.
            ("", &[5, 4, 1, 2, 3], false, "* ESEARCH (TAG \"a\") ALL 5,4,1:3"),
            ("MIN MAX", &[5, 4, 1, 2, 3], false, "* ESEARCH (TAG \"a\") MIN 5 MAX 3"),
        ];
        for (options, numbers, by_uid, want) in table {
            assert_eq!(told(found(numbers, by_uid, None).extended("a", returns(options))), want, "{options}");
        }
        let partial = found(some, false, Some(7)).extended("a", returns("PARTIAL 1:1"));
        assert_eq!(told(partial), "* ESEARCH (TAG \"a\") PARTIAL (1:1 2) MODSEQ 7");
    }

    /// The tables of RFC 5182 section 2.4 and RFC 9394 section 3.2.
    #[test]
    fn what_is_saved() {
        let all = [2, 10, 11, 12, 21];
        let table: [(&str, &[u32]); 11] = [
            ("SAVE", &all),
            ("SAVE MIN", &[2]),
            ("SAVE MAX", &[21]),
            ("SAVE MIN MAX", &[2, 21]),
            ("SAVE ALL", &all),
            ("SAVE COUNT MIN", &all),
            ("SAVE PARTIAL 2:3", &[10, 11]),
            ("SAVE PARTIAL 2:3 MIN", &[2, 10, 11]),
            ("SAVE PARTIAL -1:-2 MAX", &[12, 21]),
            ("SAVE PARTIAL 2:2 MIN MAX", &[2, 10, 21]),
            ("SAVE PARTIAL 2:3 COUNT MIN", &all),
        ];
        for (options, want) in table {
            assert_eq!(chosen(&all, returns(options))[..], *want, "{options}");
            assert!(chosen(&[], returns(options)).is_empty());
        }
    }

    #[test]
    fn when_a_search_may_end() {
        let table = [
            ("", None),
            ("SAVE", None),
            ("MIN", Some((false, 1))),
            ("SAVE MAX", Some((true, 1))),
            ("MIN MAX", None),
            ("MIN COUNT", None),
            ("MIN UPDATE", None),
            ("PARTIAL 101:200", Some((false, 200))),
            ("PARTIAL -1:-100 MAX", Some((true, 100))),
            ("PARTIAL -1:-100 MIN", None),
            ("UPDATE", None),
        ];
        for (options, want) in table {
            assert_eq!(enough(returns(options)), want, "{options}");
        }
    }

    #[test]
    fn a_long_line_takes_its_steps() {
        let uids: Vec<u32> = (1..200_000).map(|n| n * 2).collect();
        let view = View::of(&uids);
        let numbers: Vec<u32> = (1..200_000).collect();
        let mut line = Found { numbers: &numbers, by_uid: true, view: &view, modseq: None }.extended("a", returns(""));
        let (mut out, mut text, mut steps) = (Out::new(), Vec::new(), 1);
        while !line.write(&mut out) {
            text.extend_from_slice(out.bytes());
            out.clear();
            steps += 1;
        }
        text.extend_from_slice(out.bytes());
        let text = String::from_utf8(text).unwrap();
        assert!(steps > 3 && text.ends_with(",399998\r\n") && text.contains(" ALL 2,4,6,"));
        assert_eq!(text.matches(',').count(), 199_998);
    }
}
