//! The bare limits of the disk, printed beside the servers' numbers: what a delivery would cost if it were
//! nothing but its system calls, in wall time and in CPU time of the kernel.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Messages in each loop.
const COUNT: usize = 1_000;
/// Loops at the same time, as many as the delivery rows have connections.
const THREADS: [usize; 2] = [1, 16];

/// What a loop does beside create, write 2 KiB, rename.
#[derive(Clone, Copy)]
struct Syncs {
    name: &'static str,
    file: bool,
    directory: bool,
}

const LOOPS: [Syncs; 3] = [
    Syncs { name: "create, write, rename", file: false, directory: false },
    Syncs { name: "create, write, fsync, rename", file: true, directory: false },
    Syncs { name: "create, write, fsync, rename, fsync directory", file: true, directory: true },
];

/// Every loop with one thread and with many, each in a directory that nobody used before.
pub fn bare_limits(root: &Path) {
    println!("Bare loops on this disk, 2 KiB files:\n");
    println!("| loop | threads | /s | CPU ms each |\n|---|---|---|---|");
    for threads in THREADS {
        for syncs in LOOPS {
            let dir = root.join(format!("disk-{threads}-{}-{}", syncs.file, syncs.directory));
            fs::create_dir_all(dir.join("tmp")).expect("tmp");
            fs::create_dir_all(dir.join("new")).expect("new");
            let (start, before) = (Instant::now(), spent());
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let dir = &dir;
                    scope.spawn(move || (0..COUNT / threads).for_each(|n| one(dir, &format!("{thread}.{n}"), syncs)));
                }
            });
            let count = (COUNT / threads * threads) as f64;
            let (wall, cpu) = (start.elapsed().as_secs_f64(), (spent() - before).as_secs_f64());
            println!("| {} | {threads} | {:.0} | {:.3} |", syncs.name, count / wall, cpu * 1000.0 / count);
        }
    }
    println!();
}

fn one(dir: &Path, name: &str, syncs: Syncs) {
    let (tmp, new) = (dir.join("tmp").join(name), dir.join("new").join(name));
    let mut file = File::create_new(&tmp).expect("create");
    file.write_all(&[b'x'; 2048]).expect("write");
    if syncs.file {
        file.sync_all().expect("fsync");
    }
    fs::rename(&tmp, &new).expect("rename");
    if syncs.directory {
        File::open(dir.join("new")).and_then(|dir| dir.sync_all()).expect("fsync directory");
    }
}

/// CPU time of this process so far, user and system.
fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().expect("time that was spent"))
}
