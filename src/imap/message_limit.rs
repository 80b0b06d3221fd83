//! How many messages one command may work on: MESSAGELIMIT and SAVELIMIT (RFC 9738).
//!
//! Owns the two numbers and what a command says that has reached them. A command on more messages does those with the highest UIDs and
//! names the lowest that it did, so that the client goes on below it; COPY and APPEND, which are all or nothing, do none (section 3.1), and
//! so do SORT and THREAD, whose answers cannot be put together from parts (section 3.3). EXPUNGE, CLOSE and STATUS are never cut: they
//! are about a whole mailbox and have no message to go on at.
//!
//! What counts are messages that are worked on: those that the set names, for SEARCH those that its numbers and UIDs leave
//! ([`Program::scope`]), for UID EXPUNGE those with \Deleted, for FETCH with CHANGEDSINCE or PARTIAL those that are left.
//!
//! Where the reading of the RFC leaves a choice, it is this: a page (PARTIAL) that is longer than the limit is cut like any other set and not
//! refused, since a client that knows the code goes on from the UID that it names, and one that does not has no more than it asked for; and the
//! configuration takes no limit below 1000 and none for saves below that for all, which can only spare a client a refusal.
//!
//! Refuses nothing by itself, holds no state and leaves nothing on disk.

use super::context::{Context, Selected};
use super::reply::{Condition, Reply};
use super::search::Program;
use super::view::{Picked, View};
use crate::wire::Out;

/// What is set; none: no limit. Never 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// MESSAGELIMIT: messages of any command.
    pub messages: Option<u32>,
    /// SAVELIMIT: messages of COPY and APPEND, where these have another limit.
    pub saves: Option<u32>,
}

impl Limits {
    /// Of COPY and APPEND.
    pub fn of_saves(self) -> Option<u32> {
        self.saves.or(self.messages)
    }

    /// ` MESSAGELIMIT=1000 SAVELIMIT=5000`, as far as they are set.
    pub fn capabilities(self) -> String {
        let one = |name: &str, limit: Option<u32>| limit.map_or(String::new(), |limit| format!(" {name}={limit}"));
        one("MESSAGELIMIT", self.messages) + &one("SAVELIMIT", self.saves)
    }
}

/// Some messages of a command were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    limit: u32,
    /// UID of the lowest message that was worked on.
    lowest: u32,
}

impl Cut {
    /// Leave the last `limit` of `uids` (ascending); `None` if there are no more.
    pub fn uids(limit: Option<u32>, uids: &mut Vec<u32>) -> Option<Cut> {
        let limit = limit.filter(|limit| uids.len() > *limit as usize)?;
        uids.drain(..uids.len() - limit as usize);
        uids.first().map(|lowest| Cut { limit, lowest: *lowest })
    }

    /// The same with messages of a view.
    pub fn picked(limit: Option<u32>, picked: &mut Picked, view: &View) -> Option<Cut> {
        let count = picked.count();
        let limit = limit.filter(|limit| count > *limit as usize)?;
        *picked = picked.piece(count - limit as usize..count);
        let lowest = picked.next_from(1).and_then(|number| view.uid(number))?;
        Some(Cut { limit, lowest })
    }

    fn code(self) -> String {
        format!("MESSAGELIMIT {} {}", self.limit, self.lowest)
    }

    /// The refusal of a COPY (RFC 9738 section 3.1).
    pub fn refusal(self) -> Reply {
        Reply::no(self.code(), "Too many messages at once; none was copied")
    }

    /// Say it in the reply, or before it if that has another code or is no OK.
    fn tell(self, reply: Reply, out: &mut Out) -> Reply {
        if reply.condition == Condition::Ok && reply.code.is_none() {
            return Reply { code: Some(self.code().into()), ..reply };
        }
        Reply::no(self.code(), "Too many messages at once; those with lower UIDs were left out").write("*", out);
        reply
    }
}

/// The refusal of a command that cannot be done in parts, before it has looked at a message.
pub fn too_many(limit: u32) -> Reply {
    Reply::no(format!("MESSAGELIMIT {limit}"), format!("At most {limit} messages at once"))
}

impl Context {
    /// What is set.
    pub fn message_limits(&self) -> Limits {
        self.shared.settings.message_limits
    }

    /// At the end of a command: say that it left messages out, if it did.
    pub fn add_message_limit(&mut self, reply: Reply, out: &mut Out) -> Reply {
        match self.cut.take() {
            Some(cut) if reply.condition != Condition::Bad => cut.tell(reply, out),
            _ => reply,
        }
    }

    /// The UIDs that a SEARCH must not look beyond, if there is a limit that it would exceed.
    pub fn search_within(&mut self, program: &Program) -> Result<Option<Vec<u32>>, Reply> {
        let limit = self.message_limits().messages;
        if limit.is_none() {
            return Ok(None);
        }
        let Selected { view, .. } = self.selected()?;
        let mut scope = program.scope(view);
        let cut = Cut::picked(limit, &mut scope, view);
        let within = cut.map(|_| view.picked_uids(&scope));
        self.cut = cut;
        Ok(within)
    }

    /// NO if a SORT or THREAD is about too many messages.
    pub fn sort_within(&mut self, program: &Program) -> Result<(), Reply> {
        let Some(limit) = self.message_limits().messages else { return Ok(()) };
        let Selected { view, .. } = self.selected()?;
        if program.scope(view).count() > limit as usize { Err(too_many(limit)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_are_left() {
        type Case = (Option<u32>, &'static [u32], &'static [u32], Option<u32>);
        let table: &[Case] = &[
            (None, &[1, 5, 9], &[1, 5, 9], None),
            (Some(3), &[1, 5, 9], &[1, 5, 9], None),
            (Some(2), &[1, 5, 9], &[5, 9], Some(5)),
            (Some(1), &[1, 5, 9], &[9], Some(9)),
            (Some(1), &[], &[], None),
        ];
        for (limit, all, left, lowest) in table {
            let mut uids = all.to_vec();
            let cut = Cut::uids(*limit, &mut uids);
            assert_eq!((&uids[..], cut.map(|cut| cut.lowest)), (*left, *lowest), "{limit:?} of {all:?}");
            let view = View::of(all);
            let mut picked = view.everything();
            let cut = Cut::picked(*limit, &mut picked, &view);
            assert_eq!((view.picked_uids(&picked), cut.map(|cut| cut.lowest)), (left.to_vec(), *lowest));
        }
    }

    /// RFC 9738 section 3.1.
    #[test]
    fn it_is_said_where_there_is_room() {
        let cut = Cut { limit: 1000, lowest: 23_221 };
        let said = |reply: Reply| {
            let mut out = Out::new();
            cut.tell(reply, &mut out).write("a", &mut out);
            String::from_utf8_lossy(out.bytes()).into_owned()
        };
        assert_eq!(said(Reply::ok("Done")), "a OK [MESSAGELIMIT 1000 23221] Done\r\n");
        for reply in [Reply::ok_code("MODIFIED 7", "Done"), Reply::no("EXPUNGEISSUED", "Gone")] {
            let text = said(reply.clone());
            assert!(text.starts_with("* NO [MESSAGELIMIT 1000 23221] "), "{text}");
            assert!(text.contains(reply.code.as_deref().unwrap()), "{text}");
        }
    }

    #[test]
    fn capabilities() {
        let table = [(None, None, ""), (Some(7), None, " MESSAGELIMIT=7"), (None, Some(8), " SAVELIMIT=8")];
        for (messages, saves, want) in table {
            assert_eq!(Limits { messages, saves }.capabilities(), want);
        }
        let both = Limits { messages: Some(7), saves: Some(8) };
        assert_eq!((both.capabilities().as_str(), both.of_saves()), (" MESSAGELIMIT=7 SAVELIMIT=8", Some(8)));
        assert_eq!(Limits { messages: Some(7), saves: None }.of_saves(), Some(7));
    }
}
