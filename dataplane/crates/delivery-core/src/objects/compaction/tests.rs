use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use operator_api::delivery_stream::Objects;
use proptest::prelude::*;

use super::*;

fn naming(extension: &str) -> Naming {
    let objects = Objects {
        prefix: Some("clicks/!{timestamp:yyyy}/"),
        error_output_prefix: Some("errors/"),
        custom_time_zone: None,
        file_extension: Some(extension),
        compression: None,
    };
    Naming::new("clicks", 12, &objects, None).unwrap()
}

fn key(folder: &str, version: u64, number: u64) -> String {
    let uuid = guid(guid_of(&number.to_be_bytes()));
    format!("{folder}clicks-{version}-2026-11-27-12-00-{:02}-{uuid}.gz", number % 60)
}

fn plan(naming: &Naming, bytes_max: u64, objects: &[Listed]) -> Vec<Merge> {
    let mut planner = Planner::new(naming, bytes_max);
    let mut groups: Vec<_> =
        objects.iter().filter_map(|object| planner.push(object.clone())).collect();
    groups.extend(planner.end());
    groups.into_iter().filter_map(|group| Merge::of(naming, 0, group)).map(|it| it.0).collect()
}

/// Objects by folder and size, in that order.
fn check(bytes_max: u64, objects: &[(&str, u64)], want: Expect) {
    let objects = objects.iter().zip(0..);
    let objects: Vec<Listed> = objects
        .map(|((folder, bytes), number)| Listed { key: key(folder, 12, number), bytes: *bytes })
        .collect();
    let number = |key: &String| objects.iter().position(|object| object.key == *key).unwrap();
    let shown = |merge: &Merge| {
        let inputs: Vec<String> = merge.inputs.iter().map(|key| number(key).to_string()).collect();
        inputs.join(" ")
    };
    let merges = plan(&naming(".gz"), bytes_max, &objects);
    want.assert_eq(&merges.iter().map(shown).collect::<Vec<_>>().join(" | "));
}

#[test]
fn small_objects_of_a_folder_are_merged() {
    check(100, &[("a/", 1), ("a/", 2), ("a/", 3), ("b/", 1), ("b/", 1)], expect!["0 1 2 | 3 4"]);
    check(100, &[("a/", 1), ("b/", 1), ("c/", 1)], expect![""]);
    check(100, &[], expect![""]);
}

#[test]
fn what_would_be_too_large_is_cut() {
    check(10, &[("a/", 5), ("a/", 5), ("a/", 5), ("a/", 4), ("a/", 3)], expect!["0 1 | 2 3"]);
    check(10, &[("a/", 6), ("a/", 1), ("a/", 1)], expect!["1 2"]);
}

#[test]
fn a_large_object_waits_until_there_is_half_as_much_beside_it() {
    check(100, &[("a/", 40), ("a/", 1), ("a/", 2)], expect!["1 2"]);
    check(100, &[("a/", 40), ("a/", 10), ("a/", 9)], expect!["1 2"]);
    check(100, &[("a/", 40), ("a/", 10), ("a/", 10)], expect!["0 1 2"]);
    check(100, &[("a/", 40), ("a/", 3)], expect![""]);
}

#[test]
fn what_this_delivery_stream_did_not_name_is_left_alone() {
    let naming = naming(".gz");
    let ours = key("a/", 12, 1);
    let written = naming.parse(&ours).unwrap();
    assert_eq!(written.folder, "a/");
    assert_eq!(written.renamed("x"), format!("{}x.gz", &ours[..ours.len() - 39]));
    assert!(naming.parse(&key("", 12, 1)).is_some());
    for other in [
        ours.replace("clicks", "clicks-2"),
        ours.replace("clicks", "other"),
        ours.replace(".gz", ".parquet"),
        ours.replace(".gz", ".gz.bak"),
        ours.replace("-12-2026", "-1-2026"),
        ours.replace("-12-2026", "-112-2026"),
        ours.replace("-12-2026", "-+12-2026"),
        ours.replace("-12-2026", "--2026"),
        ours.replace("-11-27", "-11/27"),
        ours.replace("-8", "-4"),
        ours.replace("clicks-", "clicks-ü"),
        "a/".to_owned(),
        String::new(),
        ".gz".to_owned(),
        "ä".repeat(40) + ".gz",
    ] {
        assert_eq!(naming.parse(&other), None, "{other}");
    }
}

#[test]
fn the_folder_is_what_a_prefix_begins_with() {
    let folder = |prefix| {
        let naming = Objects { prefix, file_extension: None, ..naming_objects() };
        Naming::new("clicks", 1, &naming, None).unwrap().folder().to_owned()
    };
    assert_eq!(folder(Some("a/b/!{timestamp:yyyy}/c/")), "a/b/");
    assert_eq!(folder(Some("a/b-!{timestamp:yyyy}/")), "a/");
    assert_eq!(folder(Some("a/b")), "a/");
    assert_eq!(folder(Some("a")), "");
    assert_eq!(folder(None), "");
}

fn naming_objects() -> Objects<'static> {
    Objects {
        prefix: None,
        error_output_prefix: Some("errors/"),
        custom_time_zone: None,
        file_extension: None,
        compression: None,
    }
}

#[test]
fn a_journal_is_read_back_and_nothing_else_is() {
    let merge = Merge { number: 7, output: "o".into(), inputs: vec!["a\"".into(), "b".into()] };
    assert_eq!(Merge::from_journal(&merge.journal()), Some(merge.clone()));
    let many = Merge { inputs: vec!["a".into(); INPUTS_MAX + 1], ..merge };
    assert_eq!(Merge::from_journal(&many.journal()), None);
    for bytes in [
        &b""[..],
        b"{}",
        b"[]",
        br#"{"output": "o", "inputs": []}"#,
        br#"{"number": 1, "output": "o", "inputs": [], "more": 1}"#,
        b"\xff",
    ] {
        assert_eq!(Merge::from_journal(bytes), None);
    }
}

#[test]
fn the_longest_journal_fits() {
    let long = "\"".repeat(super::super::KEY_BYTES_MAX / 2);
    let merge = Merge { number: u64::MAX, output: long.clone(), inputs: vec![long; INPUTS_MAX] };
    assert!(merge.journal().len() <= JOURNAL_BYTES_MAX);
}

proptest! {
    #[test]
    fn merges_are_of_different_objects_of_one_folder_and_at_most_so_large(
        sizes in prop::collection::vec((0..4_u8, 11..13_u64, 0..200_u64), 0..60),
        bytes_max in 1..400_u64,
    ) {
        let naming = naming(".gz");
        let mut objects: Vec<Listed> = sizes
            .iter()
            .zip(0..)
            .map(|((folder, version, bytes), number)| {
                let folder = ["", "a/", "a/b/", "b/"][usize::from(*folder)];
                Listed { key: key(folder, *version, number), bytes: *bytes }
            })
            .collect();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        let bytes = |key: &String| objects.iter().find(|it| it.key == *key).unwrap().bytes;
        let merges = plan(&naming, bytes_max, &objects);
        prop_assert_eq!(&merges, &plan(&naming, bytes_max, &objects));
        let mut seen = BTreeSet::new();
        for Merge { output, inputs, .. } in &merges {
            prop_assert!(2 <= inputs.len());
            let total: u64 = inputs.iter().map(bytes).sum();
            prop_assert!(total <= bytes_max);
            let to = naming.parse(output).unwrap();
            for input in inputs {
                prop_assert!(seen.insert(input.clone()), "{} is merged twice", input);
                prop_assert!(bytes(input) * 3 <= total * 2);
                let from = naming.parse(input).unwrap();
                prop_assert_eq!(from.folder, to.folder);
            }
            prop_assert!(objects.iter().all(|object| object.key != *output));
        }
    }

    #[test]
    fn no_key_is_too_odd_to_be_looked_at(key in "(clicks-)?[0-9a-fü/.-]{0,80}(.gz)?") {
        if let Some(written) = naming(".gz").parse(&key) {
            prop_assert!(key.starts_with(written.folder) && key.ends_with(".gz"));
        }
    }
}
