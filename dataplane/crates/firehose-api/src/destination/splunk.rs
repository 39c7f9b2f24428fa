//! Events in Splunk.

use aws_protocol::ApiError;
use operator_api::delivery_stream::{BackupMode, HecEndpointType};

use super::{Destination, Kind, S3};
use crate::backup::{self, EVENTS};
use crate::buffering::{BufferingHints, Hints};
use crate::draft::{
    CloudWatchLoggingOptions, Draft, RetryOptions, Told, name_of, set, set_named, small,
};
use crate::errors::invalid_argument;
use crate::processing::ProcessingConfiguration;
use crate::secrets::{SecretsManagerConfiguration, entry};
use crate::shape::{Nested, OneOf, Within, shapes};
use crate::texts::{HEC_ENDPOINT, HEC_TOKEN};

const BUCKET: &str = "S3Configuration";
const LOGGING: &str = "CloudWatchLoggingOptions";
const TOKEN_KEY: &str = "splunk-hec-token";
/// As the resource's defaults.
const MIB_DEFAULT: u32 = 5;
const SECONDS_DEFAULT: u32 = 60;
const RETRY_SECONDS_DEFAULT: u32 = 300;
const ACKNOWLEDGMENT_SECONDS_DEFAULT: u32 = 300;

shapes! {
    /// As SplunkDestinationConfiguration, its update and its description.
    Splunk {
        HECEndpoint: String, Whole, HEC_ENDPOINT;
        HECEndpointType: String, Whole, OneOf(&["Raw", "Event"]);
        #[serde(skip_serializing)]
        HECToken: String, Never, HEC_TOKEN;
        HECAcknowledgmentTimeoutInSeconds: i64, Never, Within(180..=600);
        RetryOptions: RetryOptions, Never, Nested;
        S3BackupMode: String, Never, OneOf(EVENTS.0);
        S3Configuration / "S3Update" / "S3DestinationDescription": S3, Whole, Nested;
        ProcessingConfiguration: ProcessingConfiguration, Never, Nested;
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
        BufferingHints: BufferingHints, Never, Hints(5, 60);
        SecretsManagerConfiguration: SecretsManagerConfiguration, Never, Nested;
    }
}

impl Destination for Splunk {
    fn kind(&self) -> Kind {
        Kind::Splunk
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut splunk = draft.spec().destination.splunk.take().unwrap_or_default();
        set(&mut splunk.hec_endpoint, self.HECEndpoint.as_ref());
        set_named(&mut splunk.hec_endpoint_type, self.HECEndpointType.as_ref())?;
        if let Some(seconds) = self.HECAcknowledgmentTimeoutInSeconds {
            splunk.hec_acknowledgment_timeout_seconds = Some(small(seconds));
        }
        let manager = self.SecretsManagerConfiguration.as_ref();
        let secret = SecretsManagerConfiguration::apply(manager, draft)?;
        let token = self.HECToken.as_ref().filter(|token| !token.is_empty());
        let token = entry(secret.as_ref(), "hec_token", token, TOKEN_KEY, draft);
        set(&mut splunk.hec_token_ref, token.as_ref());
        if splunk.hec_token_ref.name.is_empty() {
            return Err(invalid_argument(
                "HECToken is required, or an enabled SecretsManagerConfiguration.",
            ));
        }
        BufferingHints::apply(self.BufferingHints.as_ref(), draft);
        RetryOptions::apply(self.RetryOptions.as_ref(), draft);
        ProcessingConfiguration::apply(self.ProcessingConfiguration.as_ref(), draft)?;
        CloudWatchLoggingOptions::apply(self.CloudWatchLoggingOptions.as_ref(), LOGGING, draft)?;
        backup::apply_bucket(self.S3Configuration.as_ref(), BUCKET, draft)?;
        EVENTS.apply(self.S3BackupMode.as_ref(), BackupMode::FailedOnly, draft)?;
        draft.spec().destination.splunk = Some(splunk);
        Ok(())
    }
}

impl Splunk {
    pub(super) fn told(told: &Told<'_>) -> Option<Splunk> {
        let splunk = told.spec().destination.splunk.as_ref()?;
        let seconds = splunk.hec_acknowledgment_timeout_seconds;
        Some(Splunk {
            HECEndpoint: Some(splunk.hec_endpoint.clone()),
            HECEndpointType: name_of(&splunk.hec_endpoint_type.unwrap_or(HecEndpointType::Raw)),
            HECToken: None,
            HECAcknowledgmentTimeoutInSeconds: Some(i64::from(
                seconds.unwrap_or(ACKNOWLEDGMENT_SECONDS_DEFAULT),
            )),
            RetryOptions: RetryOptions::told(told, RETRY_SECONDS_DEFAULT),
            S3BackupMode: EVENTS.told(told),
            S3Configuration: backup::told_bucket(told, BUCKET),
            ProcessingConfiguration: ProcessingConfiguration::told(told),
            CloudWatchLoggingOptions: CloudWatchLoggingOptions::told(told, LOGGING),
            BufferingHints: BufferingHints::told(told, MIB_DEFAULT, SECONDS_DEFAULT),
            SecretsManagerConfiguration: SecretsManagerConfiguration::told(
                told,
                Some(&splunk.hec_token_ref),
            ),
        })
    }
}
