//! What is sent to break the server: before a login on every port, and after one.

/// Levels of `message/rfc822` in one mail, of parentheses in one command.
pub const DEPTH: usize = 100_000;

/// Bytes of an attack, by name.
pub fn attacks() -> Vec<(&'static str, Vec<u8>)> {
    let repeat = |bytes: &[u8], times: usize| bytes.repeat(times);
    vec![
        ("random bytes", random(1 << 20)),
        ("an endless line", repeat(b"a", 8 << 20)),
        ("a huge literal", b"a LOGIN {4294967295}\r\nx".to_vec()),
        ("a huge literal without waiting", [b"a LOGIN {4294967295+}\r\n".to_vec(), repeat(b"x", 1 << 20)].concat()),
        ("a literal beyond numbers", b"a LOGIN {99999999999999999999999}\r\nx\r\n".to_vec()),
        ("a negative literal", b"a LOGIN {-1}\r\nx\r\n".to_vec()),
        ("many literals", repeat(b"a LOGIN {1+}\r\nx {1+}\r\n", 5000)),
        ("NULs", vec![0; 1 << 20]),
        ("parentheses", [b"a SEARCH ".to_vec(), repeat(b"(", DEPTH), b"\r\n".to_vec()].concat()),
        (
            "parentheses to the end",
            [b"a FETCH 1 ".to_vec(), repeat(b"(", DEPTH), repeat(b")", DEPTH), b"\r\n".to_vec()].concat(),
        ),
        ("NOT upon NOT", [b"a SEARCH ".to_vec(), repeat(b"NOT ", DEPTH), b"ALL\r\n".to_vec()].concat()),
        ("commands and no reading", repeat(b"NOOP\r\na NOOP\r\n", 50_000)),
        ("line ends", repeat(b"\r\n", 500_000)),
        ("bare line ends", [repeat(b"\n", 100_000), repeat(b"\r", 100_000)].concat()),
        (
            "a huge chunk",
            b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@demo.test>\r\nBDAT 18446744073709551616\r\n".to_vec(),
        ),
        ("an endless address", [b"EHLO x\r\nMAIL FROM:<".to_vec(), repeat(b"a", 1 << 20), b">\r\n".to_vec()].concat()),
        (
            "an endless route",
            [b"EHLO x\r\nMAIL FROM:<".to_vec(), repeat(b"@a,", 100_000), b":b@c>\r\n".to_vec()].concat(),
        ),
        (
            "too many recipients",
            [b"EHLO x\r\nLHLO x\r\nMAIL FROM:<>\r\n".to_vec(), repeat(b"RCPT TO:<alice@demo.test>\r\n", 20_000)]
                .concat(),
        ),
        (
            "an endless header",
            [
                b"EHLO x\r\nLHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@demo.test>\r\nDATA\r\nSubject: ".to_vec(),
                repeat(b"x", 4 << 20),
            ]
            .concat(),
        ),
        ("SASL that is not base64", repeat(b"AUTH PLAIN !!!!\r\na AUTHENTICATE PLAIN !!!!\r\n", 1000)),
        ("an endless password", [b"USER alice\r\nPASS ".to_vec(), repeat(b"p", 1 << 20), b"\r\n".to_vec()].concat()),
        ("an endless tag", [repeat(b"t", 1 << 20), b" NOOP\r\n".to_vec()].concat()),
        ("half a handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
    ]
}

/// What somebody with a password can do: the service, and the bytes from the login on.
pub fn logged_in(login: &str, password: &str) -> Vec<(&'static str, Vec<u8>)> {
    let repeat = |bytes: &[u8], times: usize| bytes.repeat(times);
    let line =
        |begin: &[u8], bytes: &[u8], times: usize, end: &[u8]| [begin, &repeat(bytes, times), end, b"\r\n"].concat();
    let imap = [
        // Asks for gigabytes and reads nothing.
        repeat(b"a FETCH 1:* BODY[]\r\n", 5000),
        line(b"a SEARCH ", b"(", DEPTH, b""),
        line(b"a SEARCH ", b"(", DEPTH, &repeat(b")", DEPTH)),
        line(b"a SEARCH ", b"NOT ", DEPTH, b"ALL"),
        line(b"a SEARCH ", b"OR ALL ", DEPTH, b"ALL"),
        line(b"a SEARCH ", b"TEXT x ", DEPTH, b"ALL"),
        line(b"a FETCH 1 ", b"(", DEPTH, b""),
        line(b"a FETCH 1 (", b"FLAGS ", DEPTH, b"FLAGS)"),
        line(b"a FETCH 1 BODY[", b"1.", DEPTH, b"1]"),
        line(b"a FETCH 1 BODY[HEADER.FIELDS (", b"x ", DEPTH, b"x)]"),
        line(b"a FETCH ", b"1,", DEPTH, b"1 FLAGS"),
        b"a FETCH 1 BODY[]<4294967295.4294967295>\r\n".to_vec(),
        line(b"a STORE 1 +FLAGS (", b"k ", DEPTH, b"k)"),
        (0..5000).flat_map(|n| format!("a STORE 1 +FLAGS (key{n})\r\n").into_bytes()).collect(),
        line(b"a LIST \"\" ", b"*%", 2000, b"x"),
        b"a APPEND INBOX {4294967295+}\r\n".to_vec(),
        b"a APPEND INBOX {18446744073709551615}\r\n".to_vec(),
        [b"a APPEND INBOX {40000000+}\r\n".to_vec(), repeat(b"(", 4 << 20)].concat(),
        line(b"a IDLE\r\n", b"not DONE", DEPTH, b""),
        line(b"a AUTHENTICATE PLAIN\r\n", b"AAAA", DEPTH, b""),
    ];
    let pop3 = [repeat(b"RETR 1\r\n", 20_000), repeat(b"TOP 1 4294967295\r\nUIDL\r\nLIST\r\n", 5000)];
    let imap = imap.map(|attack| {
        ("imap", [format!("a LOGIN {login} {password}\r\na SELECT INBOX\r\n").into_bytes(), attack].concat())
    });
    let pop3 =
        pop3.map(|attack| ("pop3", [format!("USER {login}\r\nPASS {password}\r\n").into_bytes(), attack].concat()));
    imap.into_iter().chain(pop3).collect()
}

/// Bytes that look random and are the same every time (xorshift).
fn random(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}
