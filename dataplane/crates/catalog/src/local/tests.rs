//! Changes are stored, versions are compared, damage is named.

use super::store::Stored;
use super::*;
use crate::stream::{Commitment, Consumer, DataKey, Mode, Phase, Settings, ShardMetric, StreamUid};
use auth::Policy;
use model::{Boundaries, UnixMillis};

fn policy() -> Arc<Policy> {
    let text = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#;
    Arc::new(Policy::parse(text).unwrap())
}

fn stream(name: &str) -> Stream {
    let created = UnixMillis(1_700_000_000_000);
    let settings = Settings {
        mode: Mode::OnDemand,
        shard_metrics: ShardMetric::NAMES.iter().map(|(_, metric)| *metric).collect(),
        encryption: Some(1),
        ..Settings::default()
    };
    let consumer = Consumer {
        created,
        tags: [("team".to_owned(), "fraud".to_owned())].into(),
        policy: Some(policy()),
    };
    let desired = Boundaries::uniform(3).unwrap();
    Stream {
        tags: [("team".to_owned(), "data".to_owned())].into(),
        policy: Some(policy()),
        consumers: [("fraud".parse().unwrap(), consumer)].into(),
        data_keys: vec![DataKey { number: 1, key_id: "alias/x".to_owned(), wrapped: vec![1, 2] }],
        ..Stream::new(name.parse().unwrap(), StreamUid(7), created, desired, settings)
    }
}

#[tokio::test]
async fn the_account_is_changed_by_compare_and_swap_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = LocalCatalog::open(directory.path()).unwrap();
    let read = catalog.account();
    assert_eq!(read, Account::default());
    let commitment = Some(Commitment { started: UnixMillis(1), ended: Some(UnixMillis(2)) });
    let changed = Account { commitment, ..read.clone() };
    let stored = catalog.replace_account(changed.clone()).await.unwrap();
    assert_eq!(stored, Account { version: 1, ..changed });
    let late = catalog.replace_account(read).await;
    assert!(matches!(late, Err(ChangeError::AccountConflict)));
    let account = catalog.create(stream("account")).await.unwrap();
    let reopened = LocalCatalog::open(directory.path()).unwrap();
    assert_eq!(reopened.account(), stored);
    assert_eq!(reopened.get(&account.name), Some(account));
}

#[tokio::test]
async fn changes_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = LocalCatalog::open(directory.path()).unwrap();
    let created = catalog.create(stream("b")).await.unwrap();
    catalog.create(stream("a")).await.unwrap();
    let mut changed = (*created).clone();
    changed.shards.finish(&[]);
    changed.phase = Phase::Active;
    let changed = catalog.replace(changed).await.unwrap();
    assert_eq!(
        catalog.list(None, 10),
        LocalCatalog::open(directory.path()).unwrap().list(None, 10)
    );
    assert_eq!(catalog.get(&changed.name), Some(changed.clone()));
    catalog.remove(changed.name.clone(), changed.version).await.unwrap();
    let reopened = LocalCatalog::open(directory.path()).unwrap();
    assert_eq!(reopened.get(&changed.name), None);
    assert_eq!(reopened.list(None, 10).len(), 1);
}

#[tokio::test]
async fn only_the_first_of_two_changes_of_a_version_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = LocalCatalog::open(directory.path()).unwrap();
    let created = catalog.create(stream("a")).await.unwrap();
    assert!(matches!(catalog.create(stream("a")).await, Err(ChangeError::Exists(_))));
    catalog.replace((*created).clone()).await.unwrap();
    let late = catalog.replace((*created).clone()).await;
    assert!(matches!(late, Err(ChangeError::Conflict(_))));
    let late = catalog.remove(created.name.clone(), created.version).await;
    assert!(matches!(late, Err(ChangeError::Conflict(_))));
    let missing = catalog.replace(stream("b")).await;
    assert!(matches!(missing, Err(ChangeError::Missing(_))));
}

#[tokio::test]
async fn streams_are_listed_by_name_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = LocalCatalog::open(directory.path()).unwrap();
    for name in ["c", "a", "d", "b"] {
        catalog.create(stream(name)).await.unwrap();
    }
    let names = |after, limit| {
        let streams = catalog.list(after, limit);
        streams.iter().map(|stream| stream.name.to_string()).collect::<String>()
    };
    assert_eq!(names(None, 3), "abc");
    assert_eq!(names(Some("b"), 3), "cd");
    assert_eq!(names(Some("bb"), 3), "cd");
    assert_eq!(names(Some("b/"), 3), "cd");
    assert_eq!(names(Some("d"), 3), "");
}

#[tokio::test]
async fn a_damaged_file_is_named_and_nothing_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = LocalCatalog::open(directory.path()).unwrap();
    catalog.create(stream("a")).await.unwrap();
    let file = directory.path().join("a.json");
    let whole = std::fs::read_to_string(&file).unwrap();
    for damaged in [&whole[..whole.len() / 2], "", &whole.replace("\"format\": 2", "\"format\": 9")]
    {
        std::fs::write(&file, damaged).unwrap();
        let error = LocalCatalog::open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("a.json"), "{error}");
    }
}

#[test]
fn a_catalog_of_the_first_format_is_read() {
    let mut old: serde_json::Value = serde_json::from_slice(&stream("a").encode()).unwrap();
    let members = old.as_object_mut().unwrap();
    members["format"] = 1.into();
    for new in [
        "on_demand",
        "auto_distribution",
        "warm_mib_per_second",
        "shard_metrics",
        "encryption",
        "data_keys",
        "policy",
        "consumers",
    ] {
        members.remove(new).unwrap();
    }
    let read = Stream::decode(&serde_json::to_vec(&old).unwrap()).unwrap();
    assert_eq!(read.settings, Settings::default());
    assert!(read.consumers.is_empty() && read.data_keys.is_empty());
    let newer = serde_json::json!({"format": 3, "colour": "blue"}).to_string();
    let refused = Stream::decode(newer.as_bytes()).unwrap_err();
    assert!(refused.starts_with("format 3"), "{refused}");
}
