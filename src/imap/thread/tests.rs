//! Threading, case by case, and against the words of RFC 5256 written down a second time without a thought for speed.

use std::collections::HashMap;

use super::*;
use crate::store::cache::Kindred;
use proptest::prelude::*;

/// A message: date, id, references, subject, is it a reply.
type Mail<'a> = (i64, &'a str, &'a str, &'a str, bool);

fn threads(mails: &[Mail<'_>]) -> Threads {
    let mut kindred = Kindred::default();
    for (n, (date, id, references, subject, is_reply)) in (1..).zip(mails) {
        let references = references.split_whitespace().map(str::as_bytes);
        assert!(kindred.add_message(n, *date, id.as_bytes(), references, subject.as_bytes(), *is_reply));
    }
    all(kindred)
}

/// All of them, named by numbers.
fn all(kindred: Kindred) -> Threads {
    let kin = kindred.finish();
    let rows = (0..).zip(1..).take(kin.count()).collect();
    Threads::new(Arc::new(kin), rows)
}

fn told(mails: &[Mail<'_>], algorithm: Algorithm) -> String {
    String::from_utf8_lossy(&threads(mails).build(algorithm).unwrap().write()["* THREAD".len()..])
        .trim_start()
        .to_owned()
}

#[test]
fn ordered_subject() {
    let table: [(&str, &[Mail<'_>], &str); 4] = [
        ("nothing", &[], ""),
        ("two", &[(1, "", "", "A", false), (2, "", "", "A", true)], "(1 2)"),
        (
            "siblings, and threads by their first message",
            &[(5, "", "", "A", true), (3, "", "", "B", false), (4, "", "", "A", false), (9, "", "", "A", true)],
            "(2)(3 (1)(4))",
        ),
        ("no date is no order", &[(1, "", "", "A", false), (1, "", "", "B", false)], "(1)(2)"),
    ];
    for (case, mails, want) in table {
        assert_eq!(told(mails, Algorithm::OrderedSubject), want, "{case}");
    }
}

#[test]
fn references() {
    let table: [(&str, &[Mail<'_>], &str); 17] = [
        ("nothing", &[], ""),
        ("an answer", &[(1, "a", "", "", false), (2, "b", "a", "", false)], "(1 2)"),
        ("before its parent", &[(1, "b", "a", "", false), (2, "a", "", "", false)], "(2 1)"),
        ("two answers", &[(1, "a", "", "", false), (3, "b", "a", "", false), (2, "c", "a", "", false)], "(1 (3)(2))"),
        ("a missing parent", &[(1, "b", "a", "", false), (2, "c", "a", "", false)], "((1)(2))"),
        ("a missing grandparent", &[(1, "c", "a b", "", false)], "(1)"),
        (
            "a gap in the middle",
            &[(1, "a", "", "", false), (2, "c", "a b", "", false), (3, "d", "a b", "", false)],
            "(1 (2)(3))",
        ),
        ("a truncated list", &[(1, "c", "b", "", false), (2, "a", "", "", false), (3, "b", "a", "", false)], "(2 3 1)"),
        (
            "no references break a link",
            &[(1, "c", "a b", "", false), (2, "a", "", "", false), (3, "b", "", "", false)],
            "(2)(3 1)",
        ),
        ("a loop of two", &[(1, "a", "b", "", false), (2, "b", "a", "", false)], "(2 1)"),
        ("itself", &[(1, "a", "a", "", false)], "(1)"),
        (
            "the same id twice",
            &[(1, "a", "", "", false), (2, "a", "", "", false), (3, "b", "a", "", false)],
            "(1 3)(2)",
        ),
        ("subjects", &[(1, "a", "", "S", false), (2, "b", "", "S", true)], "(1 2)"),
        ("a reply before", &[(1, "a", "", "S", true), (2, "b", "", "S", false)], "(2 1)"),
        ("no replies", &[(1, "a", "", "S", false), (2, "b", "", "S", false), (3, "c", "", "S", true)], "((1)(2)(3))"),
        ("no subject", &[(1, "a", "", "", false), (2, "b", "", "", true)], "(1)(2)"),
        (
            "two dummies",
            &[(1, "b", "a", "S", true), (2, "c", "a", "S", true), (3, "e", "d", "S", true), (4, "f", "d", "S", true)],
            "((1)(2)(3)(4))",
        ),
    ];
    for (case, mails, want) in table {
        assert_eq!(told(mails, Algorithm::References), want, "{case}");
    }
}

#[test]
fn refs() {
    let table: [(&str, &[Mail<'_>], &str); 3] = [
        ("subjects do not count", &[(1, "a", "", "S", false), (2, "b", "", "S", true)], "(1)(2)"),
        ("by the newest", &[(1, "a", "", "", false), (2, "b", "", "", false), (3, "c", "a", "", false)], "(2)(1 3)"),
        ("a missing parent", &[(1, "b", "a", "", false), (2, "c", "a", "", false)], "((1)(2))"),
    ];
    for (case, mails, want) in table {
        assert_eq!(told(mails, Algorithm::Refs), want, "{case}");
    }
}

#[test]
fn a_long_thread_costs_no_climbs_and_a_malicious_one_ends() {
    let names: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let mut chain = Kindred::default();
    for n in 0..names.len() {
        let parent = n.checked_sub(1).map(|parent| names[parent].as_bytes());
        chain.add_message(n as u32 + 1, n as i64, names[n].as_bytes(), parent.into_iter(), b"", false);
    }
    let text = String::from_utf8(all(chain).build(Algorithm::References).unwrap().write()).unwrap();
    assert!(text.starts_with("* THREAD (1 2 3 ") && text.ends_with(" 100000)"));
    // Each climbs over all that came before, in vain.
    let mut evil = Kindred::default();
    let mut name = 0;
    let mut add = |id: &str, references: &[&str]| {
        name += 1;
        evil.add_message(name, 0, id.as_bytes(), references.iter().map(|id| id.as_bytes()), b"", false);
    };
    for n in 1..20_000 {
        add(&names[n], &[&names[n - 1]]);
    }
    for n in 0..20_000 {
        let (child, own) = (format!("c{n}"), format!("o{n}"));
        add(&own, &[&child, &format!("x{n}")]);
        add(&child, &["19999"]);
    }
    assert!(all(evil).build(Algorithm::Refs).is_err());
}

/// The algorithm of the RFC with names, maps and recursion.
#[derive(Default)]
struct Slowly {
    parent: HashMap<String, String>,
    /// Node to message.
    message: HashMap<String, usize>,
    nodes: Vec<String>,
}

#[derive(Clone, Debug)]
struct Tree {
    message: Option<usize>,
    children: Vec<Tree>,
}

impl Slowly {
    fn touch(&mut self, id: &str) {
        if !self.nodes.iter().any(|node| node == id) {
            self.nodes.push(id.to_owned());
        }
    }

    fn would_loop(&self, parent: &str, child: &str) -> bool {
        let mut above = Some(parent.to_owned());
        while let Some(id) = above {
            if id == child {
                return true;
            }
            above = self.parent.get(&id).cloned();
        }
        false
    }

    fn tree(&self, id: &str) -> Tree {
        let children = self.nodes.iter().filter(|node| self.parent.get(*node).is_some_and(|parent| parent == id));
        Tree { message: self.message.get(id).copied(), children: children.map(|node| self.tree(node)).collect() }
    }
}

/// Step 3, below the root.
fn prune(trees: Vec<Tree>) -> Vec<Tree> {
    let mut out = Vec::new();
    for mut tree in trees {
        tree.children = prune(tree.children);
        if tree.message.is_some() { out.push(tree) } else { out.extend(tree.children) }
    }
    out
}

fn first(tree: &Tree) -> usize {
    tree.message.unwrap_or_else(|| first(&tree.children[0]))
}

fn sort(trees: &mut [Tree], mails: &[Mail<'_>]) {
    trees.iter_mut().for_each(|tree| sort(&mut tree.children, mails));
    trees.sort_by_key(|tree| (mails[first(tree)].0, first(tree)));
}

fn show(trees: &[Tree]) -> String {
    trees
        .iter()
        .map(|tree| {
            let mut text = tree.message.map_or(String::new(), |n| (n + 1).to_string());
            let mut tree = tree;
            while tree.children.len() == 1 {
                tree = &tree.children[0];
                text += &format!(" {}", tree.message.unwrap() + 1);
            }
            if !tree.children.is_empty() {
                text += if text.is_empty() { "" } else { " " };
                text += &show(&tree.children);
            }
            format!("({text})")
        })
        .collect()
}

fn slowly(mails: &[Mail<'_>], by_subject: bool) -> String {
    let mut s = Slowly::default();
    for (n, (_, id, references, ..)) in mails.iter().enumerate() {
        let own = if id.is_empty() || s.message.contains_key(*id) { format!("unique {n}") } else { (*id).to_owned() };
        let references: Vec<&str> = references.split_whitespace().collect();
        references.iter().for_each(|id| s.touch(id));
        s.touch(&own);
        s.message.insert(own.clone(), n);
        for pair in references.windows(2) {
            if !s.parent.contains_key(pair[1]) && !s.would_loop(pair[0], pair[1]) {
                s.parent.insert(pair[1].to_owned(), pair[0].to_owned());
            }
        }
        let last = references.last().map(|id| (*id).to_owned());
        if s.parent.get(&own) != last.as_ref() {
            s.parent.remove(&own);
            if let Some(last) = last.filter(|last| !s.would_loop(last, &own)) {
                s.parent.insert(own, last);
            }
        }
    }
    let tops: Vec<String> = s.nodes.iter().filter(|node| !s.parent.contains_key(*node)).cloned().collect();
    let mut roots = Vec::new();
    for mut tree in tops.iter().map(|node| s.tree(node)) {
        tree.children = prune(tree.children);
        match (tree.message, tree.children.len()) {
            (None, 0) => {}
            (None, 1) => roots.push(tree.children.remove(0)),
            _ => roots.push(tree),
        }
    }
    sort(&mut roots, mails);
    if !by_subject {
        let newest = |tree: &Tree| {
            fn all(tree: &Tree, out: &mut Vec<usize>) {
                out.extend(tree.message);
                tree.children.iter().for_each(|child| all(child, out));
            }
            let mut members = Vec::new();
            all(tree, &mut members);
            members.into_iter().map(|n| mails[n].0).max().unwrap()
        };
        roots.sort_by_key(|tree| (newest(tree), first(tree)));
        return show(&roots);
    }
    // Step 5.
    let subject = |tree: &Tree| mails[first(tree)].3.to_owned();
    let is_reply = |tree: &Tree| mails[first(tree)].4;
    let mut roots: Vec<Option<Tree>> = roots.into_iter().map(Some).collect();
    let mut table: HashMap<String, usize> = HashMap::new();
    for at in 0..roots.len() {
        let tree = roots[at].as_ref().unwrap();
        if subject(tree).is_empty() {
            continue;
        }
        match table.get(&subject(tree)) {
            None => drop(table.insert(subject(tree), at)),
            Some(there) => {
                let there = roots[*there].as_ref().unwrap();
                if there.message.is_some() && (tree.message.is_none() || is_reply(there) && !is_reply(tree)) {
                    table.insert(subject(tree), at);
                }
            }
        }
    }
    for at in 0..roots.len() {
        let tree = roots[at].clone().unwrap();
        let subject = subject(&tree);
        if subject.is_empty() || table[&subject] == at {
            continue;
        }
        roots[at] = None;
        let there = roots[table[&subject]].as_mut().unwrap();
        match (there.message.is_none(), tree.message.is_none()) {
            (true, true) => there.children.extend(tree.children),
            (true, false) => there.children.push(tree),
            _ if is_reply(&tree) && !is_reply(there) => there.children.push(tree),
            _ => *there = Tree { message: None, children: vec![there.clone(), tree] },
        }
    }
    let mut roots: Vec<Tree> = roots.into_iter().flatten().collect();
    sort(&mut roots, mails);
    show(&roots)
}

const IDS: [&str; 7] = ["", "a", "b", "c", "d", "e", "f"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn as_the_rfc_says(mails in prop::collection::vec(
        (0_i64..5, 0_usize..7, prop::collection::vec(1_usize..7, 0..4), 0_usize..4, any::<bool>()), 0..12,
    )) {
        let references: Vec<String> =
            mails.iter().map(|mail| mail.2.iter().map(|n| IDS[*n]).collect::<Vec<_>>().join(" ")).collect();
        let mails: Vec<Mail<'_>> = mails.iter().zip(&references)
            .map(|((date, id, _, subject, is_reply), references)| {
                (*date, IDS[*id], references.as_str(), ["", "S", "T", "U"][*subject], *is_reply)
            })
            .collect();
        prop_assert_eq!(told(&mails, Algorithm::References), slowly(&mails, true));
        prop_assert_eq!(told(&mails, Algorithm::Refs), slowly(&mails, false));
    }
}
