//! What the files that an admin edits have in common: lines, and mistakes in them.
//!
//! Owns the splitting of a file into numbered lines of text and the [`Problem`] that names a place in it. A line that
//! is not UTF-8 is a problem of that line alone.

use std::fmt;

/// A mistake in a file, in words for the admin. Prints as `LINE:COLUMN: message`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 if the line as a whole is meant.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
    /// It works, and may be meant.
    pub warning: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => {}
            (line, 0) => write!(f, "{line}: ")?,
            (line, column) => write!(f, "{line}:{column}: ")?,
        }
        write!(f, "{}{}", if self.warning { "warning: " } else { "" }, self.message)
    }
}

impl Problem {
    /// At byte `offset` of the text of line `line`.
    pub fn at(line: usize, text: &str, offset: usize, message: impl Into<String>) -> Problem {
        let column = text.get(..offset).unwrap_or(text).chars().count() + 1;
        Problem::placed((line, column), message)
    }

    /// At this line and column.
    pub fn placed((line, column): (usize, usize), message: impl Into<String>) -> Problem {
        Problem { line, column, message: message.into(), warning: false }
    }

    /// The same as a warning.
    pub fn as_warning(self) -> Problem {
        Problem { warning: true, ..self }
    }

    /// The file as a whole.
    pub fn whole(message: impl Into<String>) -> Problem {
        Problem::placed((0, 0), message)
    }
}

/// The lines of `bytes` with their numbers from 1, without line ends. `Err` for one that is not UTF-8.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, Problem>)> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    body.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|e| {
            let column = String::from_utf8_lossy(&line[..e.valid_up_to()]).chars().count() + 1;
            Problem::placed((index + 1, column), "not UTF-8 text")
        });
        (index + 1, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        let got: Vec<_> = lines(b"one\r\n\xc3\xa4\xff\n\nlast").collect();
        assert_eq!(got[0], (1, Ok("one")));
        assert_eq!(got[1].1.as_ref().unwrap_err().to_string(), "2:2: not UTF-8 text");
        assert_eq!(got[2], (3, Ok("")));
        assert_eq!(got[3], (4, Ok("last")));
        assert_eq!(Problem::at(7, "äbc", 2, "x").to_string(), "7:2: x");
    }
}
