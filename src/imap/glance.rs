//! FETCH without opening messages: items that the folder's memory and its cache answer.
//!
//! A [`Glance`] goes through many messages a step: one look at the folder's table and one read of the cache for some hundred of them. It takes
//! over a whole command if every item can be had so ([`Glance::new`]); messages that cannot (bigger than
//! [`crate::store::cache::MAX_DIGESTED`], or with headers that were not kept) are handed back one by one ([`Seen::Slow`]) to be read from
//! their files by [`super::answer`], with the same result.

use std::ops::ControlFlow;

use super::answer::Wanted;
use super::context::Selected;
use super::parse::fetch::{Item, Section, What};
use super::response;
use super::section;
use super::source::convert;
use super::view::Picked;
use crate::mail::render::number;
use crate::mail::{Flags, date, header};
use crate::store::cache::{self, Facts, Wants};
use crate::store::{self, Tour};
use crate::wire::Out;

/// Messages looked at together.
const CHUNK: usize = 512;

/// How far a step came.
#[derive(Debug)]
pub enum Seen {
    /// As far as output and budget let it.
    Some,
    /// All.
    All,
    /// This message must be read from its file; go on behind it.
    Slow(u32),
}

/// See the module.
pub struct Glance {
    wants: Wants,
    tour: Option<Tour>,
    /// A message was gone.
    pub gone: bool,
    /// The first error.
    pub failed: Option<store::Error>,
}

/// What the folder has in memory of a message.
struct Row {
    number: u32,
    uid: u32,
    flags: Flags,
    keywords: u128,
    modseq: u64,
    size: Option<u64>,
    date: Option<i64>,
}

impl Glance {
    /// For a command, if all of it can be had so.
    pub fn new(wanted: &Wanted) -> Option<Glance> {
        let each = wanted.items.iter().map(wants);
        let wants = each.into_iter().try_fold(Wants::NONE, |all, one| Some(all.and(one?)))?;
        let forced = wanted
            .items
            .iter()
            .any(|item| matches!(item, Item::Body | Item::BodyStructure | Item::Preview { lazy: false }));
        let wants = if forced { wants.not_lazy() } else { wants };
        (!wanted.sets_seen).then_some(Glance { wants, tour: None, gone: false, failed: None })
    }

    /// Write the responses of the next messages, from number `next` on.
    pub fn step(
        &mut self,
        wanted: &Wanted,
        picked: &Picked,
        next: &mut u32,
        selected: &mut Selected,
        out: &mut Out,
        budget: &mut u64,
    ) -> store::Result<Seen> {
        while !out.full() && *budget > 0 {
            let numbers: Vec<u32> = picked.numbers_from(*next).take(CHUNK).collect();
            let Some(first) = numbers.first() else { return Ok(Seen::All) };
            let rows = self.rows(&numbers, wanted, selected);
            let Some(last) = rows.last() else {
                // Gone, most probably; that is for the one who opens files to say.
                *next = first.saturating_add(1);
                return Ok(Seen::Slow(*first));
            };
            let behind = last.number.saturating_add(1);
            let uids: Vec<u32> = rows.iter().map(|row| row.uid).collect();
            let done_by_memory =
                self.wants.is_nothing() || self.wants == Wants::NUMBERS && rows.iter().all(|row| row.date.is_some());
            if done_by_memory {
                let names = selected.view.keywords();
                for row in &rows {
                    write(wanted, row, &Facts::none(row.uid), selected.view.is_recent(row.uid), names, out);
                }
                *budget = budget.saturating_sub(64 * rows.len() as u64);
                told(wanted, &rows, selected);
                *next = behind;
                continue;
            }
            let (done, slow) = self.visit(wanted, &rows, &uids, selected, out, budget)?;
            told(wanted, &rows[..done], selected);
            if let Some(number) = slow {
                *next = number.saturating_add(1);
                return Ok(Seen::Slow(number));
            }
            *next = if done == rows.len() { behind } else { rows[done].number };
        }
        Ok(Seen::Some)
    }

    /// Look at the messages `rows`. Returns how many are done, and the one that must be read from its file.
    fn visit(
        &mut self,
        wanted: &Wanted,
        rows: &[Row],
        uids: &[u32],
        selected: &Selected,
        out: &mut Out,
        budget: &mut u64,
    ) -> store::Result<(usize, Option<u32>)> {
        let tour = self.tour.get_or_insert_with(|| Tour::new(self.wants));
        let (mut at, mut shown, mut slow) = (0, 0, None);
        let names = selected.view.keywords();
        let visited = selected.mailbox.visit(tour, uids, budget, |facts| {
            while rows[at].uid < facts.uid() {
                at += 1;
            }
            let row = &rows[at];
            shown += 1;
            if needs_file(wanted, facts) {
                slow = Some(row.number);
                return ControlFlow::Break(());
            }
            write(wanted, row, facts, selected.view.is_recent(row.uid), names, out);
            if out.full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.gone |= shown < visited.done && visited.failed.is_none();
        self.failed = self.failed.take().or(visited.failed);
        Ok((visited.done, slow))
    }

    /// What is in memory of these messages, up to the first that is gone or whose size cannot be had. Sizes that nobody knows are counted
    /// here.
    fn rows(&self, numbers: &[u32], wanted: &Wanted, selected: &Selected) -> Vec<Row> {
        let uids: Vec<u32> = numbers.iter().filter_map(|number| selected.view.uid(*number)).collect();
        let mut rows = Vec::with_capacity(uids.len());
        selected.mailbox.outline(&uids, |message, size, date| {
            let at = rows.len();
            if uids.get(at) == Some(&message.uid) {
                let (flags, keywords, modseq) = (message.flags, message.keywords, message.modseq);
                rows.push(Row { number: numbers[at], uid: message.uid, flags, keywords, modseq, size, date });
            }
        });
        if wanted.items.contains(&Item::Size) {
            let mut sized = 0;
            for row in &mut rows {
                row.size = row.size.or_else(|| selected.mailbox.wire_size(row.uid).ok());
                if row.size.is_none() {
                    break;
                }
                sized += 1;
            }
            rows.truncate(sized);
        }
        rows
    }
}

/// What the cache must give for an item; `None` if it cannot.
fn wants(item: &Item) -> Option<Wants> {
    Some(match item {
        Item::Flags | Item::Uid | Item::Size | Item::Modseq | Item::ThreadId => Wants::NONE,
        Item::InternalDate => Wants::NUMBERS,
        Item::Envelope => Wants::ENVELOPE,
        Item::Body => Wants::BODY,
        Item::BodyStructure => Wants::STRUCTURE,
        Item::Preview { lazy: false } => Wants::PREVIEW,
        Item::Preview { lazy: true } => Wants::PREVIEW_IF_KNOWN,
        Item::Section(Section { path, what: What::Fields(names), partial: None, .. })
            if path.is_empty() && names.iter().all(|name| cache::is_kept(name)) =>
        {
            Wants::FIELDS
        }
        _ => return None,
    })
}

/// The client knows these mod-sequences now.
fn told(wanted: &Wanted, rows: &[Row], selected: &mut Selected) {
    if wanted.items.contains(&Item::Modseq)
        && let Some(highest) = rows.iter().map(|row| row.modseq).max()
    {
        selected.view.told_modseq(highest);
    }
}

/// Is something wanted that these facts lack?
fn needs_file(wanted: &Wanted, facts: &Facts<'_>) -> bool {
    wanted.items.iter().any(|item| match item {
        Item::Preview { lazy: false } => !facts.has_body(),
        Item::Body => !facts.has_body() || wanted.rev2 && may_have_global(facts.body()),
        Item::BodyStructure => !facts.has_body() || wanted.rev2 && may_have_global(facts.structure()),
        Item::Section(_) => facts.fields().is_none(),
        _ => false,
    })
}

/// Is there a message/global in this structure, or the like of it? The cache holds what RFC 3501 makes of it: a part like any other.
fn may_have_global(structure: &[u8]) -> bool {
    const NAME: &[u8] = b"\"message\" \"global\"";
    structure.windows(NAME.len()).any(|piece| piece.eq_ignore_ascii_case(NAME))
}

/// One response.
fn write(wanted: &Wanted, row: &Row, facts: &Facts<'_>, recent: bool, names: &[String], out: &mut Out) {
    let out = out.buffer();
    response::fetch_head(out, row.number, row.uid, wanted.uidonly);
    for (n, item) in wanted.items.iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        match item {
            Item::Uid => {
                out.extend_from_slice(b"UID ");
                number(out, row.uid.into());
            }
            Item::Flags => {
                out.extend_from_slice(b"FLAGS ");
                response::flags(out, row.flags, recent, row.keywords, names);
            }
            Item::InternalDate => {
                out.extend_from_slice(b"INTERNALDATE \"");
                date::write_imap(out, row.date.unwrap_or_else(|| facts.date()));
                out.push(b'"');
            }
            Item::Size => {
                out.extend_from_slice(b"RFC822.SIZE ");
                number(out, row.size.unwrap_or(0));
            }
            Item::Envelope => labelled(out, b"ENVELOPE ", facts.envelope()),
            Item::Body => labelled(out, b"BODY ", facts.body()),
            Item::BodyStructure => labelled(out, b"BODYSTRUCTURE ", facts.structure()),
            Item::Preview { .. } => {
                out.extend_from_slice(b"PREVIEW ");
                response::nstring(out, facts.has_body().then(|| facts.preview()));
            }
            Item::Modseq => {
                out.extend_from_slice(b"MODSEQ (");
                number(out, row.modseq);
                out.push(b')');
            }
            Item::ThreadId => out.extend_from_slice(super::answer::NO_THREAD),
            Item::Section(section) => fields(out, section, facts.fields().unwrap_or_default()),
            // Not glanced at.
            Item::SaveDate | Item::EmailId | Item::Binary(_) | Item::BinarySize(_) => {}
        }
    }
    out.extend_from_slice(b")\r\n");
}

fn labelled(out: &mut Vec<u8>, label: &[u8], text: &[u8]) {
    out.extend_from_slice(label);
    out.extend_from_slice(text);
}

/// `BODY[HEADER.FIELDS (...)] {n}` and the fields among those that are kept.
fn fields(out: &mut Vec<u8>, wanted: &Section, kept: &[u8]) {
    section::label(out, wanted);
    let What::Fields(names) = &wanted.what else { return };
    response::literal(out, |out| {
        for field in header::fields(kept) {
            if names.iter().any(|name| name.eq_ignore_ascii_case(field.name)) {
                convert(field.raw, false, out);
            }
        }
        out.extend_from_slice(b"\r\n");
    });
}
