//! The table: every pattern of facts meets exactly one row, and rows do what they say.

use super::*;
use crate::format::{LogId, PreviousSegment};
use crate::recover::first_head;

/// The rows as the module's comment has them: `Some(false)` is "no", `None` is "-".
struct Row {
    label: &'static str,
    head_valid: Option<bool>,
    later_head_valid: Option<bool>,
    in_chain: Option<bool>,
    holds_batches: Option<bool>,
    behind_gap: Option<bool>,
    verdict: Case,
}

const fn row(label: &'static str, facts: [Option<bool>; 5], verdict: Case) -> Row {
    let [head_valid, later_head_valid, in_chain, holds_batches, behind_gap] = facts;
    Row { label, head_valid, later_head_valid, in_chain, holds_batches, behind_gap, verdict }
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

const TABLE: [Row; 7] = [
    row("@A", [YES, NO, None, None, None], Case::Chain),
    row("@B", [YES, YES, YES, None, None], Case::Chain),
    row("@C", [None, YES, NO, None, NO], Case::Leftover),
    row("@D", [NO, YES, YES, None, None], Case::DamagedHead),
    row("@E", [NO, NO, None, YES, None], Case::DamagedHead),
    row("@F", [NO, NO, None, NO, None], Case::Leftover),
    row("@G", [None, YES, NO, None, YES], Case::Gap),
];

#[test]
fn every_pattern_of_facts_meets_exactly_one_row() {
    for pattern in 0..1 << 5 {
        let bit = |at: u32| pattern & (1 << at) != 0;
        let facts = Facts {
            head_valid: bit(0),
            later_head_valid: bit(1),
            in_chain: bit(2),
            holds_batches: bit(3),
            behind_gap: bit(4),
        };
        let agrees = |want: Option<bool>, is: bool| want.is_none_or(|want| want == is);
        let rows: Vec<&Row> = TABLE
            .iter()
            .filter(|row| {
                agrees(row.head_valid, facts.head_valid)
                    && agrees(row.later_head_valid, facts.later_head_valid)
                    && agrees(row.in_chain, facts.in_chain)
                    && agrees(row.holds_batches, facts.holds_batches)
                    && agrees(row.behind_gap, facts.behind_gap)
            })
            .collect();
        let labels: Vec<_> = rows.iter().map(|row| row.label).collect();
        assert_eq!(rows.len(), 1, "{facts:?} meets {labels:?}");
        assert_eq!(case(facts), rows[0].verdict, "{facts:?} is {labels:?}");
    }
}

/// A segment as `5`, `5>4` (its head names 4), `5!` (no head), `5!+` (no head, but batches).
fn found(text: &str) -> Vec<Found<()>> {
    let segment = |word: &str| {
        let (number, previous) = word.split_once('>').unwrap_or((word, ""));
        let digits = number.trim_end_matches(['!', '+']);
        let number_parsed = digits.parse().unwrap();
        let previous = previous
            .parse()
            .ok()
            .map(|number| PreviousSegment { number, ..PreviousSegment::default() });
        let head = Head {
            header: first_head(LogId(1), number_parsed),
            payload: SegmentHead { previous, ..SegmentHead::default() },
        };
        Found {
            number: number_parsed,
            file: (),
            head: (!number.contains('!')).then_some(head),
            holds_batches: number.contains('+'),
        }
    };
    text.split_whitespace().map(segment).collect()
}

fn check(text: &str, want: &str) {
    let verdict = match judge(&found(text)) {
        Ok(Verdicts { chain, removed }) => format!("{chain:?} removed {removed:?}"),
        Err(damage) => format!("{damage:?}"),
    };
    assert_eq!(verdict, want, "{text}");
}

#[test]
fn heads_make_a_log() {
    check("", "[] removed []");
    check("1", "[1] removed []");
    check("1 2>1 3>2", "[1, 2, 3] removed []");
    check("4>3 5>4", "[4, 5] removed []");
    check("1 2>1 3!", "[1, 2] removed [3]");
    check("1!", "[] removed [1]");
}

#[test]
fn a_truncation_cuts_off_what_its_head_passes_over() {
    check("1 2>1 3>2 4>1", "[1, 4] removed [2, 3]");
    check("1 3>2 4>1", "[1, 4] removed [3]");
    check("1 2! 3>1", "[1, 3] removed [2]");
}

#[test]
fn damage_is_refused() {
    check("1 2!+", "Head { segment: 2 }");
    check("1!+", "Head { segment: 1 }");
    check("1 2! 3>2", "Head { segment: 2 }");
    check("1! 2>1", "Head { segment: 1 }");
    check("1 3>2", "Missing { segment: 2 }");
    check("1 2>1 4>3 5>4", "Missing { segment: 3 }");
}
