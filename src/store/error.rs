//! What can go wrong in the store, said so that a protocol can choose its reply code in one place.

use std::io;
use std::path::{Path, PathBuf};

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the store did not do it. Nothing was changed unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such folder.
    #[error("no such mailbox")]
    NotFound,
    /// There is a folder of that name.
    #[error("mailbox exists already")]
    Exists,
    /// The name cannot be a folder; the text says why.
    #[error("{0}")]
    BadName(&'static str),
    /// The operation makes no sense on this folder (deleting INBOX, ...); the text says why.
    #[error("{0}")]
    Cannot(&'static str),
    /// The message is no longer there.
    #[error("message was expunged")]
    Gone,
    /// A named limit (keywords per folder, ...) is reached; the text says which.
    #[error("{0}")]
    Limit(&'static str),
    /// The account is over its quota.
    #[error("quota exceeded")]
    OverQuota,
    /// The disk is full (ENOSPC, EDQUOT): try later.
    #[error("disk full: {0}")]
    Full(PathBuf),
    /// The file system or the folder is read-only.
    #[error("read-only: {0}")]
    ReadOnly(PathBuf),
    /// Another program holds a lock for too long: try later.
    #[error("locked: {0}")]
    Locked(PathBuf),
    /// Anything else that the system said, with the path it said it of.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
}

impl Error {
    /// Wrap what the system said about `path`, recognizing a full and a read-only disk.
    pub fn io(path: &Path, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full(path.into()),
            io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly(path.into()),
            _ => Error::Io { path: path.into(), source },
        }
    }

    /// Does it say that this place cannot be written at all: read-only disk, no permission?
    pub fn forbids_writing(&self) -> bool {
        match self {
            Error::ReadOnly(_) => true,
            Error::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    /// May the same operation work later without anybody changing the request?
    pub fn is_temporary(&self) -> bool {
        matches!(self, Error::Full(_) | Error::ReadOnly(_) | Error::Locked(_) | Error::Io { .. })
    }
}
