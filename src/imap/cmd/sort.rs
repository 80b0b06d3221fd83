//! SORT and UID SORT (RFC 5256), with result options (ESORT, RFC 5267 section 3) and display names (RFC 5957).
//!
//! Searches, then collects what is compared and not known from an earlier SORT, then sorts; all in steps, and a big sort as slow work, beside
//! the sessions' threads.

use crate::imap::cmd::search::{Outcome, Told, no_update, refuse};
use crate::imap::context::{Context, Selected};
use crate::imap::gathering::Gathering;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::returns::Returns;
use crate::imap::parse::sort::{Criterion, SortKey};
use crate::imap::reply::Reply;
use crate::imap::search::Program;
use crate::imap::searching::Searching;
use crate::imap::sort::{Keys, Sorted};
use crate::store::{self, Since, cache::Facts};
use crate::wire::Out;

/// Messages whose keys are compared in a step: some milliseconds. More are slow work.
const COMPARED_AT_ONCE: usize = 20_000;
/// Messages that are sorted in a step by ranks which the folder keeps.
const SORTED_AT_ONCE: usize = 200_000;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let returns = call.args.search_returns(&mut Vec::new())?;
    let criteria = call.args.sort_criteria()?;
    call.args.space()?;
    let search = call.args.search_criteria()?;
    let selected = call.context.selected()?;
    if returns.is_some_and(|returns| returns.update) && selected.updates.has(call.tag) {
        // RFC 5267 4.3: whichever command had the tag first.
        return Err(Reply::bad("A search with this tag is kept up to date already"));
    }
    let program = match Program::new(search, &selected.view, &selected.mailbox.keywords()) {
        Ok(program) => program,
        Err(reply) => return Err(refuse(selected, returns, reply)),
    };
    call.context.search_begins(&program, call.out)?;
    if let Err(reply) = call.context.sort_within(&program) {
        return Err(refuse(call.context.selected()?, returns, reply));
    }
    if returns.is_some_and(|returns| returns.update) {
        // There is no CONTEXT=SORT here: RFC 5267 4.3.1.
        no_update(call.tag, call.out);
    }
    // The first in order may be any: nothing ends a search early.
    let searching = Searching::new(program, None);
    let sort = Sort {
        tag: call.tag.to_owned(),
        by_uid: call.uid,
        returns,
        modseq: searching.program().asks_modseq(),
        since: call.context.selected()?.mailbox.since(),
        is_settled: true,
        stage: Stage::Search(Box::new(searching), criteria),
        failed: None,
    };
    Ok(Begun::Job(Box::new(sort)))
}

struct Sort {
    tag: String,
    by_uid: bool,
    returns: Option<Returns>,
    /// Tell the mod-sequence.
    modseq: bool,
    /// What is found out is of this moment.
    since: Since,
    /// It is of whole files, and may be kept.
    is_settled: bool,
    stage: Stage,
    /// The first error.
    failed: Option<Reply>,
}

enum Stage {
    Search(Box<Searching>, Vec<Criterion>),
    /// The result, as message numbers.
    Gather(Vec<u32>, Box<(Keys, Gathering)>),
    /// Slow work sorts the result.
    Wait(Vec<u32>),
    Tell(Told),
    Over,
}

impl Job for Sort {
    fn step(&mut self, context: &mut Context, wake: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let selected = context.selected()?;
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Search(mut searching, criteria) => {
                let found = searching.step(selected, Some(&self.tag), out);
                if !found.map_err(|reply| refuse(selected, self.returns, reply))? {
                    self.stage = Stage::Search(searching, criteria);
                    return Ok(Progress::Continue);
                }
                let (numbers, failed) = searching.finish();
                self.failed = failed;
                let uids: Vec<u32> = numbers.iter().filter_map(|number| selected.view.uid(*number)).collect();
                let keys = Keys::new(criteria, &selected.mailbox, &uids);
                match keys.wants() {
                    None => Ok(self.sort(selected, numbers, keys, out)),
                    Some(wants) => {
                        self.stage = Stage::Gather(numbers, Box::new((keys, Gathering::new(wants))));
                        Ok(Progress::Continue)
                    }
                }
            }
            Stage::Gather(numbers, mut gather) => match self.gather(selected, &numbers, &mut gather) {
                Ok(true) => Ok(self.sort(selected, numbers, gather.0, out)),
                Ok(false) => {
                    self.stage = Stage::Gather(numbers, gather);
                    Ok(Progress::Continue)
                }
                Err(reply) => Err(refuse(selected, self.returns, reply)),
            },
            Stage::Wait(numbers) => match wake {
                Wake::Answer(answer) => match answer.downcast::<Sorted>() {
                    Ok(sorted) => Ok(self.tell(selected, &numbers, *sorted, out)),
                    Err(_) => Err(Reply::no("SERVERBUG", "Sorting failed")),
                },
                _ => Err(Reply::no("SERVERBUG", "Sorting failed")),
            },
            Stage::Tell(mut told) => {
                let progress = told.step(out);
                self.stage = Stage::Tell(told);
                Ok(progress)
            }
            Stage::Over => Err(Reply::no("SERVERBUG", "Sorting failed")),
        }
    }
}

impl Sort {
    /// Collect the keys of some messages. Returns whether all are done.
    fn gather(
        &mut self,
        selected: &Selected,
        numbers: &[u32],
        (keys, gathering): &mut (Keys, Gathering),
    ) -> Result<bool, Reply> {
        let mailbox = &selected.mailbox;
        let (dates, sizes) = (keys.lacks(SortKey::Arrival) || keys.lacks(SortKey::Date), keys.lacks(SortKey::Size));
        let (mut failed, mut sizes_settled) = (None, true);
        let add = |row: u32, uid: u32, facts: Option<&Facts<'_>>| {
            let date = if dates { mailbox.internal_date(uid) } else { Ok(0) };
            let size = if sizes { mailbox.wire_size_and_rest(uid) } else { Ok((0, true)) };
            match (date, size) {
                (Ok(date), Ok((size, is_settled))) => {
                    sizes_settled &= is_settled;
                    keys.add(row, uid, date, size, facts)
                }
                (Err(store::Error::Gone), _) | (_, Err(store::Error::Gone)) => true,
                (Err(error), _) | (_, Err(error)) => {
                    failed.get_or_insert(Reply::from(error));
                    true
                }
            }
        };
        let done = gathering.step(selected, numbers, add);
        self.is_settled &= sizes_settled && gathering.is_settled;
        self.failed = self.failed.take().or(failed).or(gathering.failed.take());
        done
    }

    /// Put the result in order, at once if that takes some milliseconds at most.
    fn sort(&mut self, selected: &mut Selected, numbers: Vec<u32>, keys: Keys, out: &mut Out) -> Progress {
        let count = numbers.len();
        if keys.count() > COMPARED_AT_ONCE || count > SORTED_AT_ONCE {
            self.stage = Stage::Wait(numbers);
            return Progress::Work(Box::new(move || Box::new(keys.sorted(count))));
        }
        self.tell(selected, &numbers, keys.sorted(count), out)
    }

    /// Begin to tell the result.
    fn tell(&mut self, selected: &mut Selected, numbers: &[u32], sorted: Sorted, out: &mut Out) -> Progress {
        // Of a file that somebody was writing the next SORT finds out more.
        for (key, ranks) in sorted.ranks.into_iter().filter(|_| self.is_settled) {
            selected.mailbox.keep_ranks(self.since, key, ranks);
        }
        let numbers: Vec<u32> = sorted.places.into_iter().map(|place| numbers[place as usize]).collect();
        let outcome = Outcome {
            numbers: &numbers,
            by_uid: self.by_uid,
            modseq: self.modseq,
            returns: self.returns,
            failed: self.failed.take(),
        };
        let mut told = outcome.tell(selected, &self.tag, "SORT");
        let progress = told.step(out);
        self.stage = Stage::Tell(told);
        progress
    }
}
