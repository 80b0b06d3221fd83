//! What each module is told: a [`Config`] cut into the `Settings` of others.

use std::sync::Arc;

use super::Config;
use crate::store::acl::shares::Shares;
use crate::wire::Switch;
use crate::{account, imap, net, pop3, smtp, store};

impl Config {
    /// For `account`.
    pub fn account(&self) -> account::Settings {
        account::Settings {
            domains: self.accounts.domains.clone(),
            maildir: self.mail.home.clone(),
            layout: self.mail.layout,
            delimiter: self.accounts.recipient_delimiter,
            detail: self.accounts.detail_to_folder,
            default_domain: self.accounts.default_domain.clone(),
            postmaster: self.accounts.postmaster.clone(),
            system_domains: self.accounts.system_domains.clone(),
            exempt: self.auth.exempt.clone(),
            clear_on_loopback: self.auth.allow_plain_on_loopback,
            max_seats: self.limits.connections_per_user,
            scram: self.auth.scram,
            masters: self.auth.masters.clone(),
            quota_file: self.quota_file.clone(),
            oauth: self.oauth.as_ref().map(|tokens| tokens.settings.clone()),
            secret_file: Some(self.auth.secret.clone()),
        }
    }

    /// For `store`; `mounts` were read before the process was confined.
    pub fn store(&self, mounts: store::Mounts) -> store::Settings {
        store::Settings {
            hostname: self.hostname.clone(),
            coexist: self.mail.coexist,
            default_folders: self.mail.folders.clone(),
            mailbox_names: self.mail.mailbox_names,
            mounts,
            quota: self.quota,
        }
    }

    /// For `net`.
    pub fn net(&self) -> net::Settings {
        net::Settings {
            max_connections: self.limits.connections,
            max_per_address: self.limits.connections_per_address,
            unlimited: self.auth.exempt.clone(),
            proxies: self.proxy_from.clone(),
            drain: self.limits.drain,
            ..net::Settings::default()
        }
    }

    /// For `smtp`. `starttls`: is there a certificate by now?
    pub fn smtp(&self, starttls: Switch) -> smtp::Settings {
        smtp::Settings {
            hostname: self.hostname.clone(),
            max_message_size: self.limits.max_message_size,
            max_recipients: self.limits.max_recipients,
            starttls,
            ..smtp::Settings::default()
        }
    }

    /// For `pop3`. `stls`: is there a certificate by now?
    pub fn pop3(&self, stls: Switch) -> pop3::Settings {
        pop3::Settings { hostname: self.hostname.clone(), stls, ..pop3::Settings::default() }
    }

    /// For `imap`. `starttls`: is there a certificate by now?
    pub fn imap(&self, starttls: Switch) -> imap::Settings {
        imap::Settings {
            max_message_size: self.limits.max_message_size,
            starttls,
            message_limits: self.limits.imap_messages,
            comment: self.metadata.comment.clone(),
            admin: self.metadata.admin.clone(),
            sharing: self.sharing.prefix.clone().map(|prefix| imap::place::Sharing {
                shares: Arc::new(Shares::new(self.sharing.index.clone())),
                prefix,
                anyone: self.sharing.anyone,
            }),
        }
    }
}
