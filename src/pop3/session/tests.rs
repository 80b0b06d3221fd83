//! POP3 sessions without sockets: what transcripts cannot show, such as files that vanish under a session.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::account::{Accounts, Scram, Settings as AccountSettings};
use crate::pop3::Settings;
use crate::store::{Layout, Name, Settings as StoreSettings, Stores};

/// A server with alice, and her Maildir.
struct World {
    shared: Arc<Shared>,
    maildir: PathBuf,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("domains/demo.test")).unwrap();
    fs::write(root.join("domains/demo.test/users"), "alice:{PLAIN}a\n").unwrap();
    let accounts = Accounts::new(AccountSettings {
        domains: root.join("domains"),
        maildir: format!("{}/mail/{{user}}/Maildir", root.display()),
        layout: Layout::Maildirpp,
        delimiter: None,
        detail: false,
        default_domain: None,
        postmaster: None,
        system_domains: Vec::new(),
        exempt: Vec::new(),
        clear_on_loopback: true,
        max_seats: 10,
        scram: Scram::Auto,
        masters: None,
        quota_file: None,
        oauth: None,
        secret_file: None,
    });
    let stores = Stores::new(StoreSettings {
        hostname: "mail.demo.test".into(),
        coexist: false,
        default_folders: Vec::new(),
        ..StoreSettings::default()
    });
    let maildir = root.join("mail/alice/Maildir");
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(maildir.join(sub)).unwrap();
    }
    let shared = Arc::new(Shared {
        settings: Settings::default(),
        accounts: Arc::new(accounts.unwrap()),
        stores: stores.unwrap(),
    });
    World { shared, maildir, _dir: dir }
}

impl World {
    fn put(&self, name: &str, text: &str) {
        fs::write(self.maildir.join(name), text).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for sub in ["new", "cur"] {
            for entry in fs::read_dir(self.maildir.join(sub)).unwrap() {
                names.push(format!("{sub}/{}", entry.unwrap().file_name().into_string().unwrap()));
            }
        }
        names.sort();
        names
    }

    fn client(&self) -> Client {
        let peer = Peer::new(([127, 0, 0, 1], 40000).into(), ([127, 0, 0, 1], 110).into(), 1);
        let mut client = Client {
            session: Pop3::new(self.shared.clone(), peer),
            input: Input::new(),
            out: Out::new(),
            largest: 0,
            steps: 0,
        };
        client.event(Event::Opened);
        client
    }

    fn logged_in(&self) -> Client {
        let mut client = self.client();
        let (told, _) = client.say("USER alice\r\nPASS a\r\n");
        assert!(told.contains("+OK Logged in"), "{told}");
        client
    }
}

struct Client {
    session: Pop3,
    input: Input,
    out: Out,
    /// The most that one step wrote.
    largest: usize,
    steps: u32,
}

impl Client {
    /// What the session says, and the want that ends its turn.
    fn event(&mut self, event: Event) -> (String, Want) {
        let mut told = Vec::new();
        let mut next = event;
        loop {
            let want = self.session.step(next, &mut self.input, &mut self.out);
            self.steps += 1;
            self.largest = self.largest.max(self.out.bytes().len());
            told.extend_from_slice(self.out.bytes());
            self.out.clear();
            next = match want {
                Want::Continue | Want::Pause(_) => Event::Flushed,
                Want::Work(work) => Event::Answer(work()),
                Want::Ask(_) => Event::Answer(Box::new(crate::wire::Asked::Failed("nobody to ask here".into()))),
                want => return (String::from_utf8_lossy(&told).into_owned(), want),
            };
        }
    }

    fn say(&mut self, text: &str) -> (String, Want) {
        self.input.extend(text.as_bytes());
        self.event(Event::Input)
    }
}

#[test]
fn commands_behind_stls_are_thrown_away_and_end_the_session() {
    let world = world();
    let mut client = world.client();
    let (told, want) = client.say("STLS\r\nUSER alice\r\n");
    assert!(told.starts_with("-ERR") && matches!(want, Want::Close), "{told}");
    assert!(client.input.is_empty());
    let (told, want) = world.client().say("STLS\r\n");
    assert!(told.starts_with("+OK") && matches!(want, Want::StartTls), "{told}");
}

#[test]
fn silence_and_shutdown_remove_nothing() {
    let world = world();
    world.put("cur/1.a:2,", "A: b\n\nx\n");
    let mut client = world.logged_in();
    assert_eq!(client.session.patience(), PATIENCE);
    client.say("RETR 1\r\nDELE 1\r\n");
    let (told, want) = client.event(Event::TimedOut);
    assert!(told.is_empty() && matches!(want, Want::Close), "RFC 1939 3: without a word");
    drop(client);
    let mut client = world.logged_in();
    client.say("DELE 1\r\n");
    let (told, want) = client.event(Event::Shutdown);
    assert!(told.starts_with("-ERR [SYS/TEMP]") && matches!(want, Want::Close), "{told}");
    drop(client);
    assert_eq!(world.names(), ["cur/1.a:2,"]);
    assert_eq!(world.client().session.patience(), LOGIN_PATIENCE);
}

#[test]
fn quit_marks_what_was_fetched_as_seen_and_rset_does_not() {
    let world = world();
    for n in 1..=4 {
        world.put(&format!("cur/{n}.a:2,"), "A: b\n\nx\n");
    }
    world.logged_in().say("RETR 1\r\nRSET\r\nRETR 2\r\nTOP 3 1\r\nRETR 4\r\nDELE 4\r\nQUIT\r\n");
    assert_eq!(world.names(), ["cur/1.a:2,", "cur/2.a:2,S", "cur/3.a:2,"]);
}

#[test]
fn what_an_imap_session_was_not_told_to_be_gone_stays_readable() {
    let world = world();
    world.put("new/1.M1P1.h", "Subject: x\n\nx\n");
    let mut client = world.logged_in();
    let home = world.shared.accounts.users()[0].home.clone();
    let mailbox = world.shared.stores.open(&home).unwrap().mailbox(&Name::inbox()).unwrap();
    let uid = mailbox.read(|messages| messages[0].uid);
    let reader = mailbox.reader();
    let (told, _) = client.say("DELE 1\r\nQUIT\r\n");
    assert!(told.contains("1 messages removed"), "{told}");
    assert!(world.names().is_empty());
    assert!(mailbox.open(uid).is_ok(), "RFC 2180 4.1");
    reader.knows(mailbox.highest_modseq());
    assert_eq!(mailbox.read(<[_]>::len), 0);
}

#[test]
fn stored_uidls_are_honoured_if_they_can_be_sent() {
    let world = world();
    let list = format!(
        "3 V7 N9 G4003e5279b1a026b0949000083ecc375\n1 PUID1-7 :1.a\n2 :2.a\n3 P{} :3.a\n4 P :4.a\n",
        "x".repeat(80)
    );
    world.put("dovecot-uidlist", &list);
    for n in 1..=4 {
        world.put(&format!("cur/{n}.a:2,"), "A: b\n\nx\n");
    }
    let (told, _) = world.logged_in().say("UIDL\r\n");
    let lines: Vec<&str> = told.lines().skip(1).collect();
    assert_eq!(lines, ["1 UID1-7", "2 0000000200000007", "3 0000000300000007", "4 4.a", "."]);
}

#[test]
fn a_large_message_is_sent_in_bounded_steps() {
    let world = world();
    let body = ".line of text\n".repeat(200_000);
    world.put("cur/1.a:2,", &format!("A: b\n\n{body}"));
    let mut client = world.logged_in();
    let (told, _) = client.say("RETR 1\r\nSTAT\r\n");
    let want = format!("A: b\r\n\r\n{}.\r\n+OK 1 ", body.replace(".line", "..line").replace('\n', "\r\n"));
    let (status, rest) = told.split_once("\r\n").unwrap();
    assert!(rest.starts_with(&want), "the message is whole");
    assert_eq!(status, format!("+OK {} octets", 8 + 200_000 * 15));
    assert!(client.largest < crate::wire::STEP_BYTES + 3 * 64 * 1024, "{}", client.largest);
}

#[test]
fn a_thousand_pipelined_messages_need_few_steps() {
    let world = world();
    for n in 0..1000 {
        world.put(&format!("cur/{n}.a:2,"), &format!("A: b\n\nbody {n}\n"));
    }
    let mut client = world.logged_in();
    client.steps = 0;
    let commands: String = (1..=1000).map(|n| format!("RETR {n}\r\n")).collect();
    let (told, _) = client.say(&commands);
    assert_eq!(told.matches("\r\n.\r\n").count(), 1000);
    assert!(client.steps <= 10, "{} steps", client.steps);
}

#[test]
fn an_endless_line_ends_the_session() {
    let world = world();
    let mut client = world.client();
    let block = "x".repeat(64 * 1024);
    for _ in 0..100 {
        let (told, want) = client.say(&block);
        assert!(client.input.bytes().len() <= 16 * 1024, "memory stays small");
        if matches!(want, Want::Close) {
            return assert!(told.starts_with("-ERR"), "{told}");
        }
    }
    panic!("still listening");
}

#[test]
fn a_mailbox_that_cannot_be_opened_is_not_a_wrong_password() {
    let world = world();
    fs::remove_dir_all(&world.maildir).unwrap();
    fs::write(&world.maildir, "a file").unwrap();
    let mut client = world.client();
    let (told, want) = client.say("USER alice\r\nPASS a\r\nSTAT\r\n");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[1].starts_with("-ERR [SYS/"), "{told}");
    assert_eq!((lines[2], matches!(want, Want::Input)), ("-ERR Log in first", true));
}

/// Arguments that mean something somewhere.
const WORDS: &[&str] = &["alice", "a", "1", "2", "0", "-1", "99999999999", "PLAIN", "=", "*", "AGFsaWNlAGE="];

/// Commands, arguments and garbage that a stranger might send.
fn noise() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let word = prop_oneof![
        (0..COMMANDS.len()).prop_map(|row| COMMANDS[row].name.as_bytes().to_vec()),
        prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let line = prop::collection::vec(word, 0..4).prop_map(|words| [words.join(&b' '), b"\r\n".to_vec()].concat());
    prop::collection::vec(line, 0..30).prop_map(|lines| lines.concat())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 60, ..Default::default() })]

    /// Whatever is sent, however it is cut: no panic, the same answers, and nothing is removed without QUIT.
    #[test]
    fn any_input_cut_anywhere(noise in noise(), cut in 1usize..20) {
        let mut answers = Vec::new();
        for size in [noise.len().max(1), cut] {
            let world = world();
            world.put("cur/1.a:2,", "A: b\n\nx\n");
            let mut client = world.client();
            let mut told = String::new();
            for piece in noise.chunks(size) {
                client.input.extend(piece);
                let (more, want) = client.event(Event::Input);
                told.push_str(&more);
                if !matches!(want, Want::Input) {
                    break;
                }
            }
            let quit = told.contains("+OK Bye");
            drop(client);
            assert!(quit || world.names().len() == 1, "{told}");
            answers.push(told);
        }
        // The nonce of SCRAM differs, and a cut can hide that somebody pipelined behind STLS.
        if !answers[0].contains("+ c") && !answers[0].contains("behind STLS") {
            assert_eq!(answers[0], answers[1]);
        }
    }
}
