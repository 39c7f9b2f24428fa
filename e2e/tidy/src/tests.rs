//! Each test names everything that breaks its rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod chart;

/// Longer files are hard to find one's way in. Tests may be longer.
const FILE_LINES_MAX: usize = 600;

/// Which of our crates each of them may use. An arrow that is not here is a decision: make it first.
const ARROWS: &[(&str, &[&str])] = &[
    ("auth", &["model"]),
    ("aws-protocol", &["auth", "model"]),
    ("bench", &["catalog", "model", "shard", "shard-log", "storage"]),
    ("catalog", &["auth", "model", "storage"]),
    (
        "dataplane",
        &[
            "auth",
            "aws-protocol",
            "catalog",
            "catalog-kube",
            "delivery",
            "delivery-catalog",
            "firehose-api",
            "node-config",
            "operator-api",
            "wire",
            "encryption",
            "model",
            "operator-core",
            "shard",
            "shard-log",
            "storage",
            "streams-api",
            "telemetry",
        ],
    ),
    ("columnar", &["iceberg-table", "operator-api"]),
    ("consumer", &["encryption", "model", "shard", "shard-log", "storage"]),
    (
        "delivery",
        &[
            "auth",
            "catalog",
            "columnar",
            "consumer",
            "delivery-catalog",
            "delivery-core",
            "encryption",
            "iceberg-table",
            "model",
            "operator-api",
            "shard",
            "shard-log",
            "storage",
        ],
    ),
    ("delivery-catalog", &["catalog", "model", "operator-api", "operator-core"]),
    ("delivery-core", &["model", "operator-api"]),
    ("e2e", &["auth", "model"]),
    (
        "firehose-api",
        &[
            "auth",
            "aws-protocol",
            "catalog",
            "delivery-catalog",
            "model",
            "operator-api",
            "operator-core",
        ],
    ),
    ("iceberg-table", &[]),
    ("model", &[]),
    (
        "operator",
        &[
            "encryption",
            "model",
            "node-config",
            "operator-api",
            "operator-core",
            "shard",
            "telemetry",
            "wire",
        ],
    ),
    ("operator-api", &[]),
    ("operator-core", &["auth", "model", "node-config", "operator-api"]),
    ("node-config", &[]),
    (
        "catalog-kube",
        &[
            "auth",
            "catalog",
            "delivery-catalog",
            "model",
            "operator-api",
            "operator-core",
            "storage",
        ],
    ),
    ("encryption", &[]),
    ("shard", &["encryption", "model", "shard-log", "storage", "wire"]),
    ("wire", &["model"]),
    ("shard-log", &["model", "storage"]),
    ("storage", &[]),
    (
        "streams-api",
        &["auth", "aws-protocol", "catalog", "encryption", "model", "shard", "shard-log"],
    ),
    ("telemetry", &[]),
    ("tidy", &[]),
];

/// Crates that must stay free of I/O, and so of the crates that do it.
const PURE: &[&str] = &[
    "model",
    "auth",
    "aws-protocol",
    "columnar",
    "delivery-core",
    "iceberg-table",
    "node-config",
    "operator-api",
    "operator-core",
    "wire",
];
const IO_CRATES: &[&str] = &["tokio", "hyper", "tokio-uring", "kube", "kube-client", "rustix"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Each package of the workspace: its folder, and what it depends on.
fn packages() -> BTreeMap<String, (PathBuf, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let package = |package: &serde_json::Value| {
        let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let names = dependencies.map(|dependency| text(&dependency["name"])).collect();
        (text(&package["name"]), (folder.to_owned(), names))
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

/// Every Rust file of ours with its content, build output and fuzz targets aside.
fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut folders = vec![root().join("dataplane"), root().join("operator"), root().join("e2e")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !matches!(&*name, "target" | "fuzz") {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    assert!(50 < sources.len(), "the sources were not found");
    sources
}

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn crates_use_only_what_the_arrows_allow() {
    let packages = packages();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut broken = Vec::new();
    for (name, (_, dependencies)) in &packages {
        let Some(allowed) = arrows.get(name.as_str()) else {
            broken.push(format!("{name} has no arrows: add them to ARROWS"));
            continue;
        };
        let ours = dependencies.iter().filter(|other| packages.contains_key(*other));
        let wrong = ours.filter(|other| !allowed.contains(&other.as_str()));
        broken.extend(wrong.map(|other| format!("{name} -> {other}")));
    }
    report("dependency arrows", &broken);
}

#[test]
fn pure_crates_name_no_crate_that_does_io() {
    let packages = packages();
    let broken: Vec<String> = PURE
        .iter()
        .flat_map(|name| packages[*name].1.iter().map(move |other| (name, other)))
        .filter(|(_, other)| IO_CRATES.contains(&other.as_str()))
        .map(|(name, other)| format!("{name} -> {other}"))
        .collect();
    report("purity", &broken);
}

#[test]
fn unsafe_and_io_uring_are_named_in_storage_only() {
    let storage = root().join("dataplane/crates/storage");
    let here = Path::new(file!()).file_name();
    let broken: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| !path.starts_with(&storage) && path.file_name() != here)
        .filter(|(_, text)| {
            ["unsafe {", "unsafe fn", "unsafe impl", "tokio_uring", "allow(unsafe_code)"]
                .iter()
                .any(|word| text.contains(word))
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    report("unsafe or tokio_uring outside storage", &broken);
}

#[test]
fn every_file_is_part_of_a_module() {
    let mut reached = BTreeSet::new();
    for (folder, _) in packages().values() {
        let roots = [
            "src/lib.rs",
            "src/main.rs",
            "tests/it/main.rs",
            "tests/cluster/main.rs",
            "tests/delivery/main.rs",
            "tests/leat/main.rs",
        ];
        let mut open: Vec<PathBuf> = roots.iter().map(|root| folder.join(root)).collect();
        let programs = fs::read_dir(folder.join("src/bin")).into_iter().flatten().flatten();
        open.extend(programs.map(|entry| entry.path()));
        while let Some(file) = open.pop() {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            let parent = file.parent().unwrap();
            let children = match &*stem {
                "lib" | "main" | "mod" => parent.to_owned(),
                stem => parent.join(stem),
            };
            for line in text.lines() {
                let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
                let module = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
                if let Some(module) = module {
                    open.push(children.join(format!("{module}.rs")));
                    open.push(children.join(module).join("mod.rs"));
                }
            }
            reached.insert(file);
        }
    }
    let broken: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| !reached.contains(path))
        .map(|(path, _)| path.display().to_string())
        .collect();
    report("files that no module includes", &broken);
}

#[test]
fn files_stay_short() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|(path, text)| {
            let is_test = path.components().any(|part| {
                let part = part.as_os_str();
                part == "tests" || part == "tests.rs"
            });
            !is_test && FILE_LINES_MAX < text.lines().count()
        })
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    report("files that grew too long", &broken);
}

#[test]
fn nothing_is_left_to_do_in_comments() {
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let mut broken = Vec::new();
    for (path, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                broken.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    report("an issue is the place for what is left to do", &broken);
}

#[test]
fn pure_crates_ban_at_least_what_all_ban() {
    // Clippy reads only the nearest file: a crate's own must repeat the root's bans.
    let bans = |path: &Path| -> BTreeSet<String> {
        let text = fs::read_to_string(path).unwrap();
        let paths = text.lines().filter_map(|line| line.split("path = \"").nth(1));
        paths.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    };
    let all = bans(&root().join(".clippy.toml"));
    let own = bans(&root().join("operator/crates/operator-core/.clippy.toml"));
    let missing: Vec<String> = all.difference(&own).cloned().collect();
    report("bans missing in operator-core/.clippy.toml", &missing);
}
