//! ORDEREDSUBJECT (RFC 5256 section 3): threads of messages with the same base subject, first the parent, all others its children.

use super::Threads;
use super::forest::Forest;

pub(super) fn build(threads: &Threads) -> Forest {
    // Numbers of subjects are no order, but all that matters here is which are the same.
    let key = |row: u32| (threads.message(row).subject, threads.message(row).date, row);
    let mut order: Vec<(u32, i64, u32)> = (0..).take(threads.count()).map(key).collect();
    order.sort_unstable();
    let mut forest = Forest::of((0..).take(threads.count()).map(|row| threads.node(row)).collect());
    for thread in order.chunk_by(|a, b| a.0 == b.0) {
        let parent = thread[0].2;
        forest.roots.push(parent);
        // The first last, since a new child goes before its siblings.
        thread[1..].iter().rev().for_each(|child| forest.adopt(parent, child.2));
    }
    forest.sort_roots();
    forest
}
