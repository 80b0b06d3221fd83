//! Does what is known of a message decide a search? Three-valued logic, without recursion.

use super::Program;
use crate::imap::parse::search::Op;

/// Operations of a search for which no memory is taken.
const FEW: usize = 32;

impl Program {
    /// The result, if what is known decides it. Postfix evaluation in Kleene's logic: unknown or true is true.
    pub fn judge(&self, known: &[Option<bool>]) -> Option<bool> {
        if let [Op::Key(n)] = self.ops[..] {
            return known[n];
        }
        // As deep as nearly every search is; deeper ones take memory for it.
        let (mut few, mut many) = ([None; FEW], Vec::new());
        let stack = if self.ops.len() <= FEW {
            &mut few[..]
        } else {
            many.resize(self.ops.len(), None);
            &mut many
        };
        let mut top = 0;
        for op in &self.ops {
            match *op {
                Op::Key(n) => {
                    stack[top] = known[n];
                    top += 1;
                }
                Op::Not => stack[top - 1] = stack[top - 1].map(|value| !value),
                Op::Or => {
                    top -= 1;
                    stack[top - 1] = any(stack[top - 1..=top].iter().copied());
                }
                Op::And(n) => {
                    let values = &stack[top - n..top];
                    let all = any(values.iter().map(|value| value.map(|value| !value))).map(|value| !value);
                    top -= n - 1;
                    stack[top - 1] = all;
                }
            }
        }
        stack[0]
    }
}

/// True if one is true, false if all are false, else unknown.
fn any(values: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(false);
    for value in values {
        all = match (all, value) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
    }
    all
}
