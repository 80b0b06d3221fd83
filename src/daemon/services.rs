//! Everything that sessions share, made from the configuration; and a session for each new connection.
//!
//! Knows no socket: tests make sessions here and feed them bytes.

use std::sync::Arc;

use crate::account::{self, Accounts};
use crate::config::{Config, Service};
use crate::imap::{self, Imap};
use crate::pop3::{self, Pop3};
use crate::smtp::{self, Kind, Smtp};
use crate::store::{Mounts, Stores};
use crate::wire::{Peer, Session, Switch};

/// Accounts, stores, and what each protocol shares.
pub struct Services {
    /// Who exists.
    pub accounts: Arc<Accounts>,
    /// Their mail.
    pub stores: Stores,
    smtp: Arc<smtp::Shared>,
    imap: Arc<imap::Shared>,
    pop3: Arc<pop3::Shared>,
}

impl Services {
    /// Open everything. `starttls`: is there a certificate by now, so that sessions may offer to begin TLS?
    ///
    /// # Errors
    /// In words: what could not be opened, and where.
    pub fn new(config: &Config, starttls: Switch) -> Result<Services, String> {
        let accounts = Services::accounts(config).map_err(|e| e.to_string())?;
        Services::of(config, accounts, Mounts::read(config.mail.mount_point.as_deref()), starttls)
    }

    /// Who exists; the first half of [`Services::new`], which starts no thread.
    ///
    /// # Errors
    /// What could not be opened, and where.
    pub fn accounts(config: &Config) -> Result<Arc<Accounts>, account::Error> {
        Accounts::new(config.account()).map(Arc::new)
    }

    /// The second half of [`Services::new`], with what was found out before the process was confined.
    ///
    /// # Errors
    /// In words: what could not be opened, and where.
    pub fn of(config: &Config, accounts: Arc<Accounts>, mounts: Mounts, starttls: Switch) -> Result<Services, String> {
        let stores = Stores::new(config.store(mounts)).map_err(|e| format!("mail store: {e}"))?;
        let (a, s) = (|| accounts.clone(), || stores.clone());
        Ok(Services {
            smtp: Arc::new(smtp::Shared {
                settings: config.smtp(starttls.clone()),
                accounts: a(),
                stores: s(),
                memory: smtp::Memory::default(),
            }),
            pop3: Arc::new(pop3::Shared { settings: config.pop3(starttls.clone()), accounts: a(), stores: s() }),
            imap: Arc::new(imap::Shared { settings: config.imap(starttls), accounts: a(), stores: s() }),
            accounts,
            stores,
        })
    }

    /// A session for a new connection.
    pub fn session(&self, service: Service, peer: Peer) -> Box<dyn Session> {
        match service {
            Service::Smtp => Box::new(Smtp::new(self.smtp.clone(), Kind::Mx, peer)),
            Service::Submission | Service::Submissions => {
                Box::new(Smtp::new(self.smtp.clone(), Kind::Submission, peer))
            }
            Service::Lmtp => Box::new(Smtp::new(self.smtp.clone(), Kind::Lmtp, peer)),
            Service::Imap | Service::Imaps => Box::new(Imap::new(self.imap.clone(), peer)),
            Service::Pop3 | Service::Pop3s => Box::new(Pop3::new(self.pop3.clone(), peer)),
        }
    }
}
