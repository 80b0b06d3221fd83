//! Tests of the session: how it ends, what it holds, and that it does not care how its input is cut.

use proptest::test_runner::{Config, TestRunner};
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::imap::testing::World;
use crate::wire::Tls;

#[test]
fn the_end_is_said() {
    for (event, why) in [(Event::TimedOut, "* BYE Disconnected"), (Event::Shutdown, "* BYE Server is shutting")] {
        let world = World::new();
        let mut client = world.client();
        assert!(client.happens(event).starts_with(why));
        assert!(matches!(client.want, Want::Close));
    }
}

#[test]
fn the_end_is_said_in_idle_and_in_a_literal_too() {
    for before in ["b idle\r\n", "b append INBOX {100+}\r\nSubject: x\r\n", "b noop {5+}\r\nx"] {
        let world = World::new();
        let mut client = world.client();
        client.login();
        client.says(before);
        assert!(client.happens(Event::Shutdown).starts_with("* BYE "), "{before}");
        assert!(matches!(client.want, Want::Close), "{before}");
    }
}

#[test]
fn patience_grows_with_trust() {
    let world = World::new();
    let mut client = world.client();
    assert_eq!(client.session.patience(), PATIENCE_BEFORE_LOGIN);
    client.login();
    assert_eq!(client.session.patience(), PATIENCE);
}

#[test]
fn a_long_pipeline_lets_others_in_between() {
    let world = World::new();
    let mut client = world.client();
    let said = client.says(&"a noop\r\n".repeat(100));
    assert_eq!(said.lines().count(), 100);
    assert!(client.steps > 100 / usize::try_from(COMMANDS_A_STEP).unwrap());
}

/// Every key of a SEARCH looks at every header: many keys take more steps, not one that holds up others.
#[test]
fn a_search_for_much_lets_others_in_between() {
    let world = World::new();
    let mut client = world.client();
    client.login();
    let message = format!("{}\r\nbody\r\n", "X-Filler: 0123456789\r\n".repeat(400));
    for _ in 0..15 {
        client.says(&format!("b append INBOX {{{}+}}\r\n{message}\r\n", message.len()));
    }
    client.says("c select INBOX\r\n");
    let mut steps = |keys: usize| {
        let before = client.steps;
        let said = client.says(&format!("d search{}\r\n", " or header x y header x y".repeat(keys)));
        assert!(said.contains("* SEARCH\r\nd OK"), "{said}");
        client.steps - before
    };
    let (few, many) = (steps(1), steps(50));
    assert!(many > few, "{few} steps for two keys, {many} for a hundred");
}

#[test]
fn an_upload_that_is_cut_off_leaves_no_file() {
    let world = World::new();
    let mut client = world.client();
    client.login();
    client.says("b append INBOX {100+}\r\nSubject: x\r\n");
    assert_eq!(world.files("tmp"), 1);
    drop(client);
    assert_eq!(world.files("tmp"), 0);
    assert_eq!(world.files("cur") + world.files("new"), 0);
}

#[test]
fn refused_commands_drop_their_upload() {
    let table = [
        (" trailing\r\n", "b BAD "),
        ("\nx\r\n", "b BAD "),
        (" {99999999999}\r\n", "b NO [TOOBIG] "),
        (" {3} {3}\r\n", "b BAD "),
    ];
    for (end, refusal) in table {
        let world = World::new();
        let mut client = world.client();
        client.login();
        assert!(client.says(&format!("b append INBOX {{3+}}\r\nabc{end}")).starts_with(refusal), "{end}");
        assert_eq!(world.files("tmp"), 0, "{end}");
        assert!(client.says("c noop\r\n").starts_with("c OK "), "{end}");
    }
}

/// CVE-2011-0411: what was sent in clear behind STARTTLS must not be executed under TLS.
#[test]
fn nothing_may_follow_starttls() {
    let world = World::new();
    let mut client = world.client();
    assert_eq!(client.says("a starttls\r\n"), "a OK Begin TLS now\r\n");
    assert!(matches!(client.want, Want::StartTls));
    assert_eq!(client.happens(Event::TlsStarted(Tls::default())), "");
    let mut client = world.client();
    let said = client.says("a starttls\r\nb logout\r\n");
    assert!(said.starts_with("a BAD ") && said.contains("\r\n* BYE ") && !said.contains("b OK"), "{said}");
    assert!(matches!(client.want, Want::Close));
}

/// RFC 4978 section 3: "The client MUST NOT send any further commands until it has seen the result of COMPRESS."
#[test]
fn nothing_may_follow_compress() {
    let world = World::new();
    let mut client = world.client();
    client.login();
    let said = client.says("a compress deflate\r\nb logout\r\n");
    assert!(said.starts_with("a BAD ") && said.contains("\r\n* BYE ") && !said.contains("b OK"), "{said}");
    assert!(matches!(client.want, Want::Close));
    let mut client = world.client();
    client.login();
    assert_eq!(client.says("a compress deflate\r\n"), "a OK DEFLATE active\r\n");
    assert!(matches!(client.want, Want::Compress));
    assert_eq!(client.happens(Event::Flushed), "");
    assert!(client.says("b compress deflate\r\n").starts_with("b NO [COMPRESSIONACTIVE] "));
}

#[test]
fn what_is_held_is_bounded() {
    let world = World::new();
    let mut client = world.client();
    client.login();
    client.says("b append INBOX {1000000+}\r\n");
    for _ in 0..100 {
        client.says(&"x".repeat(10_000));
        assert!(client.session.frame.held() < 100);
    }
    assert!(client.says("\r\n").starts_with("b OK [APPENDUID "));
}

/// Pieces that random conversations are made of; nothing that changes the disk.
const PIECES: &[&str] = &[
    "a ",
    "b ",
    "\r\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\"",
    "(",
    ")",
    "*",
    "%",
    "\\",
    "+",
    "x",
    "DONE",
    "\u{e9}",
    "{0}",
    "{1}\r\n",
    "{3+}\r\n",
    "{70000+}\r\n",
    "{4294967295}\r\n",
    "~{2}\r\n",
    "noop",
    "a noop\r\n",
    "login ",
    "a login alice@demo.test alice-secret\r\n",
    "a login alice@demo.test wrong\r\n",
    "authenticate plain\r\n",
    "a authenticate plain =\r\n",
    "list ",
    "a list \"\" *\r\n",
    "a select inbox\r\n",
    "a examine {5+}\r\ninbox\r\n",
    "a idle\r\n",
    "uid ",
    "fetch 1:* (flags)\r\n",
    "store 1 flags (\\Seen)\r\n",
    "search ",
    "1:*",
    "a append nosuch {3+}\r\nabc\r\n",
    "a unselect\r\n",
    "status inbox (messages)\r\n",
    "logout",
];

/// However the input is cut, the answers are the same; nothing panics, and what is held stays bounded.
#[test]
fn random_conversations() {
    let world = World::new();
    let pieces = proptest::collection::vec((0..PIECES.len(), 1usize..4), 0..60);
    let config = Config { failure_persistence: None, ..Config::with_cases(300) };
    let run = TestRunner::new(config).run(&(pieces, 0usize..3), |(picks, long)| {
        let mut said: String = picks.iter().flat_map(|(n, times)| std::iter::repeat_n(PIECES[*n], *times)).collect();
        if long > 0 {
            let middle = (0..=said.len() / 2).rev().find(|n| said.is_char_boundary(*n)).unwrap_or(0);
            said.insert_str(middle, &"(".repeat(long * 40_000));
        }
        let at_once = world.client().says(&said);
        let mut client = world.client();
        let mut in_pieces = String::new();
        for piece in said.as_bytes().chunks(if long > 0 { 777 } else { 1 }) {
            in_pieces += &client.says_bytes(piece);
            prop_assert!(client.session.frame.held() <= frame::MAX_LINE + frame::MAX_LITERALS);
        }
        prop_assert_eq!(at_once, in_pieces);
        Ok(())
    });
    run.unwrap();
}

/// COPY and MOVE of many messages are several steps, and one COPYUID in the order of the source.
#[test]
fn many_messages_are_copied_and_moved_in_steps() {
    let world = World::new();
    for n in 0..2500 {
        world.put("new", &format!("1.M{n:06}P1.x,S=3,W=4"), b"a\n\n");
    }
    let mut client = world.client();
    client.login();
    client.says("a create Work\r\n");
    client.says("b select INBOX\r\n");
    let before = client.steps;
    let said = client.says("c copy 1:* Work\r\n");
    assert!(said.starts_with("c OK [COPYUID ") && said.contains(" 1:2500 1:2500]"), "{said}");
    assert!(client.steps - before >= 3, "{} steps", client.steps - before);
    let before = client.steps;
    let said = client.says("d uid move 2:2500 Work\r\n");
    assert!(said.starts_with("* OK [COPYUID ") && said.contains(" 2:2500 2501:4999]"), "{said}");
    assert_eq!(said.matches(" EXPUNGE").count(), 2499);
    assert!(client.steps - before >= 3, "{} steps", client.steps - before);
    assert_eq!(world.files("tmp") + world.files(".Work/tmp"), 0);
}

/// A copy that is given up in the middle leaves nothing.
#[test]
fn a_copy_that_is_cut_off_leaves_nothing() {
    let world = World::new();
    for n in 0..2500 {
        world.put("new", &format!("1.M{n:06}P1.x,S=3,W=4"), b"a\n\n");
    }
    let mut client = world.client();
    client.login();
    client.says("a create Work\r\n");
    client.says("b select INBOX\r\n");
    client.begins("c copy 1:* Work\r\n");
    assert!(matches!(client.want, Want::Continue));
    assert!(world.files(".Work/tmp") > 0);
    drop(client);
    assert_eq!(world.files(".Work/tmp") + world.files(".Work/new") + world.files(".Work/cur"), 0);
}

/// Who is logged in already is held to a limit that the users file has only now.
#[test]
fn a_changed_limit_counts_for_an_open_session() {
    let world = World::new();
    let mut client = world.client();
    client.login();
    let quota = |client: &mut crate::imap::testing::Client| client.says("q getquota alice@demo.test\r\n");
    assert!(quota(&mut client).starts_with("* QUOTA alice@demo.test (MAILBOX "));
    assert!(client.says("b append inbox {12+}\r\nSubject: x\r\n\r\n").contains("b OK"));
    world.alice_has("quota_messages=1");
    // The file is looked at once a second.
    std::thread::sleep(Duration::from_millis(1100));
    assert!(client.says("c append inbox {12+}\r\nSubject: x\r\n\r\n").contains("c NO [OVERQUOTA]"));
    assert!(quota(&mut client).starts_with("* QUOTA alice@demo.test (MESSAGE 1 1 MAILBOX "));
}

/// RFC 9051 2.3.1.1, 6.3.4, 6.3.6: whoever has a name after another has a greater UIDVALIDITY.
#[test]
fn uid_validity_grows_with_every_mailbox_of_a_name() {
    let world = World::new();
    let mut client = world.client();
    client.login();
    let mut last = 0;
    let mut says = |commands: &str| {
        assert!(client.says(commands).lines().last().is_some_and(|line| line.contains(" OK ")), "{commands}");
        let said = client.says("s status X (uidvalidity)\r\n");
        let now =
            said.split_once("UIDVALIDITY ").and_then(|(_, rest)| rest.split_once(')')).unwrap().0.parse().unwrap();
        assert!(now > last, "{commands}: {now} after {last}");
        last = now;
    };
    says("a create X\r\n");
    says("a delete X\r\nb create X\r\n");
    says("a rename X Y\r\nb create X\r\n");
    says("a rename X Z\r\nb delete Z\r\nc create X\r\n");
}
