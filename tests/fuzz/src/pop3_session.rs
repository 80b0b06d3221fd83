//! A whole POP3 session on a small Maildir. Nothing makes it panic, every command gets one answer, and what is answered does not depend
//! on how the input was cut.

use mailcote::config::Service;

use super::talk::Talk;
use super::world::World;

fn answers(begin: &[u8], data: &[u8], size: usize) -> Vec<u8> {
    let world = World::fresh();
    let mut talk = Talk::new(world.session(Service::Pop3));
    talk.say(begin);
    data.chunks(size).for_each(|piece| talk.say(piece));
    let said = talk.take();
    assert!(said.ends_with(b"\r\n"), "{}", said.escape_ascii());
    // UIDLs and challenges differ from run to run: what kind of line it is does not.
    said.split(|b| *b == b'\n').map(|line| line.first().copied().unwrap_or_default()).collect()
}

/// The first byte: bit 0 logged in; the others are the size of the pieces.
pub fn run(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let begin: &[u8] = if first & 1 == 1 { b"USER alice@demo.test\r\nPASS secret\r\n" } else { b"" };
    let whole = answers(begin, data, data.len().max(1));
    let has_stls = data.windows(4).any(|window| window.eq_ignore_ascii_case(b"STLS"));
    if !has_stls {
        assert_eq!(answers(begin, data, usize::from(first >> 1) + 1), whole, "in pieces of {}", (first >> 1) + 1);
    }
}
