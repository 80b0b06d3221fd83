//! The bare limits of the disk, printed beside the servers' numbers: what a delivery would cost if it were
//! nothing but its system calls.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Messages in each loop.
const COUNT: usize = 1_000;

/// Create, write 2 KiB, fsync, rename, fsync the directory; and the same without each of the syncs.
pub fn bare_limits(root: &Path) {
    println!("Bare loops on this disk, 2 KiB files, one thread:\n");
    for (name, file_sync, dir_sync) in [
        ("create, write, rename", false, false),
        ("create, write, fsync, rename", true, false),
        ("create, write, fsync, rename, fsync directory", true, true),
    ] {
        let dir = root.join(format!("disk-{file_sync}-{dir_sync}"));
        fs::create_dir_all(dir.join("tmp")).expect("tmp");
        fs::create_dir_all(dir.join("new")).expect("new");
        let start = Instant::now();
        for n in 0..COUNT {
            let (tmp, new) = (dir.join("tmp").join(n.to_string()), dir.join("new").join(n.to_string()));
            let mut file = File::create_new(&tmp).expect("create");
            file.write_all(&[b'x'; 2048]).expect("write");
            if file_sync {
                file.sync_all().expect("fsync");
            }
            fs::rename(&tmp, &new).expect("rename");
            if dir_sync {
                File::open(dir.join("new")).and_then(|dir| dir.sync_all()).expect("fsync directory");
            }
        }
        println!("- {name}: {:.0} a second", COUNT as f64 / start.elapsed().as_secs_f64());
    }
    println!();
}
