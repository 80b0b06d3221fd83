//! GNU SASL's client: SCRAM-SHA-256-PLUS, which binds the login to the TLS connection (RFC 5802, RFC 9266).
//!
//! Over IMAP only: its SMTP mode says STARTTLS before EHLO, which RFC 3207 4.2 and we do not take; the mechanism is the same code.

use std::process::Command;

use super::support::{Demo, User, program};
use super::{must, run};

fn gsasl(demo: &Demo, user: &User, password: &str) -> Command {
    let mut command = Command::new("gsasl");
    command.args(["--imap", "--starttls", "--mechanism", "SCRAM-SHA-256-PLUS", "--verbose"]);
    command.args(["--connect", &format!("localhost:{}", demo.port("imap"))]);
    command.args(["--x509-ca-file", &demo.ca().display().to_string()]);
    command.args(["--authentication-id", &user.login, "--password", password]);
    command
}

#[test]
fn gsasl_binds_its_login_to_tls() {
    let Some(_) = program("gsasl") else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let said = must(&mut gsasl(&demo, &alice, &alice.password));
    // The client's first message names its binding: `p=tls-exporter,,n=...`, in base64.
    assert!(said.contains("cD10bHMtZXhwb3J0ZXIs"), "{said}");
    let (code, said) = run(&mut gsasl(&demo, &alice, "wrong"));
    assert_ne!(code, Some(0), "{said}");
}
