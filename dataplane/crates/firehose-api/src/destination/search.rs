//! Documents in Elasticsearch or OpenSearch.

use aws_protocol::ApiError;
use operator_api::delivery_stream::{
    BackupMode, SearchCredentials, SearchDestination, SearchSigning,
};

use super::s3::{MIB_DEFAULT, SECONDS_DEFAULT};
use super::{Destination, Kind, S3};
use crate::backup::{self, DOCUMENTS};
use crate::buffering::{BufferingHints, Hints};
use crate::draft::{
    CloudWatchLoggingOptions, Draft, RetryOptions, Told, name_of, set, set_named, set_text,
};
use crate::errors::invalid_argument;
use crate::processing::ProcessingConfiguration;
use crate::shape::{Checks, Counted, Nested, OneOf, Shape, shapes};
use crate::texts::{DOMAIN_ARN, ENDPOINT, INDEX_NAME, ROLE_ARN, TYPE_NAME, WORD};

const BUCKET: &str = "S3Configuration";
const LOGGING: &str = "CloudWatchLoggingOptions";
const VPC: &str = "VpcConfiguration";
const RETRY_SECONDS_DEFAULT: u32 = 300;
pub(super) const HINTS: Hints = Hints(100, 900);

shapes! {
    /// As ElasticsearchDestinationConfiguration and AmazonopensearchserviceDestinationConfiguration,
    /// their updates and their descriptions.
    Search {
        RoleARN: String, Whole, ROLE_ARN;
        DomainARN: String, Never, DOMAIN_ARN;
        ClusterEndpoint: String, Never, ENDPOINT;
        IndexName: String, Whole, INDEX_NAME;
        TypeName: String, Never, TYPE_NAME;
        IndexRotationPeriod: String, Never,
            OneOf(&["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"]);
        BufferingHints: BufferingHints, Never, HINTS;
        RetryOptions: RetryOptions, Never, Nested;
        S3BackupMode: String, Never, OneOf(DOCUMENTS.0);
        S3Configuration / "S3Update" / "S3DestinationDescription": S3, Whole, Nested;
        ProcessingConfiguration: ProcessingConfiguration, Never, Nested;
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
        #[serde(rename(serialize = "VpcConfigurationDescription"))]
        VpcConfiguration: VpcConfiguration, Never, Nested;
        DocumentIdOptions: DocumentIdOptions, Never, Nested;
    }

    /// As VpcConfiguration.
    VpcConfiguration {
        SubnetIds: Vec<String>, Always, Counted(1..=16, &WORD);
        RoleARN: String, Always, ROLE_ARN;
        SecurityGroupIds: Vec<String>, Always, Counted(1..=5, &WORD);
    }

    /// As DocumentIdOptions.
    DocumentIdOptions {
        DefaultDocumentIdFormat: String, Always, OneOf(&["FIREHOSE_DEFAULT", "NO_DOCUMENT_ID"]);
    }
}

/// Elasticsearch as it is given.
pub(super) struct Elasticsearch(pub(super) Box<Search>);

/// OpenSearch as it is given.
pub(super) struct OpenSearch(pub(super) Box<Search>);

impl Shape for Elasticsearch {
    fn check(&self, checks: &mut Checks, path: &str) {
        self.0.check(checks, path);
    }
}

impl Shape for OpenSearch {
    fn check(&self, checks: &mut Checks, path: &str) {
        self.0.check(checks, path);
    }
}

impl Destination for Elasticsearch {
    fn kind(&self) -> Kind {
        Kind::Elasticsearch
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut search = draft.spec().destination.elasticsearch.take().unwrap_or_default();
        self.0.apply(&mut search, draft)?;
        draft.spec().destination.elasticsearch = Some(search);
        Ok(())
    }
}

impl Destination for OpenSearch {
    fn kind(&self) -> Kind {
        Kind::OpenSearch
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut search = draft.spec().destination.opensearch.take().unwrap_or_default();
        let before = search.endpoint.clone();
        self.0.apply(&mut search, draft)?;
        // Amazon's own take signed requests, and nobody else does.
        let is_signed = region_of(&before).is_some() && search.credentials.is_some();
        if search.endpoint != before && (search.credentials.is_none() || is_signed) {
            search.credentials = region_of(&search.endpoint).map(|region| signed(region, None));
        }
        draft.spec().destination.opensearch = Some(search);
        Ok(())
    }
}

pub(super) fn signed(region: String, serverless: Option<bool>) -> SearchCredentials {
    let aws = SearchSigning { region, serverless, credentials: None };
    SearchCredentials { aws: Some(aws), ..SearchCredentials::default() }
}

/// Whether it is a serverless collection.
pub(super) fn is_serverless(search: &SearchDestination) -> bool {
    let credentials = search.credentials.as_ref();
    credentials
        .and_then(|credentials| credentials.aws.as_ref())
        .is_some_and(|aws| aws.serverless == Some(true))
}

/// The region of one of Amazon's, as in `https://search-a-b.eu-west-1.es.amazonaws.com`.
pub(super) fn region_of(endpoint: &str) -> Option<String> {
    let host = endpoint.strip_prefix("https://")?.split(['/', ':']).next()?;
    let host = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
    let rest = host.strip_suffix(".es").or(host.strip_suffix(".aoss"))?;
    rest.rsplit('.').next().map(str::to_owned)
}

impl Search {
    pub(super) fn apply(
        &self,
        search: &mut SearchDestination,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        if self.DomainARN.is_some() {
            return Err(invalid_argument(
                "DomainARN is not supported, for nobody here knows the endpoint of a domain: give its ClusterEndpoint.",
            ));
        }
        set(&mut search.endpoint, self.ClusterEndpoint.as_ref());
        if search.endpoint.is_empty() {
            return Err(invalid_argument("ClusterEndpoint is required."));
        }
        set(&mut search.index_name, self.IndexName.as_ref());
        set_text(&mut search.type_name, self.TypeName.as_ref());
        set_named(&mut search.index_rotation, self.IndexRotationPeriod.as_ref())?;
        let ids = self.DocumentIdOptions.as_ref();
        let ids = ids.and_then(|options| options.DefaultDocumentIdFormat.as_ref());
        set_named(&mut search.document_id, ids)?;
        draft.keep("RoleARN", self.RoleARN.as_ref());
        draft.keep(VPC, self.VpcConfiguration.as_ref());
        BufferingHints::apply(self.BufferingHints.as_ref(), draft);
        RetryOptions::apply(self.RetryOptions.as_ref(), draft);
        ProcessingConfiguration::apply(self.ProcessingConfiguration.as_ref(), draft)?;
        CloudWatchLoggingOptions::apply(self.CloudWatchLoggingOptions.as_ref(), LOGGING, draft)?;
        backup::apply_bucket(self.S3Configuration.as_ref(), BUCKET, draft)?;
        DOCUMENTS.apply(self.S3BackupMode.as_ref(), BackupMode::FailedOnly, draft)
    }

    pub(super) fn told(told: &Told<'_>, search: &SearchDestination) -> Search {
        let rotation = search.index_rotation.and_then(|rotation| name_of(&rotation));
        let ids = search.document_id.and_then(|ids| name_of(&ids));
        Search {
            RoleARN: told.kept("RoleARN"),
            DomainARN: None,
            ClusterEndpoint: Some(search.endpoint.clone()),
            IndexName: Some(search.index_name.clone()),
            TypeName: search.type_name.clone(),
            IndexRotationPeriod: rotation.or_else(|| Some("OneDay".to_owned())),
            BufferingHints: BufferingHints::told(told, MIB_DEFAULT, SECONDS_DEFAULT),
            RetryOptions: RetryOptions::told(told, RETRY_SECONDS_DEFAULT),
            S3BackupMode: DOCUMENTS.told(told),
            S3Configuration: backup::told_bucket(told, BUCKET),
            ProcessingConfiguration: ProcessingConfiguration::told(told),
            CloudWatchLoggingOptions: CloudWatchLoggingOptions::told(told, LOGGING),
            VpcConfiguration: told.kept(VPC),
            DocumentIdOptions: Some(DocumentIdOptions {
                DefaultDocumentIdFormat: ids.or_else(|| Some("FIREHOSE_DEFAULT".to_owned())),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_own_endpoints_say_where_they_are() {
        let check = |endpoint: &str, want: Option<&str>| {
            assert_eq!(region_of(endpoint).as_deref(), want, "{endpoint}");
        };
        check("https://search-logs-abc.eu-west-1.es.amazonaws.com", Some("eu-west-1"));
        check("https://abc.us-east-1.aoss.amazonaws.com/", Some("us-east-1"));
        check("https://vpc-x.cn-north-1.es.amazonaws.com.cn:443", Some("cn-north-1"));
        check("https://opensearch:9200", None);
        check("http://x.eu-west-1.es.amazonaws.com", None);
    }
}
