//! REFERENCES (RFC 5256 section 3) and REFS (draft-ietf-morg-inthread), step by step as the RFC numbers them.
//!
//! REFS leaves out step 5, so that subjects play no part, and sorts threads by their newest message, as Dovecot does.
//!
//! A link is not made if it would close a loop; to know that, one climbs from the parent up. A message without children closes none, which
//! spares nearly every climb; mail that was made to make us climb ends at [`MAX_CLIMBS`].

use std::collections::HashMap;

use super::forest::{Forest, Node};
use super::{Message, Threads, TooMuch};

/// Steps up in one command: a tenth of a second's work. Real mailboxes of 100,000 messages take some hundred thousand.
pub(super) const MAX_CLIMBS: u64 = 50_000_000;
/// No node.
const NONE: u32 = u32::MAX;

/// Who is whose parent: ids first, in the order of their numbers, then messages without an id of their own.
struct Links {
    parents: Vec<u32>,
    /// How many have it as their parent.
    children: Vec<u32>,
    /// The message, as a place in [`Threads::messages`].
    messages: Vec<u32>,
    climbs: u64,
}

impl Links {
    fn new(ids: usize) -> Links {
        Links { parents: vec![NONE; ids], children: vec![0; ids], messages: vec![NONE; ids], climbs: MAX_CLIMBS }
    }

    /// The node of a message. RFC 5256 step 1.A: an id belongs to the first message that has it.
    fn node(&mut self, message: &Message, place: u32) -> u32 {
        if let Some(id) = message.id
            && self.messages[id as usize] == NONE
        {
            self.messages[id as usize] = place;
            return id;
        }
        self.parents.push(NONE);
        self.children.push(0);
        self.messages.push(place);
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
        self.messages[node as usize] == NONE
    }
}

pub(super) fn build(threads: &Threads, by_subject: bool) -> Result<Forest, TooMuch> {
    let mut links = Links::new(threads.ids.numbers.len());
    // Step 1.
    for (place, message) in (0..).zip(&threads.messages) {
        let node = links.node(message, place);
        let mut last = NONE;
        for reference in &threads.references[message.references.clone()] {
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
        merge_subjects(threads, &mut forest);
        forest.sort_roots();
    } else {
        sort_by_newest(&mut forest);
    }
    Ok(forest)
}

/// Steps 2 and 3: a forest of messages, with dummies only where a root has several children. Nodes have the same numbers as links.
fn pruned(threads: &Threads, links: &Links) -> Forest {
    let node = |place: &u32| match threads.messages.get(*place as usize) {
        Some(message) => Node { name: Some(message.name), date: message.date, children: Vec::new() },
        None => Node::default(),
    };
    let mut forest = Forest { nodes: links.messages.iter().map(node).collect(), roots: Vec::new() };
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
        forest.nodes[above as usize].children.push(node);
    }
    // A dummy with one child gives its place to it.
    for root in 0..forest.roots.len() {
        let node = &forest.nodes[forest.roots[root] as usize];
        if let (None, [only]) = (node.name, &node.children[..]) {
            forest.roots[root] = *only;
        }
    }
    forest
}

/// Step 5. Roots and their children are sorted.
fn merge_subjects(threads: &Threads, forest: &mut Forest) {
    // The names of messages are ascending, and that is how a node finds its message again.
    let find = |name: Option<u32>| {
        let found = threads.messages.binary_search_by_key(&name?, |message| message.name).ok()?;
        threads.messages.get(found)
    };
    let shown = |forest: &Forest, root: u32| {
        let node = &forest.nodes[root as usize];
        let name = node.name.or_else(|| forest.nodes[*node.children.first()? as usize].name);
        find(name).map_or((0, false), |message| (message.subject, message.is_reply))
    };
    let roots: Vec<(u32, u32, bool)> = forest
        .roots
        .iter()
        .map(|root| {
            let (subject, is_reply) = shown(forest, *root);
            (*root, subject, is_reply)
        })
        .collect();
    // 5.B: for each subject the root that stands for it, and whether that is a reply.
    let mut table: HashMap<u32, (u32, bool)> = HashMap::new();
    let is_dummy = |forest: &Forest, root: u32| forest.nodes[root as usize].name.is_none();
    for (root, subject, is_reply) in roots.iter().filter(|root| root.1 != 0) {
        let (there, there_is_reply) = *table.entry(*subject).or_insert((*root, *is_reply));
        if there != *root && !is_dummy(forest, there) && (is_dummy(forest, *root) || there_is_reply && !is_reply) {
            table.insert(*subject, (*root, *is_reply));
        }
    }
    // 5.C.
    let mut touched = Vec::new();
    let mut gone = Vec::new();
    for (root, subject, is_reply) in roots.into_iter().filter(|root| root.1 != 0) {
        let Some((there, there_is_reply)) = table.get(&subject).copied().filter(|there| there.0 != root) else {
            continue;
        };
        gone.push(root);
        if is_dummy(forest, there) && is_dummy(forest, root) {
            let children = std::mem::take(&mut forest.nodes[root as usize].children);
            forest.nodes[there as usize].children.extend(children);
            touched.push(there);
        } else if is_dummy(forest, there) || is_reply && !there_is_reply {
            forest.nodes[there as usize].children.push(root);
            touched.push(there);
        } else {
            // Nodes are fewer than 2^32: they were counted in 32 bits, and each merge takes a root away.
            let dummy = forest.nodes.len() as u32;
            forest.nodes.push(Node { children: vec![there, root], ..Node::default() });
            forest.roots.push(dummy);
            gone.push(there);
            touched.push(dummy);
            table.insert(subject, (dummy, false));
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
    let newest = |root: u32| {
        let (mut latest, mut left) = (i64::MIN, vec![root]);
        while let Some(node) = left.pop() {
            let node = &forest.nodes[node as usize];
            if node.name.is_some() {
                latest = latest.max(node.date);
            }
            left.extend(&node.children);
        }
        latest
    };
    let mut roots: Vec<((i64, u32), u32)> =
        forest.roots.iter().map(|root| ((newest(*root), forest.order(*root).1), *root)).collect();
    roots.sort_unstable();
    forest.roots = roots.into_iter().map(|(_, root)| root).collect();
}
