//! A bucket, with all that can be done on the way to it.

use aws_protocol::ApiError;
use operator_api::delivery_stream::{BackupMode, DynamicPartitioning};

use super::s3::{COMPRESSIONS, EncryptionConfiguration, HINTS, MIB_DEFAULT, SECONDS_DEFAULT};
use super::{Destination, Kind, S3};
use crate::backup::{self, BUCKETS};
use crate::buffering::BufferingHints;
use crate::conversion::DataFormatConversion;
use crate::draft::{CloudWatchLoggingOptions, Draft, RetryOptions, Told, set_text, small};
use crate::errors::invalid_argument;
use crate::processing::ProcessingConfiguration;
use crate::shape::{Anything, Nested, OneOf, shapes};
use crate::texts::{BUCKET_ARN, FILE_EXTENSION, PREFIX, ROLE_ARN, TIME_ZONE};

const BACKUP: &str = "S3BackupConfiguration";
/// Of converted objects, as the resource's default.
const CONVERTED_MIB_DEFAULT: u32 = 128;

shapes! {
    /// As ExtendedS3DestinationConfiguration, its update and its description.
    ExtendedS3 {
        RoleARN: String, Whole, ROLE_ARN;
        BucketARN: String, Whole, BUCKET_ARN;
        Prefix: String, Never, PREFIX;
        ErrorOutputPrefix: String, Never, PREFIX;
        BufferingHints: BufferingHints, Never, HINTS;
        CompressionFormat: String, Never, COMPRESSIONS;
        EncryptionConfiguration: EncryptionConfiguration, Never, Nested;
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
        ProcessingConfiguration: ProcessingConfiguration, Never, Nested;
        S3BackupMode: String, Never, OneOf(BUCKETS.0);
        S3BackupConfiguration / "S3BackupUpdate" / "S3BackupDescription": S3, Never, Nested;
        DataFormatConversionConfiguration: DataFormatConversion, Never, Nested;
        DynamicPartitioningConfiguration: DynamicPartitioningConfiguration, Never, Nested;
        FileExtension: String, Never, FILE_EXTENSION;
        CustomTimeZone: String, Never, TIME_ZONE;
    }

    /// As DynamicPartitioningConfiguration.
    DynamicPartitioningConfiguration {
        RetryOptions: RetryOptions, Never, Nested;
        Enabled: bool, Never, Anything;
    }
}

impl Destination for ExtendedS3 {
    fn kind(&self) -> Kind {
        Kind::S3
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut bucket = draft.spec().destination.s3.take().unwrap_or_default();
        self.as_plain().apply("", &mut bucket, draft)?;
        set_text(&mut bucket.file_extension, self.FileExtension.as_ref());
        set_text(&mut bucket.custom_time_zone, self.CustomTimeZone.as_ref());
        draft.spec().destination.s3 = Some(bucket);
        BufferingHints::apply(self.BufferingHints.as_ref(), draft);
        ProcessingConfiguration::apply(self.ProcessingConfiguration.as_ref(), draft)?;
        backup::apply_bucket(self.S3BackupConfiguration.as_ref(), BACKUP, draft)?;
        BUCKETS.apply(self.S3BackupMode.as_ref(), BackupMode::Disabled, draft)?;
        check_backup(draft)?;
        DataFormatConversion::apply(self.DataFormatConversionConfiguration.as_ref(), draft)?;
        DataFormatConversion::check_batch(draft)?;
        if let Some(given) = &self.DynamicPartitioningConfiguration {
            let partitioning = draft.spec().dynamic_partitioning.get_or_insert_default();
            partitioning.enabled = given.Enabled.or(partitioning.enabled);
            if let Some(seconds) = given.RetryOptions.as_ref().and_then(|it| it.DurationInSeconds) {
                partitioning.retry_duration_seconds = Some(small(seconds));
            }
        }
        Ok(())
    }
}

/// All records can only be backed up where there is a bucket for them. One that nobody switched on is
/// off, as on AWS.
fn check_backup(draft: &mut Draft<'_>) -> Result<(), ApiError> {
    let Some(backup) = &mut draft.spec().backup else { return Ok(()) };
    if backup::is_all(Some(backup)) && backup.s3.is_none() {
        return Err(invalid_argument(
            "S3BackupConfiguration is required when S3BackupMode is Enabled.",
        ));
    }
    backup.mode.get_or_insert(BackupMode::Disabled);
    Ok(())
}

impl ExtendedS3 {
    /// What the old kind of bucket has of it.
    pub(super) fn as_plain(&self) -> S3 {
        S3 {
            RoleARN: self.RoleARN.clone(),
            BucketARN: self.BucketARN.clone(),
            Prefix: self.Prefix.clone(),
            ErrorOutputPrefix: self.ErrorOutputPrefix.clone(),
            BufferingHints: self.BufferingHints.clone(),
            CompressionFormat: self.CompressionFormat.clone(),
            EncryptionConfiguration: self.EncryptionConfiguration.clone(),
            CloudWatchLoggingOptions: self.CloudWatchLoggingOptions.clone(),
        }
    }

    pub(super) fn told(told: &Told<'_>) -> Option<ExtendedS3> {
        let spec = told.spec();
        let bucket = spec.destination.s3.as_ref()?;
        let is_converted = spec.format_conversion.is_some();
        let mib = if is_converted { CONVERTED_MIB_DEFAULT } else { MIB_DEFAULT };
        let plain = S3::told(told, "", bucket, BufferingHints::told(told, mib, SECONDS_DEFAULT));
        Some(ExtendedS3 {
            RoleARN: plain.RoleARN,
            BucketARN: plain.BucketARN,
            Prefix: plain.Prefix,
            ErrorOutputPrefix: plain.ErrorOutputPrefix,
            BufferingHints: plain.BufferingHints,
            CompressionFormat: plain.CompressionFormat,
            EncryptionConfiguration: plain.EncryptionConfiguration,
            CloudWatchLoggingOptions: plain.CloudWatchLoggingOptions,
            ProcessingConfiguration: ProcessingConfiguration::told(told),
            S3BackupMode: BUCKETS.told(told),
            S3BackupConfiguration: backup::told_bucket(told, BACKUP),
            DataFormatConversionConfiguration: DataFormatConversion::told(told),
            DynamicPartitioningConfiguration: spec
                .dynamic_partitioning
                .as_ref()
                .map(told_partitioning),
            FileExtension: bucket.file_extension.clone(),
            CustomTimeZone: bucket.custom_time_zone.clone(),
        })
    }
}

fn told_partitioning(partitioning: &DynamicPartitioning) -> DynamicPartitioningConfiguration {
    let seconds = partitioning.retry_duration_seconds.unwrap_or(SECONDS_DEFAULT);
    DynamicPartitioningConfiguration {
        RetryOptions: Some(RetryOptions { DurationInSeconds: Some(i64::from(seconds)) }),
        Enabled: Some(partitioning.enabled.unwrap_or(false)),
    }
}
