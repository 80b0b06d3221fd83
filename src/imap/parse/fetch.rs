//! Arguments of FETCH (RFC 3501 section 6.4.5): what is wanted of each message.
//!
//! ```text
//! fetch      = sequence-set SP ("ALL" / "FULL" / "FAST" / item / "(" item *(SP item) ")") [SP "(" modifier *(SP modifier) ")"]
//! item       = "FLAGS" / "UID" / ... / "BODY" [".PEEK"] "[" [section] "]" ["<" number "." nz-number ">"]
//! binary     = "BINARY" [".PEEK"] "[" [part *("." part)] "]" ["<" number "." nz-number ">"] / "BINARY.SIZE" "[" [part *("." part)] "]"
//! ```

use super::returns::Partial;
pub use super::section::{Label, Section, What};
use super::{Cursor, MessageSet, Result};

/// Items in one command. The longest lists of real clients have ten; each one may cost a literal as long as the message.
const MAX_ITEMS: usize = 100;

/// A FETCH command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Of which messages.
    pub set: MessageSet,
    /// What, in the order to be answered, nothing twice.
    pub items: Vec<Item>,
    /// What narrows it.
    pub modifiers: Modifiers,
}

/// The modifiers behind the items (RFC 4466 section 2.4), each at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Modifiers {
    /// `PARTIAL`: only this piece of the set (RFC 9394 section 3.3).
    pub partial: Option<Partial>,
    /// `CHANGEDSINCE` (RFC 7162 3.1.4.1): only messages with a higher mod-sequence.
    pub changed_since: Option<u64>,
    /// `VANISHED` (RFC 7162 3.2.6): tell what is gone, too.
    pub vanished: bool,
}

/// One thing that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `FLAGS`.
    Flags,
    /// `INTERNALDATE`.
    InternalDate,
    /// `RFC822.SIZE`.
    Size,
    /// `UID`.
    Uid,
    /// `MODSEQ` (RFC 7162).
    Modseq,
    /// `SAVEDATE` (RFC 8514).
    SaveDate,
    /// `EMAILID` (RFC 8474).
    EmailId,
    /// `THREADID` (RFC 8474).
    ThreadId,
    /// `ENVELOPE`.
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`.
    BodyStructure,
    /// `PREVIEW` (RFC 8970).
    Preview {
        /// Only if it is known without delay.
        lazy: bool,
    },
    /// `BODY[...]`, `RFC822`, `RFC822.HEADER`, `RFC822.TEXT`.
    Section(Section),
    /// `BINARY[...]` (RFC 3516).
    Binary(Binary),
    /// `BINARY.SIZE[...]`: part numbers.
    BinarySize(Vec<u32>),
}

/// A decoded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Leaves \Seen alone.
    pub peek: bool,
    /// Part numbers; none for the message itself.
    pub path: Vec<u32>,
    /// First byte and number of bytes, counted in what was decoded.
    pub partial: Option<(u64, u64)>,
}

impl Cursor<'_> {
    /// The arguments of FETCH, after its space.
    pub fn fetch(&mut self) -> Result<Fetch> {
        let set = self.message_set()?;
        self.space()?;
        let mut items = Vec::new();
        if self.peek() == Some(b'(') {
            items = self.fetch_items()?;
        } else if let Some(all) = self.fetch_macro()? {
            items = all;
        } else {
            items.push(self.fetch_item()?);
        }
        let before = self.clone();
        let modifiers = self.fetch_modifiers()?;
        match modifiers.changed_since {
            // RFC 7162 3.1.4.1: implied.
            Some(_) if !items.contains(&Item::Modseq) => items.push(Item::Modseq),
            None if modifiers.vanished => return before.bad("VANISHED needs CHANGEDSINCE"),
            _ => {}
        }
        self.end()?;
        Ok(Fetch { set, items, modifiers })
    }

    /// RFC 4466 fetch-modifiers, if they are there.
    fn fetch_modifiers(&mut self) -> Result<Modifiers> {
        let mut modifiers = Modifiers::default();
        if !self.eat_text(" (") {
            return Ok(modifiers);
        }
        loop {
            let before = self.clone();
            match self.word()?.to_ascii_uppercase().as_str() {
                "PARTIAL" if modifiers.partial.is_none() => {
                    self.space()?;
                    modifiers.partial = Some(self.partial_range()?);
                }
                "CHANGEDSINCE" if modifiers.changed_since.is_none() => {
                    self.space()?;
                    modifiers.changed_since = Some(self.modseq()?);
                }
                "VANISHED" if !modifiers.vanished => modifiers.vanished = true,
                _ => return before.bad("unknown FETCH modifier, or one that is there twice"),
            }
            if self.eat(b')') {
                return Ok(modifiers);
            }
            self.expect(b' ', "expected a space or )")?;
        }
    }

    /// `(item item ...)`.
    pub fn fetch_items(&mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        self.list1(|cursor| {
            let item = cursor.fetch_item()?;
            cursor.add_item(&mut items, item)
        })?;
        Ok(items)
    }

    fn add_item(&self, items: &mut Vec<Item>, item: Item) -> Result<()> {
        if items.len() == MAX_ITEMS {
            return self.bad("too many items to fetch");
        }
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    }

    /// `ALL`, `FAST` or `FULL`, which must stand alone.
    fn fetch_macro(&mut self) -> Result<Option<Vec<Item>>> {
        let mut ahead = self.clone();
        let mut items = vec![Item::Flags, Item::InternalDate, Item::Size];
        match ahead.word()?.to_ascii_uppercase().as_str() {
            "FAST" => {}
            "ALL" => items.push(Item::Envelope),
            "FULL" => items.extend([Item::Envelope, Item::Body]),
            _ => return Ok(None),
        }
        *self = ahead;
        Ok(Some(items))
    }

    fn fetch_item(&mut self) -> Result<Item> {
        let before = self.clone();
        let whole = |label, what, peek| Item::Section(Section { label, peek, path: Vec::new(), what, partial: None });
        Ok(match self.word()?.to_ascii_uppercase().as_str() {
            "FLAGS" => Item::Flags,
            "INTERNALDATE" => Item::InternalDate,
            "RFC822.SIZE" => Item::Size,
            "UID" => Item::Uid,
            "MODSEQ" => Item::Modseq,
            "SAVEDATE" => Item::SaveDate,
            "EMAILID" => Item::EmailId,
            "THREADID" => Item::ThreadId,
            "ENVELOPE" => Item::Envelope,
            "BODYSTRUCTURE" => Item::BodyStructure,
            "PREVIEW" => Item::Preview { lazy: self.preview_modifiers()? },
            "RFC822" => whole(Label::Rfc822, What::Whole, false),
            "RFC822.HEADER" => whole(Label::Rfc822Header, What::Header, true),
            "RFC822.TEXT" => whole(Label::Rfc822Text, What::Text, false),
            "BODY" if self.peek() == Some(b'[') => Item::Section(self.section(false)?),
            "BODY.PEEK" => Item::Section(self.section(true)?),
            "BODY" => Item::Body,
            "BINARY" => Item::Binary(self.binary(false)?),
            "BINARY.PEEK" => Item::Binary(self.binary(true)?),
            "BINARY.SIZE" => Item::BinarySize(self.section_binary()?),
            _ => return before.bad("unknown item to fetch"),
        })
    }

    /// Does ` (LAZY)` follow (RFC 8970 section 6)?
    fn preview_modifiers(&mut self) -> Result<bool> {
        if !self.eat_text(" (") {
            return Ok(false);
        }
        loop {
            let before = self.clone();
            if !self.word()?.eq_ignore_ascii_case("LAZY") {
                return before.bad("unknown modifier of PREVIEW");
            }
            if self.eat(b')') {
                return Ok(true);
            }
            self.expect(b' ', "expected a space or )")?;
        }
    }

    fn binary(&mut self, peek: bool) -> Result<Binary> {
        let path = self.section_binary()?;
        let partial = if self.eat(b'<') { Some(self.partial()?) } else { None };
        Ok(Binary { peek, path, partial })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::scan::MAX_DEPTH;
    use proptest::prelude::*;

    fn items(text: &str) -> Result<Vec<Item>> {
        Cursor::new(format!("1 {text}").as_bytes()).fetch().map(|fetch| fetch.items)
    }

    fn body(path: &[u32], what: What, partial: Option<(u64, u64)>) -> Vec<Item> {
        vec![Item::Section(Section { label: Label::Body, peek: false, path: path.to_vec(), what, partial })]
    }

    #[test]
    fn macros_and_items() {
        let fast = [Item::Flags, Item::InternalDate, Item::Size];
        assert_eq!(items("FAST").unwrap(), fast);
        assert_eq!(items("all").unwrap(), [&fast[..], &[Item::Envelope]].concat());
        assert_eq!(items("Full").unwrap(), [&fast[..], &[Item::Envelope, Item::Body]].concat());
        assert_eq!(items("(UID FLAGS uid)").unwrap(), [Item::Uid, Item::Flags]);
        assert_eq!(items("BODYSTRUCTURE").unwrap(), [Item::BodyStructure]);
        assert_eq!(items("body").unwrap(), [Item::Body]);
        assert_eq!(items("PREVIEW").unwrap(), [Item::Preview { lazy: false }]);
        assert_eq!(items("(preview (lazy LAZY) UID)").unwrap(), [Item::Preview { lazy: true }, Item::Uid]);
    }

    #[test]
    fn sections() {
        let names = |names: &[&str]| names.iter().map(|n| n.as_bytes().to_vec()).collect::<Vec<_>>();
        let table = [
            ("BODY[]", body(&[], What::Whole, None)),
            ("BODY[1.22.3]", body(&[1, 22, 3], What::Whole, None)),
            ("body[header]", body(&[], What::Header, None)),
            ("BODY[TEXT]<0.2048>", body(&[], What::Text, Some((0, 2048)))),
            ("BODY[4.1.MIME]", body(&[4, 1], What::Mime, None)),
            ("BODY[4.2.HEADER]<1.1>", body(&[4, 2], What::Header, Some((1, 1)))),
            ("BODY[HEADER.FIELDS (Date \"From\")]", body(&[], What::Fields(names(&["Date", "From"])), None)),
            ("BODY[3.HEADER.FIELDS.NOT ({1}\r\nX)]", body(&[3], What::FieldsNot(names(&["X"])), None)),
        ];
        for (text, want) in table {
            assert_eq!(items(text).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn decoded_parts() {
        let binary = |peek, path: &[u32], partial| [Item::Binary(Binary { peek, path: path.to_vec(), partial })];
        assert_eq!(items("BINARY[]").unwrap(), binary(false, &[], None));
        assert_eq!(items("(binary[1.2]<0.5>)").unwrap(), binary(false, &[1, 2], Some((0, 5))));
        assert_eq!(items("BINARY.PEEK[3]<4294967296.1>").unwrap(), binary(true, &[3], Some((1 << 32, 1))));
        assert_eq!(items("BINARY.SIZE[2]").unwrap(), [Item::BinarySize(vec![2])]);
    }

    #[test]
    fn what_sets_seen() {
        let peeks = |text| match &items(text).unwrap()[0] {
            Item::Section(section) => section.peek,
            other => panic!("{other:?}"),
        };
        for (text, peek) in [
            ("BODY[]", false),
            ("BODY.PEEK[]", true),
            ("RFC822", false),
            ("RFC822.TEXT", false),
            ("RFC822.HEADER", true),
        ] {
            assert_eq!(peeks(text), peek, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        let long = format!("BODY[{}1]", "1.".repeat(MAX_DEPTH + 1));
        let deep = format!("BINARY[{}1]", "1.".repeat(MAX_DEPTH + 1));
        let many = format!("({})", (0..=MAX_ITEMS).map(|n| format!("BODY[{}]", n + 1)).collect::<Vec<_>>().join(" "));
        let table = [
            "",
            "()",
            "(FAST)",
            "FAST UID",
            "NONE",
            "BODY[",
            "BODY[]x",
            "BODY[0]",
            "BODY[1.]",
            "BODY[.1]",
            "BODY[MIME]",
            "BODY[HEADER.FIELDS ()]",
            "BODY[HEADER.FIELDS]",
            "BODY[TEXT.1]",
            "BODY[1TEXT]",
            "BODY[ ]",
            "BODY[]<1>",
            "PREVIEW (",
            "PREVIEW ()",
            "(PREVIEW (EAGER))",
            "BODY[]<1.0>",
            "BODY[]<-1.1>",
            "BODY[]<0.9223372036854775808>",
            "BINARY",
            "BINARY[TEXT]",
            "BINARY[1.]",
            "BINARY[.1]",
            "BINARY[1.0]",
            "BINARY[1",
            "BINARY[1]<0.0>",
            "BINARY.SIZE[1]<0.1>",
            "BINARY.SIZE",
            &deep,
            "BODY.PEEK",
            "(UID  FLAGS)",
            "(UID",
            "UID)",
            "RFC822[]",
            &long,
            &many,
        ];
        for text in table {
            assert!(items(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[BODYTEXHADRFILSNMUPK.0-9<>()\\[\\]{}\" ]{0,40}", bytes in any::<Vec<u8>>()) {
            let _ = items(&text);
            let _ = Cursor::new(&bytes).fetch();
        }
    }
}
