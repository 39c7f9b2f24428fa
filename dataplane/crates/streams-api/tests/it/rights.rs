//! Rights that somebody else decides: found out once, then remembered by whoever decides.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use serde_json::json;
use streams_api::{Right, Rights};

use super::{ARN, Fixture};

/// Lets somebody do what is listed, but only says so after it was asked to find out.
#[derive(Default)]
struct Listed {
    allowed: Vec<(&'static str, Option<&'static str>)>,
    known: Mutex<HashMap<Right, bool>>,
    asked: Mutex<Vec<Right>>,
    /// It cannot be asked at the moment.
    is_away: bool,
}

impl Rights for Listed {
    fn allows(&self, right: &Right) -> Option<bool> {
        self.known.lock().unwrap().get(right).copied()
    }

    fn learn(&self, right: Right) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(right.clone());
            if !self.is_away {
                let is_allowed = self.allowed.contains(&(right.verb, right.part));
                self.known.lock().unwrap().insert(right, is_allowed);
            }
        })
    }
}

async fn fixture(rights: Listed) -> (Fixture, Arc<Listed>) {
    let rights = Arc::new(rights);
    (Fixture::with_rights(Some(Arc::clone(&rights) as Arc<dyn Rights>)).await, rights)
}

#[tokio::test(start_paused = true)]
async fn a_right_is_found_out_once_and_then_counts() {
    let allowed = vec![("create", None), ("get", None)];
    let (fixture, rights) = fixture(Listed { allowed, ..Listed::default() }).await;
    let create = json!({"StreamName": "s", "ShardCount": 1});
    fixture.call("CreateStream", create).await.unwrap();
    fixture.activate("s").await;
    let describe = json!({"StreamName": "s"});
    for _ in 0..3 {
        fixture.call("DescribeStreamSummary", describe.clone()).await.unwrap();
    }
    let delete = fixture.call("DeleteStream", describe.clone()).await;
    assert_eq!(delete.unwrap_err(), "AccessDeniedException");
    let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": "AAAA"});
    assert_eq!(fixture.call("PutRecord", put).await.unwrap_err(), "AccessDeniedException");
    let asked = rights.asked.lock().unwrap();
    let asked: Vec<_> = asked.iter().map(|right| (right.verb, right.part)).collect();
    assert_eq!(
        asked,
        [("create", None), ("get", None), ("delete", None), ("create", Some("records"))]
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_extends_rights_and_narrows_them() {
    let allowed = vec![("create", None), ("get", None), ("update", Some("policy"))];
    let (fixture, _) = fixture(Listed { allowed, ..Listed::default() }).await;
    fixture.call("CreateStream", json!({"StreamName": "s", "ShardCount": 1})).await.unwrap();
    fixture.activate("s").await;
    let policy = |effect: &str, action: &str| {
        let statement = json!({
            "Effect": effect, "Principal": {"AWS": "arn:aws:iam::000000000000:user/test"},
            "Action": action, "Resource": ARN,
        });
        json!({"ResourceARN": ARN, "Policy": json!({"Statement": statement}).to_string()})
    };
    let shards = json!({"StreamName": "s"});
    fixture.call("PutResourcePolicy", policy("Deny", "kinesis:ListShards")).await.unwrap();
    let denied = fixture.call("ListShards", shards.clone()).await.unwrap_err();
    assert_eq!(denied, "AccessDeniedException");
    let tags = json!({"StreamName": "s", "Tags": {"a": "b"}});
    let denied = fixture.call("AddTagsToStream", tags.clone()).await.unwrap_err();
    assert_eq!(denied, "AccessDeniedException");
    fixture.call("PutResourcePolicy", policy("Allow", "kinesis:AddTagsToStream")).await.unwrap();
    fixture.call("AddTagsToStream", tags).await.unwrap();
    fixture.call("ListShards", shards).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_found_out_is_to_be_tried_again() {
    let (fixture, _) = fixture(Listed { is_away: true, ..Listed::default() }).await;
    let create = json!({"StreamName": "s", "ShardCount": 1});
    let refused = fixture.call("CreateStream", create).await.unwrap_err();
    assert_eq!(refused, "ServiceUnavailable");
}
