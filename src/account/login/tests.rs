//! Logins as clients try them: mechanisms, refusals, pauses, remembered passwords.

use std::net::SocketAddr;

use super::super::password::{self, Stored};
use super::super::support::{Place, place};
use super::*;

const SCRAM: &str = "{SCRAM-SHA-256}4096,Rwi2fQRZNJzNDUQ/Jp9NCw==,lZ2gPF8GaGjeiaXMJngUnBGCMD3kvYP8fxdfFfpvUZU=,fXX65W3chNAvYyduBUzdhL+AR/pririrlJA7aUHQ3FU=";
const SCRAM_PASSWORD: &str = "pässword ✓1";

fn peer(ip: &str) -> Peer {
    let remote = SocketAddr::new(ip.parse().unwrap(), 40000);
    Peer::new(remote, "192.0.2.1:143".parse().unwrap(), 1)
}

fn tls() -> Tls {
    Tls { exporter: Some([7; 32]), ..Tls::default() }
}

fn demo() -> Place {
    let users = format!("alice:{{PLAIN}}a-secret\nbob:{SCRAM}\ncarol:{{PLAIN}}c-secret::::::nologin\n");
    place(&[("demo.test", &users, "")], |_| {})
}

/// How an attempt ended, and the pauses on the way.
fn run(login: &mut Login, mut step: Step) -> (String, Vec<Duration>) {
    let mut pauses = Vec::new();
    loop {
        step = match step {
            Step::Work(work) => login.answered(work()),
            Step::Ask(_) => login.answered(Box::new(crate::wire::Asked::Failed("nobody".into()))),
            Step::Pause(pause) => {
                pauses.push(pause);
                login.resumed()
            }
            Step::Challenge(message) => return (format!("challenge {}", String::from_utf8_lossy(&message)), pauses),
            Step::Granted(user, _) => return (user.login.clone(), pauses),
            Step::Refused(why) => return (format!("{why:?}"), pauses),
        };
    }
}

fn password(place: &Place, ip: &str, name: &str, password: &str) -> (String, Vec<Duration>) {
    let (mut login, step) = Login::password(&place.accounts, &peer(ip), name, Secret::new(password));
    run(&mut login, step)
}

fn sasl(place: &Place, mechanism: Mechanism, initial: Option<&[u8]>, answers: &[&[u8]]) -> String {
    let (mut login, step) = Login::sasl(&place.accounts, &peer("127.0.0.1"), Some(&tls()), mechanism, initial);
    let (mut told, _) = run(&mut login, step);
    for answer in answers {
        let step = login.respond(answer);
        told = run(&mut login, step).0;
    }
    told
}

#[test]
fn names_and_passwords() {
    let demo = demo();
    for (name, given, want) in [
        ("alice@demo.test", "a-secret", "alice@demo.test"),
        ("ALICE@DEMO.TEST", "a-secret", "alice@demo.test"),
        ("alice", "a-secret", "alice@demo.test"),
        ("bob", SCRAM_PASSWORD, "bob@demo.test"),
        ("alice", "A-secret", "Credentials"),
        ("alice", "", "Credentials"),
        ("alice@other.test", "a-secret", "Credentials"),
        ("nobody", "a-secret", "Credentials"),
        ("carol", "c-secret", "Credentials"),
        ("", "a-secret", "Credentials"),
        (&"x".repeat(600), "a-secret", "Credentials"),
    ] {
        assert_eq!(password(&demo, "192.0.2.9", name, given).0, want, "{name} {given}");
    }
}

/// Names that failed are remembered: a stranger must not fill memory with long ones.
#[test]
fn of_a_long_name_only_the_beginning_is_kept() {
    let demo = demo();
    let peer = peer("192.0.2.9");
    for name in ["x".repeat(8000), "é".repeat(4000), format!("alice@{}", "x.".repeat(4000))] {
        let (mut login, step) = Login::password(&demo.accounts, &peer, &name, Secret::new("a-secret"));
        assert_eq!(run(&mut login, step).0, "Credentials");
        assert!(login.name.len() > MAX_NAME && login.name.len() <= MAX_NAME + 4, "{}", login.name.len());
    }
}

#[test]
fn a_user_alone_needs_one_domain_or_a_default() {
    let two = [("one.test", "alice:{PLAIN}1\n", ""), ("two.test", "alice:{PLAIN}2\n", "")];
    let unclear = place(&two, |_| {});
    assert_eq!(password(&unclear, "127.0.0.1", "alice", "1").0, "Credentials");
    let clear = place(&two, |settings| settings.default_domain = Some("Two.test".into()));
    assert_eq!(password(&clear, "127.0.0.1", "alice", "2").0, "alice@two.test");
}

#[test]
fn every_failure_takes_one_time() {
    let demo = demo();
    for (name, given) in [("alice", "x"), ("nobody", "x"), ("carol", "c-secret"), ("x@other.test", "x")] {
        let (mut login, step) = Login::password(&demo.accounts, &peer("127.0.0.1"), name, Secret::new(given));
        let Step::Work(work) = step else { panic!("{name}: no check") };
        let answer = work();
        let Step::Pause(pause) = login.answered(answer) else { panic!("{name}: no pause") };
        assert!(pause <= TICK && pause > TICK - Duration::from_millis(300), "{name}: {pause:?}");
        let whole = login.began.elapsed() + pause;
        assert!(whole >= TICK && whole < TICK + Duration::from_millis(100), "{name}: {whole:?}");
        assert!(matches!(login.resumed(), Step::Refused(Refusal::Credentials)));
    }
    assert_eq!(until_tick(Duration::ZERO), TICK);
    assert_eq!(until_tick(TICK * 3 + Duration::from_millis(1)), TICK - Duration::from_millis(1));
}

#[test]
fn failures_slow_the_next_check_but_not_a_remembered_login() {
    let demo = demo();
    assert_eq!(password(&demo, "192.0.2.9", "alice", "a-secret").0, "alice@demo.test");
    for _ in 0..6 {
        password(&demo, "198.51.100.1", "alice", "x");
    }
    let (_, pauses) = password(&demo, "203.0.113.1", "alice", "x");
    assert_eq!(pauses[0], Duration::from_secs(2), "from anywhere");
    let (_, pauses) = password(&demo, "198.51.100.1", "bob", SCRAM_PASSWORD);
    assert_eq!(pauses, [Duration::from_secs(2)], "another user from there");
    let (told, pauses) = password(&demo, "203.0.113.1", "alice", "a-secret");
    assert_eq!((told.as_str(), pauses.len()), ("alice@demo.test", 0), "remembered");
    let (_, pauses) = password(&demo, "127.0.0.1", "dave", "x");
    assert_eq!(pauses.len(), 1, "loopback");
}

#[test]
fn a_changed_password_counts_and_drops_what_was_remembered() {
    let demo = demo();
    assert_eq!(password(&demo, "127.0.0.1", "alice", "a-secret").0, "alice@demo.test");
    demo.write("demo.test", "users", "alice:{PLAIN}other\n");
    demo.accounts.reload();
    assert_eq!(password(&demo, "127.0.0.1", "alice", "a-secret").0, "Credentials");
    assert_eq!(password(&demo, "127.0.0.1", "alice", "other").0, "alice@demo.test");
    demo.write("demo.test", "users", "alice:{NONE}x\nbob:{NONE}x\n");
    demo.accounts.reload();
    assert_eq!(password(&demo, "127.0.0.1", "alice", "other").0, "alice@demo.test", "a broken line changes nothing");
    assert_eq!(password(&demo, "127.0.0.1", "bob", "x").0, "Unavailable");
}

#[test]
fn seats() {
    let demo = demo();
    let open = |_| {
        let (mut login, step) = Login::password(&demo.accounts, &peer("::1"), "alice", Secret::new("a-secret"));
        match step {
            Step::Work(work) => login.answered(work()),
            step => step,
        }
    };
    let two: Vec<Step> = (0..2).map(open).collect();
    assert!(matches!(open(2), Step::Refused(Refusal::TooMany)));
    drop(two);
    assert!(matches!(open(3), Step::Granted(..)));
}

#[test]
fn plain() {
    let demo = demo();
    for (message, want) in [
        ("\0alice\0a-secret", "alice@demo.test"),
        ("alice\0alice@demo.test\0a-secret", "alice@demo.test"),
        ("Alice@Demo.Test\0alice\0a-secret", "alice@demo.test"),
        ("bob\0alice\0a-secret", "Credentials"),
        ("nobody\0alice\0a-secret", "Credentials"),
        ("\0alice\0wrong", "Credentials"),
        ("\0alice", "Malformed"),
        ("\0\0a-secret", "Malformed"),
        ("\0alice\0a\0b", "Malformed"),
        ("", "Malformed"),
    ] {
        assert_eq!(sasl(&demo, Mechanism::Plain, Some(message.as_bytes()), &[]), want, "{message:?}");
    }
    assert_eq!(sasl(&demo, Mechanism::Plain, None, &[b"\0alice\0a-secret"]), "alice@demo.test");
    assert_eq!(sasl(&demo, Mechanism::Plain, Some(b"\0\xff\0x"), &[]), "Malformed");
}

#[test]
fn login_and_cancel() {
    let demo = demo();
    assert_eq!(sasl(&demo, Mechanism::Login, None, &[]), "challenge Username:");
    assert_eq!(sasl(&demo, Mechanism::Login, Some(b"alice"), &[]), "challenge Password:");
    assert_eq!(sasl(&demo, Mechanism::Login, None, &[b"alice", b"a-secret"]), "alice@demo.test");
    assert_eq!(sasl(&demo, Mechanism::Login, None, &[b"alice", b"x"]), "Credentials");
    assert_eq!(sasl(&demo, Mechanism::Login, None, &[b""]), "Malformed");
    let (mut login, _) = Login::sasl(&demo.accounts, &peer("::1"), None, Mechanism::Login, None);
    assert!(matches!(login.cancel(), Step::Refused(Refusal::Cancelled)));
    assert!(matches!(login.respond(b"alice"), Step::Refused(Refusal::Malformed)), "it is over");
}

/// A client's side of SCRAM: the last message for a password.
fn proof(first_bare: &str, server_first: &str, binding: &[u8], password: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let field = |name: &str| server_first.split(',').find_map(|f| f.strip_prefix(name)).unwrap().to_owned();
    let salt = STANDARD.decode(field("s=")).unwrap();
    let mut salted = [0; 32];
    let iterations = field("i=").parse().unwrap();
    ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut salted);
    let mut key = password::mac(&salted, b"Client Key");
    let without = format!("c={},r={}", STANDARD.encode(binding), field("r="));
    let signature = password::mac(&password::sha256(&key), format!("{first_bare},{server_first},{without}").as_bytes());
    key.iter_mut().zip(signature).for_each(|(byte, more)| *byte ^= more);
    format!("{without},p={}", STANDARD.encode(key))
}

fn scram(place: &Place, mechanism: Mechanism, header: &str, binding: &[u8], name: &str, password: &str) -> String {
    let first = format!("n={name},r=abc");
    let (mut login, step) = Login::sasl(
        &place.accounts,
        &peer("::1"),
        Some(&tls()),
        mechanism,
        Some(format!("{header}{first}").as_bytes()),
    );
    let (told, _) = run(&mut login, step);
    let Some(server_first) = told.strip_prefix("challenge ") else { return told };
    let step = login.respond(proof(&first, server_first, binding, password).as_bytes());
    let (told, _) = run(&mut login, step);
    if !told.starts_with("challenge v=") {
        return told;
    }
    let step = login.respond(b"");
    run(&mut login, step).0
}

#[test]
fn scram_exchanges() {
    let demo = demo();
    let plus = [b"p=tls-exporter,,".as_slice(), &[7; 32]].concat();
    let other = [b"p=tls-exporter,,".as_slice(), &[8; 32]].concat();
    use Mechanism::{ScramSha256, ScramSha256Plus};
    for (mechanism, header, binding, name, given, want) in [
        (ScramSha256, "n,,", &b"n,,"[..], "bob", SCRAM_PASSWORD, "bob@demo.test"),
        (ScramSha256, "n,,", b"n,,", "alice@demo.test", "a-secret", "alice@demo.test"),
        (ScramSha256, "n,a=alice,", b"n,a=alice,", "alice", "a-secret", "alice@demo.test"),
        (ScramSha256, "n,a=bob,", b"n,a=bob,", "alice", "a-secret", "Credentials"),
        (ScramSha256, "n,,", b"n,,", "bob", "x", "Credentials"),
        (ScramSha256, "n,,", b"n,,", "nobody", "nobody", "Credentials"),
        (ScramSha256, "n,,", b"n,,", "carol", "c-secret", "Credentials"),
        (ScramSha256, "y,,", b"y,,", "bob", SCRAM_PASSWORD, "Credentials"),
        (ScramSha256, "n,,", b"y,,", "bob", SCRAM_PASSWORD, "Credentials"),
        (ScramSha256Plus, "p=tls-exporter,,", &plus, "bob", SCRAM_PASSWORD, "bob@demo.test"),
        (ScramSha256Plus, "p=tls-exporter,,", &other, "bob", SCRAM_PASSWORD, "Credentials"),
        (ScramSha256Plus, "n,,", b"n,,", "bob", SCRAM_PASSWORD, "Malformed"),
    ] {
        assert_eq!(scram(&demo, mechanism, header, binding, name, given), want, "{header} {name} {given}");
    }
}

#[test]
fn salts_do_not_tell_who_exists() {
    let demo = demo();
    let salt = |name: &str| {
        let first = format!("n,,n={name},r=abc");
        let told = sasl(&demo, Mechanism::ScramSha256, Some(first.as_bytes()), &[]);
        told.split_once(",s=").unwrap().1.to_owned()
    };
    assert_eq!(salt("nobody"), salt("Nobody@demo.test"), "always the same");
    assert_ne!(salt("nobody"), salt("nobody2"));
    assert_eq!(salt("alice"), salt("ALICE"));
    assert_eq!(salt("nobody").len(), salt("bob").len());
    let asking_for_another = |name: &str| {
        let first = format!("n,a=nobody,n={name},r=abc");
        let told = sasl(&demo, Mechanism::ScramSha256, Some(first.as_bytes()), &[]);
        told.split_once(",s=").unwrap().1.to_owned()
    };
    for name in ["alice", "bob", "carol", "nobody2"] {
        assert_eq!(
            asking_for_another(name),
            salt(name),
            "{name}: who exists must not look different from who does not"
        );
    }
    assert!(salt("nobody").ends_with(",i=4096") && salt("bob").ends_with(",i=4096"));
}

#[test]
fn what_is_announced() {
    // Those that need no setting and no certificate.
    let all = Mechanism::TABLE.map(|row| row.0)[..4].to_vec();
    let clear = all[1..].to_vec();
    let no_scram = all[2..].to_vec();
    let demo = demo();
    let of = |place: &Place, ip: &str, tls: Option<&Tls>| Login::mechanisms(&place.accounts, &peer(ip), tls);
    assert_eq!(of(&demo, "192.0.2.1", None), []);
    assert_eq!(of(&demo, "127.0.0.1", None), clear);
    assert_eq!(of(&demo, "192.0.2.1", Some(&tls())), all);
    assert_eq!(of(&demo, "192.0.2.1", Some(&Tls::default())), clear, "no exporter");
    let mixed = "alice:{PLAIN}x\nbob:{SHA}Bns00rzD7pt/BpVercFyqsD0VD0=\n";
    let mixed = [("demo.test", mixed, "")];
    assert_eq!(of(&place(&mixed, |_| {}), "192.0.2.1", Some(&tls())), no_scram);
    assert_eq!(of(&place(&mixed, |s| s.scram = Scram::Always), "192.0.2.1", Some(&tls())), all);
    assert_eq!(of(&place(&[("demo.test", "", "")], |_| {}), "192.0.2.1", Some(&tls())), no_scram);
    let strict = place(&[("demo.test", "alice:{PLAIN}x\n", "")], |s| s.clear_on_loopback = false);
    assert_eq!(of(&strict, "127.0.0.1", None), []);
    let (_, step) = Login::sasl(&strict.accounts, &peer("127.0.0.1"), None, Mechanism::Plain, Some(b"\0alice\0x"));
    assert!(matches!(step, Step::Refused(Refusal::Malformed)), "not offered, not taken");
}

#[test]
fn the_decoy_is_well_formed() {
    assert!(!Stored::parse(NOBODY).unwrap().verify(&Secret::new("x")));
}

mod others;
