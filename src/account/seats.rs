//! Who is connected: how many connections a user has over all protocols, and how they are told that he is gone.
//!
//! Owns the places of a user's connections. Refuses a seat past the limit; a seat is given back when it is dropped, with
//! its session. Each place remembers who vouched for it: the user himself, or a master user who became him. Where whoever
//! vouched may not any more, the places are [dismissed](Seats::dismiss): they say so from then on, and their sessions are
//! woken to look. Users without connections cost nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::notice::Raiser;

/// See the module.
pub struct Seats {
    most: usize,
    taken: Mutex<HashMap<String, Vec<Arc<Place>>>>,
}

/// One connection.
struct Place {
    /// The master user whose password it was; none: the user's own.
    master: Option<String>,
    wake: Raiser,
    gone: AtomicBool,
}

/// A seat among a user's connections; given back on drop.
pub struct Seat {
    seats: Arc<Seats>,
    login: String,
    place: Arc<Place>,
}

impl Seats {
    /// At most `most` for each user.
    pub fn new(most: usize) -> Arc<Seats> {
        Arc::new(Seats { most, taken: Mutex::default() })
    }

    /// A seat for this user, if one is free; `wake` is raised if he is dismissed. `master` became him, if somebody did.
    pub fn take(self: &Arc<Self>, login: &str, master: Option<&str>, wake: Raiser) -> Option<Seat> {
        let mut taken = self.taken();
        let places = taken.entry(login.to_owned()).or_default();
        if places.len() >= self.most {
            return None;
        }
        let place = Arc::new(Place { master: master.map(str::to_owned), wake, gone: AtomicBool::new(false) });
        places.push(place.clone());
        Some(Seat { seats: self.clone(), login: login.to_owned(), place })
    }

    /// Everybody who is connected, and the master user who vouched, if one did.
    pub fn vouched(&self) -> BTreeSet<(String, Option<String>)> {
        let taken = self.taken();
        let pairs = taken.iter().flat_map(|(login, places)| places.iter().map(move |place| (login, &place.master)));
        pairs.map(|(login, master)| (login.clone(), master.clone())).collect()
    }

    /// Tell every connection of this user for which `master` (or he himself) vouched to end. Returns how many there are.
    pub fn dismiss(&self, login: &str, master: Option<&str>) -> usize {
        let mut places = self.taken().get(login).cloned().unwrap_or_default();
        places.retain(|place| place.master.as_deref() == master);
        for place in &places {
            // The flag first: who is woken looks at it.
            place.gone.store(true, Ordering::Release);
            place.wake.raise();
        }
        places.len()
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, Vec<Arc<Place>>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Was the user dismissed? Then his session is to end.
    pub fn is_gone(&self) -> bool {
        self.place.gone.load(Ordering::Acquire)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(places) = taken.get_mut(&self.login) {
            places.retain(|place| !Arc::ptr_eq(place, &self.place));
            if places.is_empty() {
                taken.remove(&self.login);
            }
        }
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({})", self.login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Notice;

    #[test]
    fn seats_come_back() {
        let seats = Seats::new(2);
        let take = |login| seats.take(login, None, Raiser::default());
        let first = take("alice").unwrap();
        let second = take("alice").unwrap();
        assert!(take("alice").is_none());
        assert!(take("bob").is_some());
        drop(first);
        let third = take("alice").unwrap();
        assert!(take("alice").is_none());
        drop((second, third));
        assert!(seats.taken().is_empty());
    }

    #[test]
    fn who_is_dismissed_is_told() {
        let (seats, notice) = (Seats::new(2), Notice::new());
        let alice = seats.take("alice", None, notice.raiser()).unwrap();
        let by_master = seats.take("alice", Some("root"), Raiser::default()).unwrap();
        let bob = seats.take("bob", None, Raiser::default()).unwrap();
        let pair = |login: &str, master: Option<&str>| (login.to_owned(), master.map(str::to_owned));
        let all = [pair("alice", None), pair("alice", Some("root")), pair("bob", None)];
        assert_eq!(seats.vouched(), BTreeSet::from(all));
        assert_eq!((seats.dismiss("alice", None), seats.dismiss("carol", None)), (1, 0));
        assert!(notice.take() && alice.is_gone() && !by_master.is_gone() && !bob.is_gone());
        assert_eq!(seats.dismiss("alice", Some("root")), 1);
        assert!(by_master.is_gone());
        drop(alice);
        assert!(!seats.take("alice", None, Raiser::default()).unwrap().is_gone(), "a new login is a new seat");
    }
}
