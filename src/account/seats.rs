//! Who is connected: how many connections a user has over all protocols, and how they are told that he is gone.
//!
//! Owns the places of a user's connections. Refuses a seat past the limit; a seat is given back when it is dropped, with
//! its session. A user who was removed is [dismissed](Seats::dismiss): his seats say so from then on, and his sessions
//! are woken to look. Users without connections cost nothing.

use std::collections::HashMap;
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

    /// A seat for this user, if one is free; `wake` is raised if he is dismissed.
    pub fn take(self: &Arc<Self>, login: &str, wake: Raiser) -> Option<Seat> {
        let mut taken = self.taken();
        let places = taken.entry(login.to_owned()).or_default();
        if places.len() >= self.most {
            return None;
        }
        let place = Arc::new(Place { wake, gone: AtomicBool::new(false) });
        places.push(place.clone());
        Some(Seat { seats: self.clone(), login: login.to_owned(), place })
    }

    /// Everybody who is connected.
    pub fn logins(&self) -> Vec<String> {
        self.taken().keys().cloned().collect()
    }

    /// Tell every connection of this user to end. Returns how many there are.
    pub fn dismiss(&self, login: &str) -> usize {
        let places = self.taken().get(login).cloned().unwrap_or_default();
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
        let take = |login| seats.take(login, Raiser::default());
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
        let alice = seats.take("alice", notice.raiser()).unwrap();
        let bob = seats.take("bob", Raiser::default()).unwrap();
        assert_eq!((seats.dismiss("alice"), seats.dismiss("carol")), (1, 0));
        assert!(notice.take() && alice.is_gone() && !bob.is_gone());
        drop(alice);
        assert!(!seats.take("alice", Raiser::default()).unwrap().is_gone(), "a new login is a new seat");
    }
}
