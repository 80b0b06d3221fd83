//! The world of one run: a configuration, alice with three messages in INBOX and a folder, bob with nothing.
//!
//! Everything is new for every run, so that a run tells the same whatever ran before. In memory where there is /dev/shm, so that it costs
//! no disk. Everything goes with it.

use std::fs;
use std::path::Path;

use mailcote::config::{Config, Service};
use mailcote::daemon::Services;
use mailcote::wire::{Peer, Session, Switch};

/// Messages that a run begins with.
const MESSAGES: [&str; 3] = [
    "From: A <a@example.net>\nTo: alice@demo.test\nSubject: one\nDate: Thu, 1 Jan 2026 12:00:01 +0000\nMessage-ID: <1@x>\n\nbody one\n",
    "From: b@example.net\nSubject: Re: one\nReferences: <1@x>\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n\
     --b\n\ntext caf=\n--b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\nPGI+\n--b--\n",
    "Subject: =?utf-8?q?t=C3=BC?=\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner text\n",
];

/// The world of one run.
pub struct World {
    services: Services,
    _dir: tempfile::TempDir,
}

impl World {
    /// As it is at the beginning.
    pub fn fresh() -> World {
        let dir = directory();
        let domain = dir.path().join("domains/demo.test");
        fs::create_dir_all(&domain).expect("domains");
        fs::write(domain.join("users"), "alice:{PLAIN}secret\nbob:{PLAIN}secret\n").expect("users");
        fs::write(domain.join("aliases"), "team: alice, bob\n").expect("aliases");
        fill(&dir.path().join("mail/alice/Maildir"));
        let nothing: String = Service::TABLE.iter().map(|(_, key)| format!("{key} = []\n")).collect();
        let text = format!(
            "hostname = \"mail.demo.test\"\n[listen]\n{nothing}[auth]\nallow_plain_on_loopback = true\nsecret = \"secret\"\n\
             [mail]\nhome = \"{}/mail/{{user}}/Maildir\"\n[limits]\nmax_message_size = \"64K\"\nmax_recipients = 10\n",
            dir.path().display()
        );
        let config = Config::parse(&dir.path().join("mailcote.toml"), &text).expect("a configuration");
        let services = Services::new(&config, Switch::new(true)).expect("services");
        World { services, _dir: dir }
    }

    /// A session from loopback.
    pub fn session(&self, service: Service) -> Box<dyn Session> {
        let peer = Peer::new(([127, 0, 0, 1], 40_000).into(), ([127, 0, 0, 1], 143).into(), 1);
        self.services.session(service, peer)
    }
}

fn fill(maildir: &Path) {
    for folder in ["", ".Work"] {
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(maildir.join(folder).join(part)).expect("a Maildir");
        }
    }
    for (n, text) in MESSAGES.iter().enumerate() {
        let place = if n == 0 { "new/1.M1P1.x".into() } else { format!("cur/{0}.M{0}P1.x:2,S", n + 1) };
        fs::write(maildir.join(place), text).expect("a message");
    }
}

/// A throw-away directory.
pub fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a temporary directory")
}
