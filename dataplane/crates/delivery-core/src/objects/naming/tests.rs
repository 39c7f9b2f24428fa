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
        recipe: 1,
        version: 2,
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
            2026/02/03/04/clicks-2-2026-02-03-04-05-06-ff29825f-7814-848e-97eb-1b0f65df72bb
            iceberg-failed/2026/02/03/04/t/clicks-2-2026-02-03-04-05-06-599a6651-175e-8e4d-915a-e844f3415454
            manifests/2026/02/03/04/clicks-2-2026-02-03-04-05-06-fe2c5944-4b0b-8160-8e78-b699de78a508
            errors/manifests/2026/02/03/04/clicks-2-2026-02-03-04-05-06-3487a0b3-68d9-82af-ba66-9c866a32171a"#]],
    );
    check(
        S3Destination {
            prefix: Some("data/".to_owned()),
            custom_time_zone: Some("Asia/Tokyo".to_owned()),
            compression: Some(ObjectCompression::Gzip),
            ..S3Destination::default()
        },
        expect![[r#"
            data/2026/02/03/13/clicks-2-2026-02-03-13-05-06-ff29825f-7814-848e-97eb-1b0f65df72bb.gz
            data/iceberg-failed/2026/02/03/13/t/clicks-2-2026-02-03-13-05-06-599a6651-175e-8e4d-915a-e844f3415454.gz
            data/manifests/2026/02/03/13/clicks-2-2026-02-03-13-05-06-fe2c5944-4b0b-8160-8e78-b699de78a508
            data/errors/manifests/2026/02/03/13/clicks-2-2026-02-03-13-05-06-3487a0b3-68d9-82af-ba66-9c866a32171a"#]],
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
            2026/d737ab3c48c/clicks-2-2026-02-03-04-05-06-ff29825f-7814-848e-97eb-1b0f65df72bb.json.gz
            bad/iceberg-failed/t/clicks-2-2026-02-03-04-05-06-599a6651-175e-8e4d-915a-e844f3415454.gz
            manifests/2026/02/03/04/clicks-2-2026-02-03-04-05-06-fe2c5944-4b0b-8160-8e78-b699de78a508
            errors/manifests/2026/02/03/04/clicks-2-2026-02-03-04-05-06-3487a0b3-68d9-82af-ba66-9c866a32171a"#]],
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
