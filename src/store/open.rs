//! From an account to its open folders, its drafts and its deliveries.

use std::io::ErrorKind;
use std::sync::{Arc, PoisonError, Weak};

use super::draft::place;
use super::mailbox::Mailbox;
use super::{DIR_MODE, Draft, Error, Mark, Name, Result, Store, filename};
use crate::fsio;

/// Times that a folder may be found closed (deleted and made again by somebody) while it is opened.
const MAX_TRIES: usize = 3;

impl Store {
    /// Open a folder, or share it if somebody has it open; up to date.
    pub fn mailbox(&self, name: &Name) -> Result<Arc<Mailbox>> {
        for _ in 0..MAX_TRIES {
            if let Some(mailbox) = self.open_already(name) {
                match mailbox.revisit() {
                    Err(Error::NotFound) => self.drop_closed(name, &mailbox),
                    result => {
                        self.keep(&mailbox);
                        return result.map(|()| mailbox);
                    }
                }
            }
            let mailbox = {
                // One opening at a time in an account: whoever comes second shares what the first one made.
                let _turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
                if self.open_already(name).is_some() {
                    continue;
                }
                let _owner = self.assume()?;
                let dir = self.tree.find(name)?;
                let mailbox = Mailbox::load(Arc::clone(&self.process), &self.home.maildir, dir, self.home.owner)?;
                mailbox.count_for(&self.quota);
                mailbox.told_to(&self.lookout, name);
                let mailbox = Arc::new(mailbox);
                self.open_table().insert(name.clone(), Arc::downgrade(&mailbox));
                mailbox
            };
            self.keep(&mailbox);
            return Ok(mailbox);
        }
        Err(Error::NotFound)
    }

    /// Begin a message in the account's `tmp/`.
    pub fn draft(&self) -> Result<Draft> {
        let _owner = self.assume()?;
        let tmp = self.home.maildir.join("tmp");
        match Draft::create(&tmp, self.process.unique(), self.home.owner) {
            // Somebody tidied up too well.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                fsio::make_dir(&tmp, DIR_MODE).map_err(|e| Error::io(&tmp, e))?;
                Draft::create(&tmp, self.process.unique(), self.home.owner)
            }
            result => result,
        }
    }

    /// Begin a copy of `source` for another recipient, perhaps in another account: `head` is its own (whole lines, CRLF), what
    /// follows `mark` in `source` is the same, copied by the kernel.
    pub fn draft_from(&self, head: &[u8], source: &mut Draft, mark: Mark) -> Result<Draft> {
        let mut draft = self.draft()?;
        draft.write(head)?;
        draft.copy_from(source, mark)?;
        Ok(draft)
    }

    /// A draft becomes mail in `new/` of a folder: synced, renamed, directory synced, watchers told. No UID is given here.
    ///
    /// Deliveries into one folder that meet share the directory's sync. On an error the message is not delivered.
    pub fn deliver(&self, mut draft: Draft, folder: &Name) -> Result<()> {
        draft.sync()?;
        let _owner = self.assume()?;
        let dir = self.tree.find(folder)?;
        let new = dir.join("new");
        let name = filename::with_sizes(draft.base(), draft.disk_size(), draft.wire_size());
        let target = new.join(&name);
        let change = self.quota.begin();
        place(draft.path(), &target)?;
        if let Err(e) = self.process.syncs.now(&new) {
            // The sender is told to try again: what it sends then must not be the second of its kind.
            fsio::unlink(&target).map_err(|e| Error::io(&target, e))?;
            draft.placed();
            return Err(Error::io(&new, e));
        }
        change.came(std::iter::once(draft.disk_size()));
        draft.placed();
        if let Some(mailbox) = self.open_already(folder) {
            mailbox.delivered(name.as_bytes());
        }
        Ok(())
    }

    fn keep(&self, mailbox: &Arc<Mailbox>) {
        if let (Some(kept), Some(store)) = (self.kept.upgrade(), self.me.upgrade()) {
            kept.touch(store, mailbox);
        }
    }

    pub(super) fn open_already(&self, name: &Name) -> Option<Arc<Mailbox>> {
        self.open_table().get(name).and_then(Weak::upgrade).filter(|mailbox| !mailbox.is_closed())
    }

    fn drop_closed(&self, name: &Name, closed: &Arc<Mailbox>) {
        let mut table = self.open_table();
        if table.get(name).is_some_and(|weak| weak.as_ptr() == Arc::as_ptr(closed)) {
            table.remove(name);
        }
    }

    fn open_table(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<Name, Weak<Mailbox>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
