//! A disk that fails (`do fail ...`, `do heal`): chosen steps of `mailcote::fsio` below one directory give an error.

use std::io;
use std::path::PathBuf;

use mailcote::fsio::{Watching, watch_steps};

/// Errors that a disk has, by name.
const ERRORS: [(&str, i32); 3] = [("EIO", 5), ("ENOSPC", 28), ("EDQUOT", 122)];

/// What fails in one world, until it is dropped.
pub struct Faults {
    root: PathBuf,
    hooks: Vec<Watching>,
}

impl Faults {
    /// Nothing fails yet below `root`.
    pub fn new(root: PathBuf) -> Faults {
        Faults { root, hooks: Vec::new() }
    }

    /// `do fail` or `do heal`; false if it is about something else.
    pub fn act(&mut self, words: &[String]) -> Result<bool, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["fail", error, "at", step, "of", part] => {
                let code =
                    ERRORS.iter().find(|(name, _)| *name == error).ok_or(format!("{error}: no error of a disk"))?.1;
                let (root, step, part) = (self.root.clone(), step.to_owned(), part.to_owned());
                self.hooks.push(watch_steps(move |_, seen| {
                    let Ok(below) = seen.path().strip_prefix(&root) else { return Ok(()) };
                    // With a slash behind it, so that `new/` means the directory as well as what is in it.
                    let below = format!("{}/", below.display());
                    let is_meant = (step == "any" || step == seen.name()) && below.contains(&part);
                    if is_meant { Err(io::Error::from_raw_os_error(code)) } else { Ok(()) }
                }));
            }
            ["heal"] => self.hooks.clear(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
