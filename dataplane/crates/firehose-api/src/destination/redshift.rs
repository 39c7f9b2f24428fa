//! A table in Redshift, by way of a bucket.

use aws_protocol::ApiError;
use operator_api::delivery_stream::{
    BackupMode, CopyCommand as CopySpec, RedshiftDestination, S3Destination,
};
use operator_api::pods::SecretRef;

use super::s3::{MIB_DEFAULT, SECONDS_DEFAULT};
use super::{Destination, Kind, S3};
use crate::backup::{self, BUCKETS};
use crate::buffering::BufferingHints;
use crate::draft::{CloudWatchLoggingOptions, Draft, RetryOptions, Told, set};
use crate::errors::invalid_argument;
use crate::processing::ProcessingConfiguration;
use crate::secrets::{SecretsManagerConfiguration, entry};
use crate::shape::{Nested, OneOf, shapes};
use crate::texts::{COPY_TEXT, JDBC_URL, PASSWORD, ROLE_ARN, TABLE_NAME, USERNAME};

const BUCKET: &str = "S3Configuration";
const BACKUP: &str = "S3BackupConfiguration";
const LOGGING: &str = "CloudWatchLoggingOptions";
const USERNAME_KEY: &str = "redshift-username";
const PASSWORD_KEY: &str = "redshift-password";
const RETRY_SECONDS_DEFAULT: u32 = 3600;

shapes! {
    /// As RedshiftDestinationConfiguration, its update and its description.
    Redshift {
        RoleARN: String, Whole, ROLE_ARN;
        ClusterJDBCURL: String, Whole, JDBC_URL;
        CopyCommand: CopyCommand, Whole, Nested;
        Username: String, Never, USERNAME;
        #[serde(skip_serializing)]
        Password: String, Never, PASSWORD;
        RetryOptions: RetryOptions, Never, Nested;
        S3Configuration / "S3Update" / "S3DestinationDescription": S3, Whole, Nested;
        ProcessingConfiguration: ProcessingConfiguration, Never, Nested;
        S3BackupMode: String, Never, OneOf(BUCKETS.0);
        S3BackupConfiguration / "S3BackupUpdate" / "S3BackupDescription": S3, Never, Nested;
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
        SecretsManagerConfiguration: SecretsManagerConfiguration, Never, Nested;
    }

    /// As CopyCommand.
    CopyCommand {
        DataTableName: String, Always, TABLE_NAME;
        DataTableColumns: String, Never, COPY_TEXT;
        CopyOptions: String, Never, COPY_TEXT;
    }
}

impl Destination for Redshift {
    fn kind(&self) -> Kind {
        Kind::Redshift
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut redshift = draft.spec().destination.redshift.take().unwrap_or_default();
        let before = redshift.s3.clone();
        if let Some(url) = &self.ClusterJDBCURL {
            redshift.cluster_jdbc_url = Some(url.clone());
            // AWS has no word for it here: who gives an address wants a connection.
            redshift.data_api = None;
        }
        if let Some(copy) = &self.CopyCommand {
            let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            redshift.copy_command = CopySpec {
                data_table_name: copy.DataTableName.clone().unwrap_or_default(),
                data_table_columns: text(&copy.DataTableColumns),
                copy_options: text(&copy.CopyOptions),
            };
        }
        self.apply_credentials(&mut redshift, draft)?;
        if let Some(s3) = &self.S3Configuration {
            s3.apply(BUCKET, &mut redshift.s3, draft)?;
            // Batches of rows are the objects in this bucket.
            BufferingHints::apply(s3.BufferingHints.as_ref(), draft);
        }
        draft.keep("RoleARN", self.RoleARN.as_ref());
        RetryOptions::apply(self.RetryOptions.as_ref(), draft);
        ProcessingConfiguration::apply(self.ProcessingConfiguration.as_ref(), draft)?;
        CloudWatchLoggingOptions::apply(self.CloudWatchLoggingOptions.as_ref(), LOGGING, draft)?;
        self.apply_backup(&before, &redshift.s3, draft)?;
        draft.spec().destination.redshift = Some(redshift);
        Ok(())
    }
}

impl Redshift {
    /// What is refused lies beside what is loaded, unless there is another bucket for it.
    fn apply_backup(
        &self,
        before: &S3Destination,
        bucket: &S3Destination,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let was_all = backup::is_all(draft.spec().backup.as_ref());
        backup::apply_bucket(self.S3BackupConfiguration.as_ref(), BACKUP, draft)?;
        BUCKETS.apply(self.S3BackupMode.as_ref(), BackupMode::FailedOnly, draft)?;
        let backup = draft.spec().backup.get_or_insert_default();
        let is_given = self.S3BackupConfiguration.is_some();
        let is_beside = !is_given && backup.s3.as_ref().is_none_or(|it| it == before);
        match (backup::is_all(Some(backup)), is_beside) {
            (true, true) if !was_all => Err(invalid_argument(
                "S3BackupConfiguration is required when S3BackupMode is Enabled.",
            )),
            (false, true) => {
                backup.s3 = Some(bucket.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn apply_credentials(
        &self,
        redshift: &mut RedshiftDestination,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let manager = self.SecretsManagerConfiguration.as_ref();
        if redshift.data_api.is_some() {
            let is_given = self.Username.is_some() || self.Password.is_some() || manager.is_some();
            return match is_given {
                false => Ok(()),
                true => Err(invalid_argument(
                    "ClusterJDBCURL is required with credentials: this delivery stream loads by the Redshift Data API.",
                )),
            };
        }
        let secret = SecretsManagerConfiguration::apply(manager, draft)?;
        let credentials = redshift.credentials.get_or_insert_default();
        let secret = secret.as_ref();
        let username = entry(secret, "username", self.Username.as_ref(), USERNAME_KEY, draft);
        set(&mut credentials.username_ref, username.as_ref());
        let password = entry(secret, "password", self.Password.as_ref(), PASSWORD_KEY, draft);
        set(&mut credentials.password_ref, password.as_ref());
        let is_missing = |secret: &SecretRef| secret.name.is_empty();
        if is_missing(&credentials.username_ref) || is_missing(&credentials.password_ref) {
            return Err(invalid_argument(
                "Username and Password are required, or an enabled SecretsManagerConfiguration.",
            ));
        }
        Ok(())
    }

    pub(super) fn told(told: &Told<'_>) -> Option<Redshift> {
        let redshift = told.spec().destination.redshift.as_ref()?;
        let copy = &redshift.copy_command;
        let user = redshift.credentials.as_ref().map(|it| &it.username_ref);
        let manager = SecretsManagerConfiguration::told(told, user);
        let is_own = manager.as_ref().is_none_or(|manager| manager.Enabled == Some(false));
        let hints = BufferingHints::told(told, MIB_DEFAULT, SECONDS_DEFAULT);
        let is_all = backup::is_all(told.spec().backup.as_ref());
        Some(Redshift {
            RoleARN: told.kept("RoleARN"),
            ClusterJDBCURL: redshift.cluster_jdbc_url.clone(),
            CopyCommand: Some(CopyCommand {
                DataTableName: Some(copy.data_table_name.clone()),
                DataTableColumns: copy.data_table_columns.clone(),
                CopyOptions: copy.copy_options.clone(),
            }),
            Username: user
                .and_then(|user| told.stream.secrets.get(&user.key))
                .filter(|_| is_own)
                .cloned(),
            Password: None,
            RetryOptions: RetryOptions::told(told, RETRY_SECONDS_DEFAULT),
            S3Configuration: Some(S3::told(told, BUCKET, &redshift.s3, hints)),
            ProcessingConfiguration: ProcessingConfiguration::told(told),
            S3BackupMode: BUCKETS.told(told),
            S3BackupConfiguration: backup::told_bucket(told, BACKUP).filter(|_| is_all),
            CloudWatchLoggingOptions: CloudWatchLoggingOptions::told(told, LOGGING),
            SecretsManagerConfiguration: manager,
        })
    }
}
