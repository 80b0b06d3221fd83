//! SEARCH and UID SEARCH (RFC 3501 6.4.4, RFC 9051 6.4.4), with result options (RFC 4731, 5182, 9394).
//!
//! Answers with SEARCH, or with ESEARCH if the client gave result options or speaks IMAP4rev2. Grammar errors leave `$` as it was; anything
//! else that ends a SEARCH with SAVE in NO empties it (RFC 5182 section 2.1).

use std::borrow::Cow;

use crate::imap::context::{Context, Selected};
use crate::imap::found::{Found, Line, chosen, enough, highest_modseq};
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::returns::Returns;
use crate::imap::reply::Reply;
use crate::imap::search::Program;
use crate::imap::searching::Searching;
use crate::imap::updates::Beginning;
use crate::wire::Out;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mut items = Vec::new();
    let returns = call.args.search_returns(&mut items)?;
    let search = call.args.search()?;
    if call.context.enabled.utf8 && search.charset.is_some() {
        // RFC 6855 section 3.
        return Err(Reply::bad("No CHARSET after ENABLE UTF8=ACCEPT"));
    }
    // RFC 9051 6.4.4: IMAP4rev2 has no SEARCH response.
    let rev2 = call.context.enabled.rev2.then_some(Returns { all: true, ..Returns::default() });
    let returns = returns.or(rev2);
    let selected = call.context.selected()?;
    let wants_update = returns.is_some_and(|returns| returns.update);
    if wants_update && selected.updates.has(call.tag) {
        // RFC 5267 4.3.
        return Err(Reply::bad("A search with this tag is kept up to date already"));
    }
    let update = wants_update.then(|| Beginning::new(&search, items, &selected.view));
    let program = match Program::new(search, &selected.view, &selected.mailbox.keywords()) {
        Ok(program) => program,
        Err(reply) => return Err(refuse(selected, returns, reply)),
    };
    call.context.search_begins(&program, call.out)?;
    let within = call.context.search_within(&program)?;
    let update = match update {
        Some(_) if within.is_some() => {
            // Of a result that is not whole nobody can say what was added to it.
            no_update(call.tag, call.out);
            None
        }
        other => other,
    };
    let searching = Searching::new(program, returns.and_then(enough)).within(within);
    Ok(Begun::Job(Box::new(Search {
        tag: call.tag.to_owned(),
        by_uid: call.uid,
        returns,
        searching,
        update,
        told: None,
    })))
}

/// End with this reply; a NO empties `$` if the result was to be saved.
pub(super) fn refuse(selected: &mut Selected, returns: Option<Returns>, reply: Reply) -> Reply {
    if returns.is_some_and(|returns| returns.save) && reply.is_no() {
        selected.view.save(std::iter::empty());
    }
    reply
}

/// RFC 5267 4.3.1.
pub(super) fn no_update(tag: &str, out: &mut Out) {
    Reply::no(format!("NOUPDATE \"{tag}\""), "Too many searches, or none of a kind, to be kept up to date")
        .write("*", out);
}

struct Search {
    tag: String,
    by_uid: bool,
    /// `None`: the SEARCH response of old.
    returns: Option<Returns>,
    searching: Searching,
    /// The result is to be kept up to date.
    update: Option<Beginning>,
    /// The end, once all is found.
    told: Option<Told>,
}

impl Job for Search {
    fn step(&mut self, context: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let selected = context.selected()?;
        if self.told.is_none() {
            match self.searching.step(selected, Some(&self.tag), out) {
                Ok(true) => {}
                Ok(false) => return Ok(Progress::Continue),
                Err(reply) => return Err(refuse(selected, self.returns, reply)),
            }
            let (numbers, failed) = self.searching.finish();
            let modseq = self.searching.program().asks_modseq();
            if let Some(update) = self.update.take() {
                let matching = numbers.iter().filter_map(|number| selected.view.uid(*number)).collect();
                if !selected.updates.add(&self.tag, self.by_uid, update, matching) {
                    no_update(&self.tag, out);
                }
            }
            let result = Outcome { numbers: &numbers, by_uid: self.by_uid, modseq, returns: self.returns, failed };
            self.told = Some(result.tell(selected, &self.tag, "SEARCH"));
        }
        Ok(self.told.as_mut().map_or(Progress::Continue, |told| told.step(out)))
    }
}

/// What a SEARCH or SORT came to.
pub(super) struct Outcome<'a> {
    /// In the order of the result.
    pub numbers: &'a [u32],
    pub by_uid: bool,
    /// Tell the mod-sequence.
    pub modseq: bool,
    pub returns: Option<Returns>,
    /// The first error.
    pub failed: Option<Reply>,
}

/// A response that is being written, and the reply behind it.
pub(super) struct Told {
    line: Option<Line>,
    reply: Reply,
}

impl Outcome<'_> {
    /// Save what is to be saved and begin to tell the rest. `response` is the name of the response without result options.
    pub fn tell(self, selected: &mut Selected, tag: &str, response: &str) -> Told {
        let Selected { view, mailbox, .. } = selected;
        let chosen = self.returns.map_or(Cow::Borrowed(self.numbers), |returns| chosen(self.numbers, returns));
        let modseq = if self.modseq { highest_modseq(&chosen, view, mailbox) } else { None };
        let found = Found { numbers: self.numbers, by_uid: self.by_uid, view, modseq };
        let line = match self.returns {
            None => Some(found.plain(response)),
            Some(returns) if returns.only_save() => None,
            Some(returns) => Some(found.extended(tag, returns)),
        };
        if self.returns.is_some_and(|returns| returns.save) {
            let mut saved = chosen.into_owned();
            if self.failed.is_some() {
                saved.clear();
            }
            saved.sort_unstable();
            view.save(saved.into_iter());
        }
        let reply = self
            .failed
            .unwrap_or_else(|| Reply::ok(if response == "SORT" { "Sort completed" } else { "Search completed" }));
        Told { line, reply }
    }
}

impl Told {
    /// Write until the output is full.
    pub fn step(&mut self, out: &mut Out) -> Progress {
        if self.line.as_mut().is_none_or(|line| line.write(out)) {
            return Progress::Done(self.reply.clone());
        }
        Progress::Continue
    }
}
