//! SEARCH and UID SEARCH (RFC 3501 6.4.4).
//!
//! A job that goes through the messages in bounded steps: what is in memory for some hundred at a time, files one by one, bodies
//! block by block. Messages that are gone do not match. A file that cannot be read does not match either, and the
//! reply is NO, so that the client does not take the result for complete.

use std::collections::VecDeque;

use crate::imap::context::{Context, Selected};
use crate::imap::hunt::Hunt;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::reply::Reply;
use crate::imap::search::{Candidate, Cost, Known, Program};
use crate::imap::source::{Extent, Source};
use crate::store::{self, Mailbox};
use crate::wire::Out;

/// Bytes that one step may read from files, decode and search: some milliseconds of work.
const STEP_READ: u64 = 2 * 1024 * 1024;
/// What a message counts as, in bytes read: a look at memory, and an opened file.
const LOOK_COST: u64 = 64;
const OPEN_COST: u64 = 16 * 1024;
/// Messages copied from the folder under one lock.
const BATCH: usize = 512;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let search = call.args.search()?;
    let selected = call.context.selected()?;
    let (view, mailbox) = (&selected.view, &selected.mailbox);
    let last_uid = view.uids().last().copied().unwrap_or(0);
    let program = Program::new(search, view.count(), last_uid, &mailbox.keywords())?;
    Ok(Begun::Job(Box::new(Search {
        program,
        by_uid: call.uid,
        next: 0,
        batch: VecDeque::new(),
        hunt: None,
        found: Vec::new(),
        written: None,
        failed: None,
    })))
}

struct Search {
    program: Program,
    by_uid: bool,
    /// Index in the view of the first message that is not in the batch.
    next: usize,
    batch: VecDeque<Candidate>,
    /// A body that is being looked through.
    hunt: Option<(Candidate, Known, Source, Hunt)>,
    /// Message numbers or UIDs.
    found: Vec<u32>,
    /// How many of them are written, once writing began.
    written: Option<usize>,
    failed: Option<Reply>,
}

impl Job for Search {
    fn step(&mut self, context: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let selected = context.selected()?;
        let mut budget = STEP_READ;
        while self.written.is_none() {
            if budget == 0 {
                return Ok(Progress::Continue);
            }
            if self.hunt.is_some() {
                self.hunt(&mut budget);
            } else if let Some(candidate) = self.batch.pop_front() {
                self.look(candidate, &selected.mailbox, &mut budget);
            } else if !self.fill(selected) {
                self.written = Some(0);
                out.put("* SEARCH");
            }
        }
        if !self.write(out) {
            return Ok(Progress::Continue);
        }
        Ok(Progress::Done(self.failed.take().unwrap_or_else(|| Reply::ok("Search completed"))))
    }
}

impl Search {
    /// Copy the next messages from the folder. Returns whether there were any.
    fn fill(&mut self, selected: &Selected) -> bool {
        let view = &selected.view;
        let uids = view.uids().get(self.next..).unwrap_or(&[]);
        let uids = &uids[..uids.len().min(BATCH)];
        let first = self.next;
        self.batch = selected.mailbox.read(|messages| {
            let found = uids.iter().enumerate().filter_map(|(n, uid)| {
                let at = messages.binary_search_by_key(uid, |message| message.uid).ok()?;
                let number = u32::try_from(first + n + 1).ok()?;
                Some(Candidate { number, message: messages[at].clone(), recent: view.is_recent(*uid) })
            });
            found.collect()
        });
        self.next += uids.len();
        !uids.is_empty()
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
            self.found.push(if self.by_uid { candidate.message.uid } else { candidate.number });
        }
    }

    fn fail(&mut self, error: store::Error) {
        if !matches!(error, store::Error::Gone) {
            self.failed.get_or_insert(error.into());
        }
    }

    /// Write the result until the output is full. Returns whether all is written.
    fn write(&mut self, out: &mut Out) -> bool {
        let written = self.written.unwrap_or(0);
        for (n, number) in self.found.iter().enumerate().skip(written) {
            if out.full() {
                self.written = Some(n);
                return false;
            }
            out.put(format!(" {number}"));
        }
        out.line("");
        true
    }
}
