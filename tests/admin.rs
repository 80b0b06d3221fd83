//! The admin commands: what they write, what they keep, and that a running server takes notice without a restart.

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Client, Demo, wait_for};

/// Run a command on a configuration, with this standard input; exit code, standard output, standard error.
fn mailcote(config: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailcote"));
    command.args(arguments).arg("--config").arg(config);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // A command that reads no input may have ended already.
    let _ = child.stdin.take().expect("stdin").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn must(config: &Path, arguments: &[&str], input: &str) -> String {
    let (code, out, err) = mailcote(config, arguments, input);
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    out
}

fn refused(config: &Path, arguments: &[&str], input: &str) -> String {
    let (code, out, err) = mailcote(config, arguments, input);
    assert_eq!(code, Some(1), "{arguments:?}: {out}{err}");
    err
}

/// An empty configuration in a directory of its own.
fn empty() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("mailcote.toml");
    fs::write(&config, format!("[mail]\nhome = \"{}/mail/{{domain}}/{{user}}/Maildir\"\n", dir.path().display()))
        .expect("a file");
    (dir, config)
}

#[test]
fn domains_users_and_aliases_come_and_go() {
    let (dir, config) = empty();
    let users = dir.path().join("domains/example.org/users");
    must(&config, &["domain", "add", "Example.ORG"], "");
    assert!(refused(&config, &["domain", "add", "example.org"], "").contains("served already"));
    assert!(refused(&config, &["user", "add", "a@elsewhere.org"], "x\n").contains("is not served"));

    let out = must(&config, &["user", "add", "alice@example.org"], "first secret\n");
    let maildir = format!("{}/mail/example.org/alice/Maildir", dir.path().display());
    assert!(out.contains(&maildir), "{out}");
    assert!(refused(&config, &["user", "add", "ALICE@example.org"], "x\n").contains("exists already"));
    assert!(refused(&config, &["user", "add", "bob@example.org"], "\n").contains("empty"));
    assert!(refused(&config, &["user", "add", "../bob@example.org"], "x\n").contains("cannot"));
    must(&config, &["user", "add", "bob@example.org", "--scheme", "scram-sha-256"], "another");
    assert!(
        refused(&config, &["user", "add", "c@example.org", "--scheme", "ARGON2"], "x\n")
            .contains("did you mean ARGON2I")
    );

    // What people wrote stays: comments, order, fields.
    let edited =
        format!("# staff\n{}\n# end\n", fs::read_to_string(&users).expect("users").replace("alice:", "# note\nalice:"));
    fs::write(&users, &edited).expect("an edit");
    must(&config, &["user", "passwd", "alice@example.org"], "second secret\n");
    let after = fs::read_to_string(&users).expect("users");
    let others = |text: &str| text.lines().filter(|l| !l.starts_with("alice:")).map(String::from).collect::<Vec<_>>();
    assert_eq!(others(&after), others(&edited));
    assert_ne!(after, edited);
    assert!(after.contains("\nalice:{ARGON2ID}$argon2id$") && after.contains("\nbob:{SCRAM-SHA-256}"), "{after}");
    assert!(!after.contains("secret"));

    must(&config, &["alias", "add", "team@example.org", "alice", "bob@example.org"], "");
    must(&config, &["alias", "add", "@example.org", "alice"], "");
    assert!(refused(&config, &["alias", "add", "x@example.org", "|/bin/sh"], "").len() > 10);
    let list: Value = serde_json::from_str(&must(&config, &["alias", "list", "--json"], "")).expect("JSON");
    assert_eq!(list[0]["address"], "team@example.org");
    assert_eq!(list[1]["targets"][0], "alice");
    let show: Value =
        serde_json::from_str(&must(&config, &["user", "show", "alice@example.org", "--json"], "")).expect("JSON");
    assert_eq!((show["maildir"].as_str(), show["scheme"].as_str()), (Some(maildir.as_str()), Some("ARGON2ID")));
    assert_eq!(show["aliases"].as_array().map(Vec::len), Some(2));
    let list: Value = serde_json::from_str(&must(&config, &["user", "list", "--json"], "")).expect("JSON");
    assert_eq!(
        (list[0]["login"].as_str(), list[1]["login"].as_str()),
        (Some("alice@example.org"), Some("bob@example.org"))
    );
    let list: Value = serde_json::from_str(&must(&config, &["domain", "list", "--json"], "")).expect("JSON");
    assert_eq!(
        (list[0]["domain"].as_str(), list[0]["users"].as_u64(), list[0]["aliases"].as_u64()),
        (Some("example.org"), Some(2), Some(2))
    );

    must(&config, &["alias", "remove", "team@example.org", "bob@example.org"], "");
    must(&config, &["alias", "remove", "@example.org"], "");
    assert!(refused(&config, &["alias", "remove", "@example.org"], "").contains("no alias"));
    // What was set over IMAP goes with its user, and the rest with the domain.
    let limits = dir.path().join("limits");
    let with_limits =
        format!("{}\n[quota]\nfile = \"{}\"\n", fs::read_to_string(&config).expect("config"), limits.display());
    fs::write(&config, with_limits).expect("config");
    fs::write(&limits, "Alice@example.org:quota=1\nbob@example.org:\nx@elsewhere.org:\n").expect("limits");
    let out = must(&config, &["user", "remove", "alice@example.org"], "");
    assert_eq!(fs::read_to_string(&limits).expect("limits"), "bob@example.org:\nx@elsewhere.org:\n");
    assert!(out.contains(&maildir) && out.contains("kept") && out.contains("team@example.org"), "{out}");
    assert!(refused(&config, &["user", "remove", "alice@example.org"], "").contains("no user"));
    assert!(refused(&config, &["domain", "remove", "example.org"], "").contains("--force"));
    must(&config, &["domain", "remove", "example.org", "--force"], "");
    assert_eq!(fs::read_to_string(&limits).expect("limits"), "x@elsewhere.org:\n");
    assert!(!dir.path().join("domains/example.org").exists());
}

/// What is removed stays removed, also where the file says it twice or over several lines.
#[test]
fn what_is_removed_brings_nothing_else_to_life() {
    let (dir, config) = empty();
    must(&config, &["domain", "add", "b\u{fc}cher.test"], "");
    assert!(refused(&config, &["domain", "add", "xn--bcher-kva.test"], "").contains("served already"));
    let domain = dir.path().join("domains/b\u{fc}cher.test");
    fs::write(domain.join("users"), "\u{c4}rger:!\nalice:{PLAIN}new\nALICE:{PLAIN}old\nbob:{PLAIN}b\n").expect("users");
    let aliases = "staff: bob\nteam: alice,\n# who joined later\n\n    \u{c4}rger\nTeam: bob\nend: bob\n";
    fs::write(domain.join("aliases"), aliases).expect("aliases");
    let told = refused(&config, &["user", "add", "\u{e4}rger@xn--bcher-kva.test"], "x\n");
    assert!(told.contains("as \u{c4}rger: case makes no other user"), "{told}");
    let shown = must(&config, &["user", "show", "\u{e4}rger@b\u{fc}cher.test"], "");
    assert!(shown.contains("none (login locked)") && shown.contains("/Maildir") && shown.contains("team@"), "{shown}");
    must(&config, &["user", "remove", "alice@b\u{fc}cher.test"], "");
    assert_eq!(fs::read_to_string(domain.join("users")).expect("users"), "\u{c4}rger:!\nbob:{PLAIN}b\n");
    must(&config, &["alias", "remove", "team@b\u{fc}cher.test"], "");
    assert_eq!(
        fs::read_to_string(domain.join("aliases")).expect("aliases"),
        "staff: bob\n# who joined later\n\nend: bob\n"
    );
}

#[test]
fn check_tells_every_mistake_with_its_place() {
    let (dir, config) = empty();
    let (code, out, err) = mailcote(&config, &["check"], "");
    assert_eq!(code, Some(78), "no domains and no certificates yet: {out}{err}");
    must(&config, &["domain", "add", "example.org"], "");
    let domain = dir.path().join("domains/example.org");
    fs::write(domain.join("users"), "# x\nalice:{NOPE}x\nbob:{PLAIN}b\nbob:{PLAIN}c\n").expect("users");
    fs::write(domain.join("aliases"), "team: nobody\nrun: |/bin/sh\n").expect("aliases");
    let (code, out, err) = mailcote(&config, &["check", "--json"], "");
    assert_eq!(code, Some(78), "{err}");
    let problems: Vec<Value> = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"));
    let places: Vec<String> = problems
        .iter()
        .map(|p| format!("{}:{}", Path::new(p["file"].as_str().unwrap()).file_name().unwrap().display(), p["line"]))
        .collect();
    for place in ["users:2", "users:4", "aliases:1", "aliases:2"] {
        assert!(places.contains(&place.to_owned()), "{place} in {places:?}");
        assert!(err.contains(&format!("/{place}:")), "{place} in {err}");
    }
}

#[test]
fn an_alias_of_a_users_name_is_told() {
    let (_dir, config) = empty();
    must(&config, &["domain", "add", "example.org"], "");
    for name in ["alice", "bob"] {
        must(&config, &["user", "add", &format!("{name}@example.org")], "secret\n");
    }
    let warned = |arguments: &[&str], input: &str| {
        let (code, out, err) = mailcote(&config, arguments, input);
        assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
        err
    };
    assert_eq!(warned(&["alias", "add", "bob@example.org", "bob", "alice"], ""), "", "a copy is a usual thing");
    assert_eq!(warned(&["alias", "add", "bob@example.org", "alice"], ""), "", "and once more is no failure");
    assert!(warned(&["alias", "add", "alice@example.org", "bob"], "").contains("there is a user alice, too"));
    must(&config, &["alias", "remove", "alice@example.org"], "");
    must(&config, &["alias", "add", "carol@example.org", "alice"], "");
    let told = warned(&["user", "add", "carol@example.org"], "secret\n");
    assert!(told.contains("takes this user's mail to alice only"), "{told}");
    let (_, _, err) = mailcote(&config, &["check"], "");
    assert!(err.contains("/aliases:3:1: warning: there is a user carol, too"), "{err}");
    for (address, target, says) in [
        ("x@example.org", "x", "alias loop"),
        ("y@example.org", "nobody", "nobody@example.org"),
        ("z@example.org", "a@far.test", "elsewhere"),
    ] {
        let told = warned(&["alias", "add", address, target], "");
        assert!(told.starts_with("warning: ") && told.contains(says), "{told}");
    }
    assert!(refused(&config, &["user", "add", "BOB@example.org"], "x\n").contains("as bob: case makes no other user"));
}

#[test]
fn check_goes_on_behind_a_mistake() {
    let (dir, config) = empty();
    must(&config, &["domain", "add", "example.org"], "");
    fs::write(dir.path().join("domains/example.org/users"), "alice\n").expect("users");
    fs::create_dir_all(dir.path().join("certs/mail.example.org")).expect("certificates");
    let toml = "hostnme = \"x\"\n[tls]\nfallback = \"no.example\"\n\
                [listen]\nlmtp = [\"no/such/lmtp\"]\nlmtp_group = \"nobody-has-it\"\n\
                submissions = []\nimaps = []\npop3s = []\n";
    fs::write(&config, toml).expect("configuration");
    let (code, _, err) = mailcote(&config, &["check"], "");
    assert_eq!(code, Some(78));
    for says in [
        "mailcote.toml:1:1: unknown key \"hostnme\"; did you mean \"hostname\"?",
        "users:1:6: line has no colon",
        "no/such does not exist; make it",
        "no group \"nobody-has-it\"",
        "fullchain.pem: ",
        "without one nobody can log in",
    ] {
        assert!(err.contains(says), "{says} is missing in\n{err}");
    }
}

/// What keeps the server from starting, or from knowing its users, is told before.
#[test]
fn check_sees_what_the_server_cannot_use() {
    let (dir, config) = empty();
    must(&config, &["domain", "add", "one.test"], "");
    must(&config, &["domain", "add", "two.test"], "");
    for (toml, says) in [
        ("[mail]\nhome = \"/{domain}/{user}/Maildir\"\n", "a directory must come first"),
        ("[mail]\nhome = \"/srv/{user}/Maildir\"\n", "warning: mail.home: there is no {domain} in it"),
        ("[auth]\nsecret = \"short\"\n", "auth.secret: "),
        ("[oauth]\ncache = \"10000000000000d\"\n", "must not be above \"1d\""),
    ] {
        fs::write(dir.path().join("short"), "short").expect("a secret");
        fs::write(&config, toml).expect("configuration");
        let (_, _, err) = mailcote(&config, &["check"], "");
        assert!(err.contains(says), "{toml}: {err}");
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not root: cannot try what another account may read");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    fs::write(&config, "user = \"nobody\"\n").expect("configuration");
    let (one, two) = (dir.path().join("domains/one.test"), dir.path().join("domains/two.test"));
    for path in [dir.path(), &dir.path().join("domains"), &one, &two] {
        mode(path, 0o755);
    }
    for (file, bits) in [(one.join("users"), 0o644), (two.join("users"), 0o600)] {
        mode(&file, bits);
    }
    let (_, _, err) = mailcote(&config, &["check"], "");
    assert!(err.contains("two.test/users: the server cannot read this: ") && err.contains("\"nobody\""), "{err}");
    assert!(!err.contains("one.test/users: the server"), "{err}");
}

#[test]
fn users_who_cannot_be_read_are_not_told_to_be_none() {
    let (dir, config) = empty();
    must(&config, &["domain", "add", "example.org"], "");
    let users = dir.path().join("domains/example.org/users");
    fs::remove_file(&users).expect("a file");
    fs::create_dir(&users).expect("a directory in its place");
    assert!(refused(&config, &["user", "list"], "").contains("example.org/users: "));
    fs::rename(dir.path().join("domains"), dir.path().join("away")).expect("moved");
    fs::write(dir.path().join("domains"), "").expect("a file in its place");
    assert!(refused(&config, &["user", "list"], "").contains("/domains: "));
}

#[test]
fn a_running_server_takes_notice() {
    let demo = Demo::start();
    let config = demo.config();
    let login = |name: &str, password: &str| {
        let mut imap = Client::to(demo.port("imap"));
        imap.line();
        imap.imap_any(&format!("login {name}@demo.test \"{password}\"")).pop().is_some_and(|line| line.contains(" OK "))
    };
    let soon = |what: &str, done: &dyn Fn() -> bool| wait_for(what, || done().then_some(()));

    must(&config, &["user", "add", "carol@demo.test"], "carol's first\n");
    soon("the new user", &|| login("carol", "carol's first"));
    // The old one was just right and is remembered: it is worth nothing from the moment on at which the command is done.
    for n in 2..6 {
        assert!(login("carol", &format!("carol's {}", if n == 2 { "first".into() } else { (n - 1).to_string() })));
        must(&config, &["user", "passwd", "carol@demo.test"], &format!("carol's {n}\n"));
        assert!(!login("carol", "carol's first"), "the old password is forgotten");
        assert!(login("carol", &format!("carol's {n}")), "the new one counts at once");
    }
    must(&config, &["user", "passwd", "carol@demo.test"], "carol's second\n");

    let accepted = |address: &str| {
        let mut smtp = demo.connect("smtp");
        smtp.smtp("EHLO test", "250");
        smtp.smtp("MAIL FROM:<>", "250");
        smtp.send(&format!("RCPT TO:<{address}>"));
        smtp.line().starts_with("250")
    };
    assert!(!accepted("staff@demo.test"));
    must(&config, &["alias", "add", "staff@demo.test", "carol"], "");
    soon("the alias", &|| accepted("staff@demo.test"));
    must(&config, &["domain", "add", "second.test"], "");
    must(&config, &["user", "add", "dave@second.test"], "x\n");
    soon("the new domain", &|| accepted("dave@second.test"));
    // Whoever is still connected is told that it is over, whatever he was waiting for.
    let clear = |service: &str| {
        let mut client = Client::to(demo.port(service));
        client.line();
        client
    };
    let [mut idle, mut quiet, mut bob] = [clear("imap"), clear("imap"), clear("imap")];
    for client in [&mut idle, &mut quiet] {
        client.imap_any("login carol@demo.test \"carol's second\"");
        client.imap_any("select INBOX");
    }
    idle.send("i idle");
    assert!(idle.line().starts_with('+'));
    bob.imap_any(&format!("login bob@demo.test {}", demo.user("bob").password));
    let mut pop = clear("pop3");
    for line in ["USER carol@demo.test", "PASS carol's second"] {
        pop.send(line);
        assert!(pop.line().starts_with("+OK"));
    }
    must(&config, &["user", "remove", "carol@demo.test"], "");
    assert!(!login("carol", "carol's second"), "at once");
    for client in [&mut idle, &mut quiet] {
        assert_eq!(client.line(), "* BYE This account is closed");
    }
    assert!(pop.line().starts_with("-ERR"));
    assert!(bob.imap_any("noop").pop().is_some_and(|line| line.contains(" OK ")), "others stay");
    must(&config, &["domain", "remove", "second.test", "--force"], "");
    soon("the end of the domain", &|| !accepted("dave@second.test"));
}
