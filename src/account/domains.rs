//! The list of domains we serve.
//!
//! A domain is served because its directory exists. The list is read at most once a second, or before somebody is told
//! that we do not serve a domain; while the directory of domains cannot be read, the last list stands and is called
//! doubtful.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lines::Problem;
use super::served::Domain;
use super::watched::Stamp;
use super::{Settings, domain};
use crate::mail::address::check_domain;

/// The list of domains.
pub struct Domains {
    settings: Settings,
    state: Mutex<State>,
}

struct State {
    map: Arc<BTreeMap<String, Arc<Domain>>>,
    /// Of the directory when it was last read.
    stamp: Option<Stamp>,
    looked: Option<Instant>,
    trouble: Option<String>,
}

impl Domains {
    pub fn new(settings: Settings) -> Domains {
        Domains { settings, state: Mutex::new(State { map: Arc::default(), stamp: None, looked: None, trouble: None }) }
    }

    /// All of them, and why the list may be wrong, if so.
    pub fn all(&self, age: Duration) -> (Arc<BTreeMap<String, Arc<Domain>>>, Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.is_none_or(|looked| looked.elapsed() >= age) {
            state.looked = Some(Instant::now());
            if let Err(reason) = self.look(&mut state) {
                if state.trouble.as_ref() != Some(&reason) {
                    tracing::warn!(%reason, "the directory of domains cannot be read; the domains known before stand");
                }
                state.trouble = Some(reason);
            }
        }
        (state.map.clone(), state.trouble.clone())
    }

    /// Forget how fresh the list is.
    pub fn expire(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.looked = None;
        state.stamp = None;
    }

    /// Read the directory if it has changed. A link in it that leads somewhere else now is seen at the next reload.
    fn look(&self, state: &mut State) -> Result<(), String> {
        let root = &self.settings.domains;
        let meta = fs::metadata(root).map_err(|e| format!("{}: {e}", root.display()))?;
        let stamp = Stamp::of(&meta);
        if state.stamp != Some(stamp) {
            let map = self.list(&state.map)?;
            if map.keys().ne(state.map.keys()) {
                state.map = Arc::new(map);
            }
            state.stamp = stamp.settled();
        }
        state.trouble = None;
        Ok(())
    }

    fn list(&self, known: &BTreeMap<String, Arc<Domain>>) -> Result<BTreeMap<String, Arc<Domain>>, String> {
        let root = &self.settings.domains;
        let told = |e: std::io::Error| format!("{}: {e}", root.display());
        let mut map = BTreeMap::new();
        for entry in fs::read_dir(root).map_err(told)? {
            let entry = entry.map_err(told)?;
            let dir = entry.path();
            // A link costs a stat; all others say what they are.
            let kind = entry.file_type().map_err(told)?;
            if !(kind.is_dir() || kind.is_symlink() && dir.is_dir()) {
                continue;
            }
            let Some(name) = served_name(&dir) else { continue };
            let domain = known.get(&name).filter(|domain| domain.dir == dir).cloned();
            let domain = domain.unwrap_or_else(|| Arc::new(Domain::new(name.clone(), dir, &self.settings)));
            map.insert(name, domain);
        }
        Ok(map)
    }

    /// Directories whose name cannot be a domain.
    pub fn problems(&self) -> Vec<(PathBuf, Problem)> {
        let root = &self.settings.domains;
        let (mut all, mut seen) = (Vec::new(), BTreeMap::new());
        match fs::read_dir(root) {
            Err(e) => all.push((root.clone(), Problem::whole(format!("cannot be read: {e}")))),
            Ok(entries) => {
                for dir in entries.flatten().map(|entry| entry.path()) {
                    let hidden = dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                    if hidden || !dir.is_dir() {
                        continue;
                    }
                    let Some(name) = served_name(&dir) else {
                        all.push((dir, Problem::whole("the name of this directory is not a domain name")));
                        continue;
                    };
                    if let Some(other) = seen.insert(name, dir.clone()) {
                        let message = format!("{} is the same domain; remove one", other.display());
                        all.push((dir, Problem::whole(message)));
                    }
                }
            }
        }
        all
    }
}

/// The domain that a directory stands for.
fn served_name(dir: &Path) -> Option<String> {
    let name = domain::canonical(dir.file_name()?.to_str()?);
    (!name.starts_with('.') && check_domain(&name).is_ok()).then_some(name)
}
