//! Deciding, against a cluster of values: what is applied is there, pods answer what they are asked.
//!
//! `golden/NAME.yaml` is a stream; `golden/NAME.manifests.yaml` is everything that is made for it.
//! `UPDATE_EXPECT=1` writes the latter anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;

use model::{HashKey, Offset, ShardId, ShardLoad, ShardState, UnixMillis};
use operator_api::{Mode, Stream, StreamSpec};
use operator_core::manifests::Settings;
use operator_core::{
    Answer, Ask, Finalizer, Manifest, Observed, Outcome, Request, Topology, decide, names,
    parse_manifests,
};
use serde_json::Value;

fn settings() -> Settings {
    Settings {
        image: "leat:test".into(),
        image_pull_policy: "IfNotPresent".into(),
        namespace: "leat-system".into(),
        pool_shards_per_pod: 100,
        pool_volume_size: "20Gi".into(),
    }
}

/// A stream, and what has been made for it.
struct Cluster {
    stream: Stream,
    children: BTreeMap<&'static str, Value>,
    answers: BTreeMap<ShardId, Answer>,
    neighbours: Vec<Stream>,
    loads: BTreeMap<ShardId, ShardLoad>,
    now: UnixMillis,
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
            loads: BTreeMap::new(),
            now: UnixMillis(1_700_000_000_000),
            asked: Vec::new(),
            is_gone: false,
        }
    }

    fn observed(&self) -> Observed {
        let replicas = self.children.get("StatefulSet").and_then(|set| {
            let replicas = set.pointer("/spec/replicas")?.as_u64()?;
            u32::try_from(replicas).ok()
        });
        Observed {
            children: self.children.clone(),
            pods_ready: replicas.unwrap_or_default(),
            is_rolled_out: true,
            neighbours: self.neighbours.clone(),
            answers: self.answers.clone(),
            loads: self.loads.clone(),
            io_uring_refused: Vec::new(),
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
        }
        self.stream.status = Some(outcome.status.clone());
        self.answers.clear();
        for ask in &outcome.asks {
            let answer = match ask.what {
                Request::Open => Answer::Opened,
                Request::Close => Answer::Closed { end: Offset(7), at: self.now },
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
        for _ in 0..40 {
            let before = self.stream.status.clone();
            let outcome = self.reconcile();
            let is_quiet = outcome.steps.is_empty() && outcome.asks.is_empty();
            if self.is_gone || is_quiet && before == self.stream.status {
                return;
            }
        }
        panic!("it never settles: {}", self.condition("Progressing"));
    }

    fn edit(&mut self, edit: impl FnOnce(&mut StreamSpec)) {
        edit(&mut self.stream.spec);
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
    assert!(3 <= cluster.pods(), "{}", cluster.pods());
    let many = cluster.pods();
    cluster.edit(|spec| spec.shard_count = Some(1));
    cluster.settle();
    assert_eq!(cluster.pods(), many, "what can be read there keeps them");
    cluster.now.0 += 25 * 3_600_000;
    cluster.settle();
    let open = cluster.topology().pods.into_values().collect::<Vec<_>>();
    let last = names::ordinal("clicks-stream", &open[0]).unwrap();
    assert_eq!((open.len(), cluster.pods()), (1, u64::from(last) + 1));
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
    let epoch = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    cluster.stream.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(epoch));
    cluster.reconcile();
    assert!(!cluster.is_gone);
    cluster.reconcile();
    assert!(cluster.is_gone);
    assert_eq!(cluster.asked.iter().filter(|ask| ask.what == Request::Remove).count(), 2);
}

#[test]
fn streams_of_a_pool_that_all_go_do_not_wait_for_pods() {
    let epoch = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    let deleted = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(epoch));
    let mut neighbour = Stream::new("other", StreamSpec::default());
    neighbour.metadata.uid = Some("uid-2".into());
    let spec = StreamSpec { pool: Some("small".into()), ..shards(2) };
    let mut cluster = Cluster::new(spec);
    cluster.neighbours = vec![neighbour];
    cluster.settle();
    cluster.asked.clear();
    cluster.stream.metadata.deletion_timestamp = deleted.clone();
    cluster.neighbours[0].metadata.deletion_timestamp = deleted;
    cluster.reconcile();
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
