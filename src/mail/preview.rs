//! The preview of a message (RFC 8970): the beginning of what a reader would see, as plain text.
//!
//! [`part`] chooses the text, [`of_text`] makes 200 characters of what was decoded of it. Markup goes, white space becomes single
//! spaces, quoted lines are passed over if anything else is there. Nothing is refused; encrypted mail and mail without a text
//! have the empty preview (section 3.2).

use super::part::{Part, Shape, Tree};
use super::text;

/// Characters of a preview (RFC 8970 section 3.3: SHOULD be 200, MUST NOT be more than 256).
pub const MAX_CHARACTERS: usize = 200;
/// Bytes of an entity's name in HTML (`&thetasym;`), beyond which an ampersand is an ampersand.
const MAX_ENTITY: usize = 10;

/// The part whose text is shown, and whether it is HTML: the first plain text that is no attachment, else the first HTML.
pub fn part(tree: &Tree) -> Option<(&Part, bool)> {
    let mut html = None;
    // Parts come in order, so what is inside something follows it.
    let mut hidden = Vec::with_capacity(tree.parts().len());
    for part in tree.parts() {
        let media = part.content.media.as_ref();
        let is_hidden = part.parent.is_some_and(|parent| hidden[parent])
            || media.is_some_and(|media| media.is("multipart", "encrypted"));
        hidden.push(is_hidden);
        if is_hidden {
            continue;
        }
        let is_attached = part.content.disposition.as_ref().is_some_and(|d| d.kind.eq_ignore_ascii_case(b"attachment"));
        if part.shape != Shape::Leaf || is_attached {
            continue;
        }
        if media.is_none_or(|media| media.is("text", "plain")) {
            return Some((part, false));
        }
        if html.is_none() && media.is_some_and(|media| media.is("text", "html")) {
            html = Some((part, true));
        }
    }
    html
}

/// Bytes of a part that are looked at: HTML mail has long style sheets first.
pub const MAX_READ: u64 = 32 * 1024;

/// The preview of a part that [`part`] chose. `bytes` are its first [`MAX_READ`], or all if `is_whole`.
pub fn of_part(part: &Part, is_html: bool, bytes: &[u8], is_whole: bool) -> String {
    let charset = part.content.media.as_ref().and_then(|media| media.param("charset"));
    let mut decoder = text::Decoder::new(part.content.encoding.as_deref(), charset);
    let mut decoded = String::new();
    // A character that is cut in two at the end of what was read is not shown broken.
    decoder.push(bytes, is_whole, &mut decoded);
    of_text(&decoded, is_html)
}

/// The preview of a decoded text, or of its beginning.
pub fn of_text(text: &str, is_html: bool) -> String {
    let mut preview = Preview::default();
    if is_html {
        preview.html(text);
        return preview.text;
    }
    for line in text.lines().filter(|line| !line.starts_with('>')) {
        if preview.words(line) {
            break;
        }
    }
    if preview.text.is_empty() {
        text.lines().any(|line| preview.words(line.trim_start_matches(['>', ' '])));
    }
    preview.text
}

#[derive(Default)]
struct Preview {
    text: String,
    characters: usize,
    /// White space waits for a character behind it.
    space: bool,
}

impl Preview {
    /// Add a character. Returns whether the preview is full.
    fn push(&mut self, c: char) -> bool {
        if c.is_whitespace() || c.is_control() || c == '\u{feff}' || c == '\u{200b}' {
            self.space = true;
            return false;
        }
        if std::mem::take(&mut self.space) && self.characters > 0 && self.characters < MAX_CHARACTERS {
            self.text.push(' ');
            self.characters += 1;
        }
        if self.characters < MAX_CHARACTERS {
            self.text.push(c);
            self.characters += 1;
        }
        self.characters == MAX_CHARACTERS
    }

    fn words(&mut self, text: &str) -> bool {
        self.space = true;
        text.chars().any(|c| self.push(c))
    }

    /// What is between tags, but not in `head`, `style`, `script`, `title` or a comment.
    fn html(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let full = match c {
                '<' => {
                    let (behind, is_break) = behind_tag(rest);
                    rest = behind;
                    self.space |= is_break;
                    continue;
                }
                '&' => {
                    let (c, behind) = entity(rest);
                    rest = behind;
                    self.push(c)
                }
                _ => {
                    rest = &rest[c.len_utf8()..];
                    self.push(c)
                }
            };
            if full {
                return;
            }
        }
    }
}

/// What follows the tag, or the element that nobody sees, at the start of `text`; and whether words on both sides are two words.
fn behind_tag(text: &str) -> (&str, bool) {
    if let Some(comment) = text.strip_prefix("<!--") {
        return (comment.find("-->").map_or("", |end| &comment[end + 3..]), false);
    }
    let end = |text: &str| text.find('>').map_or(text.len(), |end| end + 1);
    let inside = &text[1..];
    let name = &inside[..inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '/').unwrap_or(inside.len())];
    let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    if is(&["style", "script", "title", "head"]) {
        // The end tag in any case; without one the element reaches to the end.
        let closing = format!("</{}", name.to_ascii_lowercase());
        let at = text.as_bytes().windows(closing.len()).position(|w| w.eq_ignore_ascii_case(closing.as_bytes()));
        return at.map_or(("", true), |at| (&text[at + end(&text[at..])..], true));
    }
    let is_inline =
        is(&["a", "/a", "b", "/b", "i", "/i", "em", "/em", "strong", "/strong", "span", "/span", "font", "/font"]);
    (&text[end(text)..], !is_inline)
}

/// The character that the entity at the start of `text` names, and what follows.
fn entity(text: &str) -> (char, &str) {
    const NAMED: [(&str, char); 8] = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", ' '),
        ("zwnj", '\u{200b}'),
        ("shy", '\u{200b}'),
    ];
    let plain = ('&', &text[1..]);
    let Some(end) = text.bytes().take(MAX_ENTITY + 2).position(|b| b == b';') else { return plain };
    let name = &text[1..end];
    let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    let named = || NAMED.iter().find(|row| row.0 == name).map(|row| row.1);
    number.and_then(char::from_u32).or_else(named).map_or(plain, |c| (c, &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        let long = "ab ".repeat(200);
        let table = [
            ("plain", "Hello,\r\n\r\n  this is\tit.\n", false, "Hello, this is it."),
            ("quotes are passed over", "> you said\n\nI say\n", false, "I say"),
            ("nothing but quotes", "> you said\n", false, "you said"),
            ("characters, not bytes", &"é".repeat(300), false, &"é".repeat(200)),
            ("no space at the end", &long, false, long[..200].trim_end()),
            ("markup", "<p>Hello <b>W</b>orld</p><p>x&amp;y&#33;&nbsp;&lt;</p>", true, "Hello World x&y! <"),
            ("unseen", "<HEAD><title>t</title></HEAD><style>a{}</STYLE><!-- c --><body>text", true, "text"),
            ("never closed", "a<style>b", true, "a"),
            ("no entity", "a & b &unknown; &#xffffffff; &é;", true, "a & b &unknown; &#xffffffff; &é;"),
            ("empty", "", false, ""),
        ];
        for (case, text, is_html, want) in table {
            assert_eq!(of_text(text, is_html), want, "{case}");
        }
    }

    #[test]
    fn parts() {
        let mixed = |first: &str, second: &str| {
            format!("Content-Type: multipart/mixed; boundary=x\n\n--x\n{first}\n\n1\n--x\n{second}\n\n2\n--x--\n")
        };
        let html = "Content-Type: text/html";
        let table = [
            ("no type is plain text", "A: b\n\n1\n".to_owned(), Some(false)),
            ("plain before HTML", mixed(html, "Content-Type: text/plain"), Some(false)),
            ("HTML if there is nothing else", mixed("Content-Type: image/png", html), Some(true)),
            ("no attachment", mixed("Content-Disposition: attachment", html), Some(true)),
            ("no text", "Content-Type: image/png\n\n1\n".to_owned(), None),
            ("encrypted", mixed(html, html).replace("mixed", "encrypted"), None),
        ];
        for (case, message, want) in table {
            assert_eq!(part(&Tree::of(message.as_bytes())).map(|found| found.1), want, "{case}");
        }
    }

    proptest! {
        #[test]
        fn never_too_long(text in "(<|>|&|;|#|é|a| |\n|</?style>|<!--|-->){0,300}", is_html: bool) {
            prop_assert!(of_text(&text, is_html).chars().count() <= MAX_CHARACTERS);
        }
    }
}
