//! From what is compared to numbers, and from numbers to an order.
//!
//! Texts are sorted by eight bytes at a time, and only those that agree so far by the next eight: subjects of one list begin alike, and
//! comparing them from their first byte would be comparing that beginning again and again. An order by several criteria is made from
//! the last to the first, each keeping the order of those behind it where it says nothing.

/// Bytes compared at once.
const WORD: usize = 8;

/// A number for each value: lower for lower, the same for the same, dense from 0 on.
pub fn of_numbers(values: &[i64]) -> Vec<u32> {
    let mut rows: Vec<(i64, u32)> = values.iter().copied().zip(0..).collect();
    rows.sort_unstable();
    let mut ranks = vec![0; rows.len()];
    let mut rank = 0;
    for (n, (value, row)) in rows.iter().enumerate() {
        rank += u32::from(n > 0 && rows[n - 1].0 != *value);
        ranks[*row as usize] = rank;
    }
    ranks
}

/// A text as far as it is compared now.
#[derive(Clone, Copy)]
struct Row {
    word: [u8; WORD],
    /// Bytes of it that are left, or one more than a word if more are.
    left: u8,
    row: u32,
}

impl Row {
    fn key(&self) -> (u64, u8) {
        (u64::from_be_bytes(self.word), self.left)
    }
}

/// The same for texts, by their bytes; each ends in `bytes` where `ends` says, and begins where the one before ends.
pub fn of_texts(bytes: &[u8], ends: &[u32]) -> Vec<u32> {
    let text = |row: u32| {
        let start = row.checked_sub(1).map_or(0, |before| ends[before as usize]);
        bytes.get(start as usize..ends[row as usize] as usize).unwrap_or_default()
    };
    let mut rows: Vec<Row> = (0..).take(ends.len()).map(|row| Row { word: [0; WORD], left: 0, row }).collect();
    // Is the text at this place another than the one before?
    let mut differs = vec![false; rows.len()];
    // From where to where, and how many bytes agree.
    let mut groups = vec![(0, rows.len(), 0)];
    while let Some((start, end, depth)) = groups.pop() {
        let group = &mut rows[start..end];
        for row in group.iter_mut() {
            let rest = text(row.row).get(depth..).unwrap_or_default();
            let head = rest.len().min(WORD);
            row.word = [0; WORD];
            row.word[..head].copy_from_slice(&rest[..head]);
            row.left = rest.len().min(WORD + 1) as u8;
        }
        group.sort_unstable_by_key(Row::key);
        let mut at = start;
        for same in group.chunk_by(|a, b| a.key() == b.key()) {
            differs[at] |= at > start;
            if same.len() > 1 && usize::from(same[0].left) > WORD {
                groups.push((at, at + same.len(), depth + WORD));
            }
            at += same.len();
        }
    }
    let mut ranks = vec![0; rows.len()];
    let mut rank = 0;
    for (row, differs) in rows.iter().zip(differs) {
        rank += u32::from(differs);
        ranks[row.row as usize] = rank;
    }
    ranks
}

/// Rows in order: by the first column, and where that says the same by the next; at last by their own number. A column has a rank for each
/// row, and whether it counts from high to low (which does not touch what is the same in it: RFC 5256 section 3).
pub fn order(rows: u32, columns: &[(Vec<u32>, bool)]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows).collect();
    let mut next = vec![0; order.len()];
    for (ranks, reverse) in columns.iter().rev() {
        let highest = ranks.iter().copied().max().unwrap_or(0);
        if highest as usize > 4 * ranks.len() {
            // A few of many: no place for each rank.
            order.sort_by(|a, b| {
                let order = ranks[*a as usize].cmp(&ranks[*b as usize]);
                if *reverse { order.reverse() } else { order }
            });
            continue;
        }
        let rank = |row: u32| (if *reverse { highest - ranks[row as usize] } else { ranks[row as usize] }) as usize;
        // How many are before each rank, and then the next place for one of it.
        let mut places = vec![0; highest as usize + 2];
        order.iter().for_each(|row| places[rank(*row) + 1] += 1);
        let mut before = 0;
        for place in &mut places {
            before += *place;
            *place = before;
        }
        for row in &order {
            let place: &mut u32 = &mut places[rank(*row)];
            next[*place as usize] = *row;
            *place += 1;
        }
        std::mem::swap(&mut order, &mut next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(texts: &[Vec<u8>]) -> Vec<u32> {
        let ends: Vec<u32> = texts
            .iter()
            .scan(0, |end, text| {
                *end += text.len() as u32;
                Some(*end)
            })
            .collect();
        of_texts(&texts.concat(), &ends)
    }

    fn slowly<T: Ord>(values: &[T]) -> Vec<u32> {
        let mut all: Vec<&T> = values.iter().collect();
        all.sort();
        all.dedup();
        values.iter().map(|value| all.binary_search(&value).unwrap() as u32).collect()
    }

    #[test]
    fn what_nobody_has_is_no_rank() {
        assert!(of_numbers(&[]).is_empty() && of_texts(b"", &[]).is_empty() && order(0, &[]).is_empty());
        assert_eq!(order(3, &[]), [0, 1, 2]);
        assert_eq!(order(3, &[(vec![7, 1_000_000, 3], true)]), [1, 0, 2], "of many ranks some");
    }

    proptest! {
        #[test]
        fn ranks_of_numbers(values in prop::collection::vec(prop_oneof![-3_i64..3, any::<i64>()], 0..30)) {
            prop_assert_eq!(of_numbers(&values), slowly(&values));
        }

        #[test]
        fn ranks_of_texts(values in prop::collection::vec(prop_oneof![
            prop::collection::vec(0_u8..2, 0..20),
            prop::collection::vec(254_u8..=255, 7..10),
            "(the same long beginning){0,2}[ab\u{0}é]{0,9}".prop_map(String::into_bytes),
        ], 0..40)) {
            prop_assert_eq!(texts(&values), slowly(&values));
        }

        #[test]
        fn orders(rows in prop::collection::vec((0_u32..4, 0_u32..4, 0_u32..3), 0..40), reverse in any::<[bool; 3]>(), far in any::<bool>()) {
            let far = if far { 1_000_000 } else { 1 };
            let columns = [
                (rows.iter().map(|row| row.0 * far).collect(), reverse[0]),
                (rows.iter().map(|row| row.1).collect(), reverse[1]),
                (rows.iter().map(|row| row.2).collect(), reverse[2]),
            ];
            let mut want: Vec<u32> = (0..rows.len() as u32).collect();
            want.sort_by(|a, b| {
                let (a, b) = (rows[*a as usize], rows[*b as usize]);
                let turned = |order: std::cmp::Ordering, n: usize| if reverse[n] { order.reverse() } else { order };
                turned(a.0.cmp(&b.0), 0).then(turned(a.1.cmp(&b.1), 1)).then(turned(a.2.cmp(&b.2), 2))
            });
            prop_assert_eq!(order(rows.len() as u32, &columns), want);
        }
    }
}
