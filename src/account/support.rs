//! A throw-away set of domains for the tests of this module.

use std::fs;
use std::sync::Arc;

use super::{Accounts, Scram, Settings};
use crate::store::Layout;

/// The directory lives as long as this does.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub accounts: Arc<Accounts>,
}

impl Place {
    pub fn write(&self, domain: &str, file: &str, text: &str) {
        write(&self.dir, domain, file, text);
    }
}

fn write(dir: &tempfile::TempDir, domain: &str, file: &str, text: &str) {
    let path = dir.path().join(domain);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("new"), text).unwrap();
    fs::rename(path.join("new"), path.join(file)).unwrap();
}

pub fn settings(domains: &std::path::Path) -> Settings {
    Settings {
        domains: domains.into(),
        maildir: "/mail/{domain}/{user}/Maildir".into(),
        layout: Layout::Maildirpp,
        delimiter: Some('+'),
        detail: true,
        default_domain: None,
        postmaster: None,
        system_domains: Vec::new(),
        exempt: Vec::new(),
        clear_on_loopback: true,
        max_seats: 2,
        scram: Scram::Auto,
        masters: None,
        quota_file: None,
        oauth: None,
        secret_file: None,
    }
}

/// Domains, given as (domain, users, aliases).
pub fn place(domains: &[(&str, &str, &str)], change: impl FnOnce(&mut Settings)) -> Place {
    let dir = tempfile::tempdir().unwrap();
    for (domain, users, aliases) in domains {
        write(&dir, domain, "users", users);
        write(&dir, domain, "aliases", aliases);
    }
    let mut settings = settings(dir.path());
    change(&mut settings);
    Place { accounts: Arc::new(Accounts::new(settings).unwrap()), dir }
}
