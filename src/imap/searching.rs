//! Goes through a mailbox for a SEARCH, SORT or THREAD, in bounded steps: what is in memory for some hundred messages at a time, files
//! one by one, bodies block by block.
//!
//! Messages that are gone do not match. A file that cannot be read does not match either, and the reply is NO, so that the client does
//! not take the result for complete.

use std::collections::VecDeque;

use super::context::Selected;
use super::hunt::Hunt;
use super::reply::Reply;
use super::search::{Candidate, Cost, Known, Program};
use super::source::{Extent, Source};
use crate::store::{self, Mailbox};

/// Bytes that one step may read from files, decode and search: some milliseconds of work.
const STEP_READ: u64 = 2 * 1024 * 1024;
/// What a message counts as, in bytes read: a look at memory, and an opened file.
const LOOK_COST: u64 = 64;
const OPEN_COST: u64 = 16 * 1024;
/// Messages copied from the folder under one lock.
const BATCH: usize = 512;

/// A search in progress.
pub struct Searching {
    program: Program,
    /// Stop after so many results; from the end of the mailbox?
    enough: usize,
    from_end: bool,
    /// Messages of the view that were taken into a batch.
    taken: usize,
    batch: VecDeque<Candidate>,
    /// A body that is being looked through.
    hunt: Option<(Candidate, Known, Source, Hunt)>,
    /// Message numbers, in the order in which they were found.
    found: Vec<u32>,
    failed: Option<Reply>,
}

impl Searching {
    /// Begin. `enough` is what [`super::found::enough`] says.
    pub fn new(program: Program, enough: Option<(bool, usize)>) -> Searching {
        let (from_end, enough) = enough.unwrap_or((false, usize::MAX));
        Searching {
            program,
            enough,
            from_end,
            taken: 0,
            batch: VecDeque::new(),
            hunt: None,
            found: Vec::new(),
            failed: None,
        }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Do a bounded part. Returns whether the search is over.
    pub fn step(&mut self, selected: &Selected) -> bool {
        let mut budget = STEP_READ;
        loop {
            if self.found.len() >= self.enough {
                return true;
            }
            if budget == 0 {
                return false;
            }
            if self.hunt.is_some() {
                self.hunt(&mut budget);
            } else if let Some(candidate) = self.batch.pop_front() {
                self.look(candidate, &selected.mailbox, &mut budget);
            } else if !self.fill(selected) {
                return true;
            }
        }
    }

    /// The message numbers, ascending, and the first error.
    pub fn finish(&mut self) -> (Vec<u32>, Option<Reply>) {
        let mut found = std::mem::take(&mut self.found);
        if self.from_end {
            found.reverse();
        }
        (found, self.failed.take())
    }

    /// Copy the next messages from the folder. Returns whether there were any.
    fn fill(&mut self, selected: &Selected) -> bool {
        let view = &selected.view;
        let left = view.uids().len().saturating_sub(self.taken);
        let count = left.min(BATCH);
        let first = if self.from_end { left - count } else { self.taken };
        let uids = view.uids().get(first..first + count).unwrap_or(&[]);
        self.batch = selected.mailbox.read(|messages| {
            let found = uids.iter().enumerate().filter_map(|(n, uid)| {
                let at = messages.binary_search_by_key(uid, |message| message.uid).ok()?;
                let number = u32::try_from(first + n + 1).ok()?;
                Some(Candidate { number, message: messages[at].clone(), recent: view.is_recent(*uid) })
            });
            found.collect()
        });
        if self.from_end {
            self.batch.make_contiguous().reverse();
        }
        self.taken += count;
        count > 0
    }

    /// Judge a message by what is cheap; begin a hunt if that leaves it open.
    fn look(&mut self, candidate: Candidate, mailbox: &Mailbox, budget: &mut u64) {
        *budget = budget.saturating_sub(LOOK_COST * self.program.weight());
        match self.judge(&candidate, mailbox, budget) {
            Ok(Ok(matches)) => self.decide(&candidate, matches),
            Ok(Err((known, source))) => self.hunt = Some((candidate, known, source, Hunt::default())),
            Err(error) => self.fail(error),
        }
    }

    /// The result, or what is needed to hunt for it.
    fn judge(
        &self,
        candidate: &Candidate,
        mailbox: &Mailbox,
        budget: &mut u64,
    ) -> store::Result<Result<bool, (Known, Source)>> {
        let (program, uid) = (&self.program, candidate.message.uid);
        let mut known = program.nothing_known();
        program.look_at_memory(candidate, &mut known);
        if let Some(matches) = program.judge(&known) {
            return Ok(Ok(matches));
        }
        program.look_at_stat(&mut known, || mailbox.internal_date(uid), || mailbox.wire_size(uid))?;
        if let Some(matches) = program.judge(&known) {
            return Ok(Ok(matches));
        }
        *budget = budget.saturating_sub(OPEN_COST);
        let extent = if program.uses(Cost::Body) { Extent::All } else { Extent::Header };
        let failed = |error| store::Error::io(format!("message with UID {uid}").as_ref(), error);
        let mut source = Source::new(mailbox.open(uid)?, extent).map_err(failed)?;
        source.read_header().map_err(failed)?;
        *budget = budget.saturating_sub(source.header().0.len() as u64 * program.weight());
        program.look_at_header(source.header().0, &mut known);
        Ok(program.judge(&known).ok_or((known, source)))
    }

    fn hunt(&mut self, budget: &mut u64) {
        let Some((candidate, mut known, source, mut hunt)) = self.hunt.take() else { return };
        match hunt.step(&source, &self.program, &mut known, budget) {
            Ok(false) => self.hunt = Some((candidate, known, source, hunt)),
            Ok(true) => {
                let matches = self.program.judge(&known).unwrap_or(false);
                self.decide(&candidate, matches);
            }
            Err(error) => {
                self.fail(store::Error::io(format!("message with UID {}", candidate.message.uid).as_ref(), error));
            }
        }
    }

    fn decide(&mut self, candidate: &Candidate, matches: bool) {
        if matches {
            self.found.push(candidate.number);
        }
    }

    fn fail(&mut self, error: store::Error) {
        if !matches!(error, store::Error::Gone) {
            self.failed.get_or_insert(error.into());
        }
    }
}
