//! The demo's certificate authority and the one certificate it signs.
//!
//! Writes `ca.pem` for clients and `certs/demo.test/{fullchain,privkey}.pem` for the server. The authority's key is
//! thrown away at once: who trusts a demo's CA trusts nothing else with it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::tree::{DOMAIN, make_dirs, write};
use crate::cli::Failure;

/// How long certificates hold: less than the 398 days that strict clients accept.
const VALID: Duration = Duration::from_secs(390 * 86_400);
/// A kept demo's certificates are renewed when older than this.
const RENEW: Duration = Duration::from_secs(300 * 86_400);

/// Make the certificates in `root`, unless young ones are there.
pub fn ensure(root: &Path) -> Result<(), Failure> {
    let dir = root.join("certs").join(DOMAIN);
    let (ca, chain, key) = (root.join("ca.pem"), dir.join("fullchain.pem"), dir.join("privkey.pem"));
    if [&ca, &chain, &key].into_iter().all(|path| is_young(path)) {
        return Ok(());
    }
    let made = make().map_err(|e| Failure::Other(format!("certificates: {e}")))?;
    make_dirs(&dir)?;
    write(&ca, made.ca.as_bytes(), 0o644)?;
    write(&chain, made.chain.as_bytes(), 0o644)?;
    write(&key, made.key.as_bytes(), 0o600)
}

fn is_young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|m| m.modified());
    modified.is_ok_and(|at| at.elapsed().map_err(io::Error::other).is_ok_and(|age| age < RENEW))
}

struct Made {
    ca: String,
    chain: String,
    key: String,
}

fn make() -> Result<Made, rcgen::Error> {
    let now = OffsetDateTime::from(std::time::SystemTime::now());
    let mut ca = CertificateParams::new(Vec::<String>::new())?;
    ca.distinguished_name.push(DnType::CommonName, "Mailcote demo CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (ca.not_before, ca.not_after) = (now - time::Duration::DAY, now + VALID);
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let names = ["localhost", "127.0.0.1", "::1", DOMAIN, "mail.demo.test"].map(String::from);
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = (now - time::Duration::DAY, now + VALID);
    let key = KeyPair::generate()?;
    let signed = server.signed_by(&key, &issuer)?;
    Ok(Made { chain: format!("{}{ca_pem}", signed.pem()), ca: ca_pem, key: key.serialize_pem() })
}
