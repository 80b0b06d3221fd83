//! Message-IDs out of Message-ID, In-Reply-To and References (RFC 5322 section 3.6.4), as threading compares them.
//!
//! An id is what stands between `<` and `>`, with quotes and escapes of its left side undone and white space left out, so that
//! `<"a"@b>` and `<a@b>` are one (RFC 5256 demands it). It has an `@` with something on both sides; what has not is passed
//! over, and so is all text around ids. Nothing is refused. Comparing is by octets: ids have a case.

/// Bytes of one id that are kept; a line has at most 998.
pub const MAX_ID: usize = 998;

/// The ids in the value of a field, in order.
pub fn ids(value: &[u8]) -> Ids<'_> {
    Ids { rest: value }
}

/// See [`ids`].
#[derive(Debug, Clone)]
pub struct Ids<'a> {
    rest: &'a [u8],
}

impl Iterator for Ids<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let open = memchr::memchr(b'<', self.rest)?;
            self.rest = &self.rest[open + 1..];
            let (id, used) = read(self.rest);
            self.rest = &self.rest[used..];
            if id.is_some() {
                return id;
            }
        }
    }
}

/// The id behind a `<`, if it is one, and how many bytes it takes. A new `<` begins another one.
fn read(bytes: &[u8]) -> (Option<Vec<u8>>, usize) {
    let (mut id, mut at_sign, mut quoted, mut at) = (Vec::new(), None, false, 0);
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match byte {
            b'"' => {
                quoted = !quoted;
                continue;
            }
            b'\\' if quoted => {
                let Some(escaped) = bytes.get(at) else { break };
                id.push(*escaped);
                at += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' | b'\n' if !quoted => continue,
            b'\r' | b'\n' => continue,
            b'>' if !quoted => {
                let whole = at_sign.is_some_and(|sign| sign > 0 && sign + 1 < id.len());
                return (whole.then_some(id), at);
            }
            b'<' if !quoted => return (None, at - 1),
            b'@' if !quoted => at_sign = Some(id.len()),
            _ => {}
        }
        id.push(byte);
        if id.len() > MAX_ID {
            break;
        }
    }
    // Not closed, or too long: if a quote did it, another id may begin inside.
    (None, memchr::memchr(b'<', bytes).unwrap_or(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields() {
        let table: [(&str, &[&str]); 14] = [
            ("<a@b>", &["a@b"]),
            ("<a@b> <c@d>", &["a@b", "c@d"]),
            ("<a@b><c@d>", &["a@b", "c@d"]),
            ("Your mail of Monday (<a@b>) from x@y", &["a@b"]),
            // RFC 5256, REFERENCES.
            ("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>", &["01KF8JCEOCBS0045PS@xxx.yyy.com"]),
            ("<\"a>b\\\"\"@c>", &["a>b\"@c"]),
            ("<a@b\n c>", &["a@bc"]),
            ("<a@[1.2.3.4]>", &["a@[1.2.3.4]"]),
            ("<a> <@b> <a@> <> <x@y>", &["x@y"]),
            ("<a@b", &[]),
            ("<a <b@c>", &["b@c"]),
            ("<\"a@b> <c@d>", &["c@d"]),
            ("a@b", &[]),
            ("", &[]),
        ];
        for (value, want) in table {
            let got: Vec<_> = ids(value.as_bytes()).map(|id| String::from_utf8(id).unwrap()).collect();
            assert_eq!(got, want, "{value}");
        }
        assert_eq!(ids(format!("<{}@b>", "a".repeat(MAX_ID)).as_bytes()).count(), 0);
    }

    #[test]
    fn quotes_without_an_end_cost_no_second_look() {
        let started = std::time::Instant::now();
        for piece in ["<", "<\"", "<a@b>", "<\"a\\", "\"<", "<\\\""] {
            ids(piece.repeat(256 * 1024 / piece.len()).as_bytes()).count();
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "took {:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn ends(value in any::<Vec<u8>>(), text in "[<>@\"\\\\ab \n]{0,40}") {
            prop_assert!(ids(&value).count() <= value.len());
            prop_assert!(ids(text.as_bytes()).all(|id| id.contains(&b'@')));
        }
    }
}
