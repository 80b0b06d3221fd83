//! `dovecot-attributes`, which a Dovecot 2.3 with `mail_attribute_dict = file:%h/Maildir/dovecot-attributes` (its manual's example) has
//! written into the root. Read only.
//!
//! Two lines an entry, key and value, with tab escapes in the value. The key is `priv` or `shared`, the folder's GUID (field G of its
//! `dovecot-uidlist`), and the entry's name. Entries of the account are INBOX's, below `vendor/vendor.dovecot/pvt/server`.
//!
//! A file that is too large, or is not text of that kind, counts as empty.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Entry, MAX_FILE, Scope, unescape};
use crate::fsio;
use crate::store::uidlist::{Found, UidList};
use crate::store::{Error, Result};

const FILE: &str = "dovecot-attributes";
/// Where Dovecot keeps what belongs to no folder.
const SERVER: &str = "/vendor/vendor.dovecot/pvt/server";
/// Dovecot's own entries that are not annotations of anybody.
const INTERNAL: &str = "/vendor/vendor.dovecot/pvt";

/// Entries of the folder in `folder`, or of the account in `root`.
pub(super) fn read(root: &Path, folder: Option<&Path>) -> Result<BTreeMap<Entry, Vec<u8>>> {
    let path = root.join(FILE);
    let bytes = match fsio::read(&path, MAX_FILE + 1) {
        Ok(bytes) if bytes.len() as u64 <= MAX_FILE => bytes,
        Ok(_) => return Ok(BTreeMap::new()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(Error::io(&path, e)),
    };
    let guid = match UidList::read(folder.unwrap_or(root))? {
        Found::Whole(list, _) => list.header().guid.clone(),
        _ => return Ok(BTreeMap::new()),
    };
    let mut found = BTreeMap::new();
    let mut lines = bytes.split(|b| *b == b'\n');
    while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
        if let Some(entry) = std::str::from_utf8(key).ok().and_then(|key| entry(key, &guid, folder.is_some())) {
            found.insert(entry, unescape(value));
        }
    }
    Ok(found)
}

fn entry(key: &str, guid: &str, of_folder: bool) -> Option<Entry> {
    let (scope, rest) = key.split_once('/')?;
    let scope = match scope {
        "priv" => Scope::Private(None),
        "shared" => Scope::Shared,
        _ => return None,
    };
    let name = rest.strip_prefix(guid).filter(|name| name.starts_with('/'))?;
    let name = if of_folder {
        Some(name).filter(|name| !name.starts_with(INTERNAL))
    } else {
        name.strip_prefix(SERVER).filter(|name| name.starts_with('/'))
    };
    Some((scope, name?.to_ascii_lowercase()))
}
