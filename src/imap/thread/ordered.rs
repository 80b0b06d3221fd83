//! ORDEREDSUBJECT (RFC 5256 section 3): threads of messages with the same base subject, first the parent, all others its children.

use super::Threads;
use super::forest::{Forest, Node};

pub(super) fn build(threads: &Threads) -> Forest {
    // Numbers of subjects are no order, but all that matters here is which are the same.
    let mut order: Vec<u32> = (0..).take(threads.messages.len()).collect();
    let message = |n: u32| &threads.messages[n as usize];
    order.sort_by_key(|n| (message(*n).subject, message(*n).date, message(*n).name));
    let node = |message: &super::Message| Node { name: Some(message.name), date: message.date, children: Vec::new() };
    let mut forest = Forest { nodes: threads.messages.iter().map(node).collect(), roots: Vec::new() };
    for thread in order.chunk_by(|a, b| message(*a).subject == message(*b).subject) {
        forest.roots.push(thread[0]);
        forest.nodes[thread[0] as usize].children = thread[1..].to_vec();
    }
    forest.sort_roots();
    forest
}
