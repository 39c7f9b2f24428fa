//! A bucket: as a destination of the old kind, and wherever another destination has one.

use aws_protocol::ApiError;
use operator_api::delivery_stream::S3Destination;

use super::{Destination, Kind};
use crate::buffering::{BufferingHints, Hints};
use crate::draft::{CloudWatchLoggingOptions, Draft, Told, name_of, set_named, set_text};
use crate::errors::invalid_argument;
use crate::shape::{Nested, OneOf, shapes};
use crate::texts::{BUCKET_ARN, BUCKET_KEY_ARN, PREFIX, ROLE_ARN};

pub(super) const COMPRESSIONS: OneOf =
    OneOf(&["UNCOMPRESSED", "GZIP", "ZIP", "Snappy", "HADOOP_SNAPPY"]);
pub(super) const HINTS: Hints = Hints(128, 900);
/// As the resource's defaults.
pub(super) const MIB_DEFAULT: u32 = 5;
pub(super) const SECONDS_DEFAULT: u32 = 300;

shapes! {
    /// As S3DestinationConfiguration, its update and its description.
    S3 {
        RoleARN: String, Whole, ROLE_ARN;
        BucketARN: String, Whole, BUCKET_ARN;
        Prefix: String, Never, PREFIX;
        ErrorOutputPrefix: String, Never, PREFIX;
        BufferingHints: BufferingHints, Never, HINTS;
        CompressionFormat: String, Never, COMPRESSIONS;
        EncryptionConfiguration: EncryptionConfiguration, Never, Nested;
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
    }

    /// As EncryptionConfiguration.
    EncryptionConfiguration {
        NoEncryptionConfig: String, Never, OneOf(&["NoEncryption"]);
        KMSEncryptionConfig: KmsEncryptionConfig, Never, Nested;
    }

    /// As KMSEncryptionConfig.
    KmsEncryptionConfig {
        AWSKMSKeyARN: String, Always, BUCKET_KEY_ARN;
    }
}

impl Destination for S3 {
    fn kind(&self) -> Kind {
        Kind::S3
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut bucket = draft.spec().destination.s3.take().unwrap_or_default();
        S3::apply(self, "", &mut bucket, draft)?;
        draft.spec().destination.s3 = Some(bucket);
        BufferingHints::apply(self.BufferingHints.as_ref(), draft);
        Ok(())
    }
}

/// The path of a member of a bucket, which may be the destination itself.
fn path(bucket: &str, member: &str) -> String {
    if bucket.is_empty() { member.to_owned() } else { format!("{bucket}.{member}") }
}

impl S3 {
    /// Sets what is said of a bucket, but for its buffering.
    pub(crate) fn apply(
        &self,
        member: &str,
        bucket: &mut S3Destination,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        if let Some(arn) = &self.BucketARN {
            let name = arn.rsplit_once(":::").map_or(arn.as_str(), |(_, name)| name);
            name.clone_into(&mut bucket.bucket);
        }
        if let Some(prefix) = &self.Prefix {
            bucket.prefix = Some(prefix.clone());
        }
        set_text(&mut bucket.error_output_prefix, self.ErrorOutputPrefix.as_ref());
        set_named(&mut bucket.compression, self.CompressionFormat.as_ref())?;
        if let Some(encryption) = &self.EncryptionConfiguration {
            bucket.kms_key_arn = encryption.key_arn()?;
        }
        BufferingHints::check_both(self.BufferingHints.as_ref())?;
        draft.keep(&path(member, "RoleARN"), self.RoleARN.as_ref());
        let logging = path(member, "CloudWatchLoggingOptions");
        CloudWatchLoggingOptions::apply(self.CloudWatchLoggingOptions.as_ref(), &logging, draft)
    }

    /// With the hints of the bucket, or AWS's defaults for it.
    pub(crate) fn told(
        told: &Told<'_>,
        member: &str,
        bucket: &S3Destination,
        hints: Option<BufferingHints>,
    ) -> S3 {
        let compression = bucket.compression.and_then(|compression| name_of(&compression));
        let logging = path(member, "CloudWatchLoggingOptions");
        S3 {
            RoleARN: told.kept(&path(member, "RoleARN")),
            BucketARN: Some(format!("arn:aws:s3:::{}", bucket.bucket)),
            Prefix: bucket.prefix.clone(),
            ErrorOutputPrefix: bucket.error_output_prefix.clone(),
            BufferingHints: hints
                .or_else(|| Some(BufferingHints::of(MIB_DEFAULT, SECONDS_DEFAULT))),
            CompressionFormat: compression.or_else(|| Some("UNCOMPRESSED".to_owned())),
            EncryptionConfiguration: Some(EncryptionConfiguration::told(bucket)),
            CloudWatchLoggingOptions: CloudWatchLoggingOptions::told(told, &logging),
        }
    }
}

impl EncryptionConfiguration {
    fn key_arn(&self) -> Result<Option<String>, ApiError> {
        match (&self.NoEncryptionConfig, &self.KMSEncryptionConfig) {
            (Some(_), Some(_)) => Err(invalid_argument(
                "EncryptionConfiguration has NoEncryptionConfig or KMSEncryptionConfig, not both.",
            )),
            (_, Some(kms)) => Ok(kms.AWSKMSKeyARN.clone()),
            (_, None) => Ok(None),
        }
    }

    fn told(bucket: &S3Destination) -> EncryptionConfiguration {
        let kms = bucket.kms_key_arn.clone();
        EncryptionConfiguration {
            NoEncryptionConfig: kms.is_none().then(|| "NoEncryption".to_owned()),
            KMSEncryptionConfig: kms.map(|arn| KmsEncryptionConfig { AWSKMSKeyARN: Some(arn) }),
        }
    }
}
