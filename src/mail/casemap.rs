//! i;unicode-casemap (RFC 5051): the form in which strings are compared and searched, as I18NLEVEL=1 demands (RFC 5255).
//!
//! Every character becomes its simple titlecase, and that its full decomposition (canonical and compatibility); the
//! results are compared as octets of UTF-8. So `é`, `É` and `e` with a combining accent are the same, and `e` is a part of each.
//! Text that is ASCII only becomes capitals, in place. Nothing fails; what is no character is none of our business:
//! callers give `str`.

use unicode_normalization::char::decompose_compatible;

/// Add `text`, as i;unicode-casemap compares it, to `out`.
pub fn fold(text: &str, out: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len());
        let start = out.len();
        out.push_str(&rest[..ascii]);
        out[start..].make_ascii_uppercase();
        rest = &rest[ascii..];
        let other = rest.bytes().position(|b| b.is_ascii()).unwrap_or(rest.len());
        for c in rest[..other].chars() {
            // RFC 5051 section 2: titlecase first, then decompose until nothing is left to decompose.
            decompose_compatible(titlecase(c), |c| out.push(c));
        }
        rest = &rest[other..];
    }
}

/// `text`, as i;unicode-casemap compares it.
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold(text, &mut out);
    out
}

/// Unicode's Simple_Titlecase_Mapping. It is the capital, but for letters that are two in one, for Georgian, and for those whose
/// capital is more than one character: they have either none or one that is written with a small letter in it.
fn titlecase(c: char) -> char {
    let code = u32::from(c);
    let title = match code {
        0x1c4..=0x1c6 => 0x1c5,
        0x1c7..=0x1c9 => 0x1c8,
        0x1ca..=0x1cc => 0x1cb,
        0x1f1..=0x1f3 => 0x1f2,
        0x10d0..=0x10ff => code,
        0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => code + 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => code + 9,
        _ => {
            let mut capital = c.to_uppercase();
            match (capital.next(), capital.next()) {
                (Some(capital), None) => u32::from(capital),
                _ => code,
            }
        }
    };
    char::from_u32(title).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters() {
        let table = [
            ("ascii", "Hello, World 1", "HELLO, WORLD 1"),
            ("accents come off", "é", "E\u{301}"),
            ("capital or not", "É", "E\u{301}"),
            ("already apart", "e\u{301}", "E\u{301}"),
            ("sharp s has no simple capital", "Straße", "STRAßE"),
            ("cyrillic", "лев", "ЛЕВ"),
            ("a digraph keeps its small letter", "ǆ", "Dz\u{30c}"),
            ("compatibility", "ﬁ", "fi"),
            ("full width", "ａ", "A"),
            ("kelvin", "\u{212a}", "K"),
            ("long s", "ſ", "S"),
            ("iota below", "ᾳ", "\u{391}\u{345}"),
            ("final sigma", "ς", "Σ"),
            ("georgian stays", "ა", "ა"),
            ("hangul", "한", "\u{1112}\u{1161}\u{11ab}"),
            ("nothing", "", ""),
        ];
        for (case, text, want) in table {
            assert_eq!(folded(text), want, "{case}");
        }
    }

    /// RFC 5255 section 4.6: of these, the first collates before the second.
    #[test]
    fn order() {
        assert!(folded("Алексей") < folded("сЕРГЕЙ"));
        assert!(folded("").is_empty() && folded("") < folded("a"));
    }
}
