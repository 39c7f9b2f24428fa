//! Names, lists, tags, encryption, deletion, and who may do what.

use std::sync::Arc;

use delivery_catalog::DeliveryPhase;
use serde_json::{Value, json};

use crate::fixture::{ACCOUNT, Fixture, ListedRights, ROLE, to_bucket, with};

fn named() -> Value {
    json!({"DeliveryStreamName": "s"})
}

#[tokio::test]
async fn a_delivery_stream_is_created_and_deleted() {
    let fixture = Fixture::new();
    let create = || with(named(), to_bucket());
    let created = fixture.call("CreateDeliveryStream", create()).await.unwrap();
    let arn = format!("arn:aws:firehose:eu-west-1:{ACCOUNT}:deliverystream/s");
    assert_eq!(created, json!({"DeliveryStreamARN": arn}));
    assert_eq!(fixture.describe("s").await["DeliveryStreamStatus"], "CREATING");
    let want = "ResourceInUseException: Firehose s under account 000000000000 already exists.";
    fixture.check_refused("CreateDeliveryStream", create(), want).await;
    let want = "ResourceInUseException: Firehose s under account 000000000000 not ACTIVE, instead in state CREATING";
    let delete = || with(named(), json!({"AllowForceDelete": true}));
    fixture.check_refused("DeleteDeliveryStream", delete(), want).await;
    fixture.edit("s", |stream| stream.phase = DeliveryPhase::Active);
    for _ in 0..2 {
        assert_eq!(fixture.call("DeleteDeliveryStream", delete()).await, Ok(json!({})));
        assert_eq!(fixture.describe("s").await["DeliveryStreamStatus"], "DELETING");
    }
}

#[tokio::test]
async fn names_are_listed_in_pages_and_by_type() {
    let fixture = Fixture::new();
    let source = json!({
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {
            "KinesisStreamARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/clicks",
            "RoleARN": ROLE,
        },
    });
    for number in 0..12 {
        fixture.create(&format!("d{number:02}"), to_bucket()).await;
    }
    fixture.create("k", with(to_bucket(), source)).await;
    let check = async |request: Value, want: &[&str], has_more: bool| {
        let listed = fixture.call("ListDeliveryStreams", request).await.unwrap();
        assert_eq!(listed["DeliveryStreamNames"], json!(want));
        assert_eq!(listed["HasMoreDeliveryStreams"], json!(has_more));
    };
    let ten = ["d00", "d01", "d02", "d03", "d04", "d05", "d06", "d07", "d08", "d09"];
    check(json!({}), &ten, true).await;
    check(json!({"ExclusiveStartDeliveryStreamName": "d09"}), &["d10", "d11", "k"], false).await;
    check(json!({"ExclusiveStartDeliveryStreamName": "d0x", "Limit": 1}), &["d10"], true).await;
    check(json!({"DeliveryStreamType": "KinesisStreamAsSource"}), &["k"], false).await;
    check(json!({"DeliveryStreamType": "MSKAsSource"}), &[], false).await;
    let rest =
        json!({"DeliveryStreamType": "DirectPut", "ExclusiveStartDeliveryStreamName": "d10"});
    check(rest, &["d11"], false).await;
}

#[tokio::test]
async fn tags_come_and_go() {
    let tags = |range: std::ops::Range<usize>| {
        range.map(|n| json!({"Key": format!("k{n:02}"), "Value": "v"})).collect::<Vec<_>>()
    };
    let fixture = Fixture::with(with(to_bucket(), json!({"Tags": tags(0..2)}))).await;
    let add = |tags: Vec<Value>| with(named(), json!({"Tags": tags}));
    let new = vec![json!({"Key": "k00", "Value": "new"}), json!({"Key": "k02"})];
    assert_eq!(fixture.call("TagDeliveryStream", add(new)).await, Ok(json!({})));
    let list = |more: Value| fixture.call("ListTagsForDeliveryStream", with(named(), more));
    let first = json!([{"Key": "k00", "Value": "new"}, {"Key": "k01", "Value": "v"}]);
    let want = json!({"Tags": first, "HasMoreTags": true});
    assert_eq!(list(json!({"Limit": 2})).await, Ok(want));
    let want = json!({"Tags": [{"Key": "k02", "Value": ""}], "HasMoreTags": false});
    assert_eq!(list(json!({"ExclusiveStartTagKey": "k01"})).await, Ok(want));
    fixture.call("TagDeliveryStream", add(tags(3..50))).await.unwrap();
    let want = "LimitExceededException: A Firehose can have at most 50 tags, not 51.";
    fixture.check_refused("TagDeliveryStream", add(tags(50..51)), want).await;
    let want = "InvalidArgumentException: Tag key k01 is given twice.";
    let twice = [tags(1..2), tags(1..2)].concat();
    fixture.check_refused("TagDeliveryStream", add(twice), want).await;
    let keys: Vec<String> = (0..49).map(|n| format!("k{n:02}")).collect();
    let remove = with(named(), json!({"TagKeys": keys}));
    assert_eq!(fixture.call("UntagDeliveryStream", remove).await, Ok(json!({})));
    let want = json!({"Tags": [{"Key": "k49", "Value": "v"}], "HasMoreTags": false});
    assert_eq!(list(json!({})).await, Ok(want));
}

#[tokio::test]
async fn encryption_is_started_changed_and_stopped() {
    let fixture = Fixture::with(to_bucket()).await;
    let start =
        |input: Value| with(named(), json!({"DeliveryStreamEncryptionConfigurationInput": input}));
    let managed = |id: &str| {
        let arn = format!("arn:aws:kms:eu-west-1:000000000000:key/{id}");
        json!({"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": arn})
    };
    let check = async |want: Value| {
        let told = fixture.describe("s").await;
        assert_eq!(told["DeliveryStreamEncryptionConfiguration"], want);
    };
    let call = async |operation: &str, body: Value| {
        assert_eq!(fixture.call(operation, body).await, Ok(json!({})));
    };
    for _ in 0..2 {
        call("StartDeliveryStreamEncryption", named()).await;
        check(json!({"KeyType": "AWS_OWNED_CMK", "Status": "ENABLED"})).await;
    }
    let put = json!({"DeliveryStreamName": "s", "Record": {"Data": ""}});
    assert_eq!(fixture.call("PutRecord", put).await.unwrap()["Encrypted"], true);
    call("StartDeliveryStreamEncryption", start(managed("managed"))).await;
    check(with(managed("managed"), json!({"Status": "ENABLED"}))).await;
    let key_id = fixture.stream("s").spec.encryption.clone().unwrap().key_id;
    assert_eq!(key_id, "arn:aws:kms:eu-west-1:000000000000:key/managed");
    for (input, want) in [
        (
            managed("nobody"),
            "InvalidKMSResourceException: Key arn:aws:kms:eu-west-1:000000000000:key/nobody does not exist",
        ),
        (
            json!({"KeyType": "CUSTOMER_MANAGED_CMK"}),
            "InvalidArgumentException: KeyARN is required",
        ),
        (
            with(managed("managed"), json!({"KeyType": "AWS_OWNED_CMK"})),
            "InvalidArgumentException: KeyARN is not for KeyType AWS_OWNED_CMK.",
        ),
    ] {
        fixture.check_refused("StartDeliveryStreamEncryption", start(input), want).await;
    }
    for _ in 0..2 {
        call("StopDeliveryStreamEncryption", named()).await;
        check(json!({"Status": "DISABLED"})).await;
    }
    // As somebody writes it who has no need of ARNs.
    fixture.edit("s", |stream| {
        stream.spec.encryption = Some(operator_api::Encryption { key_id: "managed".to_owned() });
    });
    check(with(managed("managed"), json!({"Status": "ENABLED"}))).await;
}

/// The operations on a delivery stream that is there, with arguments that are right.
fn operations() -> Vec<(&'static str, Value)> {
    vec![
        ("DeleteDeliveryStream", named()),
        ("DescribeDeliveryStream", named()),
        ("ListTagsForDeliveryStream", named()),
        ("PutRecord", with(named(), json!({"Record": {"Data": ""}}))),
        ("PutRecordBatch", with(named(), json!({"Records": [{"Data": ""}]}))),
        ("StartDeliveryStreamEncryption", named()),
        ("StopDeliveryStreamEncryption", named()),
        ("TagDeliveryStream", with(named(), json!({"Tags": [{"Key": "k"}]}))),
        ("UntagDeliveryStream", with(named(), json!({"TagKeys": ["k"]}))),
        (
            "UpdateDestination",
            with(
                named(),
                json!({
                    "CurrentDeliveryStreamVersionId": "1", "DestinationId": "destinationId-000000000001",
                    "ExtendedS3DestinationUpdate": {"Prefix": "a/"},
                }),
            ),
        ),
    ]
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let fixture = Fixture::new();
    for (operation, body) in operations() {
        let want = "ResourceNotFoundException: Firehose s under account 000000000000 not found.";
        fixture.check_refused(operation, body, want).await;
    }
    let unknown = fixture.call("DescribeFirehose", json!({})).await;
    assert_eq!(unknown, Err("UnknownOperationException: ".to_owned()));
}

#[tokio::test]
async fn what_is_not_active_is_in_use() {
    let fixture = Fixture::with(to_bucket()).await;
    fixture.edit("s", |stream| stream.phase = DeliveryPhase::Creating);
    for (operation, body) in operations() {
        if !operation.starts_with("Put")
            && !operation.starts_with("Describe")
            && !operation.starts_with("List")
        {
            fixture.check_refused(operation, body, "ResourceInUseException: Firehose s").await;
        }
    }
}

#[tokio::test]
async fn users_do_what_they_may() {
    let create = ("CreateDeliveryStream", with(named(), to_bucket()));
    let list = ("ListDeliveryStreams", json!({}));
    let all: Vec<_> = [create, list].into_iter().chain(operations()).collect();
    let mut fixture = Fixture::with_rights(Some(Arc::new(ListedRights(vec![]))));
    for (operation, body) in all.clone() {
        let resource = if operation == "ListDeliveryStreams" {
            "*"
        } else {
            "arn:aws:firehose:eu-west-1:000000000000:deliverystream/s"
        };
        let want = format!(
            "AccessDeniedException: User: arn:aws:iam::000000000000:user/test is not authorized to perform: firehose:{operation} on resource: {resource}"
        );
        fixture.check_refused(operation, body, &want).await;
    }
    fixture.caller.user = "unknown".into();
    for (operation, body) in all.clone() {
        fixture.check_refused(operation, body, "ServiceUnavailableException: Whether").await;
    }
    let rights = vec![
        "create deliverystreams s",
        "delete deliverystreams s",
        "get deliverystreams s",
        "list deliverystreams *",
        "update deliverystreams s",
        "get deliverystreams/tags s",
        "update deliverystreams/tags s",
        "create deliverystreams/records s",
    ];
    let fixture = Fixture::with_rights(Some(Arc::new(ListedRights(rights))));
    fixture.create("s", to_bucket()).await;
    let later = |operation: &&(&str, Value)| operation.0 != "DeleteDeliveryStream";
    for (operation, body) in all.iter().skip(1).filter(later) {
        fixture.call(operation, body.clone()).await.unwrap();
    }
    fixture.call("DeleteDeliveryStream", named()).await.unwrap();

    let mut fixture = Fixture::with(to_bucket()).await;
    fixture.caller.account = "111111111111".into();
    for (operation, body) in all {
        fixture
            .check_refused(
                operation,
                body,
                "AccessDeniedException: User: arn:aws:iam::111111111111:user/test",
            )
            .await;
    }
}

#[tokio::test]
async fn who_may_not_read_a_stream_has_nothing_of_it_delivered() {
    let source = json!({
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {
            "KinesisStreamARN": format!("arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/clicks"),
            "RoleARN": ROLE,
        },
    });
    let create = with(with(json!({"DeliveryStreamName": "s"}), source), to_bucket());
    let rights =
        |rights: Vec<&'static str>| Fixture::with_rights(Some(Arc::new(ListedRights(rights))));
    rights(vec!["create deliverystreams s"])
        .check_refused(
            "CreateDeliveryStream",
            create.clone(),
            "AccessDeniedException: User: arn:aws:iam::000000000000:user/test is not authorized to perform: kinesis:GetRecords on resource: arn:aws:kinesis:eu-west-1:000000000000:stream/clicks",
        )
        .await;
    let allowed = rights(vec!["create deliverystreams s", "get streams/records clicks"]);
    allowed.call("CreateDeliveryStream", create).await.unwrap();
}
