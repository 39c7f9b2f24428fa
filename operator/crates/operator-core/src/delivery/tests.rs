use operator_api::StreamStatus;

use super::*;
use crate::{Manifest, parse_manifests};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

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

fn stream(name: &str, spec: &str) -> DeliveryStream {
    let yaml = format!(
        "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: {name}, namespace: shop, uid: uid-of-{name}}}\nspec: {spec}"
    );
    match parse_manifests(&yaml).unwrap().remove(0) {
        Manifest::DeliveryStream(stream) => *stream,
        other => panic!("{other:?}"),
    }
}

fn to_lake(more: &str) -> DeliveryStream {
    stream("to-lake", &format!("{{destination: {{s3: {{bucket: lake}}}}, {more}}}"))
}

fn alone(stream: &DeliveryStream) -> DeliveryObserved {
    DeliveryObserved { members: vec![stream.clone()], ..DeliveryObserved::default() }
}

/// Whatever is decided is there afterwards, and pods are ready.
fn settle(stream: &mut DeliveryStream, observed: &mut DeliveryObserved) -> Vec<String> {
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let decided = decide_delivery(stream, &settings(), observed, NOW);
        stream.status = Some(decided.status);
        for step in decided.steps {
            kinds.push(step.kind.to_owned());
            if step.kind == "Stream" {
                let mut source: Stream = serde_json::from_value(step.object).unwrap();
                let phase = Some("ACTIVE".to_owned());
                source.status = Some(StreamStatus { phase, ..StreamStatus::default() });
                observed.source = Some(source);
            } else {
                let mut object = step.object;
                object["status"]["readyReplicas"] = object["spec"]["replicas"].clone();
                observed.children.insert(step.kind, object);
            }
        }
    }
    kinds
}

fn condition(stream: &DeliveryStream, type_: &str) -> String {
    let told = delivery_conditions(stream).iter().find(|told| told.type_ == type_).unwrap();
    format!("{} {} {}", told.status, told.reason, told.message)
}

#[test]
fn what_is_made_is_made_once_and_then_it_delivers() {
    let mut stream = to_lake("source: {directPut: {shardCount: 2}}, encryption: {keyId: alias/a}");
    let mut observed = alone(&stream);
    let kinds = settle(&mut stream, &mut observed);
    assert_eq!(
        kinds.join(" "),
        "Stream ServiceAccount Role RoleBinding ConfigMap Service NetworkPolicy PodDisruptionBudget StatefulSet"
    );
    let source = observed.source.as_ref().unwrap();
    assert_eq!(source.metadata.name.as_deref(), Some("to-lake-delivery"));
    assert_eq!(source.spec.shard_count, Some(2));
    assert_eq!(source.spec.encryption.as_ref().unwrap().key_id, "alias/a");
    assert_eq!(condition(&stream, "Ready"), "True Delivering 1 of 1 pods are ready");
    assert_eq!(condition(&stream, "Progressing"), "False UpToDate ");
    let status = stream.status.as_ref().unwrap();
    assert_eq!(
        (status.phase.as_deref(), status.destination.as_deref()),
        (Some("ACTIVE"), Some("s3"))
    );
    assert_eq!(status_patch(&stream, status), None, "a second look writes nothing");
}

#[test]
fn pods_are_scaled_and_what_those_told_that_are_gone_is_forgotten() {
    let mut stream = to_lake("replicas: 3");
    let mut observed = alone(&stream);
    settle(&mut stream, &mut observed);
    assert_eq!(observed.children["StatefulSet"]["spec"]["replicas"], 3);
    let pod = |pod: &str, error: Option<&str>| DeliveryPod {
        pod: pod.to_owned(),
        last_error: error.map(str::to_owned),
        ..DeliveryPod::default()
    };
    let told =
        vec![pod("to-lake-delivery-0", None), pod("to-lake-delivery-2", Some("AccessDenied"))];
    stream.status.as_mut().unwrap().pods = told;
    let decided = decide_delivery(&stream, &settings(), &observed, NOW);
    assert!(status_patch(&stream, &decided.status).unwrap()["status"].get("pods").is_none());
    stream.status = Some(decided.status);
    let degraded = condition(&stream, "Degraded");
    assert_eq!(degraded, "True DestinationFails to-lake-delivery-2: AccessDenied");

    stream.spec.replicas = Some(1);
    observed.members = vec![stream.clone()];
    let decided = decide_delivery(&stream, &settings(), &observed, NOW);
    let patch = status_patch(&stream, &decided.status).unwrap();
    assert_eq!(patch["status"]["pods"].as_array().unwrap().len(), 1);
    assert_eq!(decided.steps.len(), 1, "the StatefulSet");
    assert_eq!(
        decided.status.destination_version,
        Some(1),
        "how many pods there are is no other version"
    );
}

#[test]
fn a_version_is_told_before_the_operator_has_seen_it() {
    let mut stream = to_lake("replicas: 1");
    assert_eq!(destination_version(&stream), 1);
    let mut observed = alone(&stream);
    settle(&mut stream, &mut observed);
    assert_eq!(destination_version(&stream), 1);
    stream.spec.destination.s3.as_mut().unwrap().prefix = Some("other/".to_owned());
    assert_eq!(destination_version(&stream), 2);
    settle(&mut stream, &mut observed);
    assert_eq!(destination_version(&stream), 2);
    assert!(stream.status.unwrap().destination_changed.is_some());
}

#[test]
fn what_is_read_has_to_be_there() {
    let mut stream = to_lake("source: {stream: {name: clicks}}");
    let mut observed = alone(&stream);
    settle(&mut stream, &mut observed);
    assert_eq!(observed.source, None, "somebody else's Stream is not made");
    assert_eq!(condition(&stream, "Ready"), "False SourceNotReady Stream clicks does not exist");
    assert_eq!(stream.status.as_ref().unwrap().phase.as_deref(), Some("ACTIVE"));
}

#[test]
fn a_stream_of_somebody_else_is_left_alone() {
    let stream = to_lake("replicas: 1");
    let foreign = Stream::new("to-lake-delivery", Default::default());
    let observed = DeliveryObserved { source: Some(foreign), ..alone(&stream) };
    let decided = decide_delivery(&stream, &settings(), &observed, NOW);
    assert_eq!(decided.steps, []);
    let told = &decided.status.conditions[0];
    assert!(told.status == "False" && told.message.starts_with("Stream to-lake-delivery,"));
}

#[test]
fn objects_of_somebody_else_are_left_alone() {
    let mut stream = to_lake("replicas: 1");
    let mut observed = alone(&stream);
    settle(&mut stream, &mut observed);
    for (kind, name) in [("StatefulSet", "to-lake-delivery"), ("Secret", "to-lake-delivery-node")] {
        let foreign = json!({"metadata": {"name": name, "labels": {"app": "other"}}, "spec": {"replicas": 9}});
        let mut observed = observed.clone();
        observed.children.insert(kind, foreign);
        let decided = decide_delivery(&stream, &settings(), &observed, NOW);
        assert_eq!((decided.steps, decided.owners), (vec![], vec![]));
        let told = &decided.status.conditions[0];
        assert!(told.status == "False" && told.message.starts_with(&format!("{kind} {name},")));
    }
    // Labels that somebody took away come back.
    let labels = &mut observed.children.get_mut("StatefulSet").unwrap()["metadata"]["labels"];
    labels.as_object_mut().unwrap().clear();
    let decided = decide_delivery(&stream, &settings(), &observed, NOW);
    assert_eq!(decided.steps.len(), 1);
}

#[test]
fn a_wrong_spec_touches_nothing_and_says_why() {
    let mut stream = to_lake("replicas: 1");
    let mut observed = alone(&stream);
    settle(&mut stream, &mut observed);
    stream.spec.destination.s3.as_mut().unwrap().bucket = String::new();
    let decided = decide_delivery(&stream, &settings(), &observed, NOW);
    assert_eq!(decided.steps, []);
    stream.status = Some(decided.status);
    assert!(condition(&stream, "Accepted").starts_with("False Invalid spec.destination.s3.bucket"));
    assert!(condition(&stream, "Ready").starts_with("True"), "what runs goes on");
}

#[test]
fn pods_of_a_pool_are_shared_and_see_the_secrets_of_all() {
    let secret = |name: &str| {
        format!(
            "{{pool: small, replicas: 2, backup: {{s3: {{bucket: lake}}}}, destination: {{splunk: {{hecEndpoint: 'https://h:1', hecTokenRef: {{name: {name}, key: token}}}}}}}}"
        )
    };
    let (one, mut two) = (stream("one", &secret("a")), stream("two", &secret("b")));
    two.spec.replicas = None;
    let members = delivery_members(&one, [one.clone(), two.clone(), to_lake("replicas: 9")].iter());
    assert_eq!(members.len(), 2);
    let of = |stream: &DeliveryStream| {
        let observed = DeliveryObserved { members: members.clone(), ..DeliveryObserved::default() };
        let mut steps = decide_delivery(stream, &settings(), &observed, NOW).steps;
        steps.remove(0);
        steps
    };
    assert_eq!(of(&one), of(&two), "whoever of them is looked at");
    let role = of(&one).into_iter().find(|step| step.kind == "Role").unwrap().object;
    assert_eq!(role["rules"][2]["resourceNames"], json!(["a", "b"]));
    let set = of(&one).pop().unwrap().object;
    assert_eq!(
        (&set["metadata"]["name"], &set["spec"]["replicas"]),
        (&json!("small-dpool"), &json!(2))
    );
    assert!(set["spec"].get("volumeClaimTemplates").is_none());
}

#[test]
fn of_two_with_one_name_in_the_aws_api_the_older_has_it() {
    let spec = "{deliveryStreamName: to-lake, destination: {s3: {bucket: lake}}}";
    let (older, younger) = (to_lake("tags: {}"), stream("two", spec));
    let all = [older.clone(), younger.clone()];
    assert_eq!(delivery_namesake(&older, all.iter()), None);
    let namesake = delivery_namesake(&younger, all.iter());
    assert_eq!(namesake.as_deref(), Some("to-lake"));
    let observed = DeliveryObserved { namesake, ..alone(&younger) };
    let decided = decide_delivery(&younger, &settings(), &observed, NOW);
    assert!(decided.steps.is_empty() && decided.status.conditions[0].status == "False");
}
