//! Addresses resolved against small domains written for each case.

use std::fmt::Write;

use super::super::support::{Place, place};
use super::*;

const USERS: &str = "alice:{PLAIN}a\nBob:{PLAIN}b\ncarol::::::::nologin\n";
const ALIASES: &str = "team: alice, bob, ALICE\n\
    all: team, carol\n\
    carol: carol, alice\n\
    plus+one: bob\n\
    loop: loop2\nloop2: loop\n\
    gone: nobody\n\
    half: nobody, alice\n\
    away: alice, x@elsewhere.test\n\
    other: dora@second.test\n\
    bad: |prog\n";

fn demo() -> Place {
    place(&[("demo.test", USERS, ALIASES), ("Second.test", "dora:{PLAIN}d\n", "@: dora\n")], |_| {})
}

fn told(place: &Place, address: &str) -> String {
    let address = match address {
        "postmaster" => Address::postmaster(),
        _ => Address::parse(address).unwrap(),
    };
    match place.accounts.resolve(&address) {
        Resolved::Local(all) => {
            let mut text = String::new();
            for recipient in all {
                let name = recipient.user.login.strip_suffix("@demo.test").unwrap_or(&recipient.user.login);
                write!(text, "{name}").unwrap();
                if let Some(detail) = recipient.detail {
                    write!(text, "[{detail}]").unwrap();
                }
                text.push(' ');
            }
            text.trim_end().to_owned()
        }
        Resolved::Remote => "REMOTE".into(),
        Resolved::Unknown => "UNKNOWN".into(),
        Resolved::Broken(text) => format!("BROKEN {text}"),
        Resolved::TryLater(text) => format!("LATER {text}"),
    }
}

#[test]
fn table() {
    let demo = demo();
    for (address, want) in [
        ("alice@demo.test", "alice"),
        ("ALICE@DEMO.TEST", "alice"),
        ("bob@demo.test", "Bob"),
        ("alice+work@demo.test", "alice[work]"),
        ("alice+a+b@demo.test", "alice[a+b]"),
        ("alice+@demo.test", "alice"),
        ("plus+one@demo.test", "Bob"),
        ("plus+two@demo.test", "UNKNOWN"),
        ("team@demo.test", "alice Bob"),
        ("team+x@demo.test", "alice[x] Bob[x]"),
        ("all@demo.test", "alice Bob carol"),
        ("carol@demo.test", "carol alice"),
        ("loop@demo.test", "BROKEN alias loop: loop@demo.test -> loop2@demo.test -> loop@demo.test"),
        ("gone@demo.test", "BROKEN the alias leads to nobody who exists: nobody@demo.test"),
        ("half@demo.test", "alice"),
        ("other@demo.test", "dora@second.test"),
        ("nobody@demo.test", "UNKNOWN"),
        ("bad@demo.test", "LATER the alias \"bad\" is broken"),
        ("x@elsewhere.test", "REMOTE"),
        ("x@[192.0.2.1]", "REMOTE"),
        ("anybody@second.test", "dora@second.test"),
        ("dora+x@second.test", "dora@second.test[x]"),
        ("postmaster@demo.test", "alice"),
        ("PostMaster+x@demo.test", "alice"),
        ("postmaster@second.test", "dora@second.test"),
        ("postmaster", "alice"),
    ] {
        assert_eq!(told(&demo, address), want, "{address}");
    }
    assert!(told(&demo, "away@demo.test").contains("x@elsewhere.test"), "{}", told(&demo, "away@demo.test"));
}

#[test]
fn an_alias_of_a_users_name() {
    // bob is taken over; carol keeps a copy; dave keeps one, and a team that he is in gets one.
    let users = "alice:{PLAIN}a\nbob:{PLAIN}b\ncarol:{PLAIN}c\ndave:{PLAIN}d\n";
    let aliases = "bob: alice\ncarol: carol, alice\ndave: dave, team\nteam: alice, dave\n";
    let place = place(&[("demo.test", users, aliases)], |_| {});
    for (address, want) in [
        ("bob@demo.test", "alice"),
        ("carol@demo.test", "carol alice"),
        ("carol+x@demo.test", "carol[x] alice[x]"),
        ("dave@demo.test", "dave alice"),
        ("team@demo.test", "alice dave"),
    ] {
        assert_eq!(told(&place, address), want, "{address}");
    }
    let user = |name: &str| place.accounts.users().into_iter().find(|user| user.login.starts_with(name)).unwrap();
    let may = |name, sender| place.accounts.may_send_as(&user(name), &Address::parse(sender).unwrap());
    for (name, sender, want) in [
        ("bob", "bob@demo.test", true),
        ("bob", "Bob+list@Demo.TEST", true),
        ("alice", "bob@demo.test", true),
        ("bob", "alice@demo.test", false),
        ("bob", "bob@other.test", false),
        ("bob", "bobby@demo.test", false),
    ] {
        assert_eq!(may(name, sender), want, "{name} as {sender}");
    }
}

#[test]
fn limits() {
    let mut aliases = String::new();
    for n in 0..40 {
        writeln!(aliases, "deep{n}: deep{}", n + 1).unwrap();
        writeln!(aliases, "wide{n}: wide{0}, wide{0}", n + 1).unwrap();
    }
    writeln!(aliases, "deep40: alice\nwide40: alice").unwrap();
    let place = place(&[("demo.test", USERS, &aliases)], |_| {});
    assert!(told(&place, "deep0@demo.test").starts_with("BROKEN more than 16"), "{}", told(&place, "deep0@demo.test"));
    assert_eq!(told(&place, "deep30@demo.test"), "alice");
    assert!(told(&place, "wide26@demo.test").starts_with("BROKEN alias leads to more than 1000"));
    assert_eq!(told(&place, "wide36@demo.test"), "alice");
}

#[test]
fn details_and_postmaster_by_setting() {
    let place = place(&[("demo.test", USERS, ""), ("empty.test", "", "")], |settings| {
        settings.detail = false;
        settings.postmaster = Some("bob@demo.test".into());
        settings.default_domain = Some("Demo.test".into());
    });
    assert_eq!(told(&place, "alice+work@demo.test"), "alice");
    assert_eq!(told(&place, "postmaster@demo.test"), "Bob");
    assert_eq!(told(&place, "postmaster@empty.test"), "Bob");
    assert_eq!(told(&place, "postmaster"), "Bob");
    let none = super::super::support::place(&[("demo.test", USERS, "")], |settings| settings.delimiter = None);
    assert_eq!(told(&none, "alice+work@demo.test"), "UNKNOWN");
}

#[test]
fn a_change_counts_at_once_and_a_broken_file_loses_nobody() {
    let place = place(&[("demo.test", USERS, "")], |_| {});
    assert_eq!(told(&place, "dave@demo.test"), "UNKNOWN");
    std::thread::sleep(AGAIN);
    place.write("demo.test", "users", "alice:{PLAIN}a\ndave:{PLAIN}d\nbob:{NONE}x\nerin:{NONE}x\n");
    assert_eq!(told(&place, "dave@demo.test"), "dave");
    assert_eq!(told(&place, "alice@demo.test"), "alice");
    assert_eq!(told(&place, "bob@demo.test"), "Bob", "his old line stands");
    assert!(told(&place, "erin@demo.test").starts_with("LATER"), "never had a good line");
    std::thread::sleep(AGAIN);
    place.write("demo.test", "users", "alice:{PLAIN}a\n:what\n");
    assert!(told(&place, "frank@demo.test").starts_with("LATER"), "a line of unknown owner");
    std::fs::remove_dir_all(place.dir.path().join("demo.test")).unwrap();
    std::thread::sleep(AGAIN);
    assert_eq!(told(&place, "frank@demo.test"), "REMOTE");
    place.write("new.test", "users", "x:{PLAIN}x\n");
    std::thread::sleep(AGAIN);
    assert_eq!(told(&place, "x@new.test"), "x@new.test");
    std::fs::remove_dir_all(place.dir.path()).unwrap();
    std::thread::sleep(AGAIN);
    assert!(told(&place, "x@elsewhere.test").starts_with("LATER"), "{}", told(&place, "x@elsewhere.test"));
}

#[test]
fn an_alias_without_a_readable_name_holds_up_the_unknown_only() {
    let aliases = "team: alice, bob\nno colon here\nhalf: alice, ghost\n@: bob\n";
    let place = place(&[("demo.test", USERS, aliases)], |_| {});
    for (address, want) in [
        ("alice@demo.test", "alice"),
        ("alice+work@demo.test", "alice[work]"),
        ("team@demo.test", "alice Bob"),
        ("postmaster@demo.test", "Bob"),
        ("ghost@demo.test", "LATER a line of the aliases file is broken"),
        ("half@demo.test", "LATER a line of the aliases file is broken"),
    ] {
        assert_eq!(told(&place, address), want, "{address}");
    }
    place.write("demo.test", "aliases", "team: alice, bob\nno colon here\n");
    std::thread::sleep(AGAIN);
    assert!(told(&place, "ghost@demo.test").starts_with("LATER"), "would be unknown");
    assert_eq!(told(&place, "postmaster@demo.test"), "alice");
    place.write("demo.test", "aliases", "team: alice, bob\n");
    std::thread::sleep(AGAIN);
    assert_eq!(told(&place, "ghost@demo.test"), "UNKNOWN", "the line was mended");
}

#[test]
fn a_user_without_a_readable_name_holds_up_the_unknown_only() {
    let users = format!("{USERS}:what\n");
    let place = place(&[("demo.test", &users, "team: alice, bob\n@: bob\n")], |_| {});
    for (address, want) in [
        ("alice@demo.test", "alice"),
        ("alice+work@demo.test", "alice[work]"),
        ("team@demo.test", "alice Bob"),
        ("postmaster@demo.test", "Bob"),
        ("ghost@demo.test", "LATER a line of the users file is broken"),
    ] {
        assert_eq!(told(&place, address), want, "{address}");
    }
}

#[test]
fn a_file_that_could_never_be_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("demo.test/users")).unwrap();
    let accounts = Accounts::new(super::super::support::settings(dir.path())).unwrap();
    let place = Place { accounts: Arc::new(accounts), dir };
    for address in ["alice@demo.test", "postmaster@demo.test"] {
        assert!(told(&place, address).starts_with("LATER"), "{address}: {}", told(&place, address));
    }
}

#[test]
fn senders() {
    let demo = demo();
    let alice = demo.accounts.users().into_iter().find(|user| user.login == "alice@demo.test").unwrap();
    let dora = demo.accounts.users().into_iter().find(|user| user.login == "dora@second.test").unwrap();
    for (user, sender, may) in [
        (&alice, "alice@demo.test", true),
        (&alice, "Alice+x@demo.test", true),
        (&alice, "team@demo.test", true),
        (&alice, "bob@demo.test", false),
        (&alice, "alice@elsewhere.test", false),
        (&alice, "nobody@demo.test", false),
        (&dora, "team@demo.test", false),
        (&dora, "whatever@second.test", true),
    ] {
        assert_eq!(demo.accounts.may_send_as(user, &Address::parse(sender).unwrap()), may, "{} {sender}", user.login);
    }
}

#[test]
fn problems_are_all_told() {
    let demo = demo();
    let told: Vec<String> = demo
        .accounts
        .problems()
        .into_iter()
        .map(|(file, problem)| format!("{}:{problem}", file.strip_prefix(demo.dir.path()).unwrap().display()))
        .collect();
    let expected = [
        "demo.test/aliases:5:1: alias loop",
        "demo.test/aliases:6:1: alias loop",
        "demo.test/aliases:7:7: nobody@demo.test does not exist",
        "demo.test/aliases:8:7: nobody@demo.test does not exist",
        "demo.test/aliases:9:14: x@elsewhere.test is elsewhere",
        "demo.test/aliases:11:6: |prog: programs",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told} / {expected}");
    }
}

#[test]
fn homes() {
    let place = place(
        &[(
            "demo.test",
            "a:{PLAIN}x\nb:{PLAIN}x::::/home/b\nc:{PLAIN}x::::/home/c::mail=maildir:~/m:LAYOUT=fs\nd:{PLAIN}x::::::mail=maildir:/d\n",
            "",
        )],
        |_| {},
    );
    let homes: Vec<String> = place.accounts.users().iter().map(|u| u.home.maildir.display().to_string()).collect();
    assert_eq!(homes, ["/mail/demo.test/a/Maildir", "/home/b/Maildir", "/home/c/m", "/d"]);
    assert_eq!(place.accounts.users()[2].home.layout, crate::store::Layout::Fs);
}
