//! The table of a file beside the table of defaults.
//!
//! A [`Reader`] gives each setting from the file, or from [`DEFAULTS`] where the file says nothing or something wrong,
//! and gathers every mistake on the way, so that an administrator sees all of them at once.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::defaults::DEFAULTS;
use super::problem::{Problem, meant};
use super::value::{Read, Value};

/// A parsed file, the defaults, and what was wrong so far.
pub struct Reader<'a> {
    file: &'a Path,
    source: &'a str,
    given: DeTable<'a>,
    defaults: DeTable<'static>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Parse `source`, which is what `file` holds. What is not TOML, and what is not a known key, is noted.
    pub fn new(file: &'a Path, source: &'a str) -> Reader<'a> {
        let (given, errors) = DeTable::parse_recoverable(source);
        let (defaults, wrong) = DeTable::parse_recoverable(DEFAULTS);
        assert!(wrong.is_empty(), "the defaults are TOML: {wrong:?}");
        let mut reader =
            Reader { file, source, given: given.into_inner(), defaults: defaults.into_inner(), problems: Vec::new() };
        for error in errors {
            reader.note(error.span().unwrap_or(0..0), format!("not TOML: {}", error.message().replace('\n', ", ")));
        }
        reader.refuse_unknown_keys();
        reader
    }

    /// Note a mistake at these bytes.
    fn note(&mut self, span: std::ops::Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::at(self.file, self.source, &span, message));
    }

    /// Note a mistake at the value of `key`, or at the file as a whole where the key is not in it.
    pub fn note_at(&mut self, key: &str, message: impl Into<String>) {
        match find(&self.given, key).map(|value| value.span()) {
            Some(span) => self.note(span, message),
            None => self.problems.push(Problem::whole(self.file, message)),
        }
    }

    /// The setting `key` (`section.name`), read by `read`.
    ///
    /// # Panics
    /// If the key has no default, or its default is wrong: a test loads the empty file.
    pub fn get<T>(&mut self, key: &str, read: impl Fn(&Value<'_>) -> Read<T>) -> T {
        let mistakes = match find(&self.given, key).map(&read) {
            Some(Ok(setting)) => return setting,
            Some(Err(mistakes)) => mistakes,
            None => Vec::new(),
        };
        for (span, message) in mistakes {
            self.note(span, format!("{key}: {message}"));
        }
        let default = find(&self.defaults, key).unwrap_or_else(|| panic!("{key} has no default"));
        read(default).unwrap_or_else(|wrong| panic!("the default of {key}: {wrong:?}"))
    }

    /// All that was wrong, in the order of the file.
    pub fn finish(mut self) -> Vec<Problem> {
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    fn refuse_unknown_keys(&mut self) {
        let mut unknown = Vec::new();
        for (key, value) in self.given.iter() {
            let name: &str = key.get_ref();
            match (self.defaults.get(name).map(|known| known.get_ref()), value.get_ref()) {
                (Some(DeValue::Table(section)), DeValue::Table(given)) => {
                    for (inner, _) in given.iter().filter(|(inner, _)| !section.contains_key(inner.get_ref().as_ref()))
                    {
                        unknown.push((inner.span(), inner.get_ref().to_string(), Some(name), false));
                    }
                }
                (Some(DeValue::Table(_)), _) => {
                    unknown.push((key.span(), name.into(), None, false));
                }
                (Some(_), _) => {}
                (None, value) => unknown.push((key.span(), name.into(), None, value.is_table())),
            }
        }
        let notes: Vec<_> = unknown
            .into_iter()
            .map(|(span, name, section, table)| (span, self.explain(&name, section, table)))
            .collect();
        for (span, message) in notes {
            self.note(span, message);
        }
    }

    /// Why `name` is not a key of `section`, and what may have been meant.
    fn explain(&self, name: &str, section: Option<&str>, is_section: bool) -> String {
        let said = match section {
            Some(section) => format!("unknown key \"{name}\" in [{section}]"),
            None if matches!(self.defaults.get(name).map(|v| v.get_ref()), Some(DeValue::Table(_))) => {
                return format!("\"{name}\" is a section: write [{name}] on a line of its own");
            }
            None => format!("unknown key \"{name}\""),
        };
        let here: Vec<&str> = match section.and_then(|s| self.defaults.get(s)).and_then(|v| v.get_ref().as_table()) {
            Some(table) => table.keys().map(|k| k.get_ref().as_ref()).collect(),
            None => self.defaults.keys().map(|k| k.get_ref().as_ref()).collect(),
        };
        let keys = keys();
        let elsewhere = || keys.iter().map(|key| key.rsplit_once('.').unwrap_or(("", key)));
        // A word that is a key elsewhere is not a misspelt one of here.
        let exact = elsewhere().find(|(_, last)| *last == name);
        if let (Some((place, key)), true) = (exact.filter(|(place, _)| !place.is_empty()), is_section) {
            return format!("unknown section [{name}]; \"{key}\" is a key of [{place}]");
        }
        if exact.is_none()
            && let Some(near) = meant(name, here.iter().copied())
        {
            return format!("{said}; did you mean \"{near}\"?");
        }
        let near = exact.or_else(|| {
            let near = meant(name, elsewhere().map(|(_, last)| last))?;
            elsewhere().find(|(_, last)| *last == near)
        });
        if let Some((place, last)) = near {
            return match place {
                "" => format!("{said}; did you mean \"{last}\"? It stands before the first section"),
                place => format!("{said}; did you mean \"{last}\"? It belongs in [{place}]"),
            };
        }
        format!("{said}; known here: {}", here.join(", "))
    }
}

/// The value of `section.name` or `name`.
fn find<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Value<'i>> {
    match key.split_once('.') {
        Some((section, name)) => table.get(section)?.get_ref().as_table()?.get(name),
        None => table.get(key),
    }
}

/// Every key there is, as `section.name`.
pub fn keys() -> Vec<String> {
    let (defaults, _) = DeTable::parse_recoverable(DEFAULTS);
    let mut keys = Vec::new();
    for (key, value) in defaults.get_ref().iter() {
        match value.get_ref() {
            DeValue::Table(section) => {
                keys.extend(section.keys().map(|name| format!("{}.{}", key.get_ref(), name.get_ref())));
            }
            _ => keys.push(key.get_ref().to_string()),
        }
    }
    keys
}
