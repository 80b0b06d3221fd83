//! Programs that send: swaks, curl, msmtp.

use std::process::Command;

use super::support::{Demo, User, program};
use super::{message_about, must, run, settings};

fn swaks(demo: &Demo, service: &str) -> Command {
    let mut command = Command::new("swaks");
    command.args(["--server", "localhost", "--port", &demo.port(service).to_string(), "--body", "Sent by swaks."]);
    command.args(["--tls-ca-path", &demo.ca().display().to_string()]);
    command
}

fn with_login<'c>(command: &'c mut Command, user: &User) -> &'c mut Command {
    command.args(["--auth-user", &user.login, "--auth-password", &user.password, "--from", &user.login])
}

#[test]
fn swaks_to_port_25() {
    let Some(_) = program("swaks") else { return };
    let demo = Demo::start();
    let bob = demo.user("bob");
    must(swaks(&demo, "smtp").args(["--from", "swaks@example.org", "--to", &bob.login, "--h-Subject", "plain"]));
    let message = message_about(&bob, "plain");
    assert!(message.contains("Sent by swaks.") && message.starts_with("Return-Path: <swaks@example.org>"), "{message}");

    must(swaks(&demo, "smtp").args(["--tls", "--tls-verify", "--to", &bob.login, "--h-Subject", "starttls"]));
    let message = message_about(&bob, "starttls");
    assert!(message.contains("with ESMTPS"), "{message}");

    let (code, said) = run(swaks(&demo, "smtp").args(["--to", "nobody@demo.test"]));
    assert!(code != Some(0) && said.contains("550 5.1.1"), "{said}");
    let (code, said) = run(swaks(&demo, "smtp").args(["--to", "somebody@example.org"]));
    assert!(code != Some(0) && said.contains("550 5.7.1"), "no open relay: {said}");
    let (code, said) = run(with_login(swaks(&demo, "smtp").args(["--tls", "--auth", "--to", &bob.login]), &bob));
    assert!(code != Some(0) && !said.contains("235 "), "no login on port 25: {said}");
}

#[test]
fn swaks_submits_with_each_mechanism_it_has() {
    let Some(_) = program("swaks") else { return };
    let demo = Demo::start();
    let (alice, bob) = (demo.user("alice"), demo.user("bob"));
    for (service, tls) in [("submission", "--tls"), ("submissions", "--tls-on-connect")] {
        for mechanism in ["PLAIN", "LOGIN"] {
            let subject = format!("{mechanism} at {service}");
            let mut command = swaks(&demo, service);
            with_login(&mut command, &alice).args([
                tls,
                "--tls-verify",
                "--auth",
                mechanism,
                "--to",
                &bob.login,
                "--h-Subject",
                &subject,
            ]);
            must(&mut command);
            assert!(message_about(&bob, &subject).contains("with ESMTPSA"), "{subject}");
        }
    }

    let wrong = User { password: "wrong".into(), ..alice.clone() };
    let (code, said) =
        run(with_login(swaks(&demo, "submission").args(["--tls", "--auth", "PLAIN", "--to", &bob.login]), &wrong));
    assert!(code != Some(0) && said.contains("535 5.7.8"), "{said}");
    let (code, said) = run(swaks(&demo, "submission").args(["--tls", "--from", &alice.login, "--to", &bob.login]));
    assert!(code != Some(0) && said.contains("530 5.7.0"), "no submission without a login: {said}");
    let mut forged = swaks(&demo, "submission");
    with_login(&mut forged, &alice).args(["--tls", "--auth", "PLAIN", "--from", &bob.login, "--to", &bob.login]);
    let (code, said) = run(&mut forged);
    assert!(code != Some(0) && said.contains("550 5.7.1"), "a sender that is not the login's: {said}");
}

#[test]
fn msmtp_submits_with_scram() {
    let Some(_) = program("msmtp") else { return };
    let demo = Demo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let (alice, bob) = (demo.user("alice"), demo.user("bob"));
    for (service, starttls) in [("submission", "on"), ("submissions", "off")] {
        for mechanism in ["scram-sha-256", "plain", "login", "on"] {
            let subject = format!("msmtp {mechanism} {service}");
            let rc = settings(
                dir.path(),
                "msmtprc",
                &format!(
                    "account default\nhost localhost\nport {}\ntls on\ntls_starttls {starttls}\ntls_trust_file {}\nauth {mechanism}\n\
                     user {}\npassword {}\nfrom {}\n",
                    demo.port(service),
                    demo.ca().display(),
                    alice.login,
                    alice.password,
                    alice.login
                ),
            );
            let message = format!(
                "From: {}\nTo: team@demo.test\nBcc: {}\nSubject: {subject}\n\n.one dot\n..two\nend\n",
                alice.login, bob.login
            );
            let input = settings(dir.path(), "message", &message);
            let script = format!("msmtp -C {} {} < {}", rc.display(), bob.login, input.display());
            must(Command::new("sh").args(["-c", &script]));
            let arrived = message_about(&bob, &subject);
            assert!(arrived.ends_with("\n\n.one dot\n..two\nend\n"), "{arrived}");
            assert!(
                !arrived.contains("Bcc:") && arrived.contains("Message-ID:") && arrived.contains("Date:"),
                "{arrived}"
            );
        }
    }
}

#[test]
fn curl_submits() {
    let Some(_) = program("curl") else { return };
    let demo = Demo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let (alice, bob) = (demo.user("alice"), demo.user("bob"));
    for (url, subject) in [
        (format!("smtps://localhost:{}", demo.port("submissions")), "curl smtps"),
        (format!("smtp://localhost:{}", demo.port("submission")), "curl smtp"),
    ] {
        let message = format!("From: {}\nTo: {}\nSubject: {subject}\n\nSent by curl.\n", alice.login, bob.login);
        let input = settings(dir.path(), "message", &message);
        must(
            Command::new("curl")
                .args(["-sS", "--crlf", "--ssl-reqd", "--cacert"])
                .arg(demo.ca())
                .args(["--url", &url, "--user", &format!("{}:{}", alice.login, alice.password)])
                .args(["--mail-from", &alice.login, "--mail-rcpt", &bob.login, "--upload-file"])
                .arg(&input),
        );
        assert!(message_about(&bob, subject).ends_with("\n\nSent by curl.\n"));
    }
}
