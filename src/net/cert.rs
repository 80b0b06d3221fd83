//! The certificates directory: `certs/NAME/fullchain.pem` and `certs/NAME/privkey.pem`, certbot's layout.
//!
//! A certificate is chosen by the server name that the client asks for (SNI): by the names inside the certificate
//! and by the name of its directory, exact first, then the wildcard one level up. A client that asks for no name, or for one
//! that nobody has, gets the fallback: the certificate for our own host name, else the first by directory name.
//!
//! Files are looked at again every [`CHECK`]; a directory whose files have not changed is not read, but for when the administrator asks
//! ([`Certificates::read_again`]): a file may have become readable without a change to itself. A
//! new certificate that cannot be read or does not fit its key is logged once and the old one stays in use, so that a
//! renewal caught half-way does no harm. Nothing is written.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::wire::Switch;

/// How often the files are looked at (a few `stat` calls): a renewed certificate is used within half a minute.
pub const CHECK: Duration = Duration::from_secs(30);

/// Most certificates we keep in memory, some KiB each; a limit against a directory that is not what it should be.
const MAX_CERTIFICATES: usize = 10_000;

/// Largest certificate or key file we read: the longest real chains are under 20 KiB.
const MAX_FILE: u64 = 256 * 1024;

/// The chain and the key.
const FILES: [&str; 2] = ["fullchain.pem", "privkey.pem"];

/// What is wrong with a certificate directory.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The directory of certificates cannot be listed.
    #[error("{0}: cannot read the directory of certificates: {1}")]
    Directory(PathBuf, std::io::Error),
    /// A file is not there or not for us to read.
    #[error("{0}: {1}; it must be readable by the account that Mailcote runs as")]
    Unreadable(PathBuf, std::io::Error),
    /// Not what it should be.
    #[error("{0}: {1}")]
    Malformed(PathBuf, String),
    /// There is nothing to use.
    #[error("{0}: no usable certificate; put NAME/fullchain.pem and NAME/privkey.pem there")]
    None(PathBuf),
}

/// When a pair of files was last changed: enough to know that they need not be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print([Stamp; 2]);

/// Of one file: inode, size, times of the last change of its content and of anything about it (who may read it).
type Stamp = (u64, u64, (i64, i64), (i64, i64));

/// One directory's certificate.
struct Entry {
    /// Nothing if a file is missing.
    print: Option<Print>,
    /// Nothing if it was never good.
    key: Option<Arc<CertifiedKey>>,
    names: Vec<String>,
}

#[derive(Default)]
struct Table {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    fallback: Option<Arc<CertifiedKey>>,
}

/// All certificates, for every listener.
pub struct Certificates {
    directory: PathBuf,
    hostname: String,
    provider: Arc<CryptoProvider>,
    /// By directory name. Locked for the length of a reload only, never by a handshake.
    entries: Mutex<BTreeMap<String, Entry>>,
    table: RwLock<Arc<Table>>,
    /// On when there is something to speak TLS with.
    ready: Switch,
    /// What was wrong with the directory as a whole when it was last looked at.
    told: Mutex<Option<String>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificates({})", self.directory.display())
    }
}

impl Certificates {
    /// Read the directory. Returns what is wrong with single certificates beside the rest, which are usable; fails if none is.
    pub fn load(directory: &Path, hostname: &str) -> Result<(Arc<Certificates>, Vec<CertError>), CertError> {
        let (certificates, errors) = Certificates::watch(directory, hostname);
        if !certificates.ready.is_on() {
            return Err(errors.into_iter().next().unwrap_or(CertError::None(directory.into())));
        }
        Ok((certificates, errors))
    }

    /// Read the directory, which may be empty or not be there yet: what comes later is found by [`Certificates::reload`].
    pub fn watch(directory: &Path, hostname: &str) -> (Arc<Certificates>, Vec<CertError>) {
        let certificates = Certificates {
            directory: directory.into(),
            hostname: hostname.to_ascii_lowercase(),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            entries: Mutex::default(),
            table: RwLock::default(),
            ready: Switch::default(),
            told: Mutex::default(),
        };
        let errors = certificates.reload();
        (Arc::new(certificates), errors)
    }

    /// Is there a certificate to speak TLS with, by now?
    pub fn ready(&self) -> &Switch {
        &self.ready
    }

    /// Is there a certificate for this name, or in a directory of this name?
    pub fn knows(&self, name: &str) -> bool {
        self.table().find(&name.to_ascii_lowercase()).is_some()
    }

    /// Look at the files again. Returns what is newly wrong; everything that was good stays in use.
    pub fn reload(&self) -> Vec<CertError> {
        self.look_and_tell(false)
    }

    /// The same, with every file read whether it has changed or not; what is wrong is told again.
    pub fn read_again(&self) -> Vec<CertError> {
        self.look_and_tell(true)
    }

    fn look_and_tell(&self, all: bool) -> Vec<CertError> {
        let looked = self.look(all);
        let trouble = looked.as_ref().err().map(ToString::to_string);
        let before = std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), trouble.clone());
        match looked {
            Ok(errors) => errors,
            Err(_) if before == trouble && !all => Vec::new(),
            Err(error) => vec![error],
        }
    }

    fn look(&self, all: bool) -> Result<Vec<CertError>, CertError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.directories()?;
        let mut errors = Vec::new();
        entries.retain(|name, _| found.contains(name));
        for name in found {
            let directory = self.directory.join(&name);
            let print = print(&directory);
            let known = entries.get(&name).is_some_and(|e| e.print == print);
            let entry = entries.entry(name).or_insert(Entry { print, key: None, names: Vec::new() });
            // Remembered even if the files are bad, so that one bad file is one log line.
            entry.print = print;
            if known && !all {
                continue;
            }
            match read(&directory, &self.provider) {
                Ok((key, names)) => (entry.key, entry.names) = (Some(Arc::new(key)), names),
                Err(e) => errors.push(e),
            }
        }
        let table = table(&entries, &self.hostname);
        let ready = table.fallback.is_some();
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        self.ready.turn(ready);
        Ok(errors)
    }

    /// Files that we could read once (as root) and cannot read any more.
    pub fn unreadable(&self) -> Vec<CertError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let files = entries.keys().flat_map(|name| FILES.map(|file| self.directory.join(name).join(file)));
        files.filter_map(|path| fs::File::open(&path).err().map(|e| CertError::Unreadable(path, e))).collect()
    }

    /// The crypto provider that the keys were loaded with.
    pub fn provider(&self) -> Arc<CryptoProvider> {
        self.provider.clone()
    }

    fn directories(&self) -> Result<Vec<String>, CertError> {
        let failed = |e| CertError::Directory(self.directory.clone(), e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)?.take(MAX_CERTIFICATES) {
            let entry = entry.map_err(failed)?;
            // certbot leaves a README beside its directories.
            if let Ok(name) = entry.file_name().into_string()
                && !name.starts_with('.')
                && may_be_directory(&fs::metadata(entry.path()))
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn choose(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let table = self.table();
        let asked = server_name.map(|n| n.trim_end_matches('.').to_ascii_lowercase());
        asked.as_deref().and_then(|name| table.find(name)).or_else(|| table.fallback.clone())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

impl Table {
    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.by_name
            .get(name)
            .or_else(|| {
                // A wildcard stands for exactly one label (RFC 9525 section 6.3).
                let (_, parent) = name.split_once('.')?;
                self.by_name.get(&format!("*.{parent}"))
            })
            .cloned()
    }
}

/// Names in certificates first; the name of a directory only where no certificate claims it.
fn table(entries: &BTreeMap<String, Entry>, hostname: &str) -> Table {
    let mut table = Table::default();
    let good = || entries.iter().filter_map(|(directory, e)| Some((directory, e, e.key.as_ref()?)));
    for (_, entry, key) in good() {
        for name in &entry.names {
            table.by_name.entry(name.clone()).or_insert_with(|| key.clone());
        }
    }
    for (directory, _, key) in good() {
        table.by_name.entry(directory.to_ascii_lowercase()).or_insert_with(|| key.clone());
    }
    table.fallback = table.find(hostname).or_else(|| good().map(|(_, _, key)| key.clone()).next());
    table
}

/// Is it a certificate's directory? One that we must not look into any more since root's rights were given up (certbot's `live`
/// is for root alone) is still there: its certificate, read at the start, stays in use.
fn may_be_directory(looked: &std::io::Result<fs::Metadata>) -> bool {
    match looked {
        Ok(meta) => meta.is_dir(),
        Err(e) => e.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

fn print(directory: &Path) -> Option<Print> {
    let of = |file: &str| {
        let m = fs::metadata(directory.join(file)).ok()?;
        Some((m.ino(), m.size(), (m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec())))
    };
    let [chain, key] = FILES.map(of);
    Some(Print([chain?, key?]))
}

fn read(directory: &Path, provider: &CryptoProvider) -> Result<(CertifiedKey, Vec<String>), CertError> {
    let [chain_path, key_path] = FILES.map(|file| directory.join(file));
    let bad = |path: &Path, what: &dyn std::fmt::Display| CertError::Malformed(path.into(), what.to_string());
    let chain = CertificateDer::pem_slice_iter(&contents(&chain_path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(&chain_path, &format!("not PEM: {e}")))?;
    let Some(leaf) = chain.first() else {
        return Err(bad(&chain_path, &"no certificate in it"));
    };
    let names = webpki::EndEntityCert::try_from(leaf)
        .map_err(|e| bad(&chain_path, &format!("the first certificate cannot be read: {e}")))?
        .valid_dns_names()
        .map(str::to_ascii_lowercase)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(&contents(&key_path)?)
        .map_err(|e| bad(&key_path, &format!("no private key in PEM form: {e}")))?;
    let certified = CertifiedKey::from_der(chain, key, provider)
        .map_err(|e| bad(&key_path, &format!("does not go with fullchain.pem: {e}")))?;
    Ok((certified, names))
}

fn contents(path: &Path) -> Result<Vec<u8>, CertError> {
    let unreadable = |e| CertError::Unreadable(path.into(), e);
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(CertError::Malformed(path.into(), format!("{size} bytes is too large for a certificate or key")));
    }
    fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Write a self-signed certificate for `names` into `directory/name`.
    fn write(directory: &Path, name: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let at = directory.join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("fullchain.pem"), made.cert.pem()).unwrap();
        fs::write(at.join("privkey.pem"), made.signing_key.serialize_pem()).unwrap();
    }

    fn chosen(certificates: &Certificates, name: Option<&str>) -> Vec<String> {
        let key = certificates.choose(name).unwrap();
        webpki::EndEntityCert::try_from(&key.cert[0]).unwrap().valid_dns_names().map(str::to_owned).collect()
    }

    #[test]
    fn a_directory_that_is_forbidden_by_now_is_not_gone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(may_be_directory(&fs::metadata(dir.path())));
        assert!(may_be_directory(&Err(std::io::ErrorKind::PermissionDenied.into())));
        assert!(!may_be_directory(&fs::metadata(dir.path().join("gone"))));
    }

    #[test]
    fn chooses_by_name_wildcard_and_fallback() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.example", &["a.example", "imap.a.example"]);
        write(dir.path(), "wild", &["*.b.example"]);
        write(dir.path(), "mail.example.org", &["mail.example.org"]);
        fs::write(dir.path().join("README"), "not a directory").unwrap();
        let (certificates, errors) = Certificates::load(dir.path(), "Mail.Example.ORG").unwrap();
        assert!(errors.is_empty(), "{errors:?}");
        for (asked, first) in [
            (Some("a.example"), "a.example"),
            (Some("IMAP.a.example."), "a.example"),
            (Some("x.b.example"), "*.b.example"),
            (Some("x.y.b.example"), "mail.example.org"),
            (Some("unknown.example"), "mail.example.org"),
            (Some("wild"), "*.b.example"),
            (None, "mail.example.org"),
        ] {
            assert_eq!(chosen(&certificates, asked)[0], first, "{asked:?}");
        }
    }

    #[test]
    fn a_broken_renewal_keeps_the_old_certificate_and_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a", &["old.example"]);
        let (certificates, _) = Certificates::load(dir.path(), "h").unwrap();
        fs::write(dir.path().join("a/fullchain.pem"), "-----BEGIN CERTIFICATE-----\nhalf").unwrap();
        assert_eq!(certificates.reload().len(), 1);
        assert_eq!(certificates.reload().len(), 0, "told once");
        assert_eq!(chosen(&certificates, None), ["old.example"]);
        write(dir.path(), "a", &["new.example"]);
        assert_eq!(certificates.reload().len(), 0);
        assert_eq!(chosen(&certificates, None), ["new.example"]);
    }

    #[test]
    fn a_certificate_that_could_not_be_read_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a", &["a.example"]);
        let chain = dir.path().join("a/fullchain.pem");
        let (good, modified) = (fs::read(&chain).unwrap(), fs::metadata(&chain).unwrap().modified().unwrap());
        let put = |bytes: &[u8]| {
            fs::write(&chain, bytes).unwrap();
            fs::File::options().write(true).open(&chain).unwrap().set_modified(modified).unwrap();
        };
        put(&vec![b'x'; good.len()]);
        let (certificates, errors) = Certificates::watch(dir.path(), "h");
        assert_eq!(errors.len(), 1);
        std::thread::sleep(Duration::from_millis(50));
        put(&good);
        assert!(
            certificates.reload().is_empty() && certificates.ready().is_on(),
            "only the time of the change differs"
        );
        // As if it had failed for a reason that left no trace on the files (no descriptors left).
        certificates.entries.lock().unwrap().get_mut("a").unwrap().key = None;
        certificates.reload();
        assert!(!certificates.ready().is_on());
        assert!(certificates.read_again().is_empty() && certificates.ready().is_on());
    }

    #[test]
    fn a_key_that_does_not_fit_is_said_to_be_so() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a", &["a.example"]);
        write(dir.path(), "b", &["b.example"]);
        fs::copy(dir.path().join("b/privkey.pem"), dir.path().join("a/privkey.pem")).unwrap();
        let (certificates, errors) = Certificates::load(dir.path(), "a.example").unwrap();
        assert!(errors[0].to_string().contains("does not go with"), "{}", errors[0]);
        assert_eq!(chosen(&certificates, Some("a.example")), ["b.example"]);
    }

    #[test]
    fn nothing_usable_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Certificates::load(dir.path(), "h"), Err(CertError::None(_))));
        assert!(matches!(Certificates::load(&dir.path().join("no"), "h"), Err(CertError::Directory(..))));
        fs::create_dir(dir.path().join("a")).unwrap();
        assert!(matches!(Certificates::load(dir.path(), "h"), Err(CertError::Unreadable(..))));
    }

    #[test]
    fn a_directory_that_comes_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let certs = dir.path().join("certs");
        let (certificates, errors) = Certificates::watch(&certs, "h");
        assert!(matches!(errors[..], [CertError::Directory(..)]) && certificates.reload().is_empty(), "told once");
        let ready = certificates.ready().clone();
        assert!(!ready.is_on());
        write(&certs, "a", &["a.example"]);
        assert!(certificates.reload().is_empty() && ready.is_on());
        assert_eq!(chosen(&certificates, None), ["a.example"]);
        fs::rename(certs.join("a"), dir.path().join("away")).unwrap();
        certificates.reload();
        assert!(!ready.is_on(), "nothing is offered that does not work");
    }
}
