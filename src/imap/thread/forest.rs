//! Threads as trees, and as a THREAD response (RFC 5256 section 4, BASE.7.2.THREAD).

/// A node: a message, or nobody in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// What is told of it; `None` for one that only holds others together.
    pub name: Option<u32>,
    /// By what it is sorted among its siblings.
    pub date: i64,
    pub children: Vec<u32>,
}

/// Trees whose nodes are numbered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forest {
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<u32>,
}

/// What is left to be written.
enum Piece {
    Tree(u32),
    Close,
}

impl Forest {
    /// The response's line, without its end. There is no recursion: threads may be very deep.
    pub fn write(&self) -> String {
        let mut text = String::from("* THREAD");
        if !self.roots.is_empty() {
            text.push(' ');
        }
        let mut left: Vec<Piece> = self.roots.iter().rev().map(|root| Piece::Tree(*root)).collect();
        while let Some(piece) = left.pop() {
            let Piece::Tree(root) = piece else {
                text.push(')');
                continue;
            };
            text.push('(');
            left.push(Piece::Close);
            // Parent, child, grandchild, as long as there is one only.
            let (mut node, mut first) = (&self.nodes[root as usize], true);
            loop {
                if let Some(name) = node.name {
                    if !first {
                        text.push(' ');
                    }
                    text.push_str(&name.to_string());
                    first = false;
                }
                match &node.children[..] {
                    [only] => node = &self.nodes[*only as usize],
                    children => {
                        if !children.is_empty() && !first {
                            text.push(' ');
                        }
                        left.extend(children.iter().rev().map(|child| Piece::Tree(*child)));
                        break;
                    }
                }
            }
        }
        text
    }

    /// What a node is sorted by: its date, then what is told of it. A node without a message has those of its first child (RFC 5256, step 4).
    pub(super) fn order(&self, node: u32) -> (i64, u32) {
        let node = &self.nodes[node as usize];
        let first = || node.children.first().map(|child| &self.nodes[*child as usize]);
        let shown = if node.name.is_some() { Some(node) } else { first() };
        shown.map_or((node.date, u32::MAX), |shown| (shown.date, shown.name.unwrap_or(u32::MAX)))
    }

    /// Sort the children of a node.
    pub(super) fn sort_children(&mut self, node: u32) {
        let mut children = std::mem::take(&mut self.nodes[node as usize].children);
        children.sort_by_key(|child| self.order(*child));
        self.nodes[node as usize].children = children;
    }

    /// Sort the roots.
    pub(super) fn sort_roots(&mut self) {
        let mut roots = std::mem::take(&mut self.roots);
        roots.sort_by_key(|root| self.order(*root));
        self.roots = roots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: u32, children: &[u32]) -> Node {
        Node { name: (name > 0).then_some(name), date: 0, children: children.to_vec() }
    }

    /// The examples of RFC 5256 section 4.
    #[test]
    fn responses() {
        let forest = Forest {
            nodes: vec![
                node(2, &[]),
                node(3, &[2]),
                node(6, &[3, 5]),
                node(4, &[4]),
                node(23, &[]),
                node(44, &[6]),
                node(7, &[7]),
                node(96, &[]),
            ],
            roots: vec![0, 1],
        };
        assert_eq!(forest.write(), "* THREAD (2)(3 6 (4 23)(44 7 96))");
        let siblings = Forest { nodes: vec![node(0, &[1, 2]), node(3, &[]), node(5, &[])], roots: vec![0] };
        assert_eq!(siblings.write(), "* THREAD ((3)(5))");
        assert_eq!(Forest::default().write(), "* THREAD");
    }

    #[test]
    fn a_very_deep_thread() {
        let count = 200_000;
        let nodes = (1..=count).map(|n| node(n, if n < count { vec![n] } else { vec![] }.as_slice())).collect();
        let text = Forest { nodes, roots: vec![0] }.write();
        assert!(text.starts_with("* THREAD (1 2 3 ") && text.ends_with(" 200000)"));
    }
}
