//! CPU time of a server with all its processes, and its system calls.
//!
//! The time of a tree is the sum over its living processes of their own time and that of children they have
//! waited for, so that a server with a process a connection is counted as fully as one with threads.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Time spent so far by `root` and everything it started, to the nanosecond as far as the kernel tells: that of living threads comes
/// from the scheduler, that of processes that ended from the coarse count of their parents (hundredths of a second).
pub fn of_tree(root: u32) -> Duration {
    let mut total = 0;
    let mut coarse = 0;
    for pid in tree(root) {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            total += text.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).unwrap_or(0);
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(") ").map_or(Vec::new(), |(_, fields)| fields.split(' ').collect());
        let ended = fields.get(13..15).unwrap_or_default();
        coarse += ended.iter().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    }
    Duration::from_nanos(total) + Duration::from_millis(coarse * 10)
}

/// `root` and everything it started.
fn tree(root: u32) -> Vec<u32> {
    let mut parents = HashMap::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        parents.insert(pid, fields.split(' ').nth(1).and_then(|parent| parent.parse::<u32>().ok()).unwrap_or(0));
    }
    let inside = |pid: &u32| {
        let mut at = *pid;
        while at != root && at > 1 {
            at = parents.get(&at).copied().unwrap_or(0);
        }
        at == root
    };
    parents.keys().copied().filter(inside).collect()
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
