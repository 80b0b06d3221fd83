//! Trees of messages, and how THREAD writes them (RFC 5256 section 4).
//!
//! A node knows its first child and its next sibling, so that a hundred thousand nodes are one piece of memory. Nothing recurses: threads may
//! be as deep as the mailbox is big.

use crate::mail::render::number;

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// A message, or a place that holds others together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    /// What is told of it; 0 for one that only holds others together.
    pub name: u32,
    /// By what it is sorted among its siblings.
    pub date: i64,
    /// First child.
    pub child: u32,
    /// Next sibling.
    next: u32,
}

impl Node {
    /// Without children.
    pub fn new(name: u32, date: i64) -> Node {
        Node { name, date, child: NONE, next: NONE }
    }

    /// Does it only hold others together?
    pub fn is_dummy(&self) -> bool {
        self.name == 0
    }
}

/// Trees whose nodes are numbered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forest {
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<u32>,
    /// For sorting siblings.
    siblings: Vec<((i64, u32), u32)>,
}

/// What is left to be written.
enum Piece {
    Tree(u32),
    /// A tree, and those of its next siblings.
    Trees(u32),
    Close,
}

impl Forest {
    /// Nodes that are nobody's children yet, and are no roots.
    pub(super) fn of(nodes: Vec<Node>) -> Forest {
        Forest { nodes, ..Forest::default() }
    }

    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    /// Make `child`, which is nobody's, the first child of `parent`.
    pub(super) fn adopt(&mut self, parent: u32, child: u32) {
        let first = std::mem::replace(&mut self.nodes[parent as usize].child, child);
        self.nodes[child as usize].next = first;
    }

    /// Give the children of `from` to `to`.
    pub(super) fn hand_over(&mut self, from: u32, to: u32) {
        let mut child = std::mem::replace(&mut self.nodes[from as usize].child, NONE);
        while child != NONE {
            let next = self.node(child).next;
            self.adopt(to, child);
            child = next;
        }
    }

    /// The children of a node.
    pub(super) fn children(&self, node: &Node) -> impl Iterator<Item = u32> + '_ {
        let existing = |node: u32| (node != NONE).then_some(node);
        std::iter::successors(existing(node.child), move |child| existing(self.node(*child).next))
    }

    /// The child, if there is one only.
    pub(super) fn only_child(&self, node: u32) -> Option<u32> {
        let child = self.node(node).child;
        (child != NONE && self.node(child).next == NONE).then_some(child)
    }

    /// The response's line, without its end.
    pub fn write(&self) -> Vec<u8> {
        let mut text = b"* THREAD".to_vec();
        if !self.roots.is_empty() {
            text.push(b' ');
        }
        let mut left = Vec::new();
        for root in &self.roots {
            left.push(Piece::Tree(*root));
            while let Some(piece) = left.pop() {
                match piece {
                    Piece::Tree(tree) => {
                        left.push(Piece::Close);
                        left.extend(self.open(tree, &mut text));
                    }
                    Piece::Trees(tree) => {
                        let next = self.node(tree).next;
                        if next != NONE {
                            left.push(Piece::Trees(next));
                        }
                        left.push(Piece::Tree(tree));
                    }
                    Piece::Close => text.push(b')'),
                }
            }
        }
        text
    }

    /// Parent, child, grandchild, as long as there is one only; what comes behind them.
    fn open(&self, tree: u32, text: &mut Vec<u8>) -> Option<Piece> {
        text.push(b'(');
        let (mut node, mut first) = (tree, true);
        loop {
            let Node { name, child, .. } = *self.node(node);
            if name != 0 {
                if !first {
                    text.push(b' ');
                }
                number(text, name.into());
                first = false;
            }
            if child == NONE {
                return None;
            }
            if self.node(child).next != NONE {
                if !first {
                    text.push(b' ');
                }
                return Some(Piece::Trees(child));
            }
            node = child;
        }
    }

    /// What a node is sorted by: its date, then what is told of it. A node without a message has those of its first child (RFC 5256, step 4).
    pub(super) fn order(&self, node: u32) -> (i64, u32) {
        let node = self.node(node);
        let shown = if node.is_dummy() && node.child != NONE { self.node(node.child) } else { node };
        (shown.date, if shown.is_dummy() { u32::MAX } else { shown.name })
    }

    /// Sort the children of a node.
    pub(super) fn sort_children(&mut self, node: u32) {
        let first = self.node(node).child;
        if first == NONE || self.node(first).next == NONE {
            return;
        }
        let mut siblings = std::mem::take(&mut self.siblings);
        siblings.extend(self.children(self.node(node)).map(|child| (self.order(child), child)));
        siblings.sort_unstable();
        let mut next = NONE;
        for (_, child) in siblings.drain(..).rev() {
            self.nodes[child as usize].next = next;
            next = child;
        }
        self.nodes[node as usize].child = next;
        self.siblings = siblings;
    }

    /// Sort the roots.
    pub(super) fn sort_roots(&mut self) {
        let mut roots = std::mem::take(&mut self.roots);
        roots.sort_by_cached_key(|root| self.order(*root));
        self.roots = roots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes by their names, each with its children.
    fn forest(nodes: &[(u32, &[u32])], roots: &[u32]) -> Forest {
        let mut forest = Forest::of(nodes.iter().map(|node| Node::new(node.0, 0)).collect());
        for (parent, (_, children)) in (0..).zip(nodes) {
            children.iter().rev().for_each(|child| forest.adopt(parent, *child));
        }
        forest.roots = roots.to_vec();
        forest
    }

    fn told(forest: &Forest) -> String {
        String::from_utf8(forest.write()).unwrap()
    }

    /// The examples of RFC 5256 section 4.
    #[test]
    fn responses() {
        let nodes: [(u32, &[u32]); 8] =
            [(2, &[]), (3, &[2]), (6, &[3, 5]), (4, &[4]), (23, &[]), (44, &[6]), (7, &[7]), (96, &[])];
        assert_eq!(told(&forest(&nodes, &[0, 1])), "* THREAD (2)(3 6 (4 23)(44 7 96))");
        assert_eq!(told(&forest(&[(0, &[1, 2]), (3, &[]), (5, &[])], &[0])), "* THREAD ((3)(5))");
        assert_eq!(told(&Forest::default()), "* THREAD");
    }

    #[test]
    fn children_are_sorted_and_handed_over() {
        let mut forest = forest(&[(0, &[1, 2]), (9, &[]), (5, &[]), (7, &[4]), (1, &[])], &[0, 3]);
        forest.sort_children(0);
        assert_eq!(told(&forest), "* THREAD ((5)(9))(7 1)");
        assert_eq!((forest.only_child(0), forest.only_child(3), forest.only_child(4)), (None, Some(4), None));
        assert_eq!((forest.order(0), forest.order(3)), ((0, 5), (0, 7)));
        forest.hand_over(0, 3);
        forest.sort_children(3);
        forest.roots = vec![3];
        assert_eq!(told(&forest), "* THREAD (7 (1)(5)(9))");
    }

    #[test]
    fn a_very_deep_thread() {
        let count = 200_000;
        let mut forest = Forest::of((1..=count).map(|n| Node::new(n, 0)).collect());
        (1..count).for_each(|n| forest.adopt(n - 1, n));
        forest.roots = vec![0];
        let text = told(&forest);
        assert!(text.starts_with("* THREAD (1 2 3 ") && text.ends_with(" 200000)"));
    }
}
