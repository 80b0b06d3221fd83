//! Keys and ranks, case by case; and SORT and THREAD say the same whether a folder keeps what they compare in memory, in its cache, or has to read its messages.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::imap::parse::Cursor;
use crate::imap::testing::World;
use crate::store::cache::FILE;

fn keys(text: &str) -> Keys {
    let criteria = Cursor::new(text.as_bytes()).sort_criteria().unwrap();
    let columns = criteria.iter().map(|criterion| Column::empty(criterion.key)).collect();
    Keys { criteria, columns, rows: Vec::new(), uids: Vec::new(), bytes: 0 }
}

#[test]
fn numbers_with_ties() {
    let rows = [(0, 50, 9), (1, 40, 7), (2, 50, 7), (3, -5, 9)];
    let table = [
        ("(ARRIVAL)", [3, 1, 0, 2]),
        ("(REVERSE ARRIVAL)", [0, 2, 1, 3]),
        ("(SIZE)", [1, 2, 0, 3]),
        ("(SIZE ARRIVAL)", [1, 2, 3, 0]),
        ("(SIZE REVERSE ARRIVAL)", [2, 1, 0, 3]),
        ("(REVERSE SIZE)", [0, 3, 1, 2]),
    ];
    for (text, want) in table {
        let mut keys = keys(text);
        assert_eq!(keys.wants(), Some(Wants::NONE));
        for (row, date, size) in rows {
            assert!(keys.add(row, row + 10, date, size, None));
        }
        assert_eq!(keys.sorted(4).places, want, "{text}");
    }
}

#[test]
fn kept_ranks_of_messages_that_are_left() {
    let mut keys = keys("(SIZE ARRIVAL)");
    keys.columns[0] = Column::Kept(vec![1, 0, 1, 0]);
    assert!(!keys.lacks(SortKey::Size) && keys.lacks(SortKey::Arrival));
    // The second is gone.
    for (row, date) in [(0, 5), (2, 4), (3, 9)] {
        assert!(keys.add(row, row + 10, date, 0, None));
    }
    let sorted = keys.sorted(4);
    assert_eq!(sorted.places, [3, 2, 0]);
    assert_eq!(sorted.ranks, [(SortKey::Arrival, Ranks::new(vec![10, 12, 13], vec![1, 0, 2]))]);
}

#[test]
fn all_kept() {
    let mut keys = keys("(REVERSE SIZE)");
    keys.columns[0] = Column::Kept(vec![1, 0, 2, 1]);
    assert_eq!(keys.wants(), None);
    let sorted = keys.sorted(4);
    assert_eq!((sorted.places, sorted.ranks), (vec![2, 0, 3, 1], vec![]));
}

/// Real messages.
fn corpus() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let files = ["corpus", "messages"].into_iter().flat_map(|dir| fs::read_dir(root.join(dir)).unwrap());
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).filter(|message| message.len() < 60_000).collect()
}

const SORTS: [&str; 12] = [
    "sort (subject)",
    "sort (reverse subject)",
    "sort (from)",
    "sort (to reverse date)",
    "sort (cc subject)",
    "sort (displayfrom)",
    "sort (reverse displayto arrival)",
    "sort (date)",
    "sort (size reverse from)",
    "thread references",
    "thread refs",
    "thread orderedsubject",
];

/// What is said to all commands about all messages and about some.
fn said(world: &World, some: &str) -> Vec<String> {
    let mut client = world.client();
    client.login();
    assert!(client.says("a select inbox\r\n").contains("a OK"));
    let sets = ["all", some, "unseen", "all"];
    let ask = |set: &str| SORTS.map(|command| format!("b {command} utf-8 {set}\r\n"));
    sets.into_iter().flat_map(ask).map(|command| client.says(&command)).collect()
}

#[test]
fn what_is_said_of_a_half_written_file_is_not_kept() {
    let first = "Subject: m\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n";
    let (half, whole) =
        ("Subject: a\r\n", "Subject: z\r\nMessage-ID: <2@x>\r\nReferences: <1@x>\r\n\r\nhello hello\r\n");
    let commands = ["sort (subject)", "sort (size)", "thread refs"];
    let keeps = |world: &World| {
        let inbox = world.inbox();
        [inbox.ranks(SortKey::Subject).is_some(), inbox.ranks(SortKey::Size).is_some(), inbox.kin().is_some()]
    };
    // A name that tells another size is that of a file of which something is still to come.
    for name in ["2.a:2,", &format!("2.a,S={}:2,", whole.len())] {
        let world = World::new();
        world.put_long_ago("cur", "1.a:2,", first.as_bytes());
        world.put("cur", name, half.as_bytes());
        let mut client = world.client();
        client.login();
        assert!(client.says("a select inbox\r\n").contains("* 2 EXISTS"));
        let mut said = || {
            commands.map(|command| {
                let said = client.says(&format!("b {command} utf-8 all\r\n"));
                said.lines().next().unwrap_or_default().to_owned()
            })
        };
        assert_eq!(said(), ["* SORT 2 1", "* SORT 2 1", "* THREAD (1)(2)"], "{name}");
        assert_eq!(keeps(&world), [false; 3], "{name}");
        // As its writer goes on, in place; then all of it is there.
        world.put("cur", name, whole.as_bytes());
        assert_eq!(said(), ["* SORT 1 2", "* SORT 1 2", "* THREAD (1 2)"], "{name}");
        assert_eq!(keeps(&world), [name.contains("S="); 3], "{name}");
        world.put_long_ago("cur", name, whole.as_bytes());
        assert_eq!(said(), ["* SORT 1 2", "* SORT 1 2", "* THREAD (1 2)"], "{name}");
        assert_eq!(keeps(&world), [true; 3], "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn what_is_kept_changes_no_answer(
        picked in prop::collection::vec(any::<prop::sample::Index>(), 5..60),
        more in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        first in 1_usize..30,
        count in 0_usize..30,
    ) {
        let corpus = corpus();
        let world = World::new();
        let put = |world: &World, from: usize, picked: &[prop::sample::Index]| {
            for (n, which) in picked.iter().enumerate() {
                let flags = if n % 3 == 0 { "S" } else { "" };
                world.put_long_ago("cur", &format!("{}.a:2,{flags}", from + n), which.get::<Vec<u8>>(&corpus));
            }
        };
        put(&world, 100, &picked);
        let some = format!("{}:{}", first.min(picked.len()), (first + count).min(picked.len()));
        let read = said(&world, &some);
        prop_assert_eq!(read.iter().filter(|said| said.contains("b OK")).count(), read.len());
        let kept = said(&world, &some);
        prop_assert_eq!(&kept, &read, "kept in memory");
        let world = world.restart();
        prop_assert_eq!(&said(&world, &some), &read, "kept in the cache");
        // Some more come while the others are kept.
        put(&world, 200, &more);
        let after = said(&world, &some);
        prop_assert_ne!(&after[0], &read[0]);
        let world = world.restart();
        world.forget(FILE);
        prop_assert_eq!(&said(&world, &some), &after, "read again");
    }
}
