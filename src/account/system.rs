//! Users of the operating system.
//!
//! Owns the question to getpwnam (files, LDAP, whatever the system is set up for). Refuses root and the system's own
//! accounts: their mail is for an alias to lead to a person.
//!
//! A name service in the network may not answer for minutes, and a session thread must not wait that long. So each question has a
//! thread of its own, [`LOOK_UPS`] at most, that lives as long as the question; whoever asks waits for [`PATIENCE`], and not at all
//! while every thread is stuck. An answer serves whoever asks a moment later. Fails with a reason to try later.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User, getuid};

use crate::store::Owner;

/// The first uid of people; below are the system's own accounts (login.defs(5), UID_MIN on every Linux we know).
const FIRST_UID: u32 = 1000;
/// `nobody`, who owns nothing.
const NOBODY: u32 = 65534;

/// Questions under way at a time, each with its thread.
const LOOK_UPS: usize = 4;
/// How long somebody waits for an answer: files take microseconds, a directory server that works some milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a user who was found stays known: a burst of logins and mail is one question.
const KEPT: Duration = Duration::from_secs(5);
/// How long it stays known that there is no such user, or that the name service said an error: somebody who has just been made
/// gets his mail.
const DENIAL_KEPT: Duration = Duration::from_millis(500);
/// Answers that are kept, some hundred bytes each; when full, all are forgotten.
const MAX_KEPT: usize = 10_000;

/// What the system knows of a user.
#[derive(Debug, Clone)]
pub struct Known {
    /// The name as the system writes it.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
    /// Who his files belong to.
    pub owner: Owner,
}

/// What the name service says of a name.
type Answer = Result<Option<Known>, String>;

/// Asks a name service with a deadline.
struct Service {
    ask: fn(&str) -> Answer,
    state: Mutex<State>,
    /// An answer has come.
    answered: Condvar,
}

#[derive(Default)]
struct State {
    known: HashMap<String, (Instant, Answer)>,
    /// Names that are asked for, and since when.
    running: Vec<(String, Instant)>,
}

/// The system user of this name; `None` if there is none who gets mail. Fails with what the name service said, or that it
/// said nothing.
pub fn lookup(name: &str) -> Result<Option<Known>, String> {
    static SYSTEM: LazyLock<Arc<Service>> = LazyLock::new(|| Service::new(getpwnam));
    SYSTEM.find(name)
}

fn getpwnam(name: &str) -> Answer {
    let entry = User::from_name(name).map_err(|e| format!("name service, user {name}: {e}"))?;
    Ok(entry.and_then(|entry| known(entry, getuid())))
}

impl Service {
    fn new(ask: fn(&str) -> Answer) -> Arc<Service> {
        Arc::new(Service { ask, state: Mutex::default(), answered: Condvar::new() })
    }

    fn find(self: &Arc<Self>, name: &str) -> Answer {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state();
        loop {
            let now = Instant::now();
            if let Some(answer) = state.fresh(name, now) {
                return answer;
            }
            let left = until.saturating_duration_since(now);
            if left.is_zero() || state.is_stuck(name, now) {
                return Err(format!("name service, user {name}: no answer within {PATIENCE:?}"));
            }
            if state.running.len() < LOOK_UPS && !state.running.iter().any(|(running, _)| running == name) {
                state.running.push((name.to_owned(), now));
                if let Err(e) = self.begin(name) {
                    state.running.retain(|(running, _)| running != name);
                    return Err(format!("name service, user {name}: no thread to ask from: {e}"));
                }
            }
            state = self.answered.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ask on a thread of its own.
    fn begin(self: &Arc<Self>, name: &str) -> std::io::Result<()> {
        let (service, name) = (self.clone(), name.to_owned());
        let asking = move || {
            let answer = (service.ask)(&name);
            let mut state = service.state();
            state.running.retain(|(running, _)| *running != name);
            if state.known.len() >= MAX_KEPT {
                state.known.clear();
            }
            state.known.insert(name, (Instant::now(), answer));
            drop(state);
            service.answered.notify_all();
        };
        std::thread::Builder::new().name("getpwnam".into()).spawn(asking).map(drop)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was said a short time ago.
    fn fresh(&self, name: &str, now: Instant) -> Option<Answer> {
        let (since, answer) = self.known.get(name)?;
        let keep = if matches!(answer, Ok(Some(_))) { KEPT } else { DENIAL_KEPT };
        (now.saturating_duration_since(*since) < keep).then(|| answer.clone())
    }

    /// Is there no use in waiting: this name, or as many as there may be, have been asked for longer than anybody waits?
    fn is_stuck(&self, name: &str, now: Instant) -> bool {
        let late = |since: &Instant| now.saturating_duration_since(*since) >= PATIENCE;
        let all = self.running.iter().filter(|(_, since)| late(since)).count() >= LOOK_UPS;
        all || self.running.iter().any(|(running, since)| running == name && late(since))
    }
}

/// What matters of an entry, if it is a person's. `ours` is the daemon's own user.
fn known(entry: User, ours: Uid) -> Option<Known> {
    let uid = entry.uid.as_raw();
    // A daemon that somebody runs for himself may serve his own mail, whatever his uid.
    let person = (uid >= FIRST_UID && uid != NOBODY) || (uid != 0 && entry.uid == ours);
    person.then(|| Known {
        name: entry.name,
        home: entry.dir,
        owner: if entry.uid == ours { Owner::Daemon } else { Owner::User { uid, gid: entry.gid.as_raw() } },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn root_and_daemons_get_no_mail() {
        for name in ["root", "nobody", "daemon", "no-such-user-here"] {
            assert!(lookup(name).unwrap().is_none(), "{name}");
        }
    }

    /// A directory server that does not answer holds nobody up for long, and those hardly at all who come later.
    #[test]
    fn a_name_service_that_hangs_is_given_up() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let service = Service::new(|name| {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            if name == "fast" {
                return Ok(None);
            }
            std::thread::sleep(PATIENCE * 3);
            Err("too late".into())
        });
        let took = |name: &str| {
            let begun = Instant::now();
            let answer = service.find(name);
            (begun.elapsed(), answer)
        };
        let (time, answer) = took("slow");
        assert!(time >= PATIENCE && time < PATIENCE * 2 && answer.is_err(), "{time:?} {answer:?}");
        let (time, answer) = took("slow");
        assert!(time < PATIENCE / 2 && answer.is_err(), "the same name is known to hang: {time:?}");
        assert!(took("fast").1.unwrap().is_none(), "others are asked for beside it");
        std::thread::scope(|scope| {
            (1..LOOK_UPS).for_each(|n| drop(scope.spawn(move || took(&format!("slow{n}")))));
        });
        let begun = BEGUN.load(Ordering::SeqCst);
        let (time, answer) = took("another");
        assert!(time < PATIENCE / 2 && answer.is_err(), "every thread hangs: {time:?}");
        assert_eq!((begun, BEGUN.load(Ordering::SeqCst)), (LOOK_UPS + 1, LOOK_UPS + 1));
        // They come back, and so does the service.
        std::thread::sleep(PATIENCE * 3);
        assert!(took("fast").1.unwrap().is_none());
    }

    #[test]
    fn an_answer_serves_a_burst() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let service = Service::new(|name| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Known { name: name.into(), home: "/home/ann".into(), owner: Owner::Daemon }))
        });
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| assert_eq!(service.find("ann").unwrap().unwrap().name, "ann"));
            }
        });
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        assert!(service.state().fresh("ann", Instant::now() + KEPT).is_none());
    }

    #[test]
    fn whose_files_they_are() {
        let root = User::from_name("root").unwrap().unwrap();
        let with = |uid, ours| known(User { uid: Uid::from_raw(uid), ..root.clone() }, Uid::from_raw(ours));
        assert_eq!(with(1000, 0).map(|known| known.owner), Some(Owner::User { uid: 1000, gid: 0 }));
        assert_eq!(with(1000, 1000).map(|known| known.owner), Some(Owner::Daemon));
        assert_eq!(with(500, 500).map(|known| known.owner), Some(Owner::Daemon));
        for (uid, ours) in [(0, 0), (0, 1000), (999, 0), (NOBODY, 0)] {
            assert!(with(uid, ours).is_none(), "{uid} {ours}");
        }
    }
}
