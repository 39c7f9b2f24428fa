use expect_test::{Expect, expect};
use model::{Offset, ShardId};
use operator_api::delivery_stream::{ConversionOutput, Orc, S3Destination};

use super::super::id::PartitionKeys;
use super::*;

/// 2026-02-03T04:05:06.789Z
const ARRIVAL: UnixMillis = UnixMillis(1_770_091_506_789);

fn id(keys: &PartitionKeys) -> ObjectId<'_> {
    ObjectId {
        stream_uid: 1,
        version: 3,
        shard: ShardId(0),
        first_offset: Offset(100),
        part: 0,
        keys,
    }
}

fn naming(
    s3: &S3Destination,
    conversion: Option<&FormatConversion>,
) -> Result<Naming, NamingError> {
    Naming::new("clicks", 3, &s3.objects(), conversion)
}

#[test]
fn keys_are_prefix_stream_version_time_uuid_and_extension() {
    let check = |s3: S3Destination, want: Expect| {
        let keys = PartitionKeys::default();
        let naming = naming(&s3, None).unwrap();
        let id = id(&keys);
        let lines = [
            naming.key(&id, ARRIVAL).unwrap(),
            naming.error_key(&id, ARRIVAL, ErrorOutputType::IcebergFailed, "t/").unwrap(),
            naming.manifest_key(&id, ARRIVAL, ManifestUse::Load).unwrap(),
            naming.manifest_key(&id, ARRIVAL, ManifestUse::Failed).unwrap(),
        ];
        want.assert_eq(&lines.join("\n"));
    };
    check(
        S3Destination::default(),
        expect![[r#"
            2026/02/03/04/clicks-3-2026-02-03-04-05-06-2672851e-afa5-8a9f-adba-a4941c4069fb
            iceberg-failed/2026/02/03/04/t/clicks-3-2026-02-03-04-05-06-20458ee2-9aeb-8057-8ac3-a774c9011cf1
            manifests/2026/02/03/04/clicks-3-2026-02-03-04-05-06-46ba4c71-98e5-8a64-a7f7-e77961f6e95d
            errors/manifests/2026/02/03/04/clicks-3-2026-02-03-04-05-06-aac5e91d-edf3-8a44-89e6-4d75bcaca2c3"#]],
    );
    check(
        S3Destination {
            prefix: Some("data/".to_owned()),
            custom_time_zone: Some("Asia/Tokyo".to_owned()),
            compression: Some(ObjectCompression::Gzip),
            ..S3Destination::default()
        },
        expect![[r#"
            data/2026/02/03/13/clicks-3-2026-02-03-13-05-06-2672851e-afa5-8a9f-adba-a4941c4069fb.gz
            data/iceberg-failed/2026/02/03/13/t/clicks-3-2026-02-03-13-05-06-20458ee2-9aeb-8057-8ac3-a774c9011cf1.gz
            data/manifests/2026/02/03/13/clicks-3-2026-02-03-13-05-06-46ba4c71-98e5-8a64-a7f7-e77961f6e95d
            data/errors/manifests/2026/02/03/13/clicks-3-2026-02-03-13-05-06-aac5e91d-edf3-8a44-89e6-4d75bcaca2c3"#]],
    );
    check(
        S3Destination {
            prefix: Some("!{timestamp:yyyy}/!{firehose:random-string}/".to_owned()),
            error_output_prefix: Some("bad/!{firehose:error-output-type}/".to_owned()),
            file_extension: Some(".json.gz".to_owned()),
            compression: Some(ObjectCompression::Gzip),
            ..S3Destination::default()
        },
        expect![[r#"
            2026/270bda11608/clicks-3-2026-02-03-04-05-06-2672851e-afa5-8a9f-adba-a4941c4069fb.json.gz
            bad/iceberg-failed/t/clicks-3-2026-02-03-04-05-06-20458ee2-9aeb-8057-8ac3-a774c9011cf1.gz
            manifests/2026/02/03/04/clicks-3-2026-02-03-04-05-06-46ba4c71-98e5-8a64-a7f7-e77961f6e95d
            errors/manifests/2026/02/03/04/clicks-3-2026-02-03-04-05-06-aac5e91d-edf3-8a44-89e6-4d75bcaca2c3"#]],
    );
}

#[test]
fn keys_end_as_what_is_in_them() {
    let check = |compression, conversion: Option<FormatConversion>, want: &str| {
        let s3 = S3Destination { compression, ..S3Destination::default() };
        let keys = PartitionKeys::default();
        let key = naming(&s3, conversion.as_ref()).unwrap().key(&id(&keys), ARRIVAL).unwrap();
        let (_, end) = key.split_at("2026/02/03/04/clicks-3-2026-02-03-04-05-06-".len() + 36);
        assert_eq!(end, want);
    };
    check(None, None, "");
    check(Some(ObjectCompression::Uncompressed), None, "");
    check(Some(ObjectCompression::Gzip), None, ".gz");
    check(Some(ObjectCompression::Zip), None, ".zip");
    check(Some(ObjectCompression::Snappy), None, ".snappy");
    check(Some(ObjectCompression::HadoopSnappy), None, ".snappy");
    check(Some(ObjectCompression::Zstd), None, ".zst");
    check(None, Some(FormatConversion::default()), ".parquet");
    let output = ConversionOutput { orc: Some(Orc::default()), ..ConversionOutput::default() };
    check(None, Some(FormatConversion { output: Some(output), ..Default::default() }), ".orc");
}

#[test]
fn a_configuration_without_meaning_is_refused() {
    let check = |s3: S3Destination, want: Expect| {
        let error = naming(&s3, None).unwrap_err();
        let source = std::error::Error::source(&error);
        let source = source.map(|source| format!(": {source}")).unwrap_or_default();
        want.assert_eq(&format!("{error}{source}"));
    };
    let prefix =
        |prefix: &str| S3Destination { prefix: Some(prefix.to_owned()), ..Default::default() };
    check(
        prefix("!{timestamp:yyyy"),
        expect!["parse prefix: character 1: the expression has no end; add a '}'"],
    );
    check(
        prefix("!{timestamp:yyyy}/"),
        expect!["errorOutputPrefix is required where prefix has expressions; set it"],
    );
    check(
        S3Destination { error_output_prefix: Some("a/../".to_owned()), ..Default::default() },
        expect![
            "parse errorOutputPrefix: character 1: '.' or '..' stands between slashes; remove it"
        ],
    );
    check(
        S3Destination { custom_time_zone: Some("Berlin".to_owned()), ..Default::default() },
        expect!["customTimeZone Berlin is not known; use a name as in Europe/Berlin"],
    );
}

#[test]
fn a_key_that_no_store_takes_is_refused() {
    let keys = PartitionKeys::default();
    let s3 = S3Destination { prefix: Some("ß".repeat(490)), ..S3Destination::default() };
    let error = naming(&s3, None).unwrap().key(&id(&keys), ARRIVAL).unwrap_err();
    assert_eq!(error, KeyError::KeyTooLong { bytes: 980 + 14 + 29 + 36 });
}
