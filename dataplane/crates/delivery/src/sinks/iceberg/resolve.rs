//! What is left to do of changes that are made together, one after the other.
//!
//! Deletes of a commit do not count for its own rows. So what later changes undo is not written at all, and
//! the deletes are for rows that were there before.

use std::collections::HashMap;

use delivery_core::processing::TableOperation;

/// What is left, by the places of changes among all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Those that are rows.
    pub(super) rows: Vec<usize>,
    /// Those that take out the rows with their keys, one for each key.
    pub(super) deletes: Vec<usize>,
}

/// A change, and what the row is told from others by that it adds or takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keyed {
    pub(super) operation: TableOperation,
    /// A row without one is not taken out by a change.
    pub(super) key: Option<u128>,
}

/// `None` are no changes.
pub(super) fn resolve(changes: &[Option<Keyed>]) -> Left {
    let mut last_cut: HashMap<u128, usize> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        if let Some(Keyed { operation, key: Some(key) }) = change
            && *operation != TableOperation::Insert
        {
            last_cut.insert(*key, at);
        }
    }
    let is_row = |(at, change): &(usize, &Option<Keyed>)| {
        let Some(Keyed { operation, key }) = change else { return false };
        let cut = key.as_ref().and_then(|key| last_cut.get(key));
        *operation != TableOperation::Delete && cut.is_none_or(|cut| cut <= at)
    };
    let rows = changes.iter().enumerate().filter(is_row).map(|(at, _)| at).collect();
    let mut deletes: Vec<usize> = last_cut.into_values().collect();
    deletes.sort_unstable();
    Left { rows, deletes }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table of rows, each a key and the change it came by, as the changes one by one leave it.
    fn one_by_one(
        mut table: Vec<(Option<u128>, Option<usize>)>,
        changes: &[Option<Keyed>],
    ) -> Vec<(Option<u128>, Option<usize>)> {
        for (at, change) in changes.iter().enumerate() {
            let Some(Keyed { operation, key }) = change else { continue };
            if *operation != TableOperation::Insert {
                table.retain(|(of, _)| of != key);
            }
            if *operation != TableOperation::Delete {
                table.push((*key, Some(at)));
            }
        }
        table
    }

    fn change() -> impl Strategy<Value = Option<Keyed>> {
        let kinds = prop_oneof![
            Just(TableOperation::Insert),
            Just(TableOperation::Update),
            Just(TableOperation::Delete)
        ];
        let keyed = (kinds, 0..5_u128)
            .prop_map(|(operation, key)| Some(Keyed { operation, key: Some(key) }));
        let keyless = Some(Keyed { operation: TableOperation::Insert, key: None });
        prop_oneof![8 => keyed, 1 => Just(None), 1 => Just(keyless)]
    }

    proptest! {
        #[test]
        fn what_is_left_does_what_all_would_do(changes in prop::collection::vec(change(), 0..40)) {
            let before: Vec<_> = (0..7).map(|key| (Some(key), None)).collect();
            let want = one_by_one(before.clone(), &changes);
            let left = resolve(&changes);
            let key = |at: usize| changes[at].unwrap().key;
            let mut table = before;
            table.retain(|(of, _)| left.deletes.iter().all(|at| key(*at) != *of));
            table.extend(left.rows.iter().map(|at| (key(*at), Some(*at))));
            prop_assert_eq!(table, want);
        }
    }

    #[test]
    fn the_last_change_of_a_key_wins() {
        let check = |changes: &[(TableOperation, u128)], rows: &[usize], deletes: &[usize]| {
            let keyed = |(operation, key): &(TableOperation, u128)| {
                Some(Keyed { operation: *operation, key: Some(*key) })
            };
            let changes: Vec<_> = changes.iter().map(keyed).collect();
            let want = Left { rows: rows.to_vec(), deletes: deletes.to_vec() };
            assert_eq!(resolve(&changes), want);
        };
        let (insert, update, delete) =
            (TableOperation::Insert, TableOperation::Update, TableOperation::Delete);
        check(&[(insert, 1), (insert, 1)], &[0, 1], &[]);
        check(&[(insert, 1), (update, 1), (update, 1)], &[2], &[2]);
        check(&[(update, 1), (delete, 1), (insert, 2)], &[2], &[1]);
        check(&[(delete, 1), (insert, 1)], &[1], &[0]);
    }
}
