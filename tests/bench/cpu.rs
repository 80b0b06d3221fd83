//! CPU time of a server with all its processes, and its system calls.
//!
//! The time of a tree is the sum over its living processes of their own time and that of children they have
//! waited for, so that a server with a process a connection is counted as fully as one with threads.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::Duration;

/// User and system time spent so far by `root` and everything it started.
pub fn of_tree(root: u32) -> Duration {
    let mut parents = HashMap::new();
    let mut ticks = HashMap::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = fields.split(' ').collect();
        parents.insert(pid, fields[1].parse::<u32>().unwrap_or(0));
        let spent: u64 = fields[11..15].iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum();
        ticks.insert(pid, spent);
    }
    let inside = |pid: u32| {
        let mut at = pid;
        while at != root && at > 1 {
            at = parents.get(&at).copied().unwrap_or(0);
        }
        at == root
    };
    let total: u64 = ticks.iter().filter(|(pid, _)| inside(**pid)).map(|(_, spent)| spent).sum();
    // The kernel counts in hundredths of a second (USER_HZ) on every Linux.
    Duration::from_millis(total * 10)
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
