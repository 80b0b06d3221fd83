//! How many connections a user has, over all protocols.
//!
//! Owns a count a user. Refuses a seat past the limit; a seat is given back when it is dropped, with its session. Users
//! without connections cost nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
pub struct Seats {
    most: usize,
    taken: Mutex<HashMap<String, usize>>,
}

/// A seat among a user's connections; given back on drop.
pub struct Seat {
    seats: Arc<Seats>,
    login: String,
}

impl Seats {
    /// At most `most` for each user.
    pub fn new(most: usize) -> Arc<Seats> {
        Arc::new(Seats { most, taken: Mutex::default() })
    }

    /// A seat for this user, if one is free.
    pub fn take(self: &Arc<Self>, login: &str) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(login).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        taken.insert(login.to_owned(), count + 1);
        Some(Seat { seats: self.clone(), login: login.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.login) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
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

    #[test]
    fn seats_come_back() {
        let seats = Seats::new(2);
        let first = seats.take("alice").unwrap();
        let second = seats.take("alice").unwrap();
        assert!(seats.take("alice").is_none());
        assert!(seats.take("bob").is_some());
        drop(first);
        let third = seats.take("alice").unwrap();
        assert!(seats.take("alice").is_none());
        drop((second, third));
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
