//! The base subject by which SORT and THREAD compare (RFC 5256 section 2.1): what is left of a subject without `Re:`, `Fwd:`, `(fwd)`
//! and `[list]`.
//!
//! Takes a subject as a reader sees it (RFC 2047 words decoded) and gives a piece of it. Does not fold case: the collation does
//! that afterwards (RFC 5255 section 4.2). Time grows with the length of the subject only: a run of blobs that leads to no
//! `Re:` is not looked through again.

use super::header;

/// What is left of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseSubject {
    /// The text; empty if all of it was artifacts.
    pub text: String,
    /// Something was removed that says so (RFC 5256, REFERENCES): a `Re:` or `Fwd:`, `(fwd)`, `[fwd: ...]`.
    pub is_reply: bool,
}

/// The base subject of the decoded value of a Subject field.
pub fn base(decoded: &str) -> BaseSubject {
    // Step 1. White space that is not ASCII is none (RFC 5256 section 5, NONWSP).
    let squeezed = String::from_utf8_lossy(&header::squeeze(decoded.as_bytes())).into_owned();
    let (text, is_reply) = strip(&squeezed);
    BaseSubject { text: text.to_owned(), is_reply }
}

fn strip(mut text: &str) -> (&str, bool) {
    let mut is_reply = false;
    loop {
        // Step 2.
        text = text.trim_end_matches(' ');
        while let Some(rest) = strip_suffix(text, "(fwd)") {
            is_reply = true;
            text = rest.trim_end_matches(' ');
        }
        // Steps 3 to 5. Blobs up to here were found to lead to no `Re:`.
        let mut no_leader_up_to = None;
        loop {
            if let Some(rest) = text.strip_prefix(' ') {
                text = rest;
            } else if let Some(rest) = leader(text, &mut no_leader_up_to) {
                text = rest;
                is_reply = true;
            } else if let Some(rest) = blob(text).filter(|rest| !rest.is_empty()) {
                text = rest;
            } else {
                break;
            }
        }
        // Step 6.
        match strip_prefix(text, "[fwd:").and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => {
                is_reply = true;
                text = inner;
            }
            None => return (text, is_reply),
        }
    }
}

/// After `*subj-blob subj-refwd`. `failed` is the length of what was left of the text where the last try ended in vain.
fn leader<'a>(text: &'a str, failed: &mut Option<usize>) -> Option<&'a str> {
    if failed.is_some_and(|left| text.len() >= left && text.starts_with('[')) {
        return None;
    }
    let mut rest = text;
    while let Some(behind) = blob(rest) {
        rest = behind;
    }
    let found = refwd(rest);
    if found.is_none() {
        *failed = Some(rest.len());
    }
    found
}

/// After `("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`.
fn refwd(text: &str) -> Option<&str> {
    let word = ["re", "fwd", "fw"].iter().find_map(|word| strip_prefix(text, word))?;
    let word = word.trim_start_matches(' ');
    blob(word).unwrap_or(word).strip_prefix(':')
}

/// After `"[" *BLOBCHAR "]" *WSP`.
fn blob(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = memchr::memchr2(b'[', b']', inside.as_bytes())?;
    Some(inside[end..].strip_prefix(']')?.trim_start_matches(' '))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (rest, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn subjects() {
        let table = [
            ("", "", false),
            ("hello", "hello", false),
            ("  a \t b\r\n c ", "a b c", false),
            ("Re: hello", "hello", true),
            ("RE: re:FW: Fwd : hello", "hello", true),
            ("Re[2]: hello", "hello", true),
            ("re [x] : hello", "hello", true),
            ("re [x]: hello", "hello", true),
            ("[list] hello", "hello", false),
            ("[list] Re: hello", "hello", true),
            ("[a][b] [c] Re: [d] hello", "hello", true),
            ("Re: [list]", "[list]", true),
            ("[a] [b]", "[b]", false),
            ("hello (fwd)", "hello", true),
            ("hello (FWD) (fwd) ", "hello", true),
            ("[fwd: hello]", "hello", true),
            ("[FWD: Re: [list] hello (fwd)]", "hello", true),
            ("[fwd: [fwd: hello]]", "hello", true),
            ("[fwd: hello] x", "x", false),
            ("[fwd: hello", "[fwd: hello", false),
            ("Re:", "", true),
            ("(fwd)", "", true),
            ("[fwd:]", "", true),
            ("[]", "[]", false),
            ("regarding: x", "regarding: x", false),
            ("fwdx: y", "fwdx: y", false),
            ("[a[b] c", "[a[b] c", false),
            ("[a]b] c", "b] c", false),
            ("Ré: x", "Ré: x", false),
            ("Re: \u{a0}x", "\u{a0}x", true),
            ("AW: Re: x", "AW: Re: x", false),
        ];
        for (subject, text, is_reply) in table {
            assert_eq!(base(subject), BaseSubject { text: text.into(), is_reply }, "{subject:?}");
        }
    }

    #[test]
    fn a_long_row_of_blobs_is_looked_through_once() {
        let started = std::time::Instant::now();
        for piece in ["[a]", "[", "]", "re:", "[fwd:", "(fwd)", " ", "[a] re", "re["] {
            base(&piece.repeat(256 * 1024 / piece.len()));
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "took {:?}", started.elapsed());
    }

    /// The procedure of the RFC, word by word, without a thought for time.
    fn slowly(decoded: &str) -> (String, bool) {
        let mut s = decoded.split([' ', '\t', '\r', '\n']).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
        let mut reply = false;
        let lower = |s: &str| s.to_ascii_lowercase();
        let cut_blob = |s: &str| -> Option<String> {
            let close = s.find(']')?;
            (s.starts_with('[') && !s[1..close].contains('[')).then(|| s[close + 1..].trim_start_matches(' ').into())
        };
        let cut_leader = |s: &str| -> Option<String> {
            let mut t = s.to_owned();
            while let Some(rest) = cut_blob(&t) {
                t = rest;
            }
            for word in ["re", "fwd", "fw"] {
                if lower(&t).starts_with(word) {
                    let u = t[word.len()..].trim_start_matches(' ').to_owned();
                    let u = cut_blob(&u).unwrap_or(u);
                    if let Some(rest) = u.strip_prefix(':') {
                        return Some(rest.to_owned());
                    }
                }
            }
            None
        };
        loop {
            loop {
                if s.ends_with(' ') {
                    s.pop();
                } else if lower(&s).ends_with("(fwd)") {
                    s.truncate(s.len() - 5);
                    reply = true;
                } else {
                    break;
                }
            }
            loop {
                let before = s.clone();
                loop {
                    if s.starts_with(' ') {
                        s.remove(0);
                    } else if let Some(rest) = cut_leader(&s) {
                        s = rest;
                        reply = true;
                    } else {
                        break;
                    }
                }
                if let Some(rest) = cut_blob(&s).filter(|rest| !rest.is_empty()) {
                    s = rest;
                }
                if s == before {
                    break;
                }
            }
            if lower(&s).starts_with("[fwd:") && s.ends_with(']') {
                s = s[5..s.len() - 1].to_owned();
                reply = true;
            } else {
                return (s, reply);
            }
        }
    }

    proptest! {
        #[test]
        fn as_the_procedure_says(pieces in prop::collection::vec(
            prop::sample::select(vec!["[", "]", "re", "Fwd", "fw", "[fwd:", "(fwd)", ":", " ", "x", "[l]", "é", "\t"]), 0..14,
        )) {
            let subject = pieces.concat();
            let got = base(&subject);
            prop_assert_eq!((got.text, got.is_reply), slowly(&subject), "{}", subject);
        }
    }
}
