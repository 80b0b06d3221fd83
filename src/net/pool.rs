//! Slow work: password hashes, which take tens of milliseconds of one core and megabytes of memory.
//!
//! At most one piece of work a core runs at a time, so that a flood of logins costs the memory of that many hashes and leaves
//! the session threads alone. What waits, waits in a queue of its address, and the addresses take turns: a thousand logins from one
//! address put off somebody else's by one of them, not by all. A connection has at most one piece of work, so the limits on
//! connections are the limits of the queues too. A piece of work that panics ends its own connection only.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::caps::counted;
use crate::wire::{Answer, Work};

/// The bounded pool. Threads are the runtime's blocking threads, whose number is [`Pool::threads`].
#[derive(Clone)]
pub struct Pool(Arc<Mutex<Queues>>);

struct Queues {
    /// Places that nobody has.
    free: usize,
    /// Who waits, by address; no queue is empty.
    waiting: HashMap<IpAddr, VecDeque<oneshot::Sender<Place>>>,
    /// Those addresses, the next one first.
    turns: VecDeque<IpAddr>,
}

/// A place to work in; dropped, it goes to whoever is next.
struct Place(Pool);

impl Pool {
    /// Threads for slow work: one a core.
    pub fn threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// A pool with one place a core.
    pub fn new() -> Pool {
        Pool::of(Pool::threads())
    }

    fn of(free: usize) -> Pool {
        Pool(Arc::new(Mutex::new(Queues { free, waiting: HashMap::new(), turns: VecDeque::new() })))
    }

    /// Run `work` for a client at `address` when it is its turn. `None` if it panicked (the panic is logged by the hook).
    pub async fn run(&self, address: IpAddr, work: Work) -> Option<Answer> {
        let place = self.place(address).await?;
        let done = tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(place);
            answer
        });
        done.await.ok()
    }

    async fn place(&self, address: IpAddr) -> Option<Place> {
        let turn = {
            let mut queues = self.queues();
            if queues.free > 0 {
                queues.free -= 1;
                return Some(Place(self.clone()));
            }
            let (give, turn) = oneshot::channel();
            let address = counted(address);
            let queue = queues.waiting.entry(address).or_default();
            queue.push_back(give);
            if queue.len() == 1 {
                queues.turns.push_back(address);
            }
            turn
        };
        turn.await.ok()
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// The next one whose turn it is; its address goes to the end.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let address = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&address)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        next
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut queues = self.0.queues();
            let next = queues.next();
            if next.is_none() {
                queues.free += 1;
            }
            next
        };
        if let Some(next) = next {
            // Somebody who has gone meanwhile gives it back: what was not sent is dropped here, outside the lock, and passes it on.
            drop(next.send(Place(self.0.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let pool = Pool::of(1);
        let order: Arc<Mutex<Vec<String>>> = Arc::default();
        let busy = pool.place(address("192.0.2.1")).await.unwrap();
        let mut tasks = Vec::new();
        let flood = ["a1", "a2", "a3", "a4"].map(|name| ("192.0.2.1", name));
        let neighbours = ["b1", "b2", "b3"].map(|name| ("2001:db8::1", name));
        for (from, name) in flood.into_iter().chain(neighbours).chain([("2001:db8::ffff", "b4"), ("192.0.2.3", "c1")]) {
            let (mine, order) = (pool.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let work = move || -> Answer {
                    order.lock().unwrap().push(name.to_owned());
                    Box::new(())
                };
                assert!(mine.run(address(from), Box::new(work)).await.is_some());
            }));
            // Until it waits: the order of arrival is part of the test.
            while pool.queues().waiting.values().map(VecDeque::len).sum::<usize>() < tasks.len() {
                tokio::task::yield_now().await;
            }
        }
        // One who waits no longer takes no turn.
        tasks.remove(1).abort();
        tokio::task::yield_now().await;
        drop(busy);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(order.lock().unwrap().join(" "), "a1 b1 c1 b2 a3 b3 a4 b4");
        let queues = pool.queues();
        assert_eq!((queues.free, queues.waiting.len(), queues.turns.len()), (1, 0, 0), "nothing is left behind");
    }

    #[tokio::test]
    async fn a_panic_gives_its_place_back() {
        let pool = Pool::of(1);
        let panics: Work = Box::new(|| panic!("on purpose"));
        assert!(pool.run(address("192.0.2.1"), panics).await.is_none());
        assert!(pool.run(address("192.0.2.1"), Box::new(|| Box::new(()))).await.is_some());
    }
}
