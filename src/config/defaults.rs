//! Every key of `mailcote.toml` with its default: the one place.
//!
//! It is TOML itself, so that a default goes through the same checks as what an administrator wrote, and so
//! that the set of known keys cannot differ from the set of defaults. `etc/mailcote.toml` explains each key to people;
//! `tests/settings.rs` holds the two, and the man page, together.

/// The whole configuration of somebody who wrote nothing.
pub const DEFAULTS: &str = r#"
hostname = ""
user = "mailcote"
log = "info"
sandbox = true

[listen]
smtp = [25]
submission = [587]
submissions = [465]
lmtp = ["/run/mailcote/lmtp"]
imap = [143]
imaps = [993]
pop3 = [110]
pop3s = [995]
proxy_from = []
lmtp_mode = "0660"
lmtp_group = ""

[tls]
certs = "certs"
fallback = ""
client_ca = ""

[accounts]
domains = "domains"
system_domains = []
default_domain = ""
postmaster = ""
recipient_delimiter = "+"
detail_to_folder = true

[auth]
allow_plain_on_loopback = false
exempt = []
scram = "auto"
secret = "/var/lib/mailcote/secret"
masters = ""

[oauth]
introspection = ""
client = ""
secret = ""
ca = ""
username = "username"
scope = ""
configuration = ""
cache = "60s"
timeout = "10s"

[mail]
home = "/var/lib/mailcote/mail/{domain}/{user}/Maildir"
layout = "maildir++"
mailbox_names = "auto"
coexist = false
mount_point = ""

[folders]
drafts = "Drafts"
sent = "Sent"
junk = "Junk"
trash = "Trash"
archive = "Archive"
important = ""

[quota]
storage = ""
messages = 0
file = "/var/lib/mailcote/quota"

[sharing]
prefix = "shared"
anyone = false
index = "/var/lib/mailcote/shared"

[metadata]
comment = ""
admin = ""

[limits]
max_message_size = "50M"
max_recipients = 1000
connections = 20000
connections_per_address = 200
connections_per_user = 50
drain = "20s"
imap_message_limit = 0
imap_save_limit = 0
"#;
