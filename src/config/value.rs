//! From one TOML value to one setting.
//!
//! Each function takes a value with its place in the file and gives the setting, or every mistake in it with
//! the place of the mistake. No I/O; no defaults (see `defaults`).

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{Listener, Place, Service};
use crate::account::Scram;
use crate::store::{Charset, Layout, Name};
use crate::wire::{BadNetwork, Network};

/// Messages that a client may always name in one command: one that does not know the limit would see a part of a smaller mailbox only.
const MIN_MESSAGE_LIMIT: u64 = 1000;

/// Longest time that an answer about a token may be kept, or waited for.
const MAX_REMEMBERED: Duration = Duration::from_secs(86400);

/// A value and where it stands.
pub type Value<'i> = Spanned<DeValue<'i>>;
/// What is wrong, and where (bytes from the start of the file).
pub type Bad = (Range<usize>, String);
/// A setting, or all that is wrong with it.
pub type Read<T> = Result<T, Vec<Bad>>;

fn bad<T>(value: &Value<'_>, message: impl Into<String>) -> Read<T> {
    Err(vec![(value.span(), message.into())])
}

fn wrong_type<T>(value: &Value<'_>, wanted: &str) -> Read<T> {
    bad(value, format!("this is {}; {wanted} is needed", kind(value.get_ref())))
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Any string.
pub fn text(value: &Value<'_>) -> Read<String> {
    match value.get_ref().as_str() {
        Some(text) => Ok(text.to_owned()),
        None => wrong_type(value, "a string in quotes"),
    }
}

/// As [`size`]; the empty string is none.
pub fn size_if_any(value: &Value<'_>) -> Read<Option<u64>> {
    if value.get_ref().as_str() == Some("") { Ok(None) } else { size(value).map(Some) }
}

/// A whole number; 0 is none.
pub fn number_if_any(value: &Value<'_>) -> Read<Option<u64>> {
    match integer(value).map(u64::try_from) {
        Some(Ok(number)) => Ok(Some(number).filter(|number| *number > 0)),
        Some(Err(_)) => bad(value, "this must not be below 0"),
        None => wrong_type(value, "a whole number"),
    }
}

/// So many messages of one IMAP command; none if it is 0. RFC 9738 section 3 would have no server announce fewer than
/// [`MIN_MESSAGE_LIMIT`].
pub fn message_limit(value: &Value<'_>) -> Read<Option<u32>> {
    match number_if_any(value)? {
        None => Ok(None),
        Some(number) if number < MIN_MESSAGE_LIMIT => {
            bad(value, format!("this must be 0 or at least {MIN_MESSAGE_LIMIT}"))
        }
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => bad(value, format!("this must not be above {}", u32::MAX)),
        },
    }
}

/// The name of a folder on the first level, if any.
pub fn level(value: &Value<'_>) -> Read<Option<String>> {
    let text = text(value)?;
    match Name::parse(&text) {
        _ if text.is_empty() => Ok(None),
        Ok(name) if !text.contains('/') && !name.is_inbox() => Ok(Some(text)),
        Ok(_) => bad(value, "this must be one level, not INBOX, and without a /"),
        Err(error) => bad(value, error.to_string()),
    }
}

/// A URI such as `mailto:admin@example.org`, if any.
pub fn uri(value: &Value<'_>) -> Read<Option<String>> {
    let text = text(value)?;
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    match text.split_once(':') {
        _ if text.is_empty() => Ok(None),
        Some((scheme, rest)) if is_scheme(scheme) && !rest.is_empty() && !text.contains(char::is_whitespace) => {
            Ok(Some(text))
        }
        _ => bad(value, format!("\"{text}\" is not a URI such as \"mailto:admin@example.org\"")),
    }
}

/// `true` or `false`.
pub fn switch(value: &Value<'_>) -> Read<bool> {
    value.get_ref().as_bool().map_or_else(|| wrong_type(value, "true or false"), Ok)
}

/// A count from 1 up.
pub fn count(value: &Value<'_>) -> Read<usize> {
    let Some(number) = integer(value) else { return wrong_type(value, "a whole number") };
    match usize::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        _ => bad(value, format!("{number} is out of range; the least is 1")),
    }
}

fn integer(value: &Value<'_>) -> Option<i64> {
    let number = value.get_ref().as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Bytes: a whole number, or a string with a unit of 1024s, `"50M"`.
pub fn size(value: &Value<'_>) -> Read<u64> {
    const WANTED: &str = "a size such as \"50M\" (units: K, M, G, T; a number without unit is bytes)";
    let units = [("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1_u64 << 40)];
    if let Some(number) = integer(value) {
        return u64::try_from(number)
            .ok()
            .filter(|n| *n > 0)
            .map_or_else(|| bad(value, format!("{number} is out of range; write {WANTED}")), Ok);
    }
    let Some(text) = value.get_ref().as_str() else { return wrong_type(value, WANTED) };
    match with_unit(text, &units).filter(|n| *n > 0) {
        Some(bytes) => Ok(bytes),
        None => bad(value, format!("\"{text}\" is not {WANTED}")),
    }
}

/// A time, with its unit: `"30s"`, `"10m"`, `"2h"`, `"7d"`.
pub fn duration(value: &Value<'_>) -> Read<Duration> {
    const WANTED: &str = "a time such as \"30s\" (units: s, m, h, d)";
    let Some(text) = value.get_ref().as_str() else { return wrong_type(value, WANTED) };
    match with_unit(text, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => bad(value, format!("\"{text}\" is not {WANTED}")),
    }
}

/// A time of one day at most: longer, a token that was revoked would be good for ever, and a clock could overflow.
pub fn up_to_a_day(value: &Value<'_>) -> Read<Duration> {
    match duration(value)? {
        time if time <= MAX_REMEMBERED => Ok(time),
        _ => bad(value, "this must not be above \"1d\""),
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Permissions in octal digits, as a string: `"0660"`.
pub fn mode(value: &Value<'_>) -> Read<u32> {
    let text = text(value)?;
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o777 && mode & 0o200 != 0 => Ok(mode),
        _ => bad(value, format!("\"{text}\" is not a mode such as \"0660\", in which at least the owner may write")),
    }
}

/// A path; a relative one starts at the directory of the configuration file.
pub fn path(value: &Value<'_>, dir: &Path) -> Read<PathBuf> {
    let text = text(value)?;
    if text.is_empty() { bad(value, "a path is needed") } else { Ok(dir.join(text)) }
}

/// A path as [`path`] has it, or `""` for none.
pub fn some_path(value: &Value<'_>, dir: &Path) -> Read<Option<PathBuf>> {
    let text = text(value)?;
    Ok(Some(dir.join(&text)).filter(|_| !text.is_empty()))
}

/// A string that is not empty.
pub fn word(value: &Value<'_>) -> Read<String> {
    let text = text(value)?;
    if text.is_empty() { bad(value, "a name is needed") } else { Ok(text) }
}

/// A URL to ask, or `""` for none: HTTPS, or HTTP on this machine, where no one else can read the tokens.
pub fn endpoint(value: &Value<'_>) -> Read<String> {
    let text = text(value)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let name =
        host.map(|host| if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) });
    match name {
        None if text.is_empty() => Ok(text),
        None | Some("") => {
            bad(value, format!("\"{text}\" is not a URL such as \"https://login.example.org/introspect\""))
        }
        Some(_) if text.starts_with("https://") || matches!(name, Some("localhost" | "127.0.0.1" | "[::1]")) => {
            Ok(text)
        }
        Some(name) => bad(value, format!("tokens must not travel to {name} in clear; write https://")),
    }
}

/// Where a user's Maildir is: an absolute path in which `{domain}` and `{user}` are filled in.
pub fn home(value: &Value<'_>) -> Read<String> {
    let text = text(value)?;
    if !text.starts_with('/') {
        return bad(value, "a user's home must be an absolute path");
    }
    if !text.contains("{user}") {
        return bad(value, "{user} must be part of it, or all users would share one Maildir");
    }
    // All homes lie in the directory above the first placeholder, which the server makes, owns, and is confined to.
    if text.find('{').is_some_and(|at| !text[1..at].contains('/')) {
        return bad(
            value,
            "a directory must come first, in which all mail is, such as \"/var/lib/mailcote/mail/{domain}/{user}\"",
        );
    }
    let rest = text.replace("{user}", "").replace("{domain}", "");
    match rest.find(['{', '}']) {
        Some(at) => {
            bad(value, format!("unknown placeholder at \"{}\"; {{domain}} and {{user}} are known", &rest[at..]))
        }
        None => Ok(text),
    }
}

/// `"maildir++"` or `"fs"`.
pub fn mailbox_names(value: &Value<'_>) -> Read<Option<Charset>> {
    match text(value)?.as_str() {
        "auto" => Ok(None),
        "utf-7" => Ok(Some(Charset::Utf7)),
        "utf-8" => Ok(Some(Charset::Utf8)),
        other => bad(value, format!("\"{other}\" is no spelling of names; \"auto\", \"utf-7\" and \"utf-8\" are")),
    }
}

/// An absolute path; "" for none.
pub fn mount_point(value: &Value<'_>) -> Read<Option<PathBuf>> {
    let path = PathBuf::from(text(value)?);
    match path.as_os_str().is_empty() {
        true => Ok(None),
        false if path.is_absolute() => Ok(Some(path)),
        false => bad(value, "must be an absolute path"),
    }
}

/// How folders lie in a Maildir.
pub fn layout(value: &Value<'_>) -> Read<Layout> {
    match text(value)?.to_ascii_lowercase().as_str() {
        "maildir++" => Ok(Layout::Maildirpp),
        "fs" => Ok(Layout::Fs),
        other => bad(value, format!("\"{other}\" is not a layout; \"maildir++\" and \"fs\" are")),
    }
}

/// The name of a folder, or `""` for none.
pub fn folder(value: &Value<'_>) -> Read<Option<Name>> {
    let text = text(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    match Name::parse(&text) {
        Ok(name) if name.is_inbox() => bad(value, "INBOX is always there and has no other role"),
        Ok(name) => Ok(Some(name)),
        Err(e) => bad(value, e.to_string()),
    }
}

/// One character or none.
pub fn delimiter(value: &Value<'_>) -> Read<Option<char>> {
    let text = text(value)?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (first, None) if first.is_none_or(|c| c.is_ascii_punctuation() && c != '@') => Ok(first),
        _ => bad(value, format!("\"{text}\" is not one punctuation character such as \"+\", or \"\" for none")),
    }
}

/// Each item by `one`; the mistakes of all.
fn list<T>(value: &Value<'_>, wanted: &str, one: impl Fn(&Value<'_>) -> Read<T>) -> Read<Vec<T>> {
    let Some(items) = value.get_ref().as_array() else { return wrong_type(value, wanted) };
    let (mut all, mut mistakes) = (Vec::new(), Vec::new());
    for item in items.iter() {
        match one(item) {
            Ok(item) => all.push(item),
            Err(more) => mistakes.extend(more),
        }
    }
    if mistakes.is_empty() { Ok(all) } else { Err(mistakes) }
}

/// Addresses and networks.
pub fn networks(value: &Value<'_>) -> Read<Vec<Network>> {
    list(value, "a list of addresses and networks", |item| {
        text(item)?.parse().or_else(|e: BadNetwork| bad(item, e.to_string()))
    })
}

/// Domain names, in lower case.
pub fn domains(value: &Value<'_>) -> Read<Vec<String>> {
    list(value, "a list of domain names", |item| {
        let name = text(item)?.to_lowercase();
        if is_host_name(&name) { Ok(name) } else { bad(item, format!("\"{name}\" is not a domain name")) }
    })
}

/// A domain name in lower case, or `""` for none.
pub fn domain(value: &Value<'_>) -> Read<Option<String>> {
    let name = text(value)?.to_lowercase();
    match name.as_str() {
        "" => Ok(None),
        _ if is_host_name(&name) => Ok(Some(name)),
        _ => bad(value, format!("\"{name}\" is not a domain name")),
    }
}

/// A full address, or `""` for none.
pub fn address(value: &Value<'_>) -> Read<Option<String>> {
    let text = text(value)?;
    match text.rsplit_once('@') {
        None if text.is_empty() => Ok(None),
        Some((local, domain)) if !local.is_empty() && is_host_name(domain) => Ok(Some(text)),
        _ => bad(value, format!("\"{text}\" is not an address such as \"alice@example.org\"")),
    }
}

/// When SCRAM is announced.
pub fn scram(value: &Value<'_>) -> Read<Scram> {
    match text(value)?.as_str() {
        "auto" => Ok(Scram::Auto),
        "always" => Ok(Scram::Always),
        "never" => Ok(Scram::Never),
        other => bad(value, format!("\"{other}\" is none of \"auto\", \"always\", \"never\"")),
    }
}

/// Could `name` be a host's or a domain's name? UTF-8 labels are allowed (RFC 6531).
pub fn is_host_name(name: &str) -> bool {
    /// Bytes in a name (RFC 1035 2.3.4).
    const MAX_HOST_NAME: usize = 253;
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && c.is_alphanumeric()))
    };
    name.len() <= MAX_HOST_NAME && name.split('.').all(label)
}

/// Where a service listens.
pub fn listeners(value: &Value<'_>, service: Service, dir: &Path) -> Read<Vec<Listener>> {
    list(value, "a list of ports and addresses", |item| listener(item, service, dir))
}

const LISTENER: &str = "a port (25), an address (\"192.0.2.1:25\", \"[::1]:25\") or the path of a Unix socket";

fn listener(value: &Value<'_>, service: Service, dir: &Path) -> Read<Listener> {
    let Some(table) = value.get_ref().as_table() else {
        return Ok(Listener { service, place: place(value, dir)?, proxy: false });
    };
    let (mut at, mut proxy, mut mistakes) = (None, false, Vec::new());
    for (key, value) in table.iter() {
        match key.get_ref().as_ref() {
            "address" => match place(value, dir) {
                Ok(place) => at = Some(place),
                Err(more) => mistakes.extend(more),
            },
            "proxy" => match switch(value) {
                Ok(on) => proxy = on,
                Err(more) => mistakes.extend(more),
            },
            other => mistakes.push((key.span(), format!("unknown key \"{other}\"; a listener has address and proxy"))),
        }
    }
    match at {
        Some(place) if mistakes.is_empty() => Ok(Listener { service, place, proxy }),
        None if mistakes.is_empty() => bad(value, format!("address is missing: {LISTENER}")),
        _ => Err(mistakes),
    }
}

fn place(value: &Value<'_>, dir: &Path) -> Read<Place> {
    if let Some(number) = integer(value) {
        return match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(Place::Port(port)),
            _ => bad(value, format!("{number} is not a port from 1 to 65535")),
        };
    }
    let Some(text) = value.get_ref().as_str() else { return wrong_type(value, LISTENER) };
    if let Ok(address) = text.parse::<SocketAddr>() {
        return if address.port() == 0 {
            bad(value, "port 0 cannot be listened on")
        } else {
            Ok(Place::Address(address))
        };
    }
    if let Some(port) = text.strip_prefix("*:").unwrap_or(text).parse().ok().filter(|port| *port > 0) {
        return Ok(Place::Port(port));
    }
    if text.contains('/') {
        Ok(Place::Unix(dir.join(text)))
    } else {
        bad(value, format!("\"{text}\" is not {LISTENER}"))
    }
}
