//! Rows in Snowflake.

use aws_protocol::ApiError;
use base64_simd::STANDARD;
use operator_api::delivery_stream::{BackupMode, DataLoadingOption, SnowflakeDestination};

use super::{Destination, Kind, S3};
use crate::backup::{self, DATA};
use crate::buffering::{BufferingHints, Hints};
use crate::draft::{CloudWatchLoggingOptions, Draft, RetryOptions, Told, name_of, set, set_named};
use crate::errors::invalid_argument;
use crate::processing::ProcessingConfiguration;
use crate::secrets::{SecretsManagerConfiguration, entry};
use crate::shape::{Anything, Nested, OneOf, shapes};
use crate::texts::{ACCOUNT_URL, PASSPHRASE, PRIVATE_KEY, ROLE_ARN, SNOWFLAKE_NAME, VPCE_ID};

const BUCKET: &str = "S3Configuration";
const LOGGING: &str = "CloudWatchLoggingOptions";
const URL: &str = "AccountUrl";
const VPC: &str = "SnowflakeVpcConfiguration";
const KEY_KEY: &str = "snowflake-private-key";
const PASSPHRASE_KEY: &str = "snowflake-key-passphrase";
/// As the resource's defaults.
const MIB_DEFAULT: u32 = 128;
const SECONDS_DEFAULT: u32 = 0;
const RETRY_SECONDS_DEFAULT: u32 = 300;
/// Of base64 in PEM.
const PEM_LINE_CHARS: usize = 64;

shapes! {
    /// As SnowflakeDestinationConfiguration, its update and its description.
    Snowflake {
        AccountUrl: String, Whole, ACCOUNT_URL;
        #[serde(skip_serializing)]
        PrivateKey: String, Never, PRIVATE_KEY;
        #[serde(skip_serializing)]
        KeyPassphrase: String, Never, PASSPHRASE;
        User: String, Never, SNOWFLAKE_NAME;
        Database: String, Whole, SNOWFLAKE_NAME;
        Schema: String, Whole, SNOWFLAKE_NAME;
        Table: String, Whole, SNOWFLAKE_NAME;
        SnowflakeRoleConfiguration: RoleConfiguration, Never, Nested;
        DataLoadingOption: String, Never, OneOf(&[
            "JSON_MAPPING", "VARIANT_CONTENT_MAPPING", "VARIANT_CONTENT_AND_METADATA_MAPPING",
        ]);
        MetaDataColumnName: String, Never, SNOWFLAKE_NAME;
        ContentColumnName: String, Never, SNOWFLAKE_NAME;
        SnowflakeVpcConfiguration: SnowflakeVpc, Never, Nested;
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
        ProcessingConfiguration: ProcessingConfiguration, Never, Nested;
        RoleARN: String, Whole, ROLE_ARN;
        RetryOptions: RetryOptions, Never, Nested;
        S3BackupMode: String, Never, OneOf(DATA.0);
        S3Configuration / "S3Update" / "S3DestinationDescription": S3, Whole, Nested;
        SecretsManagerConfiguration: SecretsManagerConfiguration, Never, Nested;
        BufferingHints: BufferingHints, Never, Hints(128, 900);
    }

    /// As SnowflakeRoleConfiguration.
    RoleConfiguration {
        Enabled: bool, Never, Anything;
        SnowflakeRole: String, Never, SNOWFLAKE_NAME;
    }

    /// As SnowflakeVpcConfiguration.
    SnowflakeVpc {
        PrivateLinkVpceId: String, Always, VPCE_ID;
    }
}

impl Destination for Snowflake {
    fn kind(&self) -> Kind {
        Kind::Snowflake
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut snowflake = draft.spec().destination.snowflake.take().unwrap_or_default();
        if let Some(url) = &self.AccountUrl {
            let has_scheme = url.contains("://");
            let scheme = if has_scheme { "" } else { "https://" };
            snowflake.account_url = format!("{scheme}{url}");
            draft.keep(URL, Some(url));
        }
        self.apply_key(&mut snowflake, draft)?;
        set(&mut snowflake.database, self.Database.as_ref());
        set(&mut snowflake.schema, self.Schema.as_ref());
        set(&mut snowflake.table, self.Table.as_ref());
        if let Some(role) = &self.SnowflakeRoleConfiguration {
            snowflake.role = role.SnowflakeRole.clone().filter(|_| role.Enabled == Some(true));
        }
        set_named(&mut snowflake.data_loading_option, self.DataLoadingOption.as_ref())?;
        set(
            &mut snowflake.metadata_column_name,
            self.MetaDataColumnName.clone().map(Some).as_ref(),
        );
        set(&mut snowflake.content_column_name, self.ContentColumnName.clone().map(Some).as_ref());
        draft.keep("RoleARN", self.RoleARN.as_ref());
        draft.keep(VPC, self.SnowflakeVpcConfiguration.as_ref());
        BufferingHints::apply(self.BufferingHints.as_ref(), draft);
        RetryOptions::apply(self.RetryOptions.as_ref(), draft);
        ProcessingConfiguration::apply(self.ProcessingConfiguration.as_ref(), draft)?;
        CloudWatchLoggingOptions::apply(self.CloudWatchLoggingOptions.as_ref(), LOGGING, draft)?;
        backup::apply_bucket(self.S3Configuration.as_ref(), BUCKET, draft)?;
        DATA.apply(self.S3BackupMode.as_ref(), BackupMode::FailedOnly, draft)?;
        draft.spec().destination.snowflake = Some(snowflake);
        Ok(())
    }
}

impl Snowflake {
    /// Who logs in. The user stands in the resource, whoever has the key.
    fn apply_key(
        &self,
        snowflake: &mut SnowflakeDestination,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let manager = self.SecretsManagerConfiguration.as_ref();
        let secret = SecretsManagerConfiguration::apply(manager, draft)?;
        set(&mut snowflake.user, self.User.as_ref());
        if snowflake.user.is_empty() {
            return Err(invalid_argument("User is required, also with a secret."));
        }
        let pem = self.PrivateKey.as_deref().map(pem).transpose()?;
        let key = entry(secret.as_ref(), "private_key", pem.as_ref(), KEY_KEY, draft);
        let is_new_key = key.is_some();
        set(&mut snowflake.private_key_ref, key.as_ref());
        if snowflake.private_key_ref.name.is_empty() {
            return Err(invalid_argument(
                "PrivateKey is required, or an enabled SecretsManagerConfiguration.",
            ));
        }
        match &self.KeyPassphrase {
            // A Secret that is there holds a key that needs none.
            Some(passphrase) if secret.is_none() => {
                snowflake.key_passphrase_ref = Some(draft.hide(PASSPHRASE_KEY, passphrase));
            }
            _ if is_new_key => {
                draft.stream.secrets.remove(PASSPHRASE_KEY);
                snowflake.key_passphrase_ref = None;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn told(told: &Told<'_>) -> Option<Snowflake> {
        let snowflake = told.spec().destination.snowflake.as_ref()?;
        let is_same = |given: &String| snowflake.account_url.ends_with(given.as_str());
        let url = told.kept(URL).filter(is_same);
        let option = snowflake.data_loading_option.unwrap_or(DataLoadingOption::JsonMapping);
        let role = snowflake.role.as_ref();
        Some(Snowflake {
            AccountUrl: url.or_else(|| Some(snowflake.account_url.clone())),
            PrivateKey: None,
            KeyPassphrase: None,
            User: Some(snowflake.user.clone()),
            Database: Some(snowflake.database.clone()),
            Schema: Some(snowflake.schema.clone()),
            Table: Some(snowflake.table.clone()),
            SnowflakeRoleConfiguration: Some(RoleConfiguration {
                Enabled: Some(role.is_some()),
                SnowflakeRole: role.cloned(),
            }),
            DataLoadingOption: name_of(&option),
            MetaDataColumnName: snowflake.metadata_column_name.clone(),
            ContentColumnName: snowflake.content_column_name.clone(),
            SnowflakeVpcConfiguration: told.kept(VPC),
            CloudWatchLoggingOptions: CloudWatchLoggingOptions::told(told, LOGGING),
            ProcessingConfiguration: ProcessingConfiguration::told(told),
            RoleARN: told.kept("RoleARN"),
            RetryOptions: RetryOptions::told(told, RETRY_SECONDS_DEFAULT),
            S3BackupMode: DATA.told(told),
            S3Configuration: backup::told_bucket(told, BUCKET),
            SecretsManagerConfiguration: SecretsManagerConfiguration::told(
                told,
                Some(&snowflake.private_key_ref),
            ),
            BufferingHints: BufferingHints::told(told, MIB_DEFAULT, SECONDS_DEFAULT),
        })
    }
}

/// AWS takes a key without the lines around it, which say whether it is encrypted. So does the key:
/// PKCS #8 begins with a version, an encrypted one with an algorithm.
fn pem(base64: &str) -> Result<String, ApiError> {
    const SEQUENCE: u8 = 0x30;
    let not_a_key = || invalid_argument("PrivateKey is not the base64 of a PKCS #8 key.");
    let der = STANDARD.decode_to_vec(base64.as_bytes()).map_err(|_| not_a_key())?;
    let [SEQUENCE, length, rest @ ..] = der.as_slice() else { return Err(not_a_key()) };
    // A long length says first how many bytes it takes.
    let length_bytes = if *length < 0x80 { 0 } else { usize::from(length & 0x7f) };
    let first = *rest.get(length_bytes).ok_or_else(not_a_key)?;
    let label = if first == SEQUENCE { "ENCRYPTED PRIVATE KEY" } else { "PRIVATE KEY" };
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(PEM_LINE_CHARS) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_whether_it_is_encrypted() {
        let check = |der: &[u8], want: &str| {
            let got = pem(&STANDARD.encode_to_string(der));
            let first = got.as_deref().map(|text| text.lines().next().unwrap_or_default());
            assert_eq!(first.unwrap_or("refused"), want);
        };
        check(&[0x30, 0x03, 0x02, 0x01, 0x00], "-----BEGIN PRIVATE KEY-----");
        check(&[0x30, 0x82, 0x04, 0xbe, 0x02, 0x01, 0x00], "-----BEGIN PRIVATE KEY-----");
        check(&[0x30, 0x81, 0x90, 0x30, 0x40], "-----BEGIN ENCRYPTED PRIVATE KEY-----");
        check(&[0x30, 0x82, 0x04], "refused");
        check(&[0x02, 0x01, 0x00], "refused");
        check(&[], "refused");
    }
}
