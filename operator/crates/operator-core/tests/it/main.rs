//! Deciding, against a cluster of values: what is applied is there, pods answer what they are asked.
//!
//! `golden/NAME.yaml` is a stream; `golden/NAME.manifests.yaml` is everything that is made for it.
//! `UPDATE_EXPECT=1` writes the latter anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use model::{HashKey, Offset, ShardId, ShardLoad, ShardState, UnixMillis};
use operator_api::{Mode, Storage, Stream, StreamSpec};
use operator_core::manifests::Settings;
use operator_core::{
    Answer, Ask, Claims, Finalizer, Manifest, Observed, Outcome, Removal, Request, SpecEdit,
    Topology, decide, names, parse_manifests,
};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::Value;

fn settings() -> Settings {
    Settings {
        image: "leat:test".into(),
        image_pull_policy: "IfNotPresent".into(),
        namespace: "leat-system".into(),
        pool_shards_per_pod: 100,
        pool_volume_size: "20Gi".into(),
        region: "us-east-1".into(),
    }
}

/// A stream, and what has been made for it.
struct Cluster {
    stream: Stream,
    children: BTreeMap<&'static str, Value>,
    answers: BTreeMap<ShardId, Answer>,
    neighbours: Vec<Stream>,
    namesake: Option<String>,
    loads: BTreeMap<ShardId, ShardLoad>,
    now: UnixMillis,
    /// Pods that are not ready.
    away: BTreeSet<String>,
    io_uring_refused: Vec<String>,
    claims: Claims,
    /// Where shards end that are closed.
    ends: Offset,
    /// What was deleted, in order.
    removed: Vec<Removal>,
    /// What pods were asked, in order.
    asked: Vec<Ask>,
    is_gone: bool,
}

impl Cluster {
    fn new(spec: StreamSpec) -> Cluster {
        let mut stream = Stream::new("clicks", spec);
        stream.metadata.namespace = Some("shop".into());
        stream.metadata.uid = Some("uid-1".into());
        stream.metadata.generation = Some(1);
        Cluster {
            stream,
            children: BTreeMap::new(),
            answers: BTreeMap::new(),
            neighbours: Vec::new(),
            namesake: None,
            loads: BTreeMap::new(),
            now: UnixMillis(1_700_000_000_000),
            away: BTreeSet::new(),
            io_uring_refused: Vec::new(),
            claims: Claims::default(),
            ends: Offset(7),
            removed: Vec::new(),
            asked: Vec::new(),
            is_gone: false,
        }
    }

    fn observed(&self) -> Observed {
        let pods = if self.children.contains_key("StatefulSet") { self.pods() } else { 0 };
        let set = names::stateful_set(&self.stream);
        let pods = (0..u32::try_from(pods).unwrap()).map(|ordinal| names::pod(&set, ordinal));
        let mut children = self.children.clone();
        // As the API server gives it to what it makes.
        if let Some(set) = children.get_mut("StatefulSet") {
            set["metadata"]["uid"] = "set-1".into();
        }
        Observed {
            children,
            pods_ready: pods.filter(|pod| !self.away.contains(pod)).collect(),
            is_rolled_out: true,
            claims: self.claims,
            neighbours: self.neighbours.clone(),
            is_partial: false,
            namesake: self.namesake.clone(),
            answers: self.answers.clone(),
            loads: self.loads.clone(),
            io_uring_refused: self.io_uring_refused.clone(),
        }
    }

    /// One look, carried out.
    fn reconcile(&mut self) -> Outcome {
        let outcome = decide(&self.stream, &settings(), &self.observed(), self.now);
        match outcome.finalizer {
            Finalizer::Keep => {}
            Finalizer::Add => {
                self.stream.metadata.finalizers = Some(vec![names::FINALIZER.into()]);
            }
            Finalizer::Remove => self.is_gone = true,
        }
        for step in &outcome.steps {
            self.children.insert(step.kind, step.object.clone());
            if step.kind == "StatefulSet" {
                self.claims.all = self.claims.all.max(usize::try_from(self.pods()).unwrap());
            }
        }
        match &outcome.removal {
            Some(Removal::StatefulSet { .. }) => {
                let set = self.children.get_mut("StatefulSet").unwrap();
                set["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            }
            Some(Removal::Claims(_)) => self.claims.going = self.claims.all,
            None => {}
        }
        self.removed.extend(outcome.removal.clone());
        self.carry_out_edit(outcome.edit.as_ref());
        let bytes = serde_json::to_vec(&outcome.status).unwrap().len();
        assert!(bytes <= 1280 << 10, "a status of {bytes} bytes is not taken for long");
        self.stream.status = Some(outcome.status.clone());
        self.answers.clear();
        for ask in &outcome.asks {
            let answer = match ask.what {
                Request::Open => Answer::Opened,
                Request::Close => Answer::Closed { end: self.ends, at: self.now },
                Request::Remove => Answer::Removed,
            };
            self.answers.insert(ask.shard, answer);
        }
        self.asked.extend(outcome.asks.clone());
        self.now.0 += 1000;
        outcome
    }

    /// Looks until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..80 {
            let before = self.stream.status.clone();
            let outcome = self.reconcile();
            let is_quiet = outcome.steps.is_empty() && outcome.asks.is_empty();
            let is_quiet = is_quiet && outcome.edit.is_none();
            if self.is_gone || is_quiet && before == self.stream.status {
                return;
            }
        }
        panic!("it never settles: {}", self.condition("Progressing"));
    }

    fn carry_out_edit(&mut self, edit: Option<&SpecEdit>) {
        let Some(edit) = edit else { return };
        let written = self.stream.status.clone();
        let (count, boundaries, fields) = match edit.clone() {
            SpecEdit::Write { shard_count, shard_boundaries: None } => {
                (Some(shard_count), None, serde_json::json!({"f:shardCount": {}}))
            }
            SpecEdit::Write { shard_count, shard_boundaries } => {
                let both = serde_json::json!({"f:shardCount": {}, "f:shardBoundaries": {}});
                (Some(shard_count), Some(shard_boundaries), both)
            }
            SpecEdit::Release { shard_boundaries } => {
                (None, shard_boundaries.then_some(None), Value::Null)
            }
        };
        let is_written = count.is_some();
        self.edit(|spec| {
            spec.shard_count = count;
            if let Some(boundaries) = boundaries {
                spec.shard_boundaries = boundaries;
            }
        });
        let ours = serde_json::json!({
            "manager": names::SHARDS_MANAGER,
            "fieldsV1": {"f:spec": fields},
        });
        let ours = serde_json::from_value(ours).unwrap();
        self.stream.metadata.managed_fields = is_written.then(|| vec![ours]);
        assert_eq!(self.stream.status, written);
    }

    fn delete(&mut self) {
        self.stream.metadata.deletion_timestamp = Some(deleted());
    }

    /// What was deleted goes, as when the pods that used it have ended.
    fn collect_garbage(&mut self) {
        let is_going = |set: &Value| !set["metadata"]["deletionTimestamp"].is_null();
        if self.children.get("StatefulSet").is_some_and(is_going) {
            self.children.remove("StatefulSet");
        }
        self.claims = Claims { all: self.claims.all - self.claims.going, going: 0 };
    }

    fn edit(&mut self, edit: impl FnOnce(&mut StreamSpec)) {
        let before = self.stream.spec.shard_count;
        edit(&mut self.stream.spec);
        // Whoever writes another number has it from then on.
        if before != self.stream.spec.shard_count {
            self.stream.metadata.managed_fields = None;
        }
        *self.stream.metadata.generation.as_mut().unwrap() += 1;
    }

    fn topology(&self) -> Topology {
        Topology::of(self.stream.status.as_ref().unwrap()).unwrap().unwrap()
    }

    fn open(&self) -> usize {
        self.topology().shards.owners().len()
    }

    fn condition(&self, condition: &str) -> String {
        let conditions = &self.stream.status.as_ref().unwrap().conditions;
        let found = conditions.iter().find(|c| c.type_ == condition);
        found.map(|c| format!("{} {}: {}", c.status, c.reason, c.message)).unwrap_or_default()
    }

    fn pods(&self) -> u64 {
        self.children["StatefulSet"].pointer("/spec/replicas").unwrap().as_u64().unwrap()
    }
}

fn deleted() -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    let epoch = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(epoch)
}

fn shards(count: u32) -> StreamSpec {
    StreamSpec { shard_count: Some(count), ..StreamSpec::default() }
}

#[test]
fn what_is_made_for_the_examples_is_as_written_down() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases = 0;
    for file in std::fs::read_dir(&directory).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(case) = name.strip_suffix(".yaml").filter(|case| !case.contains('.')) else {
            continue;
        };
        cases += 1;
        let yaml = std::fs::read_to_string(&file).unwrap();
        let mut cluster = Cluster::new(StreamSpec::default());
        let Manifest::Stream(written) = parse_manifests(&yaml).unwrap().remove(0) else {
            panic!("{} is no Stream", file.display());
        };
        cluster.stream.spec = written.spec;
        cluster.stream.metadata.name = written.metadata.name;
        cluster.settle();
        let made = cluster.children.values().map(|object| serde_yaml::to_string(object).unwrap());
        let made = made.collect::<Vec<_>>().join("---\n");
        let golden = directory.join(format!("{case}.manifests.yaml"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&golden, &made).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(made, wanted, "{}: run with UPDATE_EXPECT=1", golden.display());
    }
    assert!(2 <= cases, "the cases are there");
}

#[test]
fn a_new_stream_is_served_when_its_pods_have_made_its_shards() {
    let mut cluster = Cluster::new(shards(2));
    cluster.reconcile();
    let first = cluster.reconcile();
    assert_eq!(first.steps.len(), 8, "{:?}", first.steps);
    assert_eq!(cluster.stream.status.as_ref().unwrap().phase.as_deref(), Some("CREATING"));
    cluster.settle();
    assert_eq!(cluster.stream.status.as_ref().unwrap().phase.as_deref(), Some("ACTIVE"));
    assert_eq!(cluster.open(), 2);
    let asked: Vec<_> = cluster.asked.iter().map(|ask| (ask.pod.as_str(), ask.what)).collect();
    assert_eq!(asked, [("clicks-stream-0", Request::Open); 2]);
    assert_eq!(cluster.condition("Ready"), "True Serving: 2 shards; 1 of 1 pods are ready");
    let again = cluster.reconcile();
    assert!(again.steps.is_empty() && again.asks.is_empty(), "{again:?}");
}

#[test]
fn children_are_made_before_their_parents_are_closed() {
    let mut cluster = Cluster::new(shards(4));
    cluster.settle();
    cluster.asked.clear();
    cluster.edit(|spec| spec.shard_count = Some(8));
    cluster.settle();
    assert_eq!(cluster.open(), 8);
    let what: Vec<_> = cluster.asked.iter().map(|ask| ask.what).collect();
    let first_close = what.iter().position(|what| *what == Request::Close).unwrap();
    assert!(8 <= first_close, "{what:?}");
    assert_eq!(what.iter().filter(|what| **what == Request::Close).count(), 4);
    cluster.edit(|spec| spec.shard_count = Some(3));
    cluster.settle();
    assert_eq!(cluster.open(), 3);
}

#[test]
fn an_operator_that_stops_anywhere_is_followed_by_one_that_goes_on() {
    for stop in 0..12 {
        let mut cluster = Cluster::new(shards(4));
        cluster.settle();
        cluster.edit(|spec| spec.shard_count = Some(7));
        for _ in 0..stop {
            cluster.reconcile();
        }
        // What pods answered died with it; what they did did not.
        cluster.answers.clear();
        cluster.settle();
        assert_eq!(cluster.open(), 7);
        let states = cluster.topology();
        let changing = states.shards.shards().iter();
        assert!(!changing.clone().any(|s| s.state == ShardState::Pending), "{stop}");
    }
}

#[test]
fn pods_are_added_and_removed_to_hold_the_shards() {
    let mut cluster = Cluster::new(StreamSpec { shards_per_pod: Some(2), ..shards(2) });
    cluster.settle();
    assert_eq!(cluster.pods(), 1);
    cluster.edit(|spec| spec.shard_count = Some(6));
    cluster.settle();
    assert_eq!(cluster.pods(), 3);
    assert!(most_on_a_pod(&cluster) <= 3);
    cluster.edit(|spec| spec.shard_count = Some(1));
    cluster.settle();
    assert_eq!(cluster.pods(), 3, "what can be read there keeps them");
    cluster.now.0 += 25 * 3_600_000;
    cluster.settle();
    assert_eq!((cluster.open(), cluster.pods()), (1, 1));
}

/// Open shards on the pod that has the most.
fn most_on_a_pod(cluster: &Cluster) -> usize {
    let topology = cluster.topology();
    let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
    for shard in topology.shards.owners() {
        *pods.entry(&topology.pods[&shard.id]).or_default() += 1;
    }
    pods.into_values().max().unwrap_or_default()
}

#[test]
fn a_reshard_takes_no_more_pods_than_its_shards_need() {
    for (per_pod, from, to, pods) in [(4, 4, 8, 2), (16, 16, 32, 2), (4, 8, 3, 2), (1, 3, 5, 5)] {
        let mut cluster =
            Cluster::new(StreamSpec { shards_per_pod: Some(per_pod), ..shards(from) });
        cluster.settle();
        cluster.edit(|spec| spec.shard_count = Some(to));
        cluster.settle();
        assert_eq!(cluster.pods(), pods, "{from} to {to}, {per_pod} on each");
        // Where shards are is settled wave by wave, and they stay: not always evenly.
        assert!(most_on_a_pod(&cluster) <= per_pod as usize + 1, "{from} to {to}");
    }
}

#[test]
fn what_cannot_be_changed_in_a_stateful_set_is_not() {
    let mut cluster = Cluster::new(shards(1));
    cluster.settle();
    let fixed = ["selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"];
    let read = |cluster: &Cluster| {
        fixed.map(|field| cluster.children["StatefulSet"]["spec"][field].clone())
    };
    let before = read(&cluster);
    assert!(before.iter().all(|value| !value.is_null()), "{before:?}");
    let edits: [fn(&mut StreamSpec); 6] = [
        |spec| spec.shard_count = Some(64),
        |spec| spec.retention_period_hours = Some(100),
        |spec| spec.shards_per_pod = Some(1),
        |spec| spec.mode = Some(Mode::OnDemand),
        |spec| {
            let pods = operator_api::pods::PodSettings {
                image: Some("other:1".into()),
                seccomp_profile: Some("Localhost/leat.json".into()),
                node_selector: Some([("disk".into(), "fast".into())].into()),
                ..Default::default()
            };
            spec.pods = Some(pods);
        },
        |spec| spec.tags = [("team".into(), "data".into())].into(),
    ];
    for edit in edits {
        cluster.edit(edit);
        cluster.settle();
        assert_eq!(read(&cluster), before);
    }
}

#[test]
fn selectors_match_and_every_mount_has_a_volume() {
    let mut cluster = Cluster::new(shards(1));
    cluster.settle();
    let set = &cluster.children["StatefulSet"];
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    let selectors = [
        &set["spec"]["selector"]["matchLabels"],
        &cluster.children["Service"]["spec"]["selector"],
        &cluster.children["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        &cluster.children["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ];
    for selector in selectors {
        for (name, value) in selector.as_object().unwrap() {
            assert_eq!(&labels[name], value);
        }
    }
    let pod = &set["spec"]["template"]["spec"];
    let names = |list: &Value| -> Vec<String> {
        let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(name).collect()
    };
    let mut volumes = names(&pod["volumes"]);
    volumes.extend(["data".to_owned()]);
    for mount in names(&pod["containers"][0]["volumeMounts"]) {
        assert!(volumes.contains(&mount), "{mount}");
    }
    let config = cluster.children["ConfigMap"]["data"]["node.json"].as_str().unwrap();
    node_config::NodeConfig::parse(config).unwrap();
}

#[test]
fn drift_is_mended_and_what_the_server_adds_is_not() {
    let mut cluster = Cluster::new(shards(1));
    cluster.settle();
    let set = cluster.children.get_mut("StatefulSet").unwrap();
    set["spec"]["revisionHistoryLimit"] = 10.into();
    set["metadata"]["resourceVersion"] = "7".into();
    assert!(cluster.reconcile().steps.is_empty());
    let set = cluster.children.get_mut("StatefulSet").unwrap();
    set["spec"]["template"]["spec"]["containers"][0]["image"] = "stale".into();
    cluster.children.remove("Service");
    let reasons: Vec<_> = cluster.reconcile().steps.into_iter().map(|step| step.reason).collect();
    assert_eq!(
        reasons,
        [
            "Service clicks-stream is made",
            "StatefulSet clicks-stream differs at .spec.template.spec.containers[0].image"
        ]
    );
}

#[test]
fn a_wrong_stream_says_everything_and_touches_nothing() {
    let mut cluster = Cluster::new(shards(2));
    cluster.settle();
    let before = cluster.children.clone();
    cluster.edit(|spec| {
        spec.retention_period_hours = Some(1);
        spec.replicas = Some(3);
    });
    let outcome = cluster.reconcile();
    assert!(outcome.steps.is_empty() && outcome.asks.is_empty());
    assert_eq!(cluster.children, before);
    assert_eq!(
        cluster.condition("Accepted"),
        "False Invalid: spec.retentionPeriodHours: 1 hours; set 24 to 8760; \
         spec.replicas: 3; this version keeps each record in one pod: set 1"
    );
    assert_eq!(cluster.open(), 2, "it still serves");
}

/// As long as names may be; what grows with time is as long as it can be.
fn long_cluster(count: u32) -> Cluster {
    let spec =
        StreamSpec { stream_name: Some("clicks".into()), shards_per_pod: Some(1), ..shards(count) };
    let mut cluster = Cluster::new(spec);
    cluster.stream.metadata.name = Some("x".repeat(253));
    cluster.ends = Offset(u64::MAX);
    cluster
}

#[test]
fn the_largest_stream_there_may_be_fits_its_status() {
    let mut cluster = long_cluster(2500);
    cluster.settle();
    assert_eq!(cluster.open(), 2500);
}

#[test]
fn a_reshard_that_the_status_has_no_room_for_does_not_begin() {
    let mut cluster = long_cluster(1024);
    cluster.settle();
    let check = |cluster: &mut Cluster, count: u32, want: &str| {
        let shards = cluster.topology();
        cluster.edit(|spec| spec.shard_count = Some(count));
        cluster.settle();
        assert_eq!(cluster.topology(), shards);
        let why = cluster.condition("Accepted");
        assert!(why.starts_with("False StatusFull: from "), "{why}");
        assert!(why.contains("KiB; there is room for 1280 KiB. ") && why.contains(want), "{why}");
        assert_eq!(cluster.condition("Progressing"), "False UpToDate: ");
        assert!(cluster.condition("Ready").starts_with("True Serving"));
    };
    // All shards of another width: twice as many are closed on the way as there are.
    check(&mut cluster, 1025, "It never fits: split or merge fewer at a time");
    // Each in two.
    cluster.edit(|spec| spec.shard_count = Some(2048));
    cluster.settle();
    assert_eq!(cluster.open(), 2048, "{}", cluster.condition("Accepted"));
    check(&mut cluster, 1024, "It begins when enough closed shards have expired");
    cluster.now.0 += 25 * 3_600_000;
    cluster.settle();
    assert_eq!(cluster.open(), 1024, "{}", cluster.condition("Accepted"));
    assert!(cluster.condition("Accepted").starts_with("True Valid"));
}

#[test]
fn an_on_demand_stream_that_has_no_room_stays_as_it_is() {
    let limits = |cluster: &mut Cluster, min: u32, max: u32| {
        cluster.edit(|spec| {
            spec.mode = Some(Mode::OnDemand);
            spec.shard_count = None;
            (spec.min_shards, spec.max_shards) = (Some(min), Some(max));
        });
        cluster.settle();
        cluster.open()
    };
    let mut cluster = long_cluster(1);
    assert_eq!(limits(&mut cluster, 1200, 1200), 1200);
    assert_eq!(limits(&mut cluster, 1000, 1000), 1000);
    assert_eq!(limits(&mut cluster, 2400, 2400), 1000);
    assert!(cluster.condition("Accepted").starts_with("False StatusFull"));
    assert_eq!(cluster.reconcile().weighs.len(), 1000);
    assert_eq!(limits(&mut cluster, 1000, 1010), 1000);
    assert!(cluster.condition("Accepted").starts_with("True Valid"));
}

#[test]
fn however_often_a_stream_is_resharded_what_has_begun_ends() {
    let mut cluster = long_cluster(256);
    cluster.settle();
    let mut times_full = 0;
    for count in [512, 256].into_iter().cycle().take(12) {
        cluster.edit(|spec| spec.shard_count = Some(count));
        cluster.settle();
        assert!(!cluster.topology().shards.is_changing());
        times_full += usize::from(cluster.condition("Accepted").starts_with("False StatusFull"));
    }
    assert!(0 < times_full);
}

#[test]
fn a_reshard_that_had_begun_ends_though_the_stream_is_wrong_now() {
    let mut cluster = Cluster::new(shards(2));
    cluster.settle();
    cluster.edit(|spec| spec.shard_count = Some(4));
    while !cluster.topology().shards.is_changing() {
        cluster.reconcile();
    }
    cluster.edit(|spec| spec.replicas = Some(3));
    for _ in 0..5 {
        cluster.reconcile();
    }
    assert!(!cluster.topology().shards.is_changing());
    assert_eq!(cluster.open(), 4);
    assert!(cluster.condition("Accepted").starts_with("False Invalid: spec.replicas"));
}

#[test]
fn the_number_of_shards_is_written_where_autoscalers_look_for_it() {
    let spec_of = |cluster: &Cluster| {
        let boundaries = cluster.stream.spec.shard_boundaries.clone();
        (cluster.stream.spec.shard_count, boundaries, cluster.open())
    };
    let two = || Some(vec!["0".to_owned(), "10".to_owned()]);
    let mut cluster = Cluster::new(StreamSpec::default());
    cluster.settle();
    assert_eq!(spec_of(&cluster), (Some(1), None, 1));
    // By somebody who does not care about the number.
    cluster.edit(|spec| spec.shard_boundaries = two());
    cluster.settle();
    assert_eq!(spec_of(&cluster), (Some(2), two(), 2));
    let three = || Some(vec!["0".to_owned(), "10".to_owned(), "20".to_owned()]);
    cluster.edit(|spec| spec.shard_boundaries = three());
    let shards = cluster.topology().shards.next_id();
    cluster.settle();
    assert_eq!(spec_of(&cluster), (Some(3), three(), 3));
    assert_eq!(cluster.topology().shards.next_id(), shards + 2, "one split, and no way round");
    // A scaler's number is its own.
    cluster.edit(|spec| spec.shard_count = Some(4));
    cluster.settle();
    assert_eq!(spec_of(&cluster), (Some(4), three(), 4));
}

#[test]
fn a_number_that_the_operator_wrote_gives_way_to_the_load_and_leaves_shards_as_they_are() {
    let mut cluster = Cluster::new(StreamSpec::default());
    cluster.settle();
    cluster.edit(|spec| (spec.mode, spec.min_shards) = (Some(Mode::OnDemand), Some(3)));
    cluster.settle();
    assert_eq!((cluster.stream.spec.shard_count, cluster.open()), (None, 3));
    let shards = cluster.topology();
    cluster.edit(|spec| (spec.mode, spec.min_shards) = (None, None));
    cluster.settle();
    assert_eq!(cluster.topology(), shards);
    assert_eq!(cluster.stream.spec.shard_count, Some(3));
    let boundaries = cluster.stream.spec.shard_boundaries.as_ref().unwrap();
    assert_eq!(boundaries.len(), 3, "halves and quarters");
    cluster.edit(|spec| spec.mode = Some(Mode::OnDemand));
    cluster.settle();
    assert_eq!(
        (cluster.stream.spec.shard_count, &cluster.stream.spec.shard_boundaries),
        (None, &None)
    );
    // One that somebody else wrote as well is not the operator's to take back.
    let mut cluster = Cluster::new(StreamSpec::default());
    cluster.settle();
    let theirs = serde_json::json!({
        "manager": "their-tool",
        "fieldsV1": {"f:spec": {"f:shardCount": {}}},
    });
    let managed = cluster.stream.metadata.managed_fields.as_mut().unwrap();
    managed.push(serde_json::from_value(theirs).unwrap());
    cluster.edit(|spec| (spec.mode, spec.min_shards) = (Some(Mode::OnDemand), Some(3)));
    cluster.settle();
    assert_eq!(cluster.stream.spec.shard_count, Some(1));
    // One that somebody wrote stays, whoever decides.
    let mut cluster = Cluster::new(shards_on_demand(7));
    cluster.settle();
    assert_eq!((cluster.stream.spec.shard_count, cluster.open()), (Some(7), 4));
}

fn shards_on_demand(count: u32) -> StreamSpec {
    StreamSpec { mode: Some(Mode::OnDemand), ..shards(count) }
}

#[test]
fn of_two_streams_with_one_name_the_older_has_it() {
    let mut cluster = Cluster::new(shards(1));
    cluster.namesake = Some("first".into());
    cluster.reconcile();
    let why = cluster.condition("Accepted");
    assert!(why.contains("Stream first has the name clicks"), "{why}");
    assert!(cluster.children.is_empty());
    cluster.namesake = None;
    cluster.reconcile();
    cluster.settle();
    assert_eq!(cluster.open(), 1);
}

#[test]
fn what_is_taken_out_of_a_spec_is_taken_out_of_what_runs() {
    let pods = |disk: Option<&str>| operator_api::pods::PodSettings {
        node_selector: disk.map(|disk| [("disk".to_owned(), disk.to_owned())].into()),
        ..Default::default()
    };
    let mut cluster = Cluster::new(StreamSpec { pods: Some(pods(Some("nvme"))), ..shards(1) });
    cluster.settle();
    cluster.edit(|spec| spec.pods = Some(pods(None)));
    let reasons: Vec<_> = cluster.reconcile().steps.into_iter().map(|step| step.reason).collect();
    assert_eq!(
        reasons,
        ["StatefulSet clicks-stream differs at .metadata.annotations.leat.dev/applied"]
    );
}

#[test]
fn pods_that_start_are_not_asked_before_they_are_ready() {
    let mut cluster = Cluster::new(shards(2));
    cluster.away = ["clicks-stream-0".to_owned()].into();
    // The finalizer, then the topology and what is made.
    for _ in 0..5 {
        cluster.reconcile();
        cluster.now.0 += 60_000;
    }
    assert_eq!(cluster.asked, [], "however long it takes");
    assert_eq!(cluster.condition("Ready"), "False PodsNotReady: 0 of 1 pods are ready");
    let why = cluster.condition("Progressing");
    assert_eq!(why, "True Resharding: 0 open shards, 2 wanted; not ready: clicks-stream-0");
    cluster.away.clear();
    cluster.settle();
    assert_eq!(cluster.asked.len(), 2);
}

#[test]
fn a_scale_up_waits_for_its_pods_whatever_else_was_degraded_before() {
    let mut cluster = Cluster::new(StreamSpec { shards_per_pod: Some(2), ..shards(2) });
    cluster.io_uring_refused = vec!["clicks-stream-0".to_owned()];
    cluster.settle();
    assert!(cluster.condition("Degraded").starts_with("True IoUringRefused"));
    cluster.now.0 += 3_600_000;
    cluster.asked.clear();
    cluster.away = ["clicks-stream-1".to_owned()].into();
    cluster.edit(|spec| spec.shard_count = Some(4));
    for _ in 0..5 {
        cluster.reconcile();
    }
    assert_eq!(cluster.asked, []);
    cluster.away.clear();
    cluster.settle();
    assert_eq!(cluster.open(), 4);
}

#[test]
fn a_stream_is_ready_when_all_pods_that_take_its_records_are() {
    let mut cluster = Cluster::new(StreamSpec { shards_per_pod: Some(2), ..shards(4) });
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "True Serving: 4 shards; 2 of 2 pods are ready");
    cluster.away = ["clicks-stream-1".to_owned()].into();
    cluster.reconcile();
    assert_eq!(cluster.condition("Ready"), "False PodsNotReady: 1 of 2 pods are ready");
    assert_eq!(cluster.condition("Degraded"), "True PodsMissing: 1 of 2 pods are ready");
    // Pods that are added hold nothing yet.
    cluster.away = ["clicks-stream-2".to_owned(), "clicks-stream-3".to_owned()].into();
    cluster.edit(|spec| spec.shard_count = Some(8));
    for _ in 0..5 {
        cluster.reconcile();
        assert_eq!(cluster.condition("Ready"), "True Serving: 4 shards; 2 of 2 pods are ready");
        assert_eq!(cluster.condition("Degraded"), "False Healthy: ");
    }
    assert_eq!(cluster.pods(), 4);
    cluster.away.clear();
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "True Serving: 8 shards; 4 of 4 pods are ready");
    // Closed shards can be read, so their pods are missed, but not for new records.
    cluster.edit(|spec| spec.shard_count = Some(1));
    cluster.settle();
    let topology = cluster.topology();
    let open: Vec<&String> =
        topology.shards.owners().map(|shard| &topology.pods[&shard.id]).collect();
    let other = topology.pods.values().find(|pod| !open.contains(pod)).unwrap();
    cluster.away = [other.clone()].into();
    cluster.reconcile();
    assert_eq!(cluster.condition("Ready"), "True Serving: 1 shards; 1 of 1 pods are ready");
    assert_eq!(cluster.condition("Degraded"), "True PodsMissing: 3 of 4 pods are ready");
}

#[test]
fn of_a_pool_the_pods_that_hold_a_streams_own_shards_count() {
    let spec = StreamSpec { pool: Some("small".into()), ..shards(1) };
    let mut cluster = Cluster::new(spec.clone());
    let mut other = Cluster::new(StreamSpec { shard_count: Some(150), ..spec });
    other.stream.metadata.name = Some("other".into());
    other.stream.metadata.uid = Some("uid-2".into());
    other.settle();
    cluster.neighbours = vec![other.stream.clone()];
    cluster.settle();
    let pod = cluster.topology().pods.into_values().next().unwrap();
    cluster.away = ["small-pool-0".to_owned(), "small-pool-1".to_owned()].into();
    assert_eq!(cluster.pods(), 2);
    assert!(cluster.away.remove(&pod));
    cluster.reconcile();
    assert_eq!(cluster.condition("Ready"), "True Serving: 1 shards; 1 of 1 pods are ready");
    cluster.away = [pod].into();
    cluster.reconcile();
    assert_eq!(cluster.condition("Ready"), "False PodsNotReady: 0 of 1 pods are ready");
}

#[test]
fn no_shard_is_closed_while_the_pod_of_a_child_is_away() {
    let mut cluster = Cluster::new(StreamSpec { shards_per_pod: Some(2), ..shards(2) });
    cluster.settle();
    cluster.asked.clear();
    cluster.edit(|spec| spec.shard_count = Some(4));
    while cluster.asked.is_empty() {
        cluster.reconcile();
    }
    assert!(cluster.asked.iter().all(|ask| ask.what == Request::Open));
    cluster.away = ["clicks-stream-1".to_owned()].into();
    for _ in 0..3 {
        cluster.reconcile();
    }
    assert!(cluster.asked.iter().all(|ask| ask.what == Request::Open));
    cluster.away.clear();
    cluster.settle();
    assert_eq!(cluster.open(), 4);
}

#[test]
fn volumes_go_with_their_stream_unless_they_are_retained() {
    let set = Removal::StatefulSet { name: "clicks-stream".into(), uid: Some("set-1".into()) };
    let claims = Removal::Claims("clicks-stream".into());
    for (policy, want) in
        [(None, vec![set.clone(), claims]), (Some(operator_api::DeletionPolicy::Retain), vec![set])]
    {
        let storage = Storage { deletion_policy: policy, ..Storage::default() };
        let mut cluster = Cluster::new(StreamSpec { storage: Some(storage), ..shards(1) });
        cluster.settle();
        let retention =
            &cluster.children["StatefulSet"]["spec"]["persistentVolumeClaimRetentionPolicy"];
        assert_eq!(retention["whenDeleted"], "Retain", "a set that is deleted by mistake");
        cluster.delete();
        for removal in &want {
            cluster.reconcile();
            assert_eq!(cluster.removed.last(), Some(removal));
            // Nothing is done twice, and nothing else before it is gone.
            for _ in 0..3 {
                assert_eq!(cluster.reconcile().removal, None);
                assert!(!cluster.is_gone);
                let ready = cluster.condition("Ready");
                assert!(ready.starts_with("False Deleting: waits for "), "{ready}");
            }
            cluster.collect_garbage();
        }
        cluster.reconcile();
        assert!(cluster.is_gone);
        assert_eq!(cluster.removed, want);
    }
}

#[test]
fn a_stream_of_which_nothing_was_made_goes_at_once() {
    let mut cluster = Cluster::new(shards(1));
    cluster.delete();
    cluster.reconcile();
    assert!(cluster.is_gone && cluster.removed.is_empty());
}

#[test]
fn a_new_stream_waits_until_pods_and_volumes_of_its_name_are_gone() {
    let mut cluster = Cluster::new(shards(1));
    cluster.settle();
    cluster.delete();
    cluster.reconcile();
    // Somebody took the finalizer away, and made the stream again at once.
    let mut new = Cluster::new(shards(1));
    new.stream.metadata.uid = Some("uid-2".into());
    new.children = cluster.children.clone();
    new.claims = Claims { all: 1, going: 1 };
    let former = new.children["StatefulSet"].clone();
    let waits = |new: &mut Cluster, what: &str| {
        for _ in 0..4 {
            new.reconcile();
        }
        let ready = new.condition("Ready");
        assert_eq!(ready, format!("False FormerPods: waits for {what} to go"));
        assert_eq!(new.asked, [], "its pods are another's");
    };
    waits(&mut new, "StatefulSet clicks-stream and its pods");
    assert_eq!(new.children["StatefulSet"], former);
    new.children.remove("StatefulSet");
    waits(&mut new, "1 volume claims of clicks-stream");
    assert!(!new.children.contains_key("StatefulSet"));
    new.claims = Claims::default();
    new.settle();
    assert_eq!(new.condition("Ready"), "True Serving: 1 shards; 1 of 1 pods are ready");
}

#[test]
fn volumes_that_go_after_a_scale_down_hold_nothing_up() {
    let mut cluster = Cluster::new(shards(1));
    cluster.settle();
    cluster.claims = Claims { all: 3, going: 2 };
    cluster.reconcile();
    assert_eq!(cluster.condition("Ready"), "True Serving: 1 shards; 1 of 1 pods are ready");
}

#[test]
fn a_pool_that_somebody_joins_while_it_goes_is_made_again() {
    let spec = StreamSpec { pool: Some("small".into()), ..shards(1) };
    let mut last = Cluster::new(spec.clone());
    last.settle();
    last.delete();
    last.reconcile();
    let set = Removal::StatefulSet { name: "small-pool".into(), uid: Some("set-1".into()) };
    assert_eq!(last.removed, [set]);
    let mut new = Cluster::new(spec);
    new.stream.metadata.uid = Some("uid-2".into());
    (new.children, new.claims) = (last.children.clone(), last.claims);
    last.neighbours = vec![new.stream.clone()];
    last.asked.clear();
    for cluster in [&mut last, &mut new] {
        (0..3).for_each(|_| drop(cluster.reconcile()));
        assert_eq!(cluster.asked, []);
        cluster.collect_garbage();
    }
    // The volumes are the new one's now; it removes logs that are nobody's.
    last.reconcile();
    assert!(last.is_gone && last.removed.len() == 1, "{:?}", last.removed);
    new.settle();
    assert_eq!(new.open(), 1);
}

/// Specs as people write them, most of them right.
fn any_spec() -> impl Strategy<Value = StreamSpec> {
    let pods =
        (any::<bool>(), any::<bool>()).prop_map(|(image, disk)| operator_api::pods::PodSettings {
            image: image.then(|| "other:1".to_owned()),
            node_selector: disk.then(|| [("disk".to_owned(), "fast".to_owned())].into()),
            ..Default::default()
        });
    let storage =
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(retain, class, size)| Storage {
            deletion_policy: retain.then_some(operator_api::DeletionPolicy::Retain),
            class_name: class.then(|| "fast".to_owned()),
            size: size.then(|| "30Gi".to_owned()),
            ..Storage::default()
        });
    (
        of(1u32..40),
        of(1u32..9),
        of(24u32..100),
        any::<bool>(),
        of(pods),
        of(storage),
        of("[a-z]{1,3}=[a-z]{1,3}"),
    )
        .prop_map(|(shard_count, shards_per_pod, hours, on_demand, pods, storage, tag)| {
            StreamSpec {
                shard_count,
                shards_per_pod,
                retention_period_hours: hours,
                mode: on_demand.then_some(Mode::OnDemand),
                pods,
                storage,
                tags: tag.into_iter().map(|tag| (tag.clone(), tag)).collect(),
                ..StreamSpec::default()
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_edited_a_second_look_writes_nothing_and_fixed_fields_stay(
        name in "[a-z0-9]([-a-z0-9.]{0,80}[a-z0-9])?",
        first in any_spec(),
        edits in proptest::collection::vec(any_spec(), 1..4),
    ) {
        let mut cluster = Cluster::new(first.clone());
        cluster.stream.metadata.name = Some(name.clone());
        cluster.settle();
        let fixed = |cluster: &Cluster| {
            ["selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"]
                .map(|field| cluster.children["StatefulSet"]["spec"][field].clone())
        };
        let before = fixed(&cluster);
        let mut names = cluster.children.values().map(|child| child["metadata"]["name"].as_str());
        let set = names.next().unwrap().unwrap();
        prop_assert!(names.all(|name| name == Some(set)));
        // A Service's name, the strictest; with the hash that pods get behind it, a label's value.
        prop_assert!(set.len() <= 52 && set.starts_with(|c: char| c.is_ascii_lowercase()), "{}", set);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        prop_assert!(set.chars().all(is_plain) && !set.ends_with('-'), "{}", set);
        for edit in edits {
            // What the API server lets nobody change.
            let storage = edit.storage.clone().map(|storage| Storage {
                class_name: first.storage.as_ref().and_then(|s| s.class_name.clone()),
                size: first.storage.as_ref().and_then(|s| s.size.clone()),
                ..storage
            });
            let is_same = |of: fn(&Storage) -> &Option<String>| {
                first.storage.as_ref().and_then(|s| of(s).as_ref())
                    == storage.as_ref().and_then(|s| of(s).as_ref())
            };
            let is_kept = is_same(|s| &s.class_name) && is_same(|s| &s.size);
            let storage = if is_kept { storage } else { first.storage.clone() };
            cluster.edit(|spec| *spec = StreamSpec { storage, ..edit });
            cluster.settle();
            prop_assert_eq!(&fixed(&cluster), &before);
            let again = cluster.reconcile();
            prop_assert!(again.steps.is_empty() && again.asks.is_empty() && again.edit.is_none());
        }
    }
}

/// Streams of one pool, looked at one after the other.
struct Pool(Vec<Cluster>);

impl Pool {
    fn new(counts: &[u32]) -> Pool {
        let member = |(number, count): (usize, &u32)| {
            let mut member =
                Cluster::new(StreamSpec { pool: Some("small".into()), ..shards(*count) });
            member.stream.metadata.name = Some(format!("s{number}"));
            member.stream.metadata.uid = Some(format!("uid-{number}"));
            member
        };
        Pool(counts.iter().enumerate().map(member).collect())
    }

    /// How many pods there are after each look, until nothing is left to do.
    fn settle(&mut self) -> Vec<u64> {
        let mut pods = Vec::new();
        for _ in 0..60 {
            let mut is_quiet = true;
            for at in 0..self.0.len() {
                let others = self.0.iter().enumerate().filter(|(other, _)| *other != at);
                let neighbours = others.map(|(_, other)| other.stream.clone()).collect();
                let member = &mut self.0[at];
                member.neighbours = neighbours;
                let before = member.stream.clone();
                let outcome = member.reconcile();
                is_quiet &= outcome.steps.is_empty() && outcome.asks.is_empty();
                is_quiet &= before == member.stream;
                let children = member.children.clone();
                if children.contains_key("StatefulSet") {
                    pods.push(member.pods());
                }
                self.0.iter_mut().for_each(|other| other.children = children.clone());
            }
            if is_quiet {
                return pods;
            }
        }
        panic!("it never settles: {pods:?}");
    }
}

fn check_pool(counts: &[u32], edits: &[(usize, u32)]) {
    let mut pool = Pool::new(counts);
    let made = pool.settle();
    assert!(made.is_sorted(), "{made:?}");
    for (at, count) in edits {
        let member = at % pool.0.len();
        pool.0[member].edit(|spec| spec.shard_count = Some(*count));
        let pods = pool.settle();
        let shrinks = pods.iter().rev().is_sorted();
        assert!(pods.is_sorted() || shrinks, "{member} to {count}: {pods:?}");
    }
}

#[test]
fn a_pool_does_not_shrink_and_grow_while_a_stream_in_it_is_resharded() {
    // In the middle of it the first has more open shards than before and after, together too many for
    // two pods.
    check_pool(&[40, 84], &[(0, 78)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn whatever_is_resharded_in_a_pool_it_only_shrinks_or_only_grows(
        counts in proptest::collection::vec(1u32..150, 2..4),
        edits in proptest::collection::vec((0usize..3, 1u32..150), 1..4),
    ) {
        check_pool(&counts, &edits);
    }
}

#[test]
fn a_stream_of_a_pool_goes_when_its_logs_are_gone() {
    let mut neighbour = Stream::new("other", StreamSpec::default());
    neighbour.metadata.uid = Some("uid-2".into());
    let spec = StreamSpec { pool: Some("small".into()), ..shards(2) };
    let mut cluster = Cluster::new(spec);
    cluster.neighbours = vec![neighbour];
    cluster.settle();
    let owners = &cluster.children["StatefulSet"]["metadata"]["ownerReferences"];
    assert_eq!(owners.as_array().unwrap().len(), 2, "{owners}");
    cluster.asked.clear();
    cluster.delete();
    cluster.reconcile();
    assert!(!cluster.is_gone);
    let ready = cluster.condition("Ready");
    assert_eq!(ready, "False Deleting: waits for the logs of 2 shards to go");
    cluster.reconcile();
    assert!(cluster.is_gone);
    assert_eq!(cluster.removed, []);
    assert_eq!(cluster.asked.iter().filter(|ask| ask.what == Request::Remove).count(), 2);
}

#[test]
fn streams_of_a_pool_that_all_go_do_not_wait_for_pods() {
    let mut neighbour = Stream::new("other", StreamSpec::default());
    neighbour.metadata.uid = Some("uid-2".into());
    let spec = StreamSpec { pool: Some("small".into()), ..shards(2) };
    let mut cluster = Cluster::new(spec);
    cluster.neighbours = vec![neighbour];
    cluster.settle();
    cluster.asked.clear();
    cluster.delete();
    cluster.neighbours[0].metadata.deletion_timestamp = Some(deleted());
    for _ in 0..3 {
        cluster.reconcile();
        cluster.collect_garbage();
    }
    assert!(cluster.is_gone && cluster.asked.is_empty());
}

#[test]
fn a_stream_on_demand_goes_where_the_load_asks() {
    let spec = StreamSpec { mode: Some(Mode::OnDemand), ..StreamSpec::default() };
    let mut cluster = Cluster::new(spec);
    cluster.settle();
    assert_eq!(cluster.open(), 4);
    // All of the load is on two keys of the first shard.
    let hot =
        ShardLoad { bytes_per_second: 900_000, median: Some(HashKey(10)), ..ShardLoad::default() };
    cluster.loads = [(ShardId(0), hot)].into();
    cluster.settle();
    let starting = |cluster: &Cluster| -> Vec<u128> {
        cluster.topology().shards.owners().map(|shard| shard.range.starting().0).collect()
    };
    let quarter = 1 << 126;
    assert_eq!(starting(&cluster), [0, 10, quarter, 2 * quarter, 3 * quarter]);
    cluster.loads.clear();
    cluster.settle();
    assert_eq!(cluster.open(), 5, "silence changes nothing");
    let quiet = ShardLoad { is_settled: true, ..ShardLoad::default() };
    let open: Vec<ShardId> = cluster.topology().shards.owners().map(|shard| shard.id).collect();
    cluster.loads = open.iter().map(|shard| (*shard, quiet)).collect();
    cluster.settle();
    assert_eq!(starting(&cluster), [0, quarter, 3 * quarter]);
    // The limits hold whatever the load is.
    cluster.loads.clear();
    cluster.edit(|spec| spec.max_shards = Some(2));
    cluster.settle();
    assert_eq!(cluster.open(), 2);
    cluster.edit(|spec| (spec.min_shards, spec.max_shards) = (Some(6), Some(9)));
    cluster.settle();
    assert_eq!(cluster.open(), 6);
    let weighed = cluster.reconcile().weighs;
    assert_eq!(weighed.len(), 6, "{weighed:?}");
    assert!(Cluster::new(shards(2)).reconcile().weighs.is_empty());
}
