//! Files that load, and files with every kind of mistake.

use super::*;

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(Path::new("/etc/mailcote/mailcote.toml"), text)
}

#[test]
fn the_empty_file_is_complete() {
    let config = parse("").unwrap();
    assert!(!config.hostname.is_empty());
    assert_eq!(config.listeners.len(), 8);
    assert_eq!(config.limits.max_message_size, 50 << 20);
    assert_eq!(config.limits.drain, Duration::from_secs(20));
    assert_eq!(config.tls.certs, Path::new("/etc/mailcote/certs"));
    assert_eq!(config.accounts.domains, Path::new("/etc/mailcote/domains"));
    assert_eq!(config.accounts.recipient_delimiter, Some('+'));
    assert_eq!(config.mail.folders.len(), 5);
}

#[test]
fn the_defaults_written_out_change_nothing() {
    assert_eq!(format!("{:?}", parse("").unwrap()), format!("{:?}", parse(DEFAULTS).unwrap()));
    assert!(keys().contains(&"limits.drain".to_string()) && keys().contains(&"hostname".to_string()));
}

#[test]
fn settings_are_taken() {
    let config = parse(concat!(
        "hostname = \"mail.example.org\"\n",
        "[listen]\nsmtp = [25, 2525, \"[::1]:26\", { address = \"10.0.0.1:27\", proxy = true }]\npop3 = []\n",
        "lmtp = [\"run/lmtp\"]\nproxy_from = [\"10.0.0.0/8\"]\n",
        "[limits]\nmax_message_size = \"1g\"\nconnections = 5\ndrain = \"2 m\"\n",
        "[folders]\njunk = \"Spam\"\narchive = \"\"\n",
        "[accounts]\nrecipient_delimiter = \"\"\n",
    ))
    .unwrap();
    let at = |service| config.listeners.iter().filter(move |l| l.service == service).collect::<Vec<_>>();
    assert_eq!(at(Service::Smtp).len(), 4);
    assert!(at(Service::Smtp)[3].proxy);
    assert!(at(Service::Pop3).is_empty());
    assert_eq!(at(Service::Lmtp)[0].place, Place::Unix("/etc/mailcote/run/lmtp".into()));
    assert_eq!(config.limits.max_message_size, 1 << 30);
    assert_eq!(config.limits.drain, Duration::from_secs(120));
    assert_eq!(config.mail.folders.len(), 4);
    assert!(config.accounts.recipient_delimiter.is_none());
}

#[test]
fn each_mistake_is_placed_and_explained() {
    for (text, expected) in [
        ("hostnme = \"x\"", "1:1: unknown key \"hostnme\"; did you mean \"hostname\"?"),
        (
            "[limits]\nmax_mesage_size = 1",
            "2:1: unknown key \"max_mesage_size\" in [limits]; did you mean \"max_message_size\"?",
        ),
        (
            "max_message_size = 1",
            "1:1: unknown key \"max_message_size\"; did you mean \"max_message_size\"? It belongs in [limits]",
        ),
        ("[pop3]\nport = 110\n", "1:2: unknown section [pop3]; \"pop3\" is a key of [listen]"),
        ("[smtp]\n", "1:2: unknown section [smtp]; \"smtp\" is a key of [listen]"),
        ("[listen]\nport = 25", "2:1: unknown key \"port\" in [listen]; known here: "),
        (
            "[auth]\nallow_plain = true",
            "2:1: unknown key \"allow_plain\" in [auth]; did you mean \"allow_plain_on_loopback\"?",
        ),
        ("[limts]\n", "1:2: unknown key \"limts\"; did you mean \"limits\"?"),
        (
            "[tls]\nhostname = \"a\"",
            "2:1: unknown key \"hostname\" in [tls]; did you mean \"hostname\"? It stands before the first section",
        ),
        ("tls = 1", "1:1: \"tls\" is a section: write [tls] on a line of its own"),
        ("sandbox = \"yes\"", "1:11: sandbox: this is a string; true or false is needed"),
        ("[limits]\nconnections = 0", "2:15: limits.connections: 0 is out of range; the least is 1"),
        ("[limits]\ndrain = \"soon\"", "2:9: limits.drain: \"soon\" is not a time such as \"30s\" (units: s, m, h, d)"),
        ("[listen]\nsmtp = [25, 70000]", "2:13: listen.smtp: 70000 is not a port from 1 to 65535"),
        ("[listen]\nimap = [993]", "listen.imaps: port 993 is in listen.imap already"),
        (
            "[listen]\nsmtp = [{ adress = 25 }]",
            "2:11: listen.smtp: unknown key \"adress\"; a listener has address and proxy",
        ),
        (
            "[listen]\nsmtp = [{ address = 25, proxy = true }]",
            "2:8: listen.smtp: proxy = true, but listen.proxy_from names nobody",
        ),
        ("[mail]\nhome = \"/mail\"", "2:8: mail.home: {user} must be part of it"),
        ("[mail]\nhome = \"/mail/{user}/{realm}\"", "2:8: mail.home: unknown placeholder at \"{realm}\""),
        (
            "[auth]\nexempt = [\"10.0.0.0/40\"]",
            "2:11: auth.exempt: `10.0.0.0/40`: the number after the / must be 0 to 32",
        ),
        ("[folders]\nsent = \"Drafts\"", "2:8: folders.sent: the folder \"Drafts\" has another role already"),
        ("log = \"inof\"", "1:7: log: \"inof\" is not a level; did you mean \"info\"?"),
        ("hostname = \"-x\"", "1:12: hostname: \"-x\" is not a host name"),
        ("hostname = ", "1:12: not TOML: "),
    ] {
        let problems = parse(text).expect_err(text).to_string();
        assert!(problems.contains(expected), "{text:?} gives\n{problems}\nnot\n{expected}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let problems = parse("a = 1\n[limits]\nb = 2\ndrain = 3\n[tls\n").expect_err("five mistakes");
    assert!(problems.0.len() >= 4, "{problems}");
    assert!(problems.0.windows(2).all(|two| two[0].line <= two[1].line), "{problems}");
}
