//! Which mailbox names a LIST or LSUB is about, and what is to be said of each.
//!
//! Works on values only: the folders and subscriptions as the store gave them. Time is linear in names and their levels.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::parse::list::Select;
use super::pattern::Pattern;
use crate::store::{Folder, Name, Role};

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The name.
    pub name: Name,
    /// False: nothing can be selected under that name.
    pub exists: bool,
    /// Its special use.
    pub role: Option<Role>,
    /// Is it subscribed to, as far as that was asked for?
    pub subscribed: bool,
    /// Are there mailboxes below?
    pub children: bool,
    /// It meets the selection criteria itself.
    pub meets: bool,
    /// A name below meets them, and RECURSIVEMATCH asked (RFC 5258 3.5).
    pub child_info: bool,
}

/// What is listed: INBOX first, then by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing(pub Vec<Line>);

/// What is known of a name.
#[derive(Default)]
struct Node {
    exists: bool,
    role: Option<Role>,
    subscribed: bool,
}

type Nodes = BTreeMap<(bool, Name), Node>;

fn node(nodes: &mut Nodes, name: Name) -> &mut Node {
    nodes.entry((!name.is_inbox(), name)).or_default()
}

/// The names above `name`, nearest first.
fn above(name: &Name) -> impl Iterator<Item = Name> + use<> {
    std::iter::successors(name.parent(), Name::parent)
}

impl Listing {
    /// LIST: names that match one of the patterns and meet the criteria.
    pub fn select(
        folders: Vec<Folder>,
        subscriptions: BTreeSet<Name>,
        patterns: &[Pattern],
        select: Select,
    ) -> Listing {
        let mut nodes = Nodes::new();
        let mut parents = HashSet::new();
        for folder in folders {
            if folder.exists {
                parents.extend(above(&folder.name));
            }
            let node = node(&mut nodes, folder.name);
            (node.exists, node.role) = (folder.exists, folder.role);
        }
        for name in subscriptions {
            if select.recursive {
                for parent in above(&name) {
                    node(&mut nodes, parent);
                }
            }
            node(&mut nodes, name).subscribed = true;
        }
        let matches = |name: &Name| patterns.iter().any(|pattern| pattern.matches(name));
        let meets =
            |node: &Node| (!select.subscribed || node.subscribed) && (!select.special_use || node.role.is_some());
        // RFC 5258 3.5: names above one that meets the criteria; and above one that does, but is not listed itself.
        let (mut chosen_below, mut unlisted_below) = (HashSet::new(), HashSet::new());
        if select.recursive {
            for ((_, name), _) in nodes.iter().filter(|(_, node)| meets(node)) {
                chosen_below.extend(above(name));
                if !matches(name) {
                    unlisted_below.extend(above(name));
                }
            }
        }
        let lines = nodes.into_iter().filter_map(|((_, name), node)| {
            let children = parents.contains(&name);
            // A name that does not exist is listed for its children, or because subscriptions are asked for.
            let there = node.exists || children || (select.subscribed && node.subscribed);
            let meets = meets(&node) && there;
            let listed = (meets || unlisted_below.contains(&name)) && matches(&name);
            listed.then(|| Line {
                exists: node.exists,
                role: node.role,
                subscribed: node.subscribed,
                children,
                meets,
                child_info: chosen_below.contains(&name),
                name,
            })
        });
        Listing(lines.collect())
    }

    /// LSUB: subscribed names that match; and for patterns with `%`, names above a subscribed one, as if they could not be
    /// selected (RFC 3501 6.3.9).
    pub fn subscribed(subscriptions: BTreeSet<Name>, patterns: &[Pattern]) -> Listing {
        let mut nodes = Nodes::new();
        for name in subscriptions {
            for parent in above(&name) {
                node(&mut nodes, parent);
            }
            node(&mut nodes, name).exists = true;
        }
        let lines = nodes.into_iter().filter_map(|((_, name), node)| {
            let listed = patterns.iter().any(|pattern| (node.exists || pattern.by_level) && pattern.matches(&name));
            let Node { exists, role, .. } = node;
            listed.then_some(Line {
                name,
                exists,
                role,
                subscribed: exists,
                children: false,
                meets: exists,
                child_info: false,
            })
        });
        Listing(lines.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn folders(names: &[&str]) -> Vec<Folder> {
        let folder = |text: &&str| match text.strip_prefix('!') {
            Some(missing) => Folder { name: name(missing), role: None, exists: false },
            None => Folder { name: name(text), role: (*text == "Sent").then_some(Role::Sent), exists: true },
        };
        names.iter().map(folder).collect()
    }

    fn listed(names: &[&str], subscribed: &[&str], select: Select, pattern: &str) -> Vec<String> {
        let patterns = [Pattern::new(b"", pattern.as_bytes()).unwrap()];
        let subscriptions = subscribed.iter().map(|text| name(text)).collect();
        let lines = Listing::select(folders(names), subscriptions, &patterns, select).0;
        let show = |line: Line| {
            let marks = [(!line.exists, "!"), (line.children, "+"), (line.subscribed, "s"), (line.child_info, "c")];
            let marks: String = marks.iter().filter(|mark| mark.0).map(|mark| mark.1).collect();
            format!("{} {marks}", line.name).trim_end().to_owned()
        };
        lines.into_iter().map(show).collect()
    }

    const SUBSCRIBED: Select = Select { subscribed: true, recursive: false, special_use: false };
    const RECURSIVE: Select = Select { subscribed: true, recursive: true, special_use: false };

    #[test]
    fn plain() {
        let all = ["a", "a/b", "!c", "c/d", "INBOX", "Sent"];
        assert_eq!(listed(&all, &[], Select::default(), "*"), ["INBOX", "Sent", "a +", "a/b", "c !+", "c/d"]);
        assert_eq!(listed(&all, &[], Select::default(), "%"), ["INBOX", "Sent", "a +", "c !+"]);
        let special = Select { special_use: true, ..Select::default() };
        assert_eq!(listed(&all, &[], special, "*"), ["Sent"]);
    }

    /// The examples of RFC 5258 section 5.
    #[test]
    fn examples_of_the_rfc() {
        // Example 3 and 8: subscribed names, also those that do not exist.
        assert_eq!(listed(&["f", "f/a"], &["f/a", "f/x"], SUBSCRIBED, "*"), ["f/a s", "f/x !s"]);
        // Only asked to be told, a name that does not exist is not listed.
        assert_eq!(listed(&["f"], &["f", "x"], Select::default(), "*"), ["f s"]);
        // Example 8: CHILDINFO.
        let foo = ["INBOX", "Foo", "Foo/Bar", "Foo/Baz", "Moo"];
        assert_eq!(listed(&foo, &["Foo/Baz"], SUBSCRIBED, "%"), [""; 0]);
        assert_eq!(listed(&foo, &["Foo/Baz"], RECURSIVE, "%"), ["Foo +c"]);
        assert_eq!(listed(&foo, &["Foo/Baz", "Foo"], RECURSIVE, "%"), ["Foo +sc"]);
        assert_eq!(listed(&["Moo"], &["Foo/Baz"], RECURSIVE, "%"), ["Foo !c"]);
        assert_eq!(listed(&foo, &[], RECURSIVE, "%"), [""; 0]);
        assert_eq!(listed(&foo, &["Foo", "Moo"], RECURSIVE, "%"), ["Foo +s", "Moo s"]);
        // Example 9: no redundant CHILDINFO.
        let tree = ["foo2", "foo2/bar1", "foo2/bar2", "baz2", "baz2/bar2", "eps2", "eps2/mamba", "!qux2", "qux2/bar2"];
        let subscribed = ["foo2/bar1", "foo2/bar2", "baz2/bar2", "eps2", "eps2/mamba", "qux2/bar2"];
        assert_eq!(
            listed(&tree, &subscribed, RECURSIVE, "*2"),
            ["baz2/bar2 s", "eps2 +sc", "foo2 +c", "foo2/bar2 s", "qux2/bar2 s"]
        );
    }

    #[test]
    fn lsub() {
        let subscriptions: BTreeSet<Name> = ["a/b/c", "d", "d/e"].iter().map(|text| name(text)).collect();
        let listed = |pattern: &str| -> Vec<(String, bool)> {
            let patterns = [Pattern::new(b"", pattern.as_bytes()).unwrap()];
            let lines = Listing::subscribed(subscriptions.clone(), &patterns).0;
            lines.into_iter().map(|line| (line.name.to_string(), line.exists)).collect()
        };
        assert_eq!(listed("*"), [("a/b/c".into(), true), ("d".into(), true), ("d/e".into(), true)]);
        assert_eq!(listed("%"), [("a".into(), false), ("d".into(), true)]);
        assert_eq!(listed("a/%"), [("a/b".into(), false)]);
    }
}
