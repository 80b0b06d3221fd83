//! What the demo prints.

use std::io::Write;

use serde_json::json;

use super::tree::{DOMAIN, Tree};
use super::{Args, ports};
use crate::cli::{Done, Failure};
use crate::config::Config;

/// Name that clients connect to; the certificate has it.
const HOST: &str = "localhost";
/// Users of `--users` that are listed one by one.
const SHOWN_USERS: usize = 5;

/// One object in one line, for programs.
pub fn json(tree: &Tree, args: &Args, out: &mut dyn Write) -> Done {
    let config_file = tree.config_file();
    let users: Vec<_> = tree
        .users()
        .iter()
        .map(|user| json!({ "login": user.login, "password": user.password, "maildir": tree.maildir(user) }))
        .collect();
    let ports: serde_json::Map<_, _> =
        ports(args.port_base).map(|(name, port)| (name.to_owned(), port.into())).collect();
    let object = json!({
        "host": HOST,
        "domain": DOMAIN,
        "ports": ports,
        "ca": tree.ca(),
        "users": users,
        "max_message_size": Config::load(&config_file).map_err(Failure::from)?.limits.max_message_size,
        "config": config_file,
        "pid": std::process::id(),
    });
    writeln!(out, "{object}")?;
    Ok(())
}

/// Tables and commands, for people.
pub fn text(tree: &Tree, args: &Args, out: &mut dyn Write) -> Done {
    let port = |wanted: &str| ports(args.port_base).find(|(name, _)| *name == wanted).map_or(0, |(_, port)| port);
    let ca = tree.ca();
    let ca = ca.display();
    let [alice, bob, ..] = tree.users() else { return Ok(()) };
    writeln!(out, "\nMailcote demo: running as process {}.\n", std::process::id())?;
    writeln!(out, "Accounts (the login is the whole address)")?;
    for user in tree.users().iter().take(2 + SHOWN_USERS) {
        writeln!(out, "  {:<22} password  {}", user.login, user.password)?;
    }
    if tree.users().len() > 2 + SHOWN_USERS {
        writeln!(
            out,
            "  ... all {} are in {}",
            tree.users().len(),
            tree.config_file().with_file_name("demo.json").display()
        )?;
    }
    writeln!(
        out,
        "\nSettings for Thunderbird, or any mail program (server name {HOST}, authentication: normal password)"
    )?;
    for (what, secure, clear) in
        [("IMAP", "imaps", "imap"), ("POP3", "pop3s", "pop3"), ("Sending (SMTP)", "submissions", "submission")]
    {
        writeln!(out, "  {what:<15} port {:<6} SSL/TLS      or port {:<6} STARTTLS", port(secure), port(clear))?;
    }
    writeln!(out, "  {:<15} port {:<6} mail from other servers, no login", "SMTP", port("smtp"))?;
    writeln!(out, "  {:<15} port {:<6} mail from a program on this machine", "LMTP", port("lmtp"))?;
    writeln!(out, "  {:<15} {ca}", "CA certificate")?;
    if args.allow_plain {
        writeln!(out, "  Logins in clear are allowed (--allow-plain).")?;
    }
    writeln!(out, "\nTry")?;
    writeln!(out, "  # send mail from bob to alice")?;
    writeln!(
        out,
        "  printf 'From: {bob}\\nTo: {alice}\\nSubject: hello\\n\\nIt works.\\n' | curl -sS --cacert {ca} --crlf \\\n    \
         --url smtps://{HOST}:{} --user {bob}:{} --mail-from {bob} --mail-rcpt {alice} --upload-file -",
        port("submissions"),
        bob.password,
        bob = bob.login,
        alice = alice.login,
    )?;
    writeln!(out, "  # read alice's mail in its Maildir")?;
    writeln!(out, "  mutt -f {}", tree.maildir(alice).display())?;
    writeln!(out, "  # watch it: send or mv a message while this runs")?;
    writeln!(
        out,
        "  {{ printf 'a login {} {}\\nb select inbox\\nc idle\\n'; cat; }} |\n    \
         openssl s_client -quiet -crlf -CAfile {ca} -connect {HOST}:{}",
        alice.login,
        alice.password,
        port("imaps"),
    )?;
    let end = if tree.is_kept() { "stops it; everything is kept" } else { "stops it and removes everything" };
    writeln!(out, "\nConfiguration: {}\nCtrl-C {end}.", tree.config_file().display())?;
    Ok(())
}
