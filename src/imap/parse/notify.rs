//! Arguments of NOTIFY (RFC 5465 section 8).
//!
//! ```text
//! notify   = SP ("NONE" / "SET" [SP "STATUS"] 1*(SP group))
//! group    = "(" filter SP ("NONE" / "(" event *(SP event) ")") ")"
//! filter   = "SELECTED" / "SELECTED-DELAYED" / "INBOXES" / "PERSONAL" / "SUBSCRIBED" /
//!            ("SUBTREE" / "MAILBOXES") SP (mailbox / "(" mailbox *(SP mailbox) ")")
//! event    = "MessageNew" [SP "(" fetch-item *(SP fetch-item) ")"] / "MessageExpunge" / "FlagChange" / "AnnotationChange" /
//!            "MailboxName" / "SubscriptionChange" / "MailboxMetadataChange" / "ServerMetadataChange" / atom
//! ```
//!
//! What the grammar's comments demand is BAD, too: MessageNew and MessageExpunge come together, FlagChange and AnnotationChange with both of
//! them (section 5); one group at most for the selected mailbox, with events of messages only; items to fetch only there. (The RFC's own first
//! example keeps none of these, nor the parentheses.) An event that is no event of ours is no mistake of grammar: [`Events::UNKNOWN`].

use super::fetch::Item;
use super::{Cursor, Mailbox, Result};

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events(u16);

impl Events {
    /// None at all.
    pub const NONE: Events = Events(0);
    /// `MessageNew`.
    pub const NEW: Events = Events(1);
    /// `MessageExpunge`.
    pub const EXPUNGE: Events = Events(1 << 1);
    /// `FlagChange`.
    pub const FLAGS: Events = Events(1 << 2);
    /// `AnnotationChange`, which belongs to ANNOTATE (RFC 5257).
    pub const ANNOTATION: Events = Events(1 << 3);
    /// `MailboxName`.
    pub const NAME: Events = Events(1 << 4);
    /// `SubscriptionChange`.
    pub const SUBSCRIPTION: Events = Events(1 << 5);
    /// `MailboxMetadataChange`.
    pub const METADATA: Events = Events(1 << 6);
    /// `ServerMetadataChange`.
    pub const SERVER_METADATA: Events = Events(1 << 7);
    /// Any other atom.
    pub const UNKNOWN: Events = Events(1 << 8);
    /// Those of messages.
    pub const OF_MESSAGES: Events = Events(Events::NEW.0 | Events::EXPUNGE.0 | Events::FLAGS.0 | Events::ANNOTATION.0);

    /// Events and their names.
    const TABLE: [(Events, &'static str); 8] = [
        (Events::NEW, "MessageNew"),
        (Events::EXPUNGE, "MessageExpunge"),
        (Events::FLAGS, "FlagChange"),
        (Events::ANNOTATION, "AnnotationChange"),
        (Events::NAME, "MailboxName"),
        (Events::SUBSCRIPTION, "SubscriptionChange"),
        (Events::METADATA, "MailboxMetadataChange"),
        (Events::SERVER_METADATA, "ServerMetadataChange"),
    ];

    /// Is one of `wanted` among them?
    pub fn has_any(self, wanted: Events) -> bool {
        self.0 & wanted.0 != 0
    }

    /// Are all of `wanted` among them?
    pub fn has(self, wanted: Events) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, more: Events) -> Events {
        Events(self.0 | more.0)
    }

    /// Names of events, as far as they have one.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Events::TABLE.iter().filter(move |row| self.has(row.0)).map(|row| row.1)
    }
}

/// Which mailboxes a group is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter<'a> {
    /// `SELECTED`, or `SELECTED-DELAYED`.
    Selected {
        /// Expunges wait for a command.
        delayed: bool,
    },
    /// `INBOXES`.
    Inboxes,
    /// `PERSONAL`.
    Personal,
    /// `SUBSCRIBED`.
    Subscribed,
    /// `SUBTREE`.
    Subtree(Vec<Mailbox<'a>>),
    /// `MAILBOXES`.
    Mailboxes(Vec<Mailbox<'a>>),
}

/// What is wanted of some mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// Of which.
    pub filter: Filter<'a>,
    /// What; nothing for `NONE`.
    pub events: Events,
    /// What is to be fetched of new messages.
    pub items: Vec<Item>,
}

/// The command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notify<'a> {
    /// `NONE`.
    Nothing,
    /// `SET`.
    Set {
        /// `STATUS`: tell at once how the mailboxes stand.
        status: bool,
        /// In the order of the command.
        groups: Vec<Group<'a>>,
    },
}

impl<'a> Cursor<'a> {
    /// Everything behind `NOTIFY`.
    pub fn notify(&mut self) -> Result<Notify<'a>> {
        self.space()?;
        let before = self.clone();
        match self.word()?.to_ascii_uppercase().as_str() {
            "NONE" => {
                self.end()?;
                return Ok(Notify::Nothing);
            }
            "SET" => {}
            _ => return before.bad("expected SET or NONE"),
        }
        let status = self.eat_text(" STATUS");
        let mut groups: Vec<Group<'a>> = Vec::new();
        while groups.is_empty() || !(self.at_end() || self.rest() == b" ") {
            self.space()?;
            let before = self.clone();
            let group = self.event_group()?;
            let is_selected = |group: &Group<'_>| matches!(group.filter, Filter::Selected { .. });
            if is_selected(&group) && groups.iter().any(is_selected) {
                return before.bad("only one of SELECTED and SELECTED-DELAYED is allowed");
            }
            groups.push(group);
        }
        self.end()?;
        Ok(Notify::Set { status, groups })
    }

    fn event_group(&mut self) -> Result<Group<'a>> {
        self.expect(b'(', "expected ( and a group of events")?;
        let filter = self.notify_filter()?;
        self.space()?;
        let before = self.clone();
        let (mut events, mut items) = (Events::NONE, Vec::new());
        if self.peek() == Some(b'(') {
            self.list1(|cursor| {
                let event = cursor.event(&mut items)?;
                events = events.with(event);
                Ok(())
            })?;
        } else if !self.word()?.eq_ignore_ascii_case("NONE") {
            return before.bad("expected a list of events or NONE");
        }
        let both = Events::NEW.with(Events::EXPUNGE);
        if events.has_any(Events::OF_MESSAGES) && !events.has(both) {
            return before.bad("MessageNew and MessageExpunge come together, and with FlagChange");
        }
        let is_selected = matches!(filter, Filter::Selected { .. });
        let known = Events::TABLE.iter().map(|row| row.0);
        if is_selected && known.filter(|event| !Events::OF_MESSAGES.has(*event)).any(|event| events.has(event)) {
            return before.bad("the selected mailbox has events of messages only");
        }
        if !is_selected && !items.is_empty() {
            return before.bad("only of the selected mailbox can something be fetched");
        }
        self.expect(b')', "expected ) at the end of a group")?;
        Ok(Group { filter, events, items })
    }

    fn notify_filter(&mut self) -> Result<Filter<'a>> {
        let before = self.clone();
        Ok(match self.word()?.to_ascii_uppercase().as_str() {
            "SELECTED" => Filter::Selected { delayed: false },
            "SELECTED-DELAYED" => Filter::Selected { delayed: true },
            "INBOXES" => Filter::Inboxes,
            "PERSONAL" => Filter::Personal,
            "SUBSCRIBED" => Filter::Subscribed,
            "SUBTREE" => Filter::Subtree(self.one_or_more_mailboxes()?),
            "MAILBOXES" => Filter::Mailboxes(self.one_or_more_mailboxes()?),
            _ => return before.bad("no such selection of mailboxes"),
        })
    }

    fn one_or_more_mailboxes(&mut self) -> Result<Vec<Mailbox<'a>>> {
        self.space()?;
        if self.peek() == Some(b'(') { self.list1(Self::mailbox) } else { Ok(vec![self.mailbox()?]) }
    }

    fn event(&mut self, items: &mut Vec<Item>) -> Result<Events> {
        let word = self.atom()?;
        let found = Events::TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(word));
        let event = found.map_or(Events::UNKNOWN, |row| row.0);
        if event == Events::NEW && self.clone().eat_text(" (") {
            self.space()?;
            *items = self.fetch_items()?;
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Notify<'_>> {
        Cursor::new(text.as_bytes()).notify().ok()
    }

    fn groups(text: &str) -> Vec<Group<'_>> {
        match parse(text) {
            Some(Notify::Set { groups, .. }) => groups,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn forms() {
        let both = Events::NEW.with(Events::EXPUNGE);
        assert_eq!(parse(" none"), Some(Notify::Nothing));
        assert!(matches!(parse(" SET STATUS (personal none)"), Some(Notify::Set { status: true, .. })));
        assert!(matches!(parse(" set (personal none)"), Some(Notify::Set { status: false, .. })));
        let found = groups(
            " set (Selected-Delayed (messagenew (uid body.peek[header.fields (from to)]) MESSAGEEXPUNGE)) \
             (inboxes (MessageNew MessageExpunge FlagChange)) (subscribed (MailboxName Vendor.Thing))",
        );
        assert_eq!(found[0].filter, Filter::Selected { delayed: true });
        assert_eq!((found[0].events, found[0].items.len()), (both, 2));
        assert_eq!((&found[1].filter, found[1].events), (&Filter::Inboxes, both.with(Events::FLAGS)));
        assert_eq!(found[2].events, Events::NAME.with(Events::UNKNOWN));
        let named = |text| match groups(text).remove(0).filter {
            Filter::Subtree(names) | Filter::Mailboxes(names) => {
                names.iter().map(|name| name.name().unwrap().to_string()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(named(" set (mailboxes inbox none)"), ["INBOX"]);
        assert_eq!(named(" set (subtree (Lists \"a b\") (MailboxName))"), ["Lists", "a b"]);
        let all = Events::TABLE.iter().fold(Events::NONE, |all, row| all.with(row.0));
        assert_eq!(all.names().count(), 8);
    }

    /// What is BAD, and why.
    #[test]
    fn mistakes() {
        let table = [
            ("", "nothing"),
            (" maybe", "neither"),
            (" none x", "more"),
            (" set", "no group"),
            (" set status", "no group"),
            (" set ()", "no filter"),
            (" set (personal)", "no events"),
            (" set (personal ())", "no event"),
            (" set personal none", "no parentheses"),
            (" set (everything none)", "no such filter"),
            (" set (subtree (MailboxName))", "no mailbox"),
            (" set (mailboxes () none)", "no mailbox"),
            (" set (personal (MessageNew))", "RFC 5465 5"),
            (" set (personal (MessageExpunge))", "RFC 5465 5"),
            (" set (personal (FlagChange))", "RFC 5465 5"),
            (" set (personal (MessageNew FlagChange))", "RFC 5465 5"),
            (" set (personal (AnnotationChange MessageNew))", "RFC 5465 5"),
            (" set (selected (MailboxName))", "RFC 5465 6.1"),
            (" set (selected none) (selected-delayed none)", "RFC 5465 6.1"),
            (" set (personal (MessageNew (uid) MessageExpunge))", "RFC 5465 8"),
            (" set (selected (MessageNew () MessageExpunge))", "no item"),
            (" set (selected (MessageNew (nonsense) MessageExpunge))", "no such item"),
            (" set (selected (MessageNew (1) MessageExpunge))", "no such item"),
            (" set (personal none)(personal none)", "no space"),
            (" set  (personal none)", "two spaces"),
            (" set (selected MessageNew (uid) MessageExpunge) (subtree Lists MessageNew)", "RFC 5465's own example"),
        ];
        for (text, why) in table {
            assert_eq!(parse(text), None, "{why}: {text}");
        }
    }
}
