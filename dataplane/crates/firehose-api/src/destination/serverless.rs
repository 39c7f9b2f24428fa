//! Documents in a serverless collection of OpenSearch.

use aws_protocol::ApiError;

use super::search::{self, HINTS, Search, VpcConfiguration, region_of, signed};
use super::{Destination, Kind, S3};
use crate::backup::DOCUMENTS;
use crate::buffering::BufferingHints;
use crate::draft::{CloudWatchLoggingOptions, Draft, RetryOptions, Told};
use crate::processing::ProcessingConfiguration;
use crate::shape::{Nested, OneOf, shapes};
use crate::texts::{ENDPOINT, INDEX_NAME, ROLE_ARN};

shapes! {
    /// As AmazonOpenSearchServerlessDestinationConfiguration, its update and its description.
    Serverless {
        RoleARN: String, Whole, ROLE_ARN;
        CollectionEndpoint: String, Never, ENDPOINT;
        IndexName: String, Whole, INDEX_NAME;
        BufferingHints: BufferingHints, Never, HINTS;
        RetryOptions: RetryOptions, Never, Nested;
        S3BackupMode: String, Never, OneOf(DOCUMENTS.0);
        S3Configuration / "S3Update" / "S3DestinationDescription": S3, Whole, Nested;
        ProcessingConfiguration: ProcessingConfiguration, Never, Nested;
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
        #[serde(rename(serialize = "VpcConfigurationDescription"))]
        VpcConfiguration: VpcConfiguration, Never, Nested;
    }
}

impl Destination for Serverless {
    fn kind(&self) -> Kind {
        Kind::Serverless
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let known = draft.spec().destination.opensearch.take();
        let is_new = known.is_none();
        let mut search = known.unwrap_or_default();
        let given = Search {
            RoleARN: self.RoleARN.clone(),
            ClusterEndpoint: self.CollectionEndpoint.clone(),
            IndexName: self.IndexName.clone(),
            // Indexes of a collection do not rotate.
            IndexRotationPeriod: is_new.then(|| "NoRotation".to_owned()),
            BufferingHints: self.BufferingHints.clone(),
            RetryOptions: self.RetryOptions.clone(),
            S3BackupMode: self.S3BackupMode.clone(),
            S3Configuration: self.S3Configuration.clone(),
            ProcessingConfiguration: self.ProcessingConfiguration.clone(),
            CloudWatchLoggingOptions: self.CloudWatchLoggingOptions.clone(),
            VpcConfiguration: self.VpcConfiguration.clone(),
            ..Search::default()
        };
        given.apply(&mut search, draft)?;
        if !search::is_serverless(&search) {
            let region = region_of(&search.endpoint);
            let region = region.unwrap_or_else(|| draft.identity.region.clone());
            search.credentials = Some(signed(region, Some(true)));
        }
        draft.spec().destination.opensearch = Some(search);
        Ok(())
    }
}

impl Serverless {
    pub(super) fn told(told: &Told<'_>) -> Option<Serverless> {
        let search = told.spec().destination.opensearch.as_ref()?;
        let search = Search::told(told, search);
        Some(Serverless {
            RoleARN: search.RoleARN,
            CollectionEndpoint: search.ClusterEndpoint,
            IndexName: search.IndexName,
            BufferingHints: search.BufferingHints,
            RetryOptions: search.RetryOptions,
            S3BackupMode: search.S3BackupMode,
            S3Configuration: search.S3Configuration,
            ProcessingConfiguration: search.ProcessingConfiguration,
            CloudWatchLoggingOptions: search.CloudWatchLoggingOptions,
            VpcConfiguration: search.VpcConfiguration,
        })
    }
}
