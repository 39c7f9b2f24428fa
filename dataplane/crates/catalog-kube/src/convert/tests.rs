//! What is written into a resource comes back out of it.

use model::HashKey;

use super::*;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn stream() -> Known {
    let settings = Settings {
        retention_hours: 48,
        mode: Mode::Provisioned,
        shard_metrics: ShardMetric::NAMES.iter().map(|(_, metric)| *metric).collect(),
        encryption: Some(2),
        distribution: Distribution::Auto,
        limits: RecordLimits::Aws,
        warm_mib_per_second: Some(5),
        ..Settings::default()
    };
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#;
    let consumer = Consumer { created: NOW, ..Consumer::default() };
    let key = |number: u32| DataKey {
        number,
        key_id: format!("alias/{number}"),
        wrapped: vec![number as u8; 40],
    };
    Known {
        tags: [("team".to_owned(), "data".to_owned())].into(),
        policy: Some(Arc::new(Policy::parse(policy).unwrap())),
        consumers: [("fraud".parse().unwrap(), consumer)].into(),
        data_keys: vec![key(1), key(2)],
        ..Known::new(
            "Clicks".parse().unwrap(),
            StreamUid(0x0123_4567_89ab_cdef),
            UnixMillis(0),
            Boundaries::new(vec![HashKey(0), HashKey(10)]).unwrap(),
            settings,
        )
    }
}

/// As the API server gives it back.
fn stored(resource: Stream, version: u64) -> Stream {
    let mut stored = resource;
    stored.metadata.uid = Some("01234567-89ab-cdef-0123-456789abcdef".to_owned());
    stored.metadata.resource_version = Some(version.to_string());
    stored
}

fn apply(resource: &Stream, edit: Edit<Stream>) -> Stream {
    edit.rest.or(edit.status).unwrap_or_else(|| resource.clone())
}

#[test]
fn what_is_written_is_read() {
    let wanted = stream();
    let new = Known { policy: None, consumers: BTreeMap::new(), ..wanted.clone() };
    let resource = stored(new_resource("shop", &new), 7);
    assert_eq!(resource.spec.stream_name.as_deref(), Some("Clicks"));
    let first = known(&resource).unwrap();
    assert_eq!((first.uid, first.version, first.phase), (wanted.uid, 7, Phase::Creating));
    let edited = edit(&resource, &first, &Known { version: 7, ..wanted.clone() });
    let read = known(&apply(&resource, edited)).unwrap();
    assert_eq!(read, Known { version: 7, ..wanted });
}

#[test]
fn what_does_not_change_is_not_written() {
    let resource = stored(new_resource("shop", &stream()), 7);
    let current = known(&resource).unwrap();
    let nothing = edit(&resource, &current, &current);
    assert!(nothing.rest.is_none() && nothing.status.is_none());
    let consumer = Consumer { created: NOW, ..Consumer::default() };
    let mut wanted = current.clone();
    wanted.consumers.insert("new".parse().unwrap(), consumer);
    let only_status = edit(&resource, &current, &wanted);
    assert!(only_status.rest.is_none() && only_status.status.is_some());
}

#[test]
fn shards_of_one_width_are_a_number() {
    let resource = stored(new_resource("shop", &stream()), 7);
    let current = known(&resource).unwrap();
    let spec = |boundaries: Boundaries| {
        let wanted = Known { desired: boundaries, ..current.clone() };
        let spec = apply(&resource, edit(&resource, &current, &wanted)).spec;
        (spec.shard_count, spec.shard_boundaries)
    };
    assert_eq!(spec(Boundaries::uniform(4).unwrap()), (Some(4), None));
    let texts = vec!["0".to_owned(), "5".to_owned()];
    let uneven = Boundaries::new(vec![HashKey(0), HashKey(5)]).unwrap();
    assert_eq!(spec(uneven), (Some(2), Some(texts)));
}

#[test]
fn the_phase_is_the_operators_word_until_the_spec_says_more() {
    let wanted = Known { desired: Boundaries::uniform(2).unwrap(), ..stream() };
    let mut resource = stored(new_resource("shop", &wanted), 7);
    let mut shards = ShardMap::new(&wanted.desired, NOW);
    shards.finish(&[]);
    let pods = shards.shards().iter().map(|s| (s.id, "clicks-stream-0".to_owned())).collect();
    let topology = Topology { shards, pods };
    let status = resource.status.get_or_insert_default();
    topology.tell(status);
    status.phase = Some("ACTIVE".to_owned());
    assert_eq!(known(&resource).unwrap().phase, Phase::Active);
    resource.spec.shard_count = Some(3);
    assert_eq!(known(&resource).unwrap().phase, Phase::Updating, "the operator has yet to see it");
    resource.metadata.deletion_timestamp = resource.metadata.creation_timestamp.clone();
    resource.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
        ));
    assert_eq!(known(&resource).unwrap().phase, Phase::Deleting);
}
