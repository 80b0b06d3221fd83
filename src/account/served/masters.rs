//! Master users, who may log in as anybody: a file like a users file, and no domain.

use std::path::PathBuf;
use std::time::Duration;

use super::{Account, Arc, Entry, Found, Making, UserTable};
use crate::account::Settings;
use crate::account::lines::Problem;
use crate::account::watched::{Known, Vanished, Watched};

/// The file of master users, in the syntax of a users file: names without a domain, and passwords.
pub struct Masters(Watched<UserTable>);

impl Masters {
    /// Those of `file`.
    pub fn new(file: PathBuf, settings: &Settings) -> Masters {
        let domain = String::from("masters");
        let making = Making { domain, maildir: settings.maildir.clone(), layout: settings.layout, system: None };
        // Who removes the file wants no master users.
        Masters(Watched::new(file, Vanished::Empty, move |bytes, before| UserTable::read(bytes, before, &making)))
    }

    /// The master user of this name; only his password means anything.
    pub fn find(&self, name: &str) -> Found<Arc<Account>> {
        let Known { value, trouble } = self.0.get(Duration::ZERO);
        match value.as_ref().and_then(|table| table.by_name.get(&name.to_lowercase())) {
            Some(Entry::Good(account)) => Found::Yes(account.clone()),
            Some(Entry::Broken) => Found::Later(format!("the line of the master user {name} is broken")),
            None => trouble.map_or(Found::No, Found::Later),
        }
    }

    /// Another number for every reading of the file.
    pub fn version(&self, age: Duration) -> u64 {
        self.0.get(age).value.map_or(0, |table| table.version)
    }

    /// Every mistake in the file.
    pub fn problems(&self) -> Vec<Problem> {
        let Known { value, trouble } = self.0.get(Duration::ZERO);
        let found = value.iter().flat_map(|table| table.problems.iter().cloned());
        trouble.map(Problem::whole).into_iter().chain(found).collect()
    }
}
