//! Lines of a domain's `users` file: Dovecot's passwd-file.
//!
//! ```text
//! name:{SCHEME}password:uid:gid:gecos:home:shell:extra fields separated by spaces
//! ```
//!
//! Owns the reading of such lines and the writing of new ones; the file itself is written by the admin, or by `mailcote
//! user`. Only the first field and the colon behind it are required. A password field that is empty or begins with `!` or `*` locks the login;
//! mail is still taken. Of the extra fields these are understood, with or without `userdb_` before them, and all others
//! are left alone as somebody else's:
//!
//! | field | meaning |
//! |---|---|
//! | `nologin` | no login; mail is still taken |
//! | `mail=maildir:PATH[:LAYOUT=fs]` | the Maildir; `~` is the home |
//! | `quota=5G`, `quota_messages=1000` | how much mail the user may have |
//! | `quota_rule=*:storage=5G:messages=1000` | the same in Dovecot's words |
//!
//! uid, gid, gecos and shell are read over: mail of virtual users belongs to the account that the daemon runs as, and
//! system users are looked up in the system.
//!
//! A name is compared without regard to case. Refuses (as a [`Problem`] of the line; all other lines still count) names
//! that cannot be a directory or an address, a name that came before, and a malformed password. Where the name
//! of a bad line can be read it is kept as broken, so that nobody is told that such a user does not exist.

use std::path::PathBuf;

use super::lines::Problem;
use super::password::Stored;
use crate::store::Layout;

/// Bytes in a user name: the longest local part (RFC 5321 4.5.3.1.1).
const MAX_NAME: usize = 64;

/// One user's line.
#[derive(Debug, Clone)]
pub struct Line {
    /// The name as it is written, without domain.
    pub name: String,
    /// The password; `None` if the login is locked.
    pub password: Option<Stored>,
    /// Home directory, if the line has one.
    pub home: Option<PathBuf>,
    /// Maildir and layout of a `mail=` field. The path may begin with `~/`.
    pub mail: Option<(String, Option<Layout>)>,
    /// Bytes of mail the user may have, if limited.
    pub quota: Option<u64>,
    /// Messages the user may have, if limited.
    pub quota_messages: Option<u64>,
}

/// What a line of the file is.
#[derive(Debug)]
pub enum Parsed {
    /// Empty or a comment.
    Nothing,
    /// A user.
    User(Line),
    /// A mistake, and whose line it is if that can be read.
    Broken(Option<String>, Problem),
}

/// Read line `number` of the users file of `domain` (in canonical form).
pub fn parse(number: usize, text: &str, domain: &str) -> Parsed {
    if text.trim().is_empty() || text.trim_start().starts_with('#') {
        return Parsed::Nothing;
    }
    let name = match name(text.split(':').next().unwrap_or(text), domain) {
        Ok(name) => name.to_owned(),
        Err(message) => return Parsed::Broken(None, Problem::at(number, text, 0, message)),
    };
    if !text.contains(':') {
        let message = format!("line has no colon after the name; to lock the login, write \"{name}:\"");
        return Parsed::Broken(Some(name), Problem::at(number, text, text.len(), message));
    }
    match fields(number, text, &name) {
        Ok(line) => Parsed::User(line),
        Err(problem) => Parsed::Broken(Some(name), problem),
    }
}

/// Check a user name, and take the domain from it if it is written as a whole address.
pub fn name<'a>(text: &'a str, domain: &str) -> Result<&'a str, String> {
    let name = match text.rsplit_once('@') {
        None => text,
        Some((name, at)) if super::domain::canonical(at) == domain => name,
        Some((_, at)) => return Err(format!("user of {at} in the file of {domain}; write the name before the @ only")),
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '@' | '"' | '\\');
    if name.is_empty() {
        Err("line has no user name before the first colon".into())
    } else if name.len() > MAX_NAME {
        Err(format!("user name is longer than {MAX_NAME} bytes"))
    } else if let Some(c) = name.chars().find(|c| odd(*c)) {
        Err(format!("user name contains {c:?}, which cannot stand in one"))
    } else if name.starts_with('.') {
        Err("user name begins with a dot; it would be a hidden directory".into())
    } else {
        Ok(name)
    }
}

/// A new line: `name:{ARGON2ID}...::::::` with what is given; without trailing empty fields.
pub fn format(name: &str, password: &str, home: Option<&str>, extra: &[&str]) -> String {
    let line = format!("{name}:{password}::::{}::{}", home.unwrap_or_default(), extra.join(" "));
    line.trim_end_matches(':').to_owned()
}

/// The line with another password field, and everything else as it was.
pub fn with_password(line: &str, password: &str) -> String {
    let mut fields = line.splitn(3, ':');
    let name = fields.next().unwrap_or_default();
    let rest = fields.nth(1).map(|rest| format!(":{rest}")).unwrap_or_default();
    format!("{name}:{password}{rest}")
}

fn fields(number: usize, text: &str, name: &str) -> Result<Line, Problem> {
    let mut offset = 0;
    let mut field = text.splitn(8, ':').map(|field| {
        let at = offset;
        offset += field.len() + 1;
        (at, field)
    });
    field.next();
    let (at, password) = field.next().unwrap_or((text.len(), ""));
    let password = if password.is_empty() || password.starts_with(['!', '*']) {
        None
    } else {
        Some(Stored::parse(password).map_err(|e| Problem::at(number, text, at, e.to_string()))?)
    };
    let home = field.nth(3).filter(|(_, home)| !home.is_empty());
    if let Some((at, home)) = home
        && !home.starts_with('/')
    {
        return Err(Problem::at(number, text, at, format!("home directory {home:?} is not an absolute path")));
    }
    let extra = field.nth(1);
    let home = home.map(|(_, home)| PathBuf::from(home));
    let mut line = Line { name: name.to_owned(), password, home, mail: None, quota: None, quota_messages: None };
    if let Some((start, extra)) = extra {
        for word in extra.split(' ').filter(|word| !word.is_empty()) {
            extra_field(&mut line, word).map_err(|message| {
                // `word` is a part of `extra`, so the distance of their starts is its place.
                let at = start + (word.as_ptr() as usize - extra.as_ptr() as usize);
                Problem::at(number, text, at, message)
            })?;
        }
    }
    Ok(line)
}

fn extra_field(line: &mut Line, word: &str) -> Result<(), String> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    match key.strip_prefix("userdb_").unwrap_or(key) {
        "nologin" => line.password = None,
        "quota" => line.quota = Some(size(value).ok_or_else(|| format!("quota {value:?} is not a size such as 5G"))?),
        "quota_messages" => line.quota_messages = Some(messages(value)?),
        "quota_rule" => {
            // Dovecot: mailbox mask, then limits; only the rule for the whole account concerns us.
            if let Some(limits) = value.strip_prefix("*:") {
                for limit in limits.split(':') {
                    if let Some(text) = limit.strip_prefix("storage=") {
                        line.quota =
                            Some(size(text).ok_or_else(|| format!("quota {text:?} is not a size such as 5G"))?);
                    }
                    if let Some(text) = limit.strip_prefix("messages=") {
                        line.quota_messages = Some(messages(text)?);
                    }
                }
            }
        }
        "mail" => line.mail = Some(mail_location(value)?),
        _ => {}
    }
    Ok(())
}

fn messages(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("quota {text:?} is not a number of messages"))
}

/// `maildir:PATH[:LAYOUT=fs]`, as Dovecot's mail_location.
fn mail_location(value: &str) -> Result<(String, Option<Layout>), String> {
    let mut parts = value.split(':');
    if parts.next() != Some("maildir") {
        return Err(format!("mail={value} must begin with maildir:"));
    }
    let path = parts.next().unwrap_or_default();
    if !path.starts_with('/') && path != "~" && !path.starts_with("~/") {
        return Err(format!("mail={value} must name a path that begins with / or ~/"));
    }
    let mut layout = None;
    for option in parts {
        layout = match option.to_ascii_lowercase().as_str() {
            "layout=fs" => Some(Layout::Fs),
            "layout=maildir++" => Some(Layout::Maildirpp),
            _ => return Err(format!("mail={value}: {option} is not supported; only LAYOUT=fs or LAYOUT=maildir++ is")),
        };
    }
    Ok((path.to_owned(), layout))
}

/// Bytes: a number, with B, k, M, G or T (of 1024) behind it. Dovecot reads a bare number in a quota rule as
/// kilobytes; here it is bytes, since nobody means a quota of 5 and a letter leaves no doubt.
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.strip_suffix(['B', 'b']).unwrap_or(text);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Line {
        match parse(1, text, "demo.test") {
            Parsed::User(line) => line,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn lines_that_are_understood() {
        let line = user("alice:{PLAIN}a:5000:5000:Alice A.:/home/alice:/bin/sh:quota=5G foo=bar");
        assert_eq!((line.name.as_str(), line.quota), ("alice", Some(5 << 30)));
        assert_eq!(line.home, Some("/home/alice".into()));
        assert!(line.password.is_some());
        assert_eq!(user("bob@DEMO.test:{PLAIN}b").name, "bob");
        for locked in
            ["carol:", "carol:!{PLAIN}x", "carol:*:::", "carol:{PLAIN}x::::::nologin", "carol:{PLAIN}x::::::nologin=y"]
        {
            assert!(user(locked).password.is_none(), "{locked}");
        }
        let line = user("dave:{PLAIN}x::::::userdb_mail=maildir:~/mail:LAYOUT=fs userdb_quota_rule=*:storage=100M");
        assert_eq!(line.mail, Some(("~/mail".into(), Some(Layout::Fs))));
        assert_eq!(line.quota, Some(100 << 20));
    }

    #[test]
    fn nothing_to_see() {
        for text in ["", "  ", "# alice:{PLAIN}x", "  # x"] {
            assert!(matches!(parse(1, text, "demo.test"), Parsed::Nothing), "{text:?}");
        }
    }

    #[test]
    fn mistakes_have_a_place_and_a_name() {
        for (text, whose, place, says) in [
            (":{PLAIN}x", None, "3:1", "no user name"),
            ("carol", Some("carol"), "3:6", "no colon"),
            ("../x:{PLAIN}x", None, "3:1", "'/'"),
            ("..:{PLAIN}x", None, "3:1", "hidden"),
            ("a b:{PLAIN}x", None, "3:1", "' '"),
            ("eve@other.test:{PLAIN}x", None, "3:1", "user of other.test"),
            ("alice:{MD4}x", Some("alice"), "3:7", "{MD4}"),
            ("ä:{MD4}x", Some("ä"), "3:3", "{MD4}"),
            ("alice:{PLAIN}x:::home:mail", Some("alice"), "3:23", "not an absolute"),
            ("alice:{PLAIN}x::::::quota=5G quota=x", Some("alice"), "3:30", "quota \"x\""),
            ("alice:{PLAIN}x::::::mail=mbox:~/x", Some("alice"), "3:21", "maildir:"),
            ("alice:{PLAIN}x::::::mail=maildir:x", Some("alice"), "3:21", "begins with / or"),
            ("alice:{PLAIN}x::::::mail=maildir:/x:INDEX=/y", Some("alice"), "3:21", "INDEX=/y"),
        ] {
            let Parsed::Broken(name, problem) = parse(3, text, "demo.test") else { panic!("{text}") };
            assert_eq!(name.as_deref(), whose, "{text}");
            let told = problem.to_string();
            assert!(told.starts_with(&format!("{place}:")) && told.contains(says), "{text}: {told}");
        }
    }

    #[test]
    fn writing_lines() {
        assert_eq!(format("alice", "{PLAIN}x", None, &[]), "alice:{PLAIN}x");
        assert_eq!(format("alice", "{PLAIN}x", None, &["quota=5G"]), "alice:{PLAIN}x::::::quota=5G");
        let line = user(&format("alice", "{PLAIN}x", Some("/h"), &["quota=1k", "nologin"]));
        assert_eq!((line.home, line.quota, line.password.is_some()), (Some("/h".into()), Some(1024), false));
        assert_eq!(with_password("a:old:1:2::/h::quota=1k", "new"), "a:new:1:2::/h::quota=1k");
        assert_eq!(with_password("a:old", "new"), "a:new");
        assert_eq!(with_password("a", "new"), "a:new");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("10", Some(10)),
            ("5k", Some(5120)),
            ("5GB", Some(5 << 30)),
            ("x", None),
            ("5X", None),
            ("", None),
            ("99999999999T", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
