//! What is looked at to judge a batch, cheapest first: dates and sizes, kept header fields, whole files, and big files by blocks.
//!
//! Each look stops when its step is over and goes on with the next; what it decides is noted in the entry. An error about one message is
//! noted, and the message does not match.

use std::ops::ControlFlow;
use std::time::Instant;

use super::files::{Verdict, judge_file};
use super::{Searching, Stage};
use crate::imap::hunt::Hunt;
use crate::imap::reply::Reply;
use crate::imap::search::Cost;
use crate::imap::source::{Extent, Source};
use crate::store::{self, Mailbox};

/// Bytes that one step reads of a big message, decodes and searches.
const STEP_READ: u64 = 2 * 1024 * 1024;
/// Bytes that a step reads to learn header fields which the store does not know yet.
const STEP_FIELDS: u64 = 4 * 1024 * 1024;
/// Messages between two looks at the clock.
const BETWEEN_LOOKS: usize = 32;
/// Threads for one search. More than two cores have: some wait for the disk.
const THREADS: usize = 4;

impl Searching {
    /// Dates, sizes, ids.
    pub(super) fn look_at_stat(&mut self, mailbox: &Mailbox, until: Instant) {
        let program = &self.program;
        let asks_fields = program.uses(Cost::Header) && program.asks_kept_fields();
        let asks_files = program.uses(Cost::Header) || program.uses(Cost::Body);
        let next = if asks_fields { Stage::Fields } else { Stage::File };
        let waiting = self.batch.iter_mut().filter(|entry| entry.stage == Stage::Stat);
        for (n, entry) in waiting.enumerate() {
            if n % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 && Instant::now() >= until {
                return;
            }
            let (uid, known) = (entry.uid, &mut entry.known);
            let verdict = if program.uses(Cost::Stat) {
                let (date, size) = (|| mailbox.internal_date(uid), || mailbox.wire_size(uid));
                let (saved, email_id) = (|| mailbox.save_date(uid), || mailbox.email_id(uid));
                let looked = program.look_at_stat(known, date, size, saved, email_id);
                looked.map_or_else(
                    |error| {
                        fail(&mut self.failed, error);
                        Some(false)
                    },
                    |()| program.judge(known),
                )
            } else {
                None
            };
            entry.stage = match verdict {
                Some(verdict) => Stage::Done(verdict),
                None if asks_files => next,
                // Nothing is left that could tell.
                None => Stage::Done(false),
            };
        }
    }

    /// Header fields that the store keeps.
    pub(super) fn look_at_fields(&mut self, mailbox: &Mailbox, until: Instant) -> Result<(), Reply> {
        let mut waiting: Vec<(u32, usize)> = self.waiting(Stage::Fields);
        waiting.sort_unstable();
        let uids: Vec<u32> = waiting.iter().map(|entry| entry.0).collect();
        if uids.is_empty() || self.batch.iter().any(|entry| entry.stage == Stage::Stat) {
            return Ok(());
        }
        let (program, batch, mut seen, mut budget) = (&self.program, &mut self.batch, 0, STEP_FIELDS);
        let mut shown = vec![false; waiting.len()];
        let visited = mailbox.visit(&mut self.tour, &uids, &mut budget, |facts| {
            seen += 1;
            let Ok(place) = uids.binary_search(&facts.uid()) else { return ControlFlow::Continue(()) };
            shown[place] = true;
            let entry = &mut batch[waiting[place].1];
            entry.stage = Stage::File;
            if let Some(fields) = facts.fields() {
                program.look_at_fields(fields, &mut entry.known);
                if let Some(verdict) = program.judge(&entry.known) {
                    entry.stage = Stage::Done(verdict);
                }
            }
            let late = seen % BETWEEN_LOOKS == 0 && Instant::now() >= until;
            if late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        // Those that were passed over are gone or cannot be read.
        for (place, _) in shown.iter().enumerate().take(visited.done).filter(|(_, shown)| !**shown) {
            batch[waiting[place].1].stage = Stage::Done(false);
        }
        if let Some(error) = visited.failed {
            fail(&mut self.failed, error);
        }
        Ok(())
    }

    /// Whole messages.
    pub(super) fn look_at_files(&mut self, mailbox: &Mailbox, until: Instant) -> Result<(), Reply> {
        let waiting = self.waiting(Stage::File);
        if waiting.is_empty() {
            return Ok(());
        }
        let (program, batch) = (&self.program, &self.batch);
        let look = |buffer: &mut Vec<u8>, n: usize| {
            let (uid, at) = waiting[n];
            let look = |file| {
                let io = |error| store::Error::io(format!("message with UID {uid}").as_ref(), error);
                judge_file(program, batch[at].known.clone(), file, buffer).map_err(io)
            };
            mailbox.open(uid).and_then(look)
        };
        let looked = mailbox.by_several(waiting.len(), THREADS, Some(until), look)?;
        for ((_, at), verdict) in waiting.iter().zip(looked) {
            self.batch[*at].stage = match verdict {
                Ok(Verdict::Is(verdict)) => Stage::Done(verdict),
                Ok(Verdict::Big) => Stage::Big,
                Err(error) => {
                    fail(&mut self.failed, error);
                    Stage::Done(false)
                }
            };
        }
        Ok(())
    }

    /// A block or some of a big message.
    pub(super) fn look_at_big(&mut self, mailbox: &Mailbox) {
        let mut budget = STEP_READ;
        while budget > 0 {
            let going_on = match self.hunt.take() {
                Some(hunt) => Ok(Some(hunt)),
                None => self.begin_hunt(mailbox),
            };
            let (at, source, mut hunt) = match going_on {
                Ok(Some(hunt)) => hunt,
                Ok(None) => return,
                Err(error) => {
                    fail(&mut self.failed, error);
                    continue;
                }
            };
            let entry = &mut self.batch[at];
            match hunt.step(&source, &self.program, &mut entry.known, &mut budget) {
                Ok(false) => self.hunt = Some((at, source, hunt)),
                Ok(true) => entry.stage = Stage::Done(self.program.judge(&entry.known).unwrap_or(false)),
                Err(error) => {
                    entry.stage = Stage::Done(false);
                    let name = format!("message with UID {}", entry.uid);
                    fail(&mut self.failed, store::Error::io(name.as_ref(), error));
                }
            }
        }
    }

    /// Open the next big message whose header does not decide; an error is about one message, and done with.
    fn begin_hunt(&mut self, mailbox: &Mailbox) -> store::Result<Option<(usize, Source, Hunt)>> {
        while let Some(at) = self.batch.iter().position(|entry| entry.stage == Stage::Big) {
            let entry = &mut self.batch[at];
            entry.stage = Stage::Done(false);
            let uid = entry.uid;
            let io = |error| store::Error::io(format!("message with UID {uid}").as_ref(), error);
            let mut source = Source::new(mailbox.open(uid)?, Extent::All).map_err(io)?;
            source.read_header().map_err(io)?;
            self.program.look_at_header(source.header().0, &mut entry.known);
            match self.program.judge(&entry.known) {
                Some(verdict) => entry.stage = Stage::Done(verdict),
                None => {
                    entry.stage = Stage::Hunted;
                    return Ok(Some((at, source, Hunt::default())));
                }
            }
        }
        Ok(None)
    }

    /// UIDs and places of the entries at this stage.
    fn waiting(&self, stage: Stage) -> Vec<(u32, usize)> {
        let entries = self.batch.iter().enumerate().filter(|(_, entry)| entry.stage == stage);
        entries.map(|(at, entry)| (entry.uid, at)).collect()
    }
}

fn fail(failed: &mut Option<Reply>, error: store::Error) {
    if !matches!(error, store::Error::Gone) {
        failed.get_or_insert(error.into());
    }
}
