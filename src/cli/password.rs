//! Ask for a password: twice and unseen at a terminal, or one line of standard input.
//!
//! Never takes a password from an argument, where `ps` and the shell's history would show it. Refuses an empty one and
//! one with a NUL or a line end. The terminal is put back as it was, also after Ctrl-C.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::{Failure, fail};
use crate::wire::Secret;

/// Bytes in a password. Longer ones are a mistake, and would cost time at every login.
const MAX_PASSWORD: usize = 1024;

/// A password for `login`.
pub fn ask(login: &str) -> Result<Secret, Failure> {
    let password = if io::stdin().is_terminal() {
        let first = unseen(&format!("New password for {login}: "))?;
        if unseen("The same again: ")? != first {
            return fail("the two passwords differ; nothing was changed");
        }
        first
    } else {
        let mut line = Vec::new();
        io::stdin().lock().take(MAX_PASSWORD as u64 + 2).read_until(b'\n', &mut line).map_err(input_failed)?;
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        line
    };
    check(&password)?;
    Ok(Secret::new(password))
}

fn check(password: &[u8]) -> Result<(), Failure> {
    match password {
        [] => fail("the password is empty; nothing was changed"),
        _ if password.len() > MAX_PASSWORD => fail(format!("the password is longer than {MAX_PASSWORD} bytes")),
        _ if password.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) => {
            fail("the password contains a NUL or a line end")
        }
        _ => Ok(()),
    }
}

fn input_failed(e: io::Error) -> Failure {
    Failure::Other(format!("standard input: {e}"))
}

/// Puts the terminal back.
struct Restore(Termios);

impl Drop for Restore {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that refuses.
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}

/// A line typed at the terminal, not shown.
fn unseen(prompt: &str) -> Result<Vec<u8>, Failure> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    const BACKSPACE: [u8; 2] = [8, 127];
    let terminal = io::stdin();
    let before = tcgetattr(&terminal).map_err(|e| input_failed(e.into()))?;
    let mut quiet = before.clone();
    // Without ISIG Ctrl-C comes as a byte, so that the terminal can be put back before we end.
    quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
    tcsetattr(&terminal, SetArg::TCSAFLUSH, &quiet).map_err(|e| input_failed(e.into()))?;
    let _restore = Restore(before);
    eprint!("{prompt}");
    io::stderr().flush().map_err(input_failed)?;
    let mut typed = Vec::new();
    for byte in terminal.lock().bytes() {
        match byte.map_err(input_failed)? {
            b'\r' | b'\n' => break,
            CTRL_D if typed.is_empty() => break,
            CTRL_C => {
                eprintln!();
                return fail("interrupted; nothing was changed");
            }
            CTRL_U => typed.clear(),
            byte if BACKSPACE.contains(&byte) => {
                // A whole UTF-8 character goes.
                while typed.pop().is_some_and(|b| b & 0xC0 == 0x80) {}
            }
            byte if typed.len() <= MAX_PASSWORD => typed.push(byte),
            _ => {}
        }
    }
    eprintln!();
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_password() {
        for (password, good) in [("", false), ("a\0b", false), ("a b", true), ("pässword", true)] {
            assert_eq!(check(password.as_bytes()).is_ok(), good, "{password:?}");
        }
        assert!(check(&[b'x'; MAX_PASSWORD + 1]).is_err());
    }
}
