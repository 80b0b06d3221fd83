//! What is wrong in a file an administrator wrote: where, what, and what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One mistake in one file. Prints as `FILE:LINE:COLUMN: message`, which editors can jump to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 if the line as a whole is meant.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
    /// Mailcote runs with an error in its files too, but not as it was meant; a warning may be meant.
    pub severity: Severity,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot be meant.
    Error,
    /// It works, and may surprise.
    Warning,
}

impl Problem {
    /// A mistake at these bytes of `text`, which is what `file` holds.
    pub fn at(file: &Path, text: &str, span: &Range<usize>, message: impl Into<String>) -> Problem {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Problem {
            file: file.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
            severity: Severity::Error,
        }
    }

    /// The file as a whole is wrong: it cannot be read, ...
    pub fn whole(file: &Path, message: impl Into<String>) -> Problem {
        Problem { file: file.into(), line: 0, column: 0, message: message.into(), severity: Severity::Error }
    }

    /// The same as a warning.
    pub fn warning(self) -> Problem {
        Problem { severity: Severity::Warning, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if self.column > 0 {
            write!(f, "{}:", self.column)?;
        }
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// Every mistake that was found, in order of files and lines. Prints one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Which of `known` did somebody mean who wrote `word`? One that differs in a letter, or a third of them, or the only one
/// that goes on where the word ends.
pub fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let near = |candidate: &str| (word.chars().count().max(candidate.len()) / 3).clamp(1, 4);
    let known: Vec<&str> = known.into_iter().collect();
    let close = known
        .iter()
        .copied()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= near(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    let begun = || known.iter().copied().filter(|candidate| word.len() > 3 && plain(candidate).starts_with(&word));
    close.or_else(|| begun().next().filter(|_| begun().count() == 1))
}

/// How many letters must be added, removed, changed, or exchanged with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    let exchange = if exchanged { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                    change.min(exchange).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_one_in_characters() {
        let text = "a = 1\nü = \"é\" x\n";
        let at = text.find('x').unwrap();
        let problem = Problem::at(Path::new("f"), text, &(at..at + 1), "no");
        assert_eq!(problem.to_string(), "f:2:9: no");
    }

    #[test]
    fn near_words_are_recognized() {
        let known = ["hostname", "log", "pop3", "max_message_size"];
        for (word, expected) in [
            ("hostnme", Some("hostname")),
            ("Hostname", Some("hostname")),
            ("max-message-size", Some("max_message_size")),
            ("max_msg_size", Some("max_message_size")),
            ("lgo", Some("log")),
            ("max_message", Some("max_message_size")),
            ("port", None),
            ("lo", Some("log")),
            ("colour", None),
        ] {
            assert_eq!(meant(word, known), expected, "{word}");
        }
    }
}
