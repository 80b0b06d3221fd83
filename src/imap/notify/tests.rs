//! What a session tells between commands, and what it costs.

use super::*;
use crate::imap::place::Sharing;
use crate::imap::testing::{Client, World};
use crate::store::acl::shares::Shares;
use crate::wire::{Event, Want};

/// Wait until the session was woken and has told something.
fn told(client: &mut Client) -> String {
    for _ in 0..500 {
        let Want::InputOrNotice(notice) = &client.want else { panic!("does not wait for a notice: {:?}", client.want) };
        if notice.take() {
            let said = client.happens(Event::Notice);
            if !said.is_empty() {
                return said;
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("nothing was told");
}

fn silent(client: &mut Client) {
    std::thread::sleep(std::time::Duration::from_millis(100));
    let said = client.happens(Event::Notice);
    assert_eq!(said, "", "nothing is to be told");
}

fn logged_in(world: &World) -> Client {
    let mut client = world.client();
    client.login();
    client
}

#[test]
fn without_a_command_new_mail_is_told() {
    let world = World::new();
    let mut client = logged_in(&world);
    client.says("b create Lists/Lemonade\r\nc create misc\r\n");
    assert!(matches!(client.want, Want::Input));
    let set = "d notify set (selected (MessageNew (uid flags) MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge))\r\n";
    assert_eq!(client.says(set), "d OK Notify completed\r\n");
    client.says("e select inbox\r\n");
    world.put(".Lists.Lemonade/new", "1.1.host", b"Subject: a\r\n\r\na\r\n");
    assert_eq!(told(&mut client), "* STATUS Lists/Lemonade (MESSAGES 1 UIDNEXT 2)\r\n");
    world.put("new", "1.2.host", b"Subject: b\r\n\r\nb\r\n");
    let said = told(&mut client);
    assert!(said.ends_with("* 1 EXISTS\r\n* 1 RECENT\r\n* 1 FETCH (UID 1 FLAGS (\\Recent))\r\n"), "{said}");
    world.put("new", "1.3.host", b"Subject: c\r\n\r\nc\r\n");
    assert_eq!(told(&mut client), "* 2 EXISTS\r\n* 2 RECENT\r\n* 2 FETCH (UID 2 FLAGS (\\Recent))\r\n");
    world.remove("cur", "1.2.host:2,");
    assert_eq!(told(&mut client), "* 1 EXPUNGE\r\n* 1 RECENT\r\n");
    // After NONE nothing, not even behind NOOP; the view is what it was.
    assert_eq!(client.says("f notify none\r\n"), "f OK Nothing is notified\r\n");
    assert!(matches!(client.want, Want::Input));
    world.put("new", "1.4.host", b"Subject: d\r\n\r\nd\r\n");
    assert_eq!(client.says("g noop\r\n"), "g OK Nothing done\r\n");
    assert!(client.says("h notify set (selected (MessageNew MessageExpunge))\r\n").starts_with("* 2 EXISTS\r\n"));
}

#[test]
fn what_this_session_does_is_not_told() {
    let world = World::new();
    let mut client = logged_in(&world);
    let mut other = logged_in(&world);
    client.says("b create A\r\nb select inbox\r\n");
    client.says("c notify set (selected (MessageNew (uid) MessageExpunge)) (personal (MessageNew MessageExpunge MailboxName))\r\n");
    let append = |tag: &str, to: &str| format!("{tag} append {to} {{6+}}\r\nhello\n\r\n");
    assert!(client.says(&append("d", "A")).starts_with("d OK [APPENDUID"));
    silent(&mut client);
    assert_eq!(client.says(&append("e", "INBOX")).lines().next(), Some("* 1 EXISTS"));
    assert!(!client.says("f noop\r\n").contains("FETCH"));
    client.says("g copy 1 A\r\nh create B/C\r\ni rename B X\r\nj delete X/C\r\nk delete X\r\n");
    silent(&mut client);
    other.says(&append("b", "A"));
    assert_eq!(told(&mut client), "* STATUS A (MESSAGES 3 UIDNEXT 4)\r\n");
    // Both at once: then it is news.
    other.says(&append("c", "A"));
    assert!(client.says(&append("l", "A")).contains("* STATUS A (MESSAGES 5 UIDNEXT 6)\r\nl OK"));
}

#[test]
fn a_mailbox_that_was_renamed_and_is_gone_is_gone_by_the_name_that_the_client_knows() {
    let world = World::new();
    let (mut client, mut other) = (logged_in(&world), logged_in(&world));
    other.says("a create C/D/E\r\n");
    client.says("b notify set (personal (MailboxName))\r\n");
    // All of it between two looks.
    let said = other.says("c rename C/D/E A/B\r\nd delete A/B\r\n");
    assert!(said.contains("c OK") && said.contains("d OK"), "{said}");
    let said = told(&mut client);
    assert!(said.contains("* LIST (\\NonExistent \\HasNoChildren) \"/\" C/D/E\r\n"), "{said}");
    assert!(!said.contains("A/B"), "{said}");
}

#[test]
fn closing_makes_the_open_mailbox_one_of_the_others() {
    let world = World::new();
    let mut client = logged_in(&world);
    world.put("new", "1.1.host", b"Subject: a\r\n\r\na\r\n");
    world.put("new", "1.2.host", b"Subject: b\r\n\r\nb\r\n");
    client.says("b select inbox\r\n");
    client.says("c notify set (selected (MessageNew MessageExpunge)) (personal (MessageNew MessageExpunge))\r\n");
    client.says("d store 1 +flags (\\Deleted)\r\n");
    assert_eq!(client.says("e close\r\n"), "e OK Close completed\r\n");
    silent(&mut client);
    world.put("new", "1.3.host", b"Subject: c\r\n\r\nc\r\n");
    assert_eq!(told(&mut client), "* STATUS INBOX (MESSAGES 2 UIDNEXT 4)\r\n");
}

/// RFC 5465 section 3.1: a set that is too expensive is refused, and the one before stays.
#[test]
fn there_are_limits() {
    let world = World::new();
    let mut client = logged_in(&world);
    client.says("b notify set (personal (MailboxName))\r\n");
    let groups = " (personal none)".repeat(MAX_GROUPS + 1);
    assert!(client.says(&format!("c notify set{groups}\r\n")).starts_with("c NO [NOTIFICATIONOVERFLOW] "));
    let names = vec!["x"; MAX_NAMES + 1].join(" ");
    assert!(
        client
            .says(&format!("d notify set (mailboxes ({names}) none)\r\n"))
            .starts_with("d NO [NOTIFICATIONOVERFLOW] ")
    );
    let mut other = logged_in(&world);
    other.says("b create A\r\n");
    assert_eq!(told(&mut client), "* LIST (\\HasNoChildren) \"/\" A\r\n");
}

#[test]
fn too_many_mailboxes_end_notifications() {
    let world = World::new();
    let mut client = logged_in(&world);
    let make = |from: usize, to: usize| (from..to).for_each(|n| world.make(&format!(".f{n}")));
    make(0, MAX_FOLLOWED - 1);
    assert!(client.says("b notify set (personal (MessageNew MessageExpunge))\r\n").starts_with("b OK "));
    world.put("new", "1.1.host", b"Subject: a\r\n\r\na\r\n");
    assert_eq!(told(&mut client), "* STATUS INBOX (MESSAGES 1 UIDNEXT 2)\r\n");
    make(MAX_FOLLOWED - 1, MAX_FOLLOWED);
    assert!(told(&mut client).starts_with("* OK [NOTIFICATIONOVERFLOW] "));
    assert!(matches!(client.want, Want::Input));
    assert!(
        client
            .says("c notify set (personal (MessageNew MessageExpunge))\r\n")
            .starts_with("c NO [NOTIFICATIONOVERFLOW] ")
    );
    assert!(client.says("d notify set (mailboxes f1 (MessageNew MessageExpunge))\r\n").starts_with("d OK "));
}

/// A session that follows hundreds of mailboxes holds a few hundred bytes for each.
#[test]
fn following_costs_little() {
    assert!(size_of::<Told>() + size_of::<Name>() <= 120, "{}", size_of::<Told>());
    assert!(size_of::<Seen>() + size_of::<Name>() <= 40, "{}", size_of::<Seen>());
}

/// Two logins with one home have one store between them, which is the user's own and another user's as well.
#[test]
fn users_of_one_home_who_share_with_each_other() {
    let (done, is_done) = std::sync::mpsc::channel();
    // On a thread of its own: what is to be shown is that it ends.
    std::thread::spawn(move || {
        let world = World::with(|accounts, settings| {
            let shares = Arc::new(Shares::new(accounts.domains.with_file_name("shares")));
            settings.sharing = Some(Sharing { shares, prefix: "shared".into(), anyone: false });
        });
        let world = world.with_bob();
        let (mut alice, mut bob) = (logged_in(&world), world.client());
        alice.says("b create Work\r\n");
        assert!(alice.says("c setacl Work bob lr\r\n").starts_with("c OK "));
        assert!(bob.says("a login bob@demo.test bob-secret\r\n").starts_with("a OK "));
        let set =
            "b notify set (subtree shared (MessageNew MessageExpunge)) (personal (MessageNew MessageExpunge))\r\n";
        assert!(bob.says(set).starts_with("b OK "));
        assert_eq!(bob.says("c noop\r\n"), "c OK Nothing done\r\n");
        world.put(".Work/new", "1.1.host", b"Subject: a\r\n\r\na\r\n");
        let said = told(&mut bob);
        for name in ["Work", "shared/alice@demo.test/Work"] {
            assert!(said.contains(&format!("* STATUS {name} (MESSAGES 1 UIDNEXT 2)\r\n")), "{said}");
        }
        done.send(()).unwrap();
    });
    is_done.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
}
