//! Python's imaplib, poplib and smtplib, driven by `python.py`.

use std::process::Command;

use super::must;
use super::support::{Demo, program};

#[test]
fn imaplib_poplib_smtplib() {
    let Some(_) = program("python3") else { return };
    let demo = Demo::start();
    let said = must(
        Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python.py"))
            .arg(demo.json.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    assert!(said.ends_with("all good\n"), "{said}");
}
