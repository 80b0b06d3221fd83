//! What one visitor has of the file in memory: the batch in hand, of each kind, and of its texts those that are wanted.

use super::batch::{self, Kind};
use super::facts::{Half, TEXTS, Wants};
use super::file::{Opened, read_at};
use super::index::Place;

/// See the module. Its memory serves one batch after the other: less than a megabyte.
#[derive(Debug)]
pub(crate) struct Window {
    head: Pane,
    body: Pane,
}

#[derive(Debug, Default)]
struct Pane {
    /// Bit n: text n.
    texts: u8,
    /// The batch that is here, by its place in the file.
    batch: Option<u64>,
    rows: Vec<u8>,
    bytes: [Vec<u8>; TEXTS],
}

impl Window {
    pub(crate) fn new(wants: Wants) -> Window {
        let pane = |texts: Option<u8>| Pane { texts: texts.unwrap_or(0), ..Pane::default() };
        Window { head: pane(wants.head), body: pane(wants.body) }
    }

    /// Forget what is here: it is about another file.
    pub(crate) fn clear(&mut self) {
        (self.head.batch, self.body.batch) = (None, None);
    }

    /// Have the batches of these places here. `false` if one cannot be read or does not agree with its checksums.
    pub(crate) fn load(&mut self, opened: &Opened, head: Option<Place>, body: Option<Place>) -> bool {
        head.is_none_or(|place| self.head.load(opened, place)) && body.is_none_or(|place| self.body.load(opened, place))
    }

    /// The halves at these places, which were loaded last.
    pub(crate) fn halves(&self, head: Option<Place>, body: Option<Place>) -> (Option<Half<'_>>, Option<Half<'_>>) {
        (head.map(|place| self.head.half(place)), body.map(|place| self.body.half(place)))
    }

    /// One half, loaded if need be.
    pub(super) fn half(&mut self, opened: &Opened, kind: Kind, place: Place) -> Option<Half<'_>> {
        let pane = match kind {
            Kind::Head => &mut self.head,
            Kind::Body => &mut self.body,
        };
        pane.load(opened, place).then(|| pane.half(place))
    }
}

impl Pane {
    fn load(&mut self, opened: &Opened, place: Place) -> bool {
        let batch = opened.known.index.batch(place.batch);
        if self.batch == Some(batch.offset) {
            return true;
        }
        self.batch = None;
        self.rows.resize(batch.rows_len(), 0);
        if read_at(&opened.file, &mut self.rows, batch.rows_at()) != self.rows.len() || !batch.holds_rows(&self.rows) {
            return false;
        }
        for (text, bytes) in self.bytes.iter_mut().enumerate().filter(|(text, _)| self.texts >> text & 1 == 1) {
            bytes.resize(batch.text_len(text), 0);
            if read_at(&opened.file, bytes, batch.text_at(text)) != bytes.len() || !batch.holds_text(text, bytes) {
                return false;
            }
        }
        self.batch = Some(batch.offset);
        true
    }

    fn half(&self, place: Place) -> Half<'_> {
        batch::half(&self.rows, place.row.into(), &self.bytes)
    }
}
