//! CPU time and memory of a server with all its processes, and its system calls.
//!
//! The time of a tree is the sum over its living processes of their own time and that of children they have
//! waited for, so that a server with a process a connection is counted as fully as one with threads.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Time spent so far by `root` and everything it started, to the nanosecond as far as the kernel tells: that of living threads comes
/// from the scheduler, that of processes that ended from the coarse count of their parents (hundredths of a second).
pub fn of_tree(root: u32) -> Duration {
    let spent = |fields: &[&str]| fields[11..15].iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum::<u64>();
    let total: u64 = tree(root).iter().map(|(_, stat)| spent(&stat.split(' ').collect::<Vec<_>>())).sum();
    // The kernel counts in hundredths of a second (USER_HZ) on every Linux.
    Duration::from_millis(total * 10)
}

/// Proportional set size of `root` and everything it started, in KiB: what is shared counts in parts.
pub fn pss_of_tree(root: u32) -> u64 {
    let pss = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    tree(root).iter().filter_map(|(pid, _)| pss(*pid)).sum()
}

/// `root` and everything it started: process id, and the fields of its stat file behind the name.
fn tree(root: u32) -> Vec<(u32, String)> {
    let mut parents = HashMap::new();
    let mut stats = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        parents.insert(pid, fields.split(' ').nth(1).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0));
        stats.push((pid, fields.to_owned()));
    }
    let inside = |pid: u32| {
        let mut at = pid;
        while at != root && at > 1 {
            at = parents.get(&at).copied().unwrap_or(0);
        }
        at == root
    };
    stats.retain(|(pid, _)| inside(*pid));
    stats
}

/// System calls that `pid` makes while `work` runs: name and count, most frequent first.
pub fn strace(pid: u32, work: impl FnOnce()) -> Option<Vec<(String, u64)>> {
    let output = tempfile::NamedTempFile::new().ok()?;
    let mut child = Command::new("strace")
        .args(["-f", "-c", "-p", &pid.to_string(), "-o"])
        .arg(output.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    std::thread::sleep(Duration::from_millis(500));
    work();
    let strace = nix::unistd::Pid::from_raw(i32::try_from(child.id()).ok()?);
    nix::sys::signal::kill(strace, nix::sys::signal::Signal::SIGINT).ok()?;
    child.wait().ok()?;
    let text = std::fs::read_to_string(output.path()).ok()?;
    let mut table: Vec<(String, u64)> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let calls = words.get(3)?.parse().ok()?;
            words[0].parse::<f64>().ok()?;
            Some(((*words.last()?).to_owned(), calls))
        })
        .collect();
    table.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    Some(table)
}
