//! Promise 1, "said means stored", cut at every step.
//!
//! A child process of this test runs a script of deliveries, appends, flag changes, copies, moves, expunges and folder changes
//! ([`script`]) and writes down what was acknowledged. Just before durable step n of `fsio` it ends by SIGKILL. Then two trees are opened
//! again and compared with what was acknowledged ([`model`]): the real one, which shows whether the *order* of steps is
//! right, and a shadow ([`shadow`]) that holds only what was synced, files and directory entries alike, which shows whether
//! a *sync* is missing. Every n is tried.
//!
//! The last test does it to the real server: SIGKILL in the middle of a thousand deliveries over SMTP.

#[path = "crash/model.rs"]
mod model;
#[path = "crash/script.rs"]
mod script;
#[path = "crash/server.rs"]
mod server;
#[path = "crash/shadow.rs"]
mod shadow;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use model::Survivor;
use script::Script;

/// Tells the child what to do: `<script> <step to stop at> <directory>`.
const ORDERS: &str = "MAILCOTE_CRASH_ORDERS";
/// Children at a time; most of their time they wait for the kernel.
const AT_ONCE: u64 = 4;

/// The child's part. Without orders it has nothing to do.
#[test]
fn child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let mut words = orders.splitn(3, ' ');
    let mut word = || words.next().expect("three orders");
    let (script, stop, directory) = (word().to_owned(), word().parse().expect("a number"), PathBuf::from(word()));
    script::play(Script::named(&script), stop, &directory);
}

#[test]
fn messages_survive_a_stop_at_every_step() {
    at_every_step(Script::Messages);
}

#[test]
fn folders_survive_a_stop_at_every_step() {
    at_every_step(Script::Folders);
}

#[test]
fn a_first_use_survives_a_stop_at_every_step() {
    at_every_step(Script::FirstUse);
}

fn at_every_step(script: Script) {
    let whole = fresh_directory();
    assert!(run(script, u64::MAX, whole.path()), "{script:?} runs through when nothing stops it");
    let steps = script::steps_taken(whole.path());
    assert!(steps > 20, "{script:?} takes only {steps} steps");
    check(script, "to the end", whole.path());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let stop = next.fetch_add(1, Ordering::Relaxed);
                    if stop >= steps {
                        return;
                    }
                    let directory = fresh_directory();
                    if run(script, stop, directory.path()) {
                        // Deferred syncs have met this time, and there were fewer steps than in the whole run.
                        assert!(stop + 8 > steps, "{script:?} was not stopped before step {stop} of {steps}");
                        continue;
                    }
                    check(script, &format!("stopped before step {stop}"), directory.path());
                }
            });
        }
    });
}

/// Play `script` in a child; did it come to its end?
fn run(script: Script, stop: u64, directory: &Path) -> bool {
    let orders = format!("{} {stop} {}", script.name(), directory.display());
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child", "--nocapture"])
        .env(ORDERS, orders)
        .stdin(Stdio::null())
        .output()
        .expect("the child runs");
    let killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
    assert!(killed || output.status.success(), "{script:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

fn check(script: Script, when: &str, directory: &Path) {
    for (what, survivor) in [("killed", Survivor::Process), ("power cut", Survivor::Disk)] {
        let tree = script::tree(directory, survivor);
        model::check(script, survivor, &tree, &script::acknowledged(directory), &format!("{script:?} {when}, {what}"));
    }
}

/// In memory where possible: the shadow does not need a real disk to know what was synced, and syncs are free there.
fn fresh_directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a temporary directory")
}
