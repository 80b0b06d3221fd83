//! IMAP beside Dovecot: the same folders, the same commands, alternating, in one run.
//!
//! `cargo bench --bench imap -- [ROUNDS] [ROW ...] [SIZE ...] [--json]`. A word is a row (`imap/rows.rs` has them all; a word that begins
//! a row's name means it), a number over 100 is a folder size, another number is the rounds. Prints medians of the rounds as a
//! Markdown table, or as JSON lines: wall time and CPU time of the work, and of one message. Nothing here asserts on time. A row that
//! takes longer than [`ROW_LIMIT`] on one side is measured with the rounds that it had.
//!
//! Warm rows were done once before they are measured. For a cold row a Maildir is moved to a user that the server has never
//! seen, the indexes of both servers are deleted, and the page cache is dropped (as root; else the row is left out).

#[path = "imap/client.rs"]
mod client;
#[allow(dead_code)] // No system calls are counted here.
#[path = "cpu.rs"]
mod cpu;
#[path = "../support/dovecot.rs"]
#[allow(dead_code)] // The bench starts it; tests of other files use the rest.
mod dovecot;
#[path = "imap/folders.rs"]
mod folders;
#[path = "imap/rows.rs"]
mod rows;
#[allow(dead_code)] // This bench needs no Postfix.
mod servers;

use std::time::{Duration, Instant};

use rows::{Bench, ROWS, Row};
use servers::{Server, Servers};

/// Time that all rounds of one row may take on both sides together.
const ROW_LIMIT: Duration = Duration::from_secs(120);
/// Sizes of folders when none is asked for.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// One measured round.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// How often the work was done.
    pub times: u32,
    /// From the first byte sent to the last byte received.
    pub wall: Duration,
    /// Of the server with all its processes.
    pub cpu: Duration,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let json = words.iter().any(|word| word == "--json");
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let rounds = numbers.iter().copied().find(|n| *n <= 100).unwrap_or(5);
    let asked: Vec<usize> = numbers.into_iter().filter(|n| *n > 100).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let names: Vec<&str> = words.into_iter().filter(|word| word.parse::<usize>().is_err()).collect();
    let wanted = |row: &Row| names.is_empty() || names.iter().any(|name| row.name.starts_with(name));

    let root = tempfile::Builder::new().prefix("mailcote-bench").tempdir().expect("a temporary directory");
    let mut bench = Bench::new(Servers::start_imap(root.path()), root.path());
    if !json {
        println!("# IMAP beside Dovecot, {rounds} rounds, medians\n");
        println!(
            "| work | messages | Mailcote ms | us each | CPU us each | Dovecot ms | us each | CPU us each | times faster | times less CPU |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
    }
    for size in sizes {
        for row in ROWS.iter().filter(|row| wanted(row) && (row.every_size || size == 1_000)) {
            let measured = compare(&mut bench, row, size, rounds);
            print_row(row, row.messages(size), &measured, json);
        }
    }
}

/// Rounds of both sides; none where it is not possible.
fn compare(bench: &mut Bench, row: &Row, size: usize, rounds: usize) -> [Vec<Round>; 2] {
    let mut measured = [Vec::new(), Vec::new()];
    let sides = [Server::Mailcote, Server::Dovecot];
    let started = Instant::now();
    for round in 0..rounds {
        for (n, who) in sides.into_iter().enumerate() {
            if bench.servers.has(who) && (round == 0 || started.elapsed() < ROW_LIMIT) {
                measured[n].extend((row.work)(bench, who, size));
            }
        }
    }
    measured
}

/// Medians of wall and CPU time of the work, in microseconds.
fn medians(rounds: &[Round]) -> Option<(f64, f64)> {
    let each = |time: fn(&Round) -> Duration| {
        let mut values: Vec<f64> = rounds.iter().map(|r| time(r).as_secs_f64() * 1e6 / f64::from(r.times)).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Some((each(|r| r.wall)?, each(|r| r.cpu)?))
}

fn print_row(row: &Row, messages: usize, [ours, theirs]: &[Vec<Round>; 2], json: bool) {
    let (us, them) = (medians(ours), medians(theirs));
    if json {
        let side =
            |side: Option<(f64, f64)>| side.map(|(wall, cpu)| serde_json::json!({"wall_us": wall, "cpu_us": cpu}));
        let line = serde_json::json!({
            "row": row.name, "messages": messages, "mailcote": side(us), "dovecot": side(them), "rounds": ours.len(),
        });
        return println!("{line}");
    }
    let side = |side: Option<(f64, f64)>| match side {
        Some((wall, cpu)) => {
            let n = messages as f64;
            format!("{:.2} | {:.2} | {:.2}", wall / 1000.0, wall / n, cpu / n)
        }
        None => "- | - | -".to_owned(),
    };
    let ratio = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => format!("{:.1}", a / b),
        _ => "-".to_owned(),
    };
    let wall = ratio(them.map(|t| t.0), us.map(|u| u.0));
    let cpu = ratio(them.map(|t| t.1), us.map(|u| u.1));
    println!("| {} | {messages} | {} | {} | {wall} | {cpu} |", row.name, side(us), side(them));
}
