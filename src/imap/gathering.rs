//! Collects what is known of the messages that a SORT or THREAD found, in bounded steps.
//!
//! Reads nothing itself: it visits the messages in the store, which knows them from its cache or looks into their files. Messages that went
//! meanwhile are passed over. A file that cannot be read is passed over too, and the first such error is kept for the reply.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::context::Selected;
use super::reply::Reply;
use crate::store::Tour;
use crate::store::cache::{Facts, Wants};

/// Time that one step takes, about: other sessions share its thread.
const STEP_TIME: Duration = Duration::from_millis(10);
/// Bytes that one step reads from files, about.
const STEP_READ: u64 = 4 * 1024 * 1024;
/// Messages between two looks at the clock.
const BETWEEN_LOOKS: usize = 64;
/// Messages visited at once.
const BATCH: usize = 4096;

/// A tour through a result.
pub struct Gathering {
    tour: Tour,
    /// Place in the result.
    next: usize,
    /// The first error.
    pub failed: Option<Reply>,
    /// Was every file whole? Else what is made of it must not be kept.
    pub is_settled: bool,
}

impl Gathering {
    /// To learn this of every message.
    pub fn new(wants: Wants) -> Gathering {
        Gathering { tour: Tour::new(wants), next: 0, failed: None, is_settled: true }
    }

    /// Show `add` the next of `numbers` (ascending): their places and UIDs, with no facts if none are wanted. Returns whether all are done, or the reply if `add` had no room.
    pub fn step(
        &mut self,
        selected: &Selected,
        numbers: &[u32],
        mut add: impl FnMut(u32, u32, Option<&Facts<'_>>) -> bool,
    ) -> Result<bool, Reply> {
        let (started, mut budget, mut full, mut late) = (Instant::now(), STEP_READ, false, false);
        while self.next < numbers.len() && !full && !late && budget > 0 {
            let some = &numbers[self.next..numbers.len().min(self.next + BATCH)];
            // All have one: they are numbers of this view.
            let uids: Vec<u32> = some.iter().filter_map(|number| selected.view.uid(*number)).collect();
            // Messages are counted in 32 bits.
            let mut row = self.next as u32;
            if self.tour.wants().is_nothing() {
                let some = &uids[..uids.len().min(BETWEEN_LOOKS)];
                full = !(row..).zip(some).all(|(row, uid)| add(row, *uid, None));
                self.next += some.len();
                late = started.elapsed() > STEP_TIME;
                continue;
            }
            let mut seen = 0;
            let mut waiting = uids.iter();
            let visited = selected.mailbox.visit(&mut self.tour, &uids, &mut budget, |facts| {
                seen += 1;
                // Those that are gone are not shown.
                let passed = waiting.position(|uid| *uid == facts.uid()).unwrap_or(0);
                row += passed as u32;
                full = !add(row, facts.uid(), Some(facts));
                row += 1;
                late = seen % BETWEEN_LOOKS == 0 && started.elapsed() > STEP_TIME;
                if full || late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            self.next += visited.done;
            self.is_settled &= visited.is_settled;
            if let Some(error) = visited.failed {
                self.failed.get_or_insert(error.into());
            }
        }
        if full {
            return Err(Reply::no("LIMIT", "Too much to sort at once; search for less"));
        }
        Ok(self.next >= numbers.len())
    }
}
