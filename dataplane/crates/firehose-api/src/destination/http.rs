//! Requests to a service.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use operator_api::delivery_stream::{BackupMode, ContentEncoding, HttpDestination};

use super::s3::{MIB_DEFAULT, SECONDS_DEFAULT};
use super::{Destination, Kind, S3};
use crate::backup::{self, DATA};
use crate::buffering::{BufferingHints, Hints};
use crate::draft::{CloudWatchLoggingOptions, Draft, RetryOptions, Told, name_of, set, set_named};
use crate::errors::invalid_argument;
use crate::processing::ProcessingConfiguration;
use crate::secrets::{SecretsManagerConfiguration, entry};
use crate::shape::{Counted, Nested, OneOf, shapes};
use crate::texts::{ACCESS_KEY, ATTRIBUTE_NAME, ATTRIBUTE_VALUE, HTTP_NAME, HTTP_URL, ROLE_ARN};

const BUCKET: &str = "S3Configuration";
const LOGGING: &str = "CloudWatchLoggingOptions";
const ACCESS_KEY_KEY: &str = "http-access-key";
const RETRY_SECONDS_DEFAULT: u32 = 300;

shapes! {
    /// As HttpEndpointDestinationConfiguration, its update and its description.
    HttpEndpoint {
        EndpointConfiguration: EndpointConfiguration, Whole, Nested;
        BufferingHints: BufferingHints, Never, Hints(64, 900);
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
        RequestConfiguration: RequestConfiguration, Never, Nested;
        ProcessingConfiguration: ProcessingConfiguration, Never, Nested;
        RoleARN: String, Never, ROLE_ARN;
        RetryOptions: RetryOptions, Never, Nested;
        S3BackupMode: String, Never, OneOf(DATA.0);
        S3Configuration / "S3Update" / "S3DestinationDescription": S3, Whole, Nested;
        SecretsManagerConfiguration: SecretsManagerConfiguration, Never, Nested;
    }

    /// As HttpEndpointConfiguration.
    EndpointConfiguration {
        Url: String, Always, HTTP_URL;
        Name: String, Never, HTTP_NAME;
        #[serde(skip_serializing)]
        AccessKey: String, Never, ACCESS_KEY;
    }

    /// As HttpEndpointRequestConfiguration.
    RequestConfiguration {
        ContentEncoding: String, Never, OneOf(&["NONE", "GZIP"]);
        CommonAttributes: Vec<CommonAttribute>, Never, Counted(0..=50, Nested);
    }

    /// As HttpEndpointCommonAttribute.
    CommonAttribute {
        AttributeName: String, Always, ATTRIBUTE_NAME;
        AttributeValue: String, Always, ATTRIBUTE_VALUE;
    }
}

impl Destination for HttpEndpoint {
    fn kind(&self) -> Kind {
        Kind::HttpEndpoint
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut http = draft.spec().destination.http_endpoint.take().unwrap_or_default();
        self.apply_endpoint(&mut http, draft)?;
        if let Some(request) = &self.RequestConfiguration {
            request.apply(&mut http)?;
        }
        draft.keep("RoleARN", self.RoleARN.as_ref());
        BufferingHints::check_both(self.BufferingHints.as_ref())?;
        BufferingHints::apply(self.BufferingHints.as_ref(), draft);
        RetryOptions::apply(self.RetryOptions.as_ref(), draft);
        ProcessingConfiguration::apply(self.ProcessingConfiguration.as_ref(), draft)?;
        CloudWatchLoggingOptions::apply(self.CloudWatchLoggingOptions.as_ref(), LOGGING, draft)?;
        backup::apply_bucket(self.S3Configuration.as_ref(), BUCKET, draft)?;
        DATA.apply(self.S3BackupMode.as_ref(), BackupMode::FailedOnly, draft)?;
        draft.spec().destination.http_endpoint = Some(http);
        Ok(())
    }
}

impl RequestConfiguration {
    fn apply(&self, http: &mut HttpDestination) -> Result<(), ApiError> {
        set_named(&mut http.content_encoding, self.ContentEncoding.as_ref())?;
        let Some(given) = &self.CommonAttributes else { return Ok(()) };
        let mut attributes = BTreeMap::new();
        for CommonAttribute { AttributeName: name, AttributeValue: value } in given {
            let name = name.clone().unwrap_or_default();
            if attributes.insert(name.clone(), value.clone().unwrap_or_default()).is_some() {
                return Err(invalid_argument(format!("Common attribute {name} is given twice.")));
            }
        }
        http.common_attributes = Some(attributes);
        Ok(())
    }

    fn told(http: &HttpDestination) -> RequestConfiguration {
        let attributes = http.common_attributes.iter().flatten();
        let attributes = attributes.map(|(name, value)| CommonAttribute {
            AttributeName: Some(name.clone()),
            AttributeValue: Some(value.clone()),
        });
        RequestConfiguration {
            ContentEncoding: name_of(&http.content_encoding.unwrap_or(ContentEncoding::None)),
            CommonAttributes: Some(attributes.collect()),
        }
    }
}

impl HttpEndpoint {
    fn apply_endpoint(
        &self,
        http: &mut HttpDestination,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let endpoint = self.EndpointConfiguration.as_ref();
        if let Some(endpoint) = endpoint {
            set(&mut http.url, endpoint.Url.as_ref());
            http.name.clone_from(&endpoint.Name);
        }
        let key = endpoint.and_then(|endpoint| endpoint.AccessKey.as_ref());
        let manager = self.SecretsManagerConfiguration.as_ref();
        let secret = SecretsManagerConfiguration::apply(manager, draft)?;
        if key.is_some_and(String::is_empty) && secret.is_none() {
            draft.stream.secrets.remove(ACCESS_KEY_KEY);
            http.access_key_ref = None;
            return Ok(());
        }
        let found = entry(secret.as_ref(), "api_key", key, ACCESS_KEY_KEY, draft);
        http.access_key_ref = found.or(http.access_key_ref.take());
        Ok(())
    }

    pub(super) fn told(told: &Told<'_>) -> Option<HttpEndpoint> {
        let http = told.spec().destination.http_endpoint.as_ref()?;
        Some(HttpEndpoint {
            EndpointConfiguration: Some(EndpointConfiguration {
                Url: Some(http.url.clone()),
                Name: http.name.clone(),
                AccessKey: None,
            }),
            BufferingHints: BufferingHints::told(told, MIB_DEFAULT, SECONDS_DEFAULT),
            CloudWatchLoggingOptions: CloudWatchLoggingOptions::told(told, LOGGING),
            RequestConfiguration: Some(RequestConfiguration::told(http)),
            ProcessingConfiguration: ProcessingConfiguration::told(told),
            RoleARN: told.kept("RoleARN"),
            RetryOptions: RetryOptions::told(told, RETRY_SECONDS_DEFAULT),
            S3BackupMode: DATA.told(told),
            S3Configuration: backup::told_bucket(told, BUCKET),
            SecretsManagerConfiguration: SecretsManagerConfiguration::told(
                told,
                http.access_key_ref.as_ref(),
            ),
        })
    }
}
