//! `mailcote demo --json` as a fixture: the real binary, its own tree, ports that nobody else uses. Ends when dropped, by SIGTERM to
//! the pid that we started.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// How often other ports are tried when somebody has taken one meanwhile.
const ATTEMPTS: u16 = 20;

/// A user of the demo.
#[derive(Debug, Clone)]
pub struct User {
    pub login: String,
    pub password: String,
    pub maildir: PathBuf,
}

/// A running demo.
pub struct Demo {
    child: Child,
    /// What `--json` printed.
    pub settings: serde_json::Value,
    log: Arc<Mutex<String>>,
}

impl Demo {
    /// Start with `options` beside `--json --allow-plain`.
    pub fn start(options: &[&str]) -> Demo {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            // Ports of one process follow each other; processes differ by their pid.
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let base = 12_000 + (u16::try_from(std::process::id() % 40).unwrap_or(0) + step) % 40 * 1000;
            match Demo::try_start(base, options) {
                Ok(demo) => return demo,
                Err(log) => said = log,
            }
        }
        panic!("the demo does not start: {said}");
    }

    fn try_start(base: u16, options: &[&str]) -> Result<Demo, String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mailcote"))
            .args(["demo", "--json", "--allow-plain", "--port-base", &base.to_string()])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = Arc::new(Mutex::new(String::new()));
        let (mut stderr, keep) = (child.stderr.take().expect("stderr"), log.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut bytes) {
                keep.lock().expect("the log").push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("the first line");
        match serde_json::from_str(&line) {
            Ok(settings) => Ok(Demo { child, settings, log }),
            Err(_) => {
                child.wait().expect("its end");
                reader.join().expect("its log");
                let log = log.lock().expect("the log").clone();
                Err(log)
            }
        }
    }

    pub fn port(&self, service: &str) -> u16 {
        let port = self.settings["ports"][service].as_u64().expect("a port");
        u16::try_from(port).expect("a port")
    }

    /// User `index`: 0 is alice, 1 is bob, 2 is user1, and so on.
    pub fn user(&self, index: usize) -> User {
        let user = &self.settings["users"][index];
        let text = |key: &str| user[key].as_str().unwrap_or_else(|| panic!("no {key} of user {index}")).to_owned();
        User { login: text("login"), password: text("password"), maildir: text("maildir").into() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Memory that it has in RAM, in bytes.
    pub fn rss(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        // It may have ended by itself; the wait says so.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what the demo logged ---\n{}", self.log());
        }
    }
}
