//! Who may import whom. One crate means that the compiler does not check it, so this does: every `crate::x` in
//! every file under `src/` is looked up in the table of `src/lib.rs`. Also: every file opens with `//!`.

use std::collections::BTreeMap;
use std::path::Path;

/// Module and what it may name with `crate::`. `daemon`, `cli`, `lib.rs` and `main.rs` may name everything.
const TABLE: &[(&str, &[&str])] = &[
    ("mail", &[]),
    ("clock", &[]),
    ("notice", &[]),
    ("fsio", &[]),
    ("wire", &["mail", "notice"]),
    ("store", &["mail", "clock", "notice", "fsio"]),
    ("account", &["mail", "clock", "notice", "fsio", "wire", "store"]),
    ("smtp", &["mail", "clock", "notice", "fsio", "wire", "store", "account"]),
    ("pop3", &["mail", "clock", "notice", "fsio", "wire", "store", "account"]),
    ("imap", &["mail", "clock", "notice", "fsio", "wire", "store", "account"]),
    ("net", &["wire", "notice", "clock"]),
    ("config", &["mail", "clock", "fsio", "wire", "store", "account", "smtp", "pop3", "imap", "net"]),
];

/// Modules at the top, which may import everything.
const TOP: &[&str] = &["daemon", "cli", "lib", "main"];

/// Crates that only some modules may name.
const ONLY: &[(&str, &[&str])] = &[("tokio", &["net"]), ("clap", &["cli"])];

fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(&root).sort_by_file_name() {
        let entry = entry.expect("src is readable");
        if entry.path().extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let inside = entry.path().strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        let module = inside.split(['/', '.']).next().expect("a name").to_owned();
        let text = std::fs::read_to_string(entry.path()).expect("source is UTF-8");
        found.push((inside, module, text));
    }
    assert!(found.len() > 20, "found the sources");
    found
}

/// The names that follow `prefix` (`crate::`) in code, with braces opened: `crate::{a, b::c}` gives a and b.
fn named_after<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let line_start = text[..at].rfind('\n').map_or(0, |n| n + 1);
        if text[line_start..at].trim_start().starts_with("//") {
            continue;
        }
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.push(rest),
            Some(group) => names.extend(top_level_items(group)),
        }
    }
    names.into_iter().map(|n| &n[..n.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(n.len())]).collect()
}

fn top_level_items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(group[start..i].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(group[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, module, text) in sources() {
        if TOP.contains(&module.as_str()) {
            continue;
        }
        let Some(allowed) = table.get(module.as_str()) else {
            wrong.push(format!("src/{file}: module {module} is not in the table of tests/layers.rs"));
            continue;
        };
        for name in named_after(&text, "crate::") {
            if name != module && !allowed.contains(&name) {
                wrong.push(format!("src/{file}: {module} must not import {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_runtime_stays_at_the_edge() {
    let mut wrong = Vec::new();
    for (file, module, text) in sources() {
        for (krate, homes) in ONLY {
            let uses = !named_after(&text, &format!("{krate}::")).is_empty();
            if uses && !homes.contains(&module.as_str()) && !TOP.contains(&module.as_str()) {
                wrong.push(format!("src/{file}: only {homes:?} may use {krate}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, _, text)| !text.starts_with("//!")).map(|(file, ..)| file).collect();
    assert!(silent.is_empty(), "no //! paragraph at the top of: {silent:?}");
}

#[test]
fn the_checker_sees_what_it_should() {
    assert_eq!(named_after("use crate::{a, b::{c, d}, e::f};", "crate::"), ["a", "b", "e"]);
    assert_eq!(named_after("x(crate::net::run()) // fine", "crate::"), ["net"]);
    assert!(named_after("  // crate::net is named in a comment\n mycrate::net", "crate::").is_empty());
}
