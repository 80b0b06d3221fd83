//! Which messages a SEARCH is about, before any is looked at: those that its message numbers and UIDs leave.
//!
//! RFC 9738 section 3.1 counts the messages that are searched, and a client that was cut goes on with `UID 1:999 ...` or `UIDBEFORE 1000 ...`: these
//! must make the search smaller, or it would be cut at the same place for ever. What the other keys would leave is not known
//! without looking, so they count as anything.

use super::{Program, Test};
use crate::imap::parse::search::Op;
use crate::imap::view::{Picked, View};

/// What an operand can be true for; `None`: any message.
type Scope = Option<Picked>;

impl Program {
    /// The messages of `view` for which it may be true.
    pub fn scope(&self, view: &View) -> Picked {
        let mut stack: Vec<Scope> = Vec::new();
        for op in &self.ops {
            let scope = match *op {
                Op::Key(n) => match &self.tests[n] {
                    Test::Numbers(ranges) => Some(view.picked_numbers(ranges)),
                    Test::Uids(ranges) => Some(view.pick_uids(ranges)),
                    Test::Never => Some(Picked::default()),
                    _ => None,
                },
                Op::Not => {
                    stack.pop();
                    None
                }
                Op::Or => match (stack.pop().flatten(), stack.pop().flatten()) {
                    (Some(a), Some(b)) => Some(a.or(&b)),
                    _ => None,
                },
                Op::And(n) => {
                    let operands = stack.split_off(stack.len().saturating_sub(n));
                    operands.into_iter().flatten().reduce(|a, b| a.and(&b))
                }
            };
            stack.push(scope);
        }
        stack.pop().flatten().unwrap_or_else(|| view.everything())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parse::Cursor;

    #[test]
    fn what_is_left() {
        let view = View::of(&[10, 20, 30, 40, 50]);
        let table: &[(&str, &[u32])] = &[
            ("ALL", &[1, 2, 3, 4, 5]),
            ("SEEN", &[1, 2, 3, 4, 5]),
            ("2:3", &[2, 3]),
            ("4:*", &[4, 5]),
            ("7", &[]),
            ("UID 15:40", &[2, 3, 4]),
            ("UIDAFTER 30", &[4, 5]),
            ("UIDBEFORE 30", &[1, 2]),
            ("UIDAFTER 10 UIDBEFORE 50 UNSEEN", &[2, 3, 4]),
            ("(UIDAFTER 10 UIDBEFORE 50) UNSEEN", &[2, 3, 4]),
            ("UIDBEFORE 1", &[]),
            ("UIDAFTER 4294967295", &[]),
            ("NOT UID 10", &[1, 2, 3, 4, 5]),
            ("OR UID 10 3", &[1, 3]),
            ("OR UID 10 SEEN", &[1, 2, 3, 4, 5]),
            ("OR 1:2 2:3 UIDAFTER 10", &[2, 3]),
        ];
        for (text, want) in table {
            let search = Cursor::new(text.as_bytes()).search().unwrap();
            let scope = Program::new(search, &view, &[]).unwrap().scope(&view);
            assert_eq!(scope.numbers().collect::<Vec<_>>(), *want, "{text}");
        }
    }
}
