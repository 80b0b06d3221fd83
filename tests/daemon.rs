//! The daemon as its admin and systemd see it: signals, reload, sockets handed over, what it tells, what it leaves.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Client, Demo, PATIENCE, wait_for};

mod support;

/// A configuration with one IMAP port and nothing else, below `root`.
fn configure(root: &Path, listen: &str) -> std::path::PathBuf {
    fs::create_dir_all(root.join("domains/one.test")).expect("a domain");
    fs::create_dir_all(root.join("elsewhere")).expect("a home");
    let users = format!("ann:{{PLAIN}}secret\neve:{{PLAIN}}secret::::{}/elsewhere\n", root.display());
    fs::write(root.join("domains/one.test/users"), users).expect("users");
    let config = root.join("mailcote.toml");
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("passwd").expect("ourselves").name;
    let text = format!(
        "hostname = \"mail.one.test\"\nuser = \"{user}\"\n[listen]\n{listen}\n[auth]\nallow_plain_on_loopback = true\n\
         secret = \"state/secret\"\n[mail]\nhome = \"{}/mail/{{domain}}/{{user}}/Maildir\"\n",
        root.display()
    );
    fs::write(&config, text).expect("a configuration");
    config
}

/// Every service but those in `only` switched off.
fn only(only: &[(&str, String)]) -> String {
    let services = ["smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s"];
    let line = |service: &&str| match only.iter().find(|(name, _)| name == service) {
        Some((_, place)) => format!("{service} = [{place}]\n"),
        None => format!("{service} = []\n"),
    };
    services.iter().map(line).collect()
}

fn serve(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailcote"));
    command.arg("serve").arg("--config").arg(config).stdin(Stdio::null());
    command
}

/// Ends the process when a test fails.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("a signal");
    }

    fn end(&mut self) -> Option<i32> {
        wait_for("the daemon's end", || self.0.try_wait().expect("wait")).code()
    }
}

#[test]
fn a_start_that_only_a_new_configuration_can_mend_ends_with_78() {
    let dir = tempfile::tempdir().expect("a directory");
    let imap = format!("\"127.0.0.1:{}\"", free_port());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = format!("\"{}\"", taken.local_addr().expect("an address"));
    for (listen, more, code, said) in [
        (only(&[("imaps", imap.clone())]), "", 78, "take submissions, imaps and pop3s out of [listen]"),
        (only(&[("imap", imap.clone())]), "[tls]\nclient_ca = \"no/such.pem\"\n", 78, "tls.client_ca: "),
        (only(&[("imap", busy)]), "", 1, "in use"),
        (
            only(&[("imap", imap.clone())]),
            "[oauth]\nintrospection = \"http://localhost/x\"\nsecret = \"no/such\"\n",
            78,
            "oauth.secret: ",
        ),
        // It may be mounted a moment later: systemd tries again.
        (only(&[("imap", imap.clone())]), "mount_point = \"{}/mail\"\n", 1, "mail.mount_point: "),
        (only(&[("imap", imap)]), "# a secret that is too short\n", 78, "auth.secret: "),
    ] {
        let config = configure(dir.path(), &listen);
        let more = more.replace("{}", &dir.path().display().to_string());
        if more.starts_with('#') {
            fs::create_dir_all(dir.path().join("state")).expect("a directory");
            fs::write(dir.path().join("state/secret"), "short").expect("a secret");
        }
        let text = fs::read_to_string(&config).expect("the configuration") + &more;
        fs::write(&config, text).expect("a configuration");
        let output = serve(&config).output().expect("mailcote");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{listen}{more}: {error}");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn sigterm_says_goodbye_to_everybody_and_ends_well() {
    let mut demo = Demo::start();
    let mut idle = demo.imap("alice");
    idle.imap("SELECT INBOX");
    idle.send("i IDLE");
    idle.line();
    let mut new = demo.connect("imap");
    let mut smtp = demo.connect("smtp");
    let mut pop3 = demo.pop3("bob");
    let begun = Instant::now();
    assert_eq!(demo.stop(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "nobody was in the middle of anything");
    for (who, client, bye) in
        [("idle", &mut idle, "* BYE"), ("not logged in", &mut new, "* BYE"), ("smtp", &mut smtp, "421 ")]
    {
        let last = client.line();
        assert!(last.starts_with(bye), "{who}: {last}");
        assert_eq!(client.try_line(), None, "{who}");
    }
    // POP3 has no word for it (RFC 1939): -ERR or nothing, then the end.
    while let Some(line) = pop3.try_line() {
        assert!(line.starts_with("-ERR"), "{line}");
    }
}

#[test]
fn sigterm_lets_a_message_on_its_way_arrive() {
    let mut demo = Demo::with(&["--users", "1"]);
    let mut smtp = demo.connect("smtp");
    smtp.smtp("EHLO test", "250");
    smtp.smtp("MAIL FROM:<a@b.test>", "250");
    smtp.smtp("RCPT TO:<user1@demo.test>", "250");
    smtp.smtp("DATA", "354");
    smtp.send("Subject: on its way");
    let new = demo.user("user1").maildir.join("new");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(demo.pid()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("SIGTERM");
    wait_for("the port to close", || TcpStream::connect(("127.0.0.1", demo.port("smtp"))).is_err().then_some(()));
    smtp.send("");
    smtp.smtp(".", "250");
    assert_eq!(fs::read_dir(&new).expect("new/").count(), 1);
    let last = smtp.line();
    assert!(last.starts_with("421"), "{last}");
    demo.stop();
}

#[test]
fn systemd_is_told_and_hands_over_its_socket() {
    let dir = tempfile::tempdir().expect("a directory");
    // The port in the configuration is another one: only the name can make the two meet.
    let config = configure(dir.path(), &only(&[("imap", "\"127.0.0.1:1\"".into())]));
    let notify = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
    notify.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = socket.local_addr().expect("its address").port();
    // As systemd does: the socket is descriptor 3, and LISTEN_PID is who shall have it. A shell moves it there.
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg("exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$@\"")
        .arg("sh")
        .arg(serve(&config).get_program())
        .args(serve(&config).get_args())
        .stdin(std::os::fd::OwnedFd::from(socket))
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "imap")
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "200000")
        .process_group(0);
    let mut daemon = Daemon(shell.spawn().expect("sh"));
    let told = |what: &str| {
        let mut bytes = [0; 256];
        loop {
            let n = notify.recv(&mut bytes).expect("a word to systemd");
            let said = String::from_utf8_lossy(&bytes[..n]).into_owned();
            if said.lines().any(|line| line == what) {
                return;
            }
            assert!(said.contains("WATCHDOG=1"), "{said} instead of {what}");
        }
    };
    told("READY=1");
    let mut client = Client::to(port);
    assert!(client.line().starts_with("* OK"));
    client.imap("LOGIN ann@one.test secret");
    told("WATCHDOG=1");

    // Replaced by rename, as editors and our own commands do: a file edited in place is given a second to settle.
    let users = dir.path().join("domains/one.test/users");
    fs::write(users.with_extension("new"), "ann:{PLAIN}secret\nbob:{PLAIN}word\n").expect("users");
    fs::rename(users.with_extension("new"), &users).expect("rename");
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    told("RELOADING=1");
    told("READY=1");
    let mut bob = Client::to(port);
    bob.line();
    bob.imap("LOGIN bob@one.test word");

    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    told("STOPPING=1");
    assert_eq!(daemon.end(), Some(0));
}

#[test]
fn what_prevents_the_start_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let place = format!("\"{}\"", taken.local_addr().expect("its address"));
    for (what, listen, said) in [
        ("a taken port", only(&[("imap", place)]), "another program listens there"),
        ("TLS without a certificate", only(&[("imaps", "\"127.0.0.1:1\"".into())]), "certificate"),
    ] {
        let config = configure(dir.path(), &listen);
        let output = serve(&config).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(said), "{what}: {text}");
    }
}

#[test]
fn confined_it_says_so_reaches_every_home_and_keeps_no_right() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("lmtp");
    let config = configure(dir.path(), &only(&[("lmtp", format!("\"{}\"", socket.display()))]));
    let mut daemon = Daemon(serve(&config).stderr(Stdio::piped()).spawn().expect("it runs"));
    let mut log = String::new();
    let mut stderr = BufReader::new(daemon.0.stderr.take().expect("stderr"));
    while !log.lines().last().is_some_and(|line| line.contains("ready")) {
        assert!(stderr.read_line(&mut log).expect("the log") > 0, "{log}");
    }
    assert!(log.contains("confined by Landlock") || log.contains("not confined"), "{log}");
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).expect("status");
    for line in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{status}");
    }
    assert!(log.contains("no program can be run") || log.contains("not confined"), "{log}");
    let mode = fs::metadata(&socket).expect("the socket").permissions().mode() & 0o777;
    assert_eq!(mode, 0o660, "not everybody may hand in mail");
    // Mail goes where the users file says, in the usual place and elsewhere.
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).expect("the socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let dialogue =
        "LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<ann@one.test>\r\nRCPT TO:<eve@one.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
    stream.write_all(dialogue.as_bytes()).expect("LMTP");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers");
    for maildir in ["mail/one.test/ann/Maildir", "elsewhere/Maildir"] {
        let new = fs::read_dir(dir.path().join(maildir).join("new"));
        assert_eq!(new.map_or(0, Iterator::count), 1, "{maildir}: {answers}");
    }
    daemon.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(daemon.end(), Some(0));
    assert!(!socket.exists(), "its socket is removed");
}

#[test]
fn a_certificate_that_comes_later_is_offered_without_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let config = configure(dir.path(), &only(&[("imap", format!("\"127.0.0.1:{port}\""))]));
    let text = fs::read_to_string(&config).expect("the configuration").replace("loopback = true", "loopback = false");
    fs::write(&config, text).expect("the configuration");
    let mut daemon = Daemon(serve(&config).spawn().expect("it runs"));
    wait_for("the port", || TcpStream::connect(("127.0.0.1", port)).ok());
    let greeted = || {
        let mut client = Client::to(port);
        (client.line(), client)
    };
    let (greeting, mut client) = greeted();
    assert!(greeting.contains("LOGINDISABLED") && !greeting.contains("STARTTLS"), "{greeting}");
    let told = client.imap_any("LOGIN ann@one.test secret").remove(0);
    assert!(told.contains("[PRIVACYREQUIRED]") && !told.contains("Start TLS"), "{told}");

    // certbot's way: a link out of live/ into archive/, both of which were not there at the start.
    let [archive, live] = ["archive", "certs"].map(|at| dir.path().join(at).join("one.test"));
    let made = rcgen::generate_simple_self_signed(vec!["one.test".into()]).expect("a certificate");
    for (name, pem) in [("fullchain", made.cert.pem()), ("privkey", made.signing_key.serialize_pem())] {
        fs::create_dir_all(&archive).expect("archive");
        fs::create_dir_all(&live).expect("live");
        fs::write(archive.join(format!("{name}1.pem")), pem).expect("a file");
        let link = live.join(format!("{name}.pem"));
        std::os::unix::fs::symlink(format!("../../archive/one.test/{name}1.pem"), link).expect("a link");
    }
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    let mut client = wait_for("STARTTLS", || Some(greeted()).filter(|(greeting, _)| greeting.contains("STARTTLS"))).1;
    let told = client.imap_any("LOGIN ann@one.test secret").remove(0);
    assert!(told.contains("Start TLS"), "{told}");
    assert!(client.imap_any("STARTTLS").remove(0).contains(" OK "));
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(daemon.end(), Some(0));
}

#[test]
fn a_message_that_is_too_big_is_read_to_its_end_and_refused_and_the_session_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let config = configure(dir.path(), &only(&[("smtp", format!("\"127.0.0.1:{port}\""))]));
    let text = fs::read_to_string(&config).expect("the configuration");
    fs::write(&config, format!("{text}[limits]\nmax_message_size = \"100K\"\n")).expect("the configuration");
    let mut daemon = Daemon(serve(&config).spawn().expect("it runs"));
    wait_for("the port", || TcpStream::connect(("127.0.0.1", port)).ok());
    let mut client = Client::to(port);
    client.line();
    assert!(client.smtp("EHLO x.test", "250").iter().any(|line| line.ends_with("SIZE 102400")));
    client.smtp("MAIL FROM:<a@b.test> SIZE=102401", "552 5.3.4");
    // What it does not say before it sends, in lines that would be commands.
    let too_big = format!("Subject: x\r\n\r\n{}", "QUIT\r\n..\r\n".repeat(300_000));
    for (case, message, code) in [
        ("too big", too_big.as_str(), "552 5.3.4"),
        ("again", &too_big, "552 5.3.4"),
        ("small", "Subject: y\r\n\r\ny\r\n", "250"),
    ] {
        client.smtp("MAIL FROM:<a@b.test>", "250");
        client.smtp("RCPT TO:<ann@one.test>", "250");
        client.smtp("DATA", "354");
        client.raw(message.as_bytes());
        client.send(".");
        assert_eq!(client.reply(case, code).len(), 1, "{case}");
        client.smtp("NOOP", "250");
    }
    client.smtp("QUIT", "221");
    let maildir = dir.path().join("mail/one.test/ann/Maildir");
    let files = |place: &str| fs::read_dir(maildir.join(place)).expect("a directory").count();
    assert_eq!((files("new"), files("tmp")), (1, 0));
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(daemon.end(), Some(0));
}

/// The uid of the one system user in the next test; nobody's account here.
const ANN: u32 = 61_011;

#[test]
fn system_users_are_served_under_their_own_identity() {
    if !nix::unistd::geteuid().is_root() {
        assert!(!support::is_strict(), "root is needed (MAILCOTE_TESTS=strict)");
        eprintln!("skipped: needs root");
        return;
    }
    // A private view of /etc/passwd, so that the test needs no account on this machine.
    let mut namespace = Command::new("unshare");
    namespace.args(["--mount", "--propagation", "private"]);
    let allowed = Command::new("unshare").args(["--mount", "--propagation", "private", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("skipped: needs mount namespaces");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("chmod");
    let home = dir.path().join("home-of-ann");
    fs::create_dir(&home).expect("a home");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("chmod");
    chown(&home, Some(ANN), Some(ANN)).expect("chown");
    let passwd = dir.path().join("passwd");
    let line = format!("ann:x:{ANN}:{ANN}::{}:/bin/sh\n", home.display());
    fs::write(&passwd, fs::read_to_string("/etc/passwd").expect("passwd") + &line).expect("passwd");

    let (imap, lmtp) = (free_port(), free_port());
    let listen = only(&[("imap", format!("\"127.0.0.1:{imap}\"")), ("lmtp", format!("\"127.0.0.1:{lmtp}\""))]);
    let config = configure(dir.path(), &listen);
    let text = fs::read_to_string(&config).expect("the configuration").replace("\"root\"", "\"nobody\"");
    fs::write(&config, text + "[accounts]\nsystem_domains = [\"one.test\"]\n").expect("a configuration");
    fs::write(dir.path().join("domains/one.test/users"), "ann:{PLAIN}secret\n").expect("users");
    namespace.args(["sh", "-c", "mount --bind \"$1\" /etc/passwd && shift && exec \"$@\"", "sh"]).arg(&passwd);
    namespace.arg(serve(&config).get_program()).args(serve(&config).get_args());
    let mut daemon = Daemon(namespace.spawn().expect("unshare"));
    wait_for("the ports", || TcpStream::connect(("127.0.0.1", imap)).ok());

    let mut client = Client::to(lmtp);
    client.line();
    client.smtp("LHLO me", "250");
    client.smtp("MAIL FROM:<>", "250");
    client.smtp("RCPT TO:<ann@one.test>", "250");
    client.smtp("RCPT TO:<root@one.test>", "550");
    client.smtp("DATA", "354");
    client.smtp("Subject: x\r\n\r\nx\r\n.", "250");
    let maildir = home.join("Maildir");
    let delivered = fs::read_dir(maildir.join("new")).expect("new/").next().expect("a message").expect("readable");
    let meta = delivered.metadata().expect("metadata");
    assert_eq!((meta.uid(), meta.gid()), (ANN, ANN));

    // The watch reaches into a home of mode 0700: if it did not, this would take seconds.
    let mut client = Client::to(imap);
    client.line();
    client.imap("LOGIN ann@one.test secret");
    client.imap("SELECT INBOX");
    client.send("i IDLE");
    client.line();
    client.set_patience(Duration::from_secs(3));
    for n in 2..5 {
        fs::rename(outside_mail(&maildir, n), maildir.join(format!("new/1700000000.M{n}P1.x"))).expect("rename");
        while client.line() != format!("* {n} EXISTS") {}
    }
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).expect("status");
    // CAP_SETGID and CAP_SETUID, bits 6 and 7.
    assert!(status.contains("CapEff:\t00000000000000c0") && status.contains("Uid:\t65534\t"), "{status}");
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(daemon.end(), Some(0));
}

/// A message of Ann's in `tmp/`.
fn outside_mail(maildir: &Path, n: u32) -> std::path::PathBuf {
    let path = maildir.join(format!("tmp/1700000000.M{n}P1.x"));
    fs::write(&path, "Subject: x\n\nx\n").expect("write");
    chown(&path, Some(ANN), Some(ANN)).expect("chown");
    path
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}
