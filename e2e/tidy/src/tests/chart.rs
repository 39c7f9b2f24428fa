//! The chart beside what it must agree with: the definitions, its own values, and the metrics.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{report, root, sources};

fn chart() -> PathBuf {
    root().join("charts/leat")
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".yaml")).collect()
}

#[test]
fn the_chart_has_the_definitions_of_crds() {
    let (generated, copies) = (root().join("crds"), chart().join("crds"));
    let mut broken = Vec::new();
    for name in names("crds") {
        let text = fs::read_to_string(generated.join(&name)).unwrap();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(copies.join(&name), &text).unwrap();
        }
        if fs::read_to_string(copies.join(&name)).unwrap_or_default() != text {
            broken.push(format!("charts/leat/crds/{name} is stale: run with UPDATE_EXPECT=1"));
        }
    }
    let gone = &names("charts/leat/crds") - &names("crds");
    broken.extend(gone.into_iter().map(|name| format!("crds/{name} is gone, its copy is not")));
    report("definitions of the chart", &broken);
}

/// All templates, one after the other.
fn templates() -> String {
    let mut text = String::new();
    let mut folders = vec![chart().join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

/// The paths of what has no values below it, as `tls.mode`.
fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value.as_object().filter(|below| !below.is_empty()) {
        Some(below) => {
            for (name, value) in below {
                let separator = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{separator}{name}"), value, found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

fn values() -> Value {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

#[test]
fn every_value_is_used() {
    let templates = templates();
    let is_used = |path: &str| {
        let whole = format!(".Values.{path}");
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '.');
        templates.match_indices(&whole).any(|(at, _)| ends(&templates[at + whole.len()..]))
    };
    // One that is part of something used as a whole is used, too.
    let and_above = |path: &str| {
        let dots = path.match_indices('.').map(|(at, _)| at);
        dots.chain([path.len()]).any(|end| is_used(&path[..end]))
    };
    let mut all = Vec::new();
    leaves("", &values(), &mut all);
    assert!(20 < all.len(), "the values were not found");
    all.retain(|path| !and_above(path));
    report("values that no template uses", &all);
}

#[test]
fn every_value_of_the_schema_has_a_default_and_with_it_a_comment() {
    fn walk(path: &str, schema: &Value, defaults: Option<&Value>, broken: &mut Vec<String>) {
        let Some(default) = defaults else {
            broken.push(path.to_owned());
            return;
        };
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            // Helm's own, in the values of every chart.
            if name != "global" {
                walk(&format!("{path}.{name}"), schema, default.get(name), broken);
            }
        }
    }
    let text = fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let mut broken = Vec::new();
    walk("", &schema, Some(&values()), &mut broken);
    report("values of the schema that values.yaml does not show", &broken);
}

/// The names in the queries of the dashboard.
fn asked_metrics() -> BTreeSet<String> {
    let text = fs::read_to_string(chart().join("files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let words = targets.flat_map(|target| {
        let query = target["expr"].as_str().unwrap();
        query.split(|c: char| !c.is_alphanumeric() && c != '_')
    });
    let is_ours = |word: &&str| word.starts_with("leat_") || word.starts_with("aws_");
    words.filter(is_ours).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    const PREFIXES: [&str; 3] = ["", "aws_kinesis_", "leat_shard_"];
    // What the text format adds to a registered name, and before it a unit.
    const SUFFIXES: [&str; 4] = ["", "_total", "_bucket", "_count"];
    const UNITS: [&str; 3] = ["", "_seconds", "_bytes"];

    let sources = sources();
    let is_registered = |name: &str| {
        let literal = format!("\"{name}\"");
        let mut ours = sources.iter().filter(|(path, _)| !path.starts_with(root().join("e2e")));
        ours.any(|(_, text)| text.contains(&literal))
    };
    let exists = |metric: &str| {
        PREFIXES.iter().filter_map(|prefix| metric.strip_prefix(prefix)).any(|name| {
            let mut bare = SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
            bare.any(|bare| {
                let mut names = UNITS.iter().filter_map(|unit| bare.strip_suffix(unit));
                names.any(&is_registered)
            })
        })
    };
    let asked = asked_metrics();
    assert!(10 < asked.len(), "the queries were not found");
    let broken: Vec<String> = asked.into_iter().filter(|metric| !exists(metric)).collect();
    report("metrics of the dashboard that nobody registers", &broken);
}
