//! IMAP framing. Whatever comes, it is cut into the same commands whether it arrives at once or byte by byte, and no more is held
//! than the limits say.

use mailcote::imap::frame::{Announcement, Frame, Framed, MAX_LINE, MAX_LITERALS, Policy, Verdict};
use mailcote::imap::reply::Reply;
use mailcote::wire::{Input, Out};

/// Keeps small literals, streams those of commands that begin with `A`, refuses some.
#[derive(Default)]
struct Judge {
    streamed: Vec<u8>,
}

impl Policy for Judge {
    fn announced(&mut self, literal: &Announcement<'_>) -> Verdict {
        match literal.before.first() {
            Some(b'A') => Verdict::Stream,
            Some(b'R') => Verdict::Refuse(Reply::no("LIMIT", "No")),
            _ => Verdict::Keep,
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        self.streamed.extend_from_slice(bytes);
    }
}

/// Everything that `data` is, arriving in pieces of `size` bytes.
fn frames(data: &[u8], size: usize, logged_in: bool) -> (Vec<String>, Vec<u8>, Vec<u8>) {
    let (mut frame, mut judge, mut input, mut out) = (Frame::new(), Judge::default(), Input::new(), Out::new());
    frame.set_logged_in(logged_in);
    let mut found = Vec::new();
    for piece in data.chunks(size) {
        input.extend(piece);
        loop {
            match frame.next(&mut input, &mut judge, &mut out) {
                Framed::Nothing => break,
                Framed::Command(command) => {
                    assert!(command.len() <= MAX_LINE + MAX_LITERALS);
                    found.push(command.escape_ascii().to_string());
                }
                Framed::Hopeless => {
                    found.push("hopeless".into());
                    return (found, judge.streamed, out.bytes().to_vec());
                }
                refused => found.push(format!("{refused:?}")),
            }
        }
        assert!(input.is_empty(), "what is not a command yet is held by the frame");
    }
    (found, judge.streamed, out.bytes().to_vec())
}

/// The first byte says whether somebody has logged in.
pub fn run(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let logged_in = first & 1 == 1;
    let whole = frames(data, data.len().max(1), logged_in);
    assert_eq!(frames(data, 1, logged_in), whole, "byte by byte");
    assert_eq!(frames(data, usize::from(*first).max(2), logged_in), whole, "in pieces of {first}");
}
