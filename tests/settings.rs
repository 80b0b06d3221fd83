//! The configuration, the command line and the manual say the same: every key is in the sample file and in the man page with its
//! default, every command and option in `mailcote.8`, and the pages pass `mandoc -Tlint`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailcote::config::{Config, DEFAULTS, keys};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Keys of a TOML text as `section.name`, with their values in TOML.
fn flat(text: &str) -> BTreeMap<String, String> {
    let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{e}"));
    let mut all = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(section) => {
                all.extend(section.into_iter().map(|(name, value)| (format!("{key}.{name}"), value.to_string())));
            }
            value => drop(all.insert(key, value.to_string())),
        }
    }
    all
}

/// The sample with its commented settings in force.
fn sample_uncommented() -> String {
    let is_setting = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains(" = "))
    };
    let line = |line| if is_setting(line) { &line[1..] } else { line };
    read("etc/mailcote.toml").lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_loads_and_changes_nothing() {
    let file = PathBuf::from("/etc/mailcote/mailcote.toml");
    let sample = Config::parse(&file, &read("etc/mailcote.toml")).expect("the sample as installed");
    let empty = Config::parse(&file, "").expect("the empty file");
    assert_eq!(format!("{sample:?}"), format!("{empty:?}"));
    Config::parse(&file, &sample_uncommented()).expect("the sample with everything in force");
}

#[test]
fn the_sample_has_every_key_with_its_default() {
    assert_eq!(flat(&sample_uncommented()), flat(DEFAULTS));
    assert_eq!(flat(DEFAULTS).into_keys().collect::<Vec<_>>(), {
        let mut keys = keys();
        keys.sort();
        keys
    });
}

#[test]
fn the_manual_has_every_key_with_its_default() {
    let manual = read("man/mailcote.toml.5");
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in manual.lines() {
        if let Some(name) = line.strip_prefix(".Ss ") {
            section = name.strip_prefix("Bq ").map_or(String::new(), |name| format!("{name}."));
        } else if let Some((name, default)) = line.strip_prefix(".It Cm ").and_then(|rest| rest.split_once(" Bq Li ")) {
            found.insert(format!("{section}{name}"), default.replace("\\(dq", "\""));
        }
    }
    assert_eq!(found, flat(DEFAULTS));
}

#[test]
fn the_example_domain_has_no_mistakes() {
    for name in ["users", "aliases"] {
        let text = read(&format!("etc/domains/example.org/{name}"));
        assert!(text.lines().all(|line| line.starts_with('#')), "{name} must make nobody");
    }
}

/// Every command and its options, as the command line defines them: `user add --scheme`.
fn command_line() -> Vec<(String, Vec<String>)> {
    fn walk(command: &clap::Command, path: &str, all: &mut Vec<(String, Vec<String>)>) {
        let options = command.get_arguments().filter(|a| a.get_id() != "config" && a.get_id() != "help");
        let options: Vec<String> = options.filter_map(|a| a.get_long().map(String::from)).collect();
        if command.get_subcommands().next().is_none() {
            all.push((path.to_owned(), options));
        }
        for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
            walk(inner, format!("{path} {}", inner.get_name()).trim(), all);
        }
    }
    let mut all = Vec::new();
    walk(&mailcote::cli::definition(), "", &mut all);
    all
}

#[test]
fn help_and_manual_agree() {
    let manual = read("man/mailcote.8");
    let described: BTreeMap<String, Vec<String>> = manual
        .lines()
        .filter_map(|line| line.strip_prefix(".It Cm "))
        .map(|line| {
            let words = line.split(' ');
            let name: Vec<&str> =
                words.clone().take_while(|w| !matches!(*w, "Ar" | "Op" | "Oo") && !w.starts_with('-')).collect();
            let options = words.filter_map(|w| w.strip_prefix('-')).map(String::from).collect();
            (name.join(" "), options)
        })
        .collect();
    let mut defined: BTreeMap<String, Vec<String>> = command_line().into_iter().collect();
    let mut described = described;
    defined.values_mut().chain(described.values_mut()).for_each(|options| options.sort());
    assert_eq!(described, defined);
}

#[test]
fn help_of_every_command_works() {
    for (command, options) in command_line() {
        let output =
            Command::new(env!("CARGO_BIN_EXE_mailcote")).args(command.split(' ')).arg("--help").output().expect("runs");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command} --help");
        for option in options.iter().map(String::as_str).chain(["config"]) {
            assert!(help.contains(&format!("--{option}")), "{command} --help names --{option}:\n{help}");
        }
    }
}

#[test]
fn exit_codes() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("mailcote.toml");
    fs::write(&file, "hostnme = 1\n[limits]\nconnections = 0\n").expect("a wrong file");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mailcote")).args(args).arg("--config").arg(&file).output();
        let output = output.expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&["check"]);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("mailcote.toml:1:1: unknown key \"hostnme\"; did you mean \"hostname\"?"), "{text}");
    assert!(text.contains("mailcote.toml:3:15: limits.connections"), "{text}");
    assert_eq!(run(&["serve"]).0, Some(78));
    assert_eq!(run(&["frobnicate"]).0, Some(2));
    fs::write(&file, "").expect("an empty file");
    let (code, text) = run(&["user", "show", "alice@example.org"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("\"mailcote domain add example.org\""), "{text}");
}

#[test]
fn the_manual_is_well_formed() {
    let Ok(version) = Command::new("mandoc").arg("-Tlint").arg("/dev/null").output() else {
        if std::env::var_os("MAILCOTE_TESTS").is_some_and(|mode| mode == "strict") {
            panic!("mandoc is needed");
        }
        eprintln!("skipped: needs mandoc");
        return;
    };
    drop(version);
    for entry in fs::read_dir(root().join("man")).expect("man/") {
        let page = entry.expect("an entry").path();
        let lint = Command::new("mandoc").args(["-Tlint", "-W", "style"]).arg(&page).output().expect("mandoc runs");
        let text = String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
        // Our pages are not installed where the tests run, and its list of other pages may be old.
        let serious: Vec<&str> =
            text.lines().filter(|l| !l.contains("referenced manual not found") && !l.contains("mandoc.db")).collect();
        assert!(serious.is_empty(), "{}", serious.join("\n"));
    }
}

/// The schemes that an unknown one is answered with, and those of the manual.
#[test]
fn the_manual_has_every_password_scheme() {
    let manual = read("man/mailcote-users.5");
    let part =
        manual.split("The schemes are").nth(1).and_then(|part| part.split(".Ss aliases").next()).expect("the schemes");
    let is_scheme =
        |word: &&str| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-');
    let told: std::collections::BTreeSet<&str> =
        part.lines().filter(|line| line.starts_with(".Li")).flat_map(str::split_whitespace).filter(is_scheme).collect();
    let known = mailcote::account::password::Scheme::TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(told, known);
}
