//! REFERENCES (RFC 5256 section 3) and REFS (draft-ietf-morg-inthread), step by step as the RFC numbers them.
//!
//! REFS leaves out step 5, so that subjects play no part, and sorts threads by their newest message, as Dovecot does.
//!
//! A link is not made if it would close a loop; to know that, one climbs from the parent up. A message without children closes none, which
//! spares nearly every climb; mail that was made to make us climb ends at [`MAX_CLIMBS`].

use super::forest::{Forest, NONE, Node};
use super::{Threads, TooMuch};
use crate::store::cache::Relative;

/// Steps up in one command: a tenth of a second's work. Real mailboxes of 100,000 messages take some hundred thousand.
pub(super) const MAX_CLIMBS: u64 = 50_000_000;
/// Who is whose parent: ids first, in the order of their numbers, then messages without an id of their own.
struct Links {
    parents: Vec<u32>,
    /// How many have it as their parent.
    children: Vec<u32>,
    /// The message, as a row of [`Threads`].
    rows: Vec<u32>,
    climbs: u64,
}

impl Links {
    fn new(ids: usize) -> Links {
        Links { parents: vec![NONE; ids], children: vec![0; ids], rows: vec![NONE; ids], climbs: MAX_CLIMBS }
    }

    /// The node of a message. RFC 5256 step 1.A: an id belongs to the first message that has it.
    fn node(&mut self, message: &Relative, row: u32) -> u32 {
        if let Some(id) = message.id()
            && self.rows[id as usize] == NONE
        {
            self.rows[id as usize] = row;
            return id;
        }
        self.parents.push(NONE);
        self.children.push(0);
        self.rows.push(row);
        // Messages and their references were counted in 32 bits.
        (self.parents.len() - 1) as u32
    }

    /// Make `parent` the parent of `child`, which has none, unless that closes a loop.
    fn link(&mut self, parent: u32, child: u32) -> Result<(), TooMuch> {
        if parent == child {
            return Ok(());
        }
        if self.children[child as usize] > 0 {
            let mut above = parent;
            while above != NONE {
                if above == child {
                    return Ok(());
                }
                self.climbs = self.climbs.checked_sub(1).ok_or(TooMuch)?;
                above = self.parents[above as usize];
            }
        }
        self.parents[child as usize] = parent;
        self.children[parent as usize] += 1;
        Ok(())
    }

    fn unlink(&mut self, child: u32) {
        let parent = std::mem::replace(&mut self.parents[child as usize], NONE);
        if parent != NONE {
            self.children[parent as usize] -= 1;
        }
    }

    fn is_dummy(&self, node: u32) -> bool {
        self.rows[node as usize] == NONE
    }
}

pub(super) fn build(threads: &Threads, by_subject: bool) -> Result<Forest, TooMuch> {
    let mut links = Links::new(threads.kin.ids());
    // Step 1.
    for row in (0..).take(threads.count()) {
        let node = links.node(threads.message(row), row);
        let mut last = NONE;
        for reference in threads.references(row) {
            // 1.A: a link that is there already stays.
            if last != NONE && links.parents[*reference as usize] == NONE {
                links.link(last, *reference)?;
            }
            last = *reference;
        }
        // 1.B: what the message says of itself counts more than what others said before.
        if links.parents[node as usize] != last {
            links.unlink(node);
            if last != NONE {
                links.link(last, node)?;
            }
        }
    }
    let mut forest = pruned(threads, &links);
    // Steps 4 and 6: children first, since a dummy is sorted by the first of them.
    for node in (0..).take(forest.nodes.len()) {
        forest.sort_children(node);
    }
    if by_subject {
        forest.sort_roots();
        merge_subjects(threads, &links.rows, &mut forest);
        forest.sort_roots();
    } else {
        sort_by_newest(&mut forest);
    }
    Ok(forest)
}

/// Steps 2 and 3: a forest of messages, with dummies only where a root has several children. Nodes have the same numbers as links.
fn pruned(threads: &Threads, links: &Links) -> Forest {
    let node = |row: &u32| if *row == NONE { Node::new(0, 0) } else { threads.node(*row) };
    let mut forest = Forest::of(links.rows.iter().map(node).collect());
    // For a dummy: the message above it, or the topmost dummy. Filled on the way, so that no way is gone twice.
    let mut anchors = vec![NONE; links.parents.len()];
    let mut way = Vec::new();
    for node in (0..).take(links.parents.len()) {
        if links.is_dummy(node) {
            continue;
        }
        let mut above = links.parents[node as usize];
        if above == NONE {
            forest.roots.push(node);
            continue;
        }
        while links.is_dummy(above) {
            if anchors[above as usize] != NONE {
                above = anchors[above as usize];
                break;
            }
            way.push(above);
            let next = links.parents[above as usize];
            if next == NONE {
                forest.roots.push(above);
                break;
            }
            above = next;
        }
        way.drain(..).for_each(|passed| anchors[passed as usize] = above);
        forest.adopt(above, node);
    }
    // A dummy with one child gives its place to it.
    for root in 0..forest.roots.len() {
        let node = forest.roots[root];
        if let (true, Some(only)) = (forest.node(node).is_dummy(), forest.only_child(node)) {
            forest.roots[root] = only;
        }
    }
    forest
}

/// A root in step 5.
#[derive(Clone, Copy)]
struct Root {
    node: u32,
    subject: u32,
    is_reply: bool,
}

/// Step 5. Roots and their children are sorted; `rows` has the message of each node.
fn merge_subjects(threads: &Threads, rows: &[u32], forest: &mut Forest) {
    // 5.A: of a dummy its first child's.
    let root = |node: &u32| {
        let shown = if forest.node(*node).is_dummy() { forest.node(*node).child } else { *node };
        let message = rows.get(shown as usize).filter(|row| **row != NONE).map(|row| threads.message(*row));
        let (subject, is_reply) = message.map_or((0, false), |message| (message.subject, message.is_reply));
        Root { node: *node, subject, is_reply }
    };
    let roots: Vec<Root> = forest.roots.iter().map(root).filter(|root| root.subject != 0).collect();
    // 5.B: for each subject the root that stands for it.
    let mut table: Vec<Option<Root>> = vec![None; threads.kin.subjects()];
    for root in &roots {
        let there = table[root.subject as usize].get_or_insert(*root);
        let dummy_or_original = forest.node(root.node).is_dummy() || there.is_reply && !root.is_reply;
        if there.node != root.node && !forest.node(there.node).is_dummy() && dummy_or_original {
            *there = *root;
        }
    }
    // 5.C.
    let (mut touched, mut gone) = (Vec::new(), Vec::new());
    for root in roots {
        let Some(there) = table[root.subject as usize].filter(|there| there.node != root.node) else { continue };
        gone.push(root.node);
        let there_is_dummy = forest.node(there.node).is_dummy();
        if there_is_dummy && forest.node(root.node).is_dummy() {
            forest.hand_over(root.node, there.node);
            touched.push(there.node);
        } else if there_is_dummy || root.is_reply && !there.is_reply {
            forest.adopt(there.node, root.node);
            touched.push(there.node);
        } else {
            // Nodes are fewer than 2^32: they were counted in 32 bits, and each merge takes a root away.
            let dummy = forest.nodes.len() as u32;
            forest.nodes.push(Node::new(0, 0));
            forest.adopt(dummy, root.node);
            forest.adopt(dummy, there.node);
            forest.roots.push(dummy);
            gone.push(there.node);
            touched.push(dummy);
            table[root.subject as usize] = Some(Root { node: dummy, is_reply: false, ..there });
        }
    }
    gone.sort_unstable();
    forest.roots.retain(|root| gone.binary_search(root).is_err());
    // Step 6 for those that got children.
    touched.sort_unstable();
    touched.dedup();
    touched.into_iter().for_each(|node| forest.sort_children(node));
}

/// REFS: threads in the order of their newest messages.
fn sort_by_newest(forest: &mut Forest) {
    let mut left = Vec::new();
    let mut newest = |root: u32| {
        let mut latest = i64::MIN;
        left.push(root);
        while let Some(node) = left.pop() {
            let node = forest.node(node);
            if !node.is_dummy() {
                latest = latest.max(node.date);
            }
            left.extend(forest.children(node));
        }
        latest
    };
    let mut roots: Vec<((i64, u32), u32)> =
        forest.roots.iter().map(|root| ((newest(*root), forest.order(*root).1), *root)).collect();
    roots.sort_unstable();
    forest.roots = roots.into_iter().map(|(_, root)| root).collect();
}
