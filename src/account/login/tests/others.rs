//! Logins that are not by a password of one's own: by token, by certificate, as a master user.

use super::*;

/// Somewhere to ask about tokens; nobody is asked, since the test answers.
fn with_tokens() -> Place {
    let users = "alice:{PLAIN}a-secret\nbob:{PLAIN}b-secret\ncarol:!\n";
    place(&[("demo.test", users, "")], |settings| {
        settings.oauth = Some(crate::account::OAuth {
            endpoint: "http://localhost/introspect".into(),
            username: "username".into(),
            cache: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            ..Default::default()
        });
    })
}

/// How a login by token goes when the authorization server says `body`: what the client sees, and whether it was asked.
fn by_token(place: &Place, mechanism: Mechanism, message: &str, body: &str) -> (String, bool) {
    let from = peer("192.0.2.7");
    let (mut login, mut step) = Login::sasl(&place.accounts, &from, Some(&tls()), mechanism, Some(message.as_bytes()));
    let (mut told, mut asked) = (String::new(), false);
    loop {
        step = match step {
            Step::Ask(question) => {
                assert!(question.form.expose().starts_with(b"token="));
                asked = true;
                login.answered(Box::new(crate::wire::Asked::Said(200, body.as_bytes().to_vec())))
            }
            Step::Challenge(challenge) => {
                told = format!("{} ", String::from_utf8(challenge).unwrap());
                login.line(b"AQ==")
            }
            Step::Pause(_) => login.resumed(),
            Step::Work(_) => panic!("no password is checked"),
            Step::Granted(user, _) => return (told + &user.login, asked),
            Step::Refused(why) => return (format!("{told}{why:?}"), asked),
        };
    }
}

#[test]
fn tokens() {
    let place = with_tokens();
    let names: Vec<_> = Login::mechanisms(&place.accounts, &peer("192.0.2.7"), Some(&tls()));
    assert!(names.contains(&Mechanism::OAuthBearer) && names.contains(&Mechanism::XOAuth2));
    assert!(!Login::mechanisms(&demo().accounts, &peer("192.0.2.7"), Some(&tls())).contains(&Mechanism::OAuthBearer));
    let alice = r#"{"active":true,"username":"alice@demo.test"}"#;
    let denied = "{\"status\":\"invalid_token\"} Credentials";
    let bearer = |user: &str, token: &str| format!("n,{user},\u{1}auth=Bearer {token}\u{1}\u{1}");
    for (case, message, body, told, asked) in [
        ("good", bearer("a=alice@demo.test", "t1"), alice, "alice@demo.test", true),
        ("known by now", bearer("a=alice@demo.test", "t1"), "", "alice@demo.test", false),
        ("without a name", bearer("", "t1"), "", "alice@demo.test", false),
        ("for another, known", bearer("a=bob@demo.test", "t1"), "", denied, false),
        ("for another", bearer("a=bob@demo.test", "t2"), alice, denied, true),
        ("inactive", bearer("a=alice@demo.test", "t3"), r#"{"active":false}"#, denied, true),
        ("again", bearer("a=alice@demo.test", "t3"), r#"{"active":false}"#, denied, true),
        ("unknown user", bearer("", "t4"), r#"{"active":true,"username":"zoe@demo.test"}"#, denied, true),
        ("locked user", bearer("", "t5"), r#"{"active":true,"username":"carol@demo.test"}"#, denied, true),
        ("no sense", bearer("", "t6"), "?", "Unavailable", true),
        ("no token", "n,,\u{1}\u{1}".into(), "", "{\"status\":\"invalid_request\"} Credentials", false),
        ("no form", "alice".into(), "", "Malformed", false),
    ] {
        let (got, was_asked) = by_token(&place, Mechanism::OAuthBearer, &message, body);
        assert_eq!((got.as_str(), was_asked), (told, asked), "{case}");
    }
    let (told, _) = by_token(
        &place,
        Mechanism::XOAuth2,
        "user=bob@demo.test\u{1}auth=Bearer t9\u{1}\u{1}",
        r#"{"active":true,"username":"bob"}"#,
    );
    assert_eq!(told, "bob@demo.test");
    let (told, _) =
        by_token(&place, Mechanism::XOAuth2, "user=bob@demo.test\u{1}auth=Bearer t8\u{1}\u{1}", r#"{"active":false}"#);
    assert_eq!(told, "{\"schemes\":\"bearer\",\"status\":\"401\"} Credentials");
}

#[test]
fn a_token_for_another_host_is_not_taken() {
    let place = with_tokens();
    let named = Tls { server_name: Some("Mail.demo.test".into()), ..tls() };
    for (host, goes_on) in [("mail.demo.test", true), ("evil.test", false)] {
        let message = format!("n,,\u{1}host={host}\u{1}port=993\u{1}auth=Bearer x\u{1}\u{1}");
        let (_, step) = Login::sasl(
            &place.accounts,
            &peer("127.0.0.1"),
            Some(&named),
            Mechanism::OAuthBearer,
            Some(message.as_bytes()),
        );
        assert_eq!(matches!(step, Step::Ask(_)), goes_on, "{host}");
    }
}

#[test]
fn guessed_tokens_are_slowed_even_if_the_end_is_not_waited_for() {
    let place = with_tokens();
    let from = peer("198.51.100.3");
    let mut held = 0;
    for n in 0..8 {
        let message = format!("n,a=alice@demo.test,\u{1}auth=Bearer t{n}\u{1}\u{1}");
        let (mut login, mut step) =
            Login::sasl(&place.accounts, &from, Some(&tls()), Mechanism::OAuthBearer, Some(message.as_bytes()));
        if matches!(step, Step::Pause(_)) {
            held += 1;
            step = login.resumed();
        }
        assert!(matches!(step, Step::Ask(_)));
        let said = crate::wire::Asked::Said(200, b"{\"active\":false}".to_vec());
        assert!(matches!(login.answered(Box::new(said)), Step::Challenge(_)), "and the client hangs up here");
    }
    assert!(held > 0);
}

#[test]
fn certificates() {
    let demo = demo();
    let with = |addresses: &[&str]| Tls { client: addresses.iter().map(ToString::to_string).collect(), ..tls() };
    let offered =
        |tls: &Tls| Login::mechanisms(&demo.accounts, &peer("192.0.2.7"), Some(tls)).contains(&Mechanism::External);
    assert!(offered(&with(&["alice@demo.test"])) && !offered(&tls()));
    for (addresses, wanted, told) in [
        (&["alice@demo.test"][..], "", "alice@demo.test"),
        (&["Alice@DEMO.test"], "alice@demo.test", "alice@demo.test"),
        (&["x@elsewhere.test", "alice@demo.test", "bob@demo.test"], "", "alice@demo.test"),
        (&["alice@demo.test", "bob@demo.test"], "bob@demo.test", "bob@demo.test"),
        (&["alice@demo.test"], "bob@demo.test", "Credentials"),
        (&["alice@demo.test"], "a\0b", "Malformed"),
        (&["nobody@demo.test"], "", "Credentials"),
        (&["carol@demo.test"], "", "Credentials"),
    ] {
        let (mut login, step) = Login::sasl(
            &demo.accounts,
            &peer("192.0.2.7"),
            Some(&with(addresses)),
            Mechanism::External,
            Some(wanted.as_bytes()),
        );
        assert_eq!(run(&mut login, step).0, told, "{addresses:?} as {wanted:?}");
    }
    let (mut login, step) =
        Login::sasl(&demo.accounts, &peer("::1"), Some(&with(&["alice@demo.test"])), Mechanism::External, None);
    assert!(matches!(step, Step::Challenge(empty) if empty.is_empty()));
    let step = login.line(b"");
    assert_eq!(run(&mut login, step).0, "alice@demo.test");
    let (_, step) = Login::sasl(&demo.accounts, &peer("::1"), Some(&tls()), Mechanism::External, Some(b""));
    assert!(matches!(step, Step::Refused(Refusal::Malformed)), "not offered");
}

#[test]
fn master_users() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "root:{PLAIN}m-secret\nold:!\n").unwrap();
    let users = "alice:{PLAIN}a-secret\ncarol:!\n";
    let with =
        |masters: Option<std::path::PathBuf>| place(&[("demo.test", users, "")], |settings| settings.masters = masters);
    let place = with(Some(file.path().into()));
    for (name, given, told) in [
        ("alice@demo.test*root", "m-secret", "alice@demo.test"),
        ("alice@demo.test*ROOT", "m-secret", "alice@demo.test"),
        ("alice*root", "m-secret", "alice@demo.test"),
        ("carol@demo.test*root", "m-secret", "carol@demo.test"),
        ("alice@demo.test*root", "a-secret", "Credentials"),
        ("alice@demo.test", "m-secret", "Credentials"),
        ("alice@demo.test", "a-secret", "alice@demo.test"),
        ("zoe@demo.test*root", "m-secret", "Credentials"),
        ("alice@demo.test*nobody", "m-secret", "Credentials"),
        ("alice@demo.test*alice", "a-secret", "Credentials"),
        ("alice@demo.test*old", "", "Credentials"),
        ("alice@demo.test*", "m-secret", "Credentials"),
        ("*root", "m-secret", "Credentials"),
    ] {
        // Twice: the second may be remembered.
        for _ in 0..2 {
            assert_eq!(password(&place, "127.0.0.1", name, given).0, told, "{name} {given}");
        }
    }
    // Guesses at his password count together, whoever he is to become.
    let slow = &place.accounts.slow;
    for (n, name) in ["a*root", "b*Root", "alice*ROOT", "d*root", "e@demo.test*root"].iter().enumerate() {
        let from = format!("192.0.2.{n}");
        assert_eq!(password(&place, &from, name, "wrong").0, "Credentials");
    }
    let elsewhere = "198.51.100.1".parse().unwrap();
    assert!(!slow.pause(elsewhere, "*root", Instant::now()).is_zero());
    assert!(slow.pause(elsewhere, "alice@demo.test", Instant::now()).is_zero(), "the user himself is not slowed");
    // His password counts as his file says, and nothing is remembered beyond it.
    std::fs::write(file.path().with_extension("new"), "root:{PLAIN}other\n").unwrap();
    std::fs::rename(file.path().with_extension("new"), file.path()).unwrap();
    assert_eq!(password(&place, "127.0.0.1", "alice@demo.test*root", "m-secret").0, "Credentials");
    assert_eq!(password(&place, "127.0.0.1", "alice@demo.test*root", "other").0, "alice@demo.test");
    assert_eq!(password(&with(None), "127.0.0.1", "alice@demo.test*root", "other").0, "Credentials", "not configured");
    let message = b"bob@demo.test\0alice@demo.test*root\0other";
    assert_eq!(sasl(&place, Mechanism::Plain, Some(message), &[]), "Credentials", "nobody else");
    assert_eq!(sasl(&place, Mechanism::Plain, Some(&message[13..]), &[]), "alice@demo.test");
}

/// Whoever vouched for a session is who has to stay on file: the master user where one became somebody.
#[test]
fn a_master_users_sessions_are_his() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let masters = |text: &str| {
        std::fs::write(file.path().with_extension("new"), text).unwrap();
        std::fs::rename(file.path().with_extension("new"), file.path()).unwrap();
    };
    masters("root:{PLAIN}m-secret\nold:{PLAIN}o-secret\n");
    let place = place(&[("demo.test", "carol:!\n", "")], |settings| settings.masters = Some(file.path().into()));
    let open = |name: &str, given: &str| {
        let (mut login, mut step) = Login::password(&place.accounts, &peer("127.0.0.1"), name, Secret::new(given));
        while let Step::Work(work) = step {
            step = login.answered(work());
        }
        let Step::Granted(_, seat) = step else { panic!("{name}: not let in") };
        seat
    };
    let (by_root, by_old) = (open("carol@demo.test*root", "m-secret"), open("carol*old", "o-secret"));
    place.accounts.dismiss_removed();
    let wait = || std::thread::sleep(crate::account::USUAL + Duration::from_millis(50));
    place.write("demo.test", "users", "carol:!\ndave:{PLAIN}x\n");
    wait();
    place.accounts.dismiss_removed();
    assert!(!by_root.is_gone() && !by_old.is_gone(), "he whose login is locked did not log in");
    masters("root:{PLAIN}m-secret\n");
    wait();
    place.accounts.dismiss_removed();
    assert!(!by_root.is_gone() && by_old.is_gone());
    place.write("demo.test", "users", "dave:{PLAIN}x\n");
    wait();
    place.accounts.dismiss_removed();
    assert!(by_root.is_gone(), "the user himself is gone");
}

/// What was checked at the beginning of a login is not what counts at its end.
#[test]
fn a_login_during_which_the_password_changes_is_refused() {
    let scram_bob = format!("bob:{SCRAM}\n");
    let change = |case: &str| match case {
        "removed" => scram_bob.clone(),
        "changed" => format!("alice:{{PLAIN}}other\n{scram_bob}"),
        "locked" => format!("alice:!\n{scram_bob}"),
        "somebody else's" => format!("alice:{{PLAIN}}a-secret\n{scram_bob}eve:{{PLAIN}}x\n"),
        _ => format!("alice:{{PLAIN}}a-secret\n{scram_bob}"),
    };
    for (case, told) in [
        ("removed", "Credentials"),
        ("changed", "Credentials"),
        ("locked", "Credentials"),
        ("somebody else's", "alice@demo.test"),
        ("unchanged", "alice@demo.test"),
    ] {
        let place = place(&[("demo.test", &change("before"), "")], |_| {});
        let (mut login, step) = Login::password(&place.accounts, &peer("127.0.0.1"), "alice", Secret::new("a-secret"));
        let Step::Work(work) = step else { panic!("no check") };
        place.write("demo.test", "users", &change(case));
        let step = login.answered(work());
        assert_eq!(run(&mut login, step).0, told, "{case}");
        assert_eq!(place.accounts.seats.vouched().len(), 0, "{case}: no seat is left behind");
        // SCRAM: a client may wait as long as it likes with its last, empty, message.
        let (mut login, _) =
            Login::sasl(&place.accounts, &peer("127.0.0.1"), Some(&tls()), Mechanism::ScramSha256, None);
        let alice = Account {
            user: place.accounts.user("bob@demo.test").unwrap(),
            password: Stored::parse("{PLAIN}before").ok(),
            version: 0,
        };
        login.state = State::ScramEnd(Arc::new(alice));
        let step = login.respond(b"");
        assert_eq!(run(&mut login, step).0, "Credentials", "the keys are others now");
    }
}
