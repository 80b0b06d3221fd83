//! A whole SMTP session (by the first byte also submission or LMTP). Nothing makes it panic, every line of an answer is a reply line, and
//! what it answers does not depend on how its input was cut.

use mailcote::config::Service;

use super::talk::Talk;
use super::world::World;

/// The answers to `data`, which comes in pieces of `size` bytes. Ids of messages, which differ from run to run, are left out.
fn answers(service: Service, data: &[u8], size: usize) -> Vec<String> {
    let world = World::fresh();
    let mut talk = Talk::new(world.session(service));
    data.chunks(size).for_each(|piece| talk.say(piece));
    let said = String::from_utf8(talk.take()).expect("replies are UTF-8");
    assert!(said.is_empty() || said.ends_with("\r\n"), "{said:?}");
    said.split_terminator("\r\n")
        .map(|line| {
            let bytes = line.as_bytes();
            let is_reply = bytes.len() >= 4
                && (b'2'..=b'5').contains(&bytes[0])
                && bytes[1..3].iter().all(u8::is_ascii_digit)
                && b" -".contains(&bytes[3]);
            assert!(is_reply && line.len() <= 510, "no reply line (RFC 5321 4.5.3.1.5): {line:?}");
            assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            line[..4].to_owned()
        })
        .collect()
}

/// The first byte is the protocol, and the size of the pieces.
pub fn run(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let service = match first & 3 {
        0 | 1 => Service::Smtp,
        2 => Service::Submission,
        _ => Service::Lmtp,
    };
    let whole = answers(service, data, data.len().max(1));
    // Bytes behind STARTTLS are thrown away when they come with it, and not when they come later.
    let has_starttls = data.windows(8).any(|window| window.eq_ignore_ascii_case(b"STARTTLS"));
    if !has_starttls {
        assert_eq!(answers(service, data, usize::from(first >> 2) + 1), whole, "in pieces of {}", (first >> 2) + 1);
    }
}
