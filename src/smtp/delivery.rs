//! A complete message on its way to its recipients, in steps of bounded time, and the answers.
//!
//! A copy costs two syncs. With an alias of a thousand members that is a second or more, which no neighbour on this thread must wait for:
//! after [`SLICE`] the session asks to go on. The client waits for our answer meanwhile; what it has pipelined stays unread.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Kind;
use super::commit::{Commit, Outcome};
use super::reply::{self, Reply};
use super::session::{Smtp, State, Then};
use super::transaction::Transaction;
use crate::wire::Out;

/// How long one step delivers: a few messages' worth of syncs.
const SLICE: Duration = Duration::from_millis(10);

/// The message between its end and the answer.
pub(super) struct Delivery {
    pub commit: Commit,
    /// Who sent it to us, for the log.
    pub peer: IpAddr,
    /// Octets received.
    pub size: u64,
}

/// Deliver for a while; `None` if there is more to do.
pub(super) fn go_on(session: &mut Smtp, out: &mut Out) -> Option<Then> {
    let State::Delivery(delivery) = &mut session.state else { return None };
    let outcome = delivery.commit.go_on(Instant::now() + SLICE)?;
    let State::Delivery(delivery) = std::mem::replace(&mut session.state, State::Command) else { return None };
    let replies = delivery.replies(outcome);
    Some(answer(session, replies, out))
}

/// Say what became of a message: one reply (SMTP), or one for each accepted recipient (LMTP).
pub(super) fn answer(session: &mut Smtp, mut replies: Vec<Reply>, out: &mut Out) -> Then {
    if replies.iter().any(|reply: &Reply| !reply.is_temporary() && !reply.is_permanent()) {
        session.accepted();
    }
    let last = replies.pop().unwrap_or(reply::LOCAL_ERROR);
    replies.iter().for_each(|reply| reply.write(out));
    Then::Reply(last)
}

/// How many answers the end of a message has.
pub(super) fn answers(kind: Kind, transaction: &Transaction) -> usize {
    if kind == Kind::Lmtp { transaction.accepted.len() } else { 1 }
}

impl Delivery {
    fn replies(&self, outcome: Outcome) -> Vec<Reply> {
        let transaction = self.commit.transaction();
        let (id, each) = (&transaction.id, answers(self.commit.kind(), transaction));
        let replies = match outcome {
            Outcome::Stored => vec![delivered(id); each],
            Outcome::Nothing(refused) => vec![refused; each],
            Outcome::Some(places) => {
                let answer = |indexes: &Vec<usize>| indexes.iter().find_map(|place| places[*place].clone());
                let accepted = transaction.accepted.iter();
                accepted.map(|(_, indexes)| answer(indexes).unwrap_or_else(|| delivered(id))).collect()
            }
        };
        let sender = transaction.sender.as_ref().map(ToString::to_string).unwrap_or_default();
        for (address, _) in &transaction.accepted {
            tracing::info!(id, peer = %self.peer, from = sender, to = %address, size = self.size, codes = ?codes(&replies), "message");
        }
        replies
    }
}

fn delivered(id: &str) -> Reply {
    Reply::made(250, "2.0.0", format!("delivered as {id}"))
}

fn codes(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.code).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;
    use crate::wire::{Event, Session, Want};

    /// A thousand recipients: a bounded number of open files, bounded steps, one copy each.
    #[test]
    fn a_big_alias_is_delivered_in_steps() {
        const MEMBERS: usize = 300;
        let world = World::with_users(MEMBERS);
        for size in [1, 400_000 / 12] {
            let mut client = world.client(Kind::Mx);
            client.begin(&["everybody@demo.test", "user1@demo.test", "everybody@demo.test"]);
            client.say(&"0123456789\r\n".repeat(size));
            client.input.extend(b".\r\n");
            let mut out = Out::new();
            let (mut event, mut steps, mut most_open) = (Event::Input, 0, 0);
            loop {
                let want = client.session.step(event, &mut client.input, &mut out);
                steps += 1;
                let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
                let ours = |path: std::path::PathBuf| path.starts_with(world.maildir("user1").parent().unwrap());
                let open = open.filter_map(|fd| std::fs::read_link(fd.path()).ok()).filter(|path| ours(path.clone()));
                most_open = most_open.max(open.count());
                match want {
                    Want::Continue => event = Event::Flushed,
                    _ => break,
                }
            }
            assert!(String::from_utf8_lossy(out.bytes()).starts_with("250 2.0.0"), "{out:?}");
            assert!(most_open <= 1, "{most_open} files open between steps");
            assert!(steps > 1, "{MEMBERS} deliveries in one step");
        }
        let mut client = world.client(Kind::Mx);
        client.say("MAIL FROM:<>\r\n");
        let all = client.say(&"RCPT TO:<everybody@demo.test>\r\n".repeat(40));
        assert_eq!(all.matches("250 ").count(), 34, "10,000 places and what the last one leads to");
        assert_eq!(all.matches("452 4.5.3 ").count(), 6);
        for n in 1..=MEMBERS {
            assert_eq!(world.files(&format!("user{n}"), "new").len(), 2, "user{n}");
            assert_eq!(world.files(&format!("user{n}"), "tmp").len(), 0, "user{n}");
        }
    }
}
