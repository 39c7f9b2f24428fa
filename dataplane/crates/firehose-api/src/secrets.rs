//! Secrets of destinations: handed over in calls, or in a Secret that is there.
//!
//! The ARN of a secret of AWS Secrets Manager stands for the Secret of that name beside the delivery
//! stream, whose entries have the names that AWS asks for in a secret's JSON.

use aws_protocol::ApiError;
use delivery_catalog::DeliveryStream;
use operator_api::pods::SecretRef;

use crate::draft::{Draft, Told};
use crate::errors::invalid_argument;
use crate::shape::{Anything, shapes};
use crate::texts::{ROLE_ARN, SECRET_ARN};

const MEMBER: &str = "SecretsManagerConfiguration";
/// As Kubernetes names Secrets.
const NAME_BYTES_MAX: usize = 253;

shapes! {
    /// As SecretsManagerConfiguration.
    SecretsManagerConfiguration {
        SecretARN: String, Never, SECRET_ARN;
        RoleARN: String, Never, ROLE_ARN;
        Enabled: bool, Always, Anything;
    }
}

impl SecretsManagerConfiguration {
    /// The Secret whose entries are used, when it is.
    pub(crate) fn apply(
        given: Option<&SecretsManagerConfiguration>,
        draft: &mut Draft<'_>,
    ) -> Result<Option<String>, ApiError> {
        let Some(manager) = given else { return Ok(None) };
        draft.keep(MEMBER, Some(manager));
        if manager.Enabled != Some(true) {
            return Ok(None);
        }
        let arn = manager.SecretARN.as_deref();
        let Some((_, name)) = arn.and_then(|arn| arn.split_once(":secret:")) else {
            return Err(invalid_argument(
                "SecretARN is required when SecretsManagerConfiguration is enabled.",
            ));
        };
        if !is_secret_name(name) {
            return Err(invalid_argument(format!(
                "SecretARN ends with {name}, which is no name of a Kubernetes Secret: give the ARN that ends with the name of one."
            )));
        }
        Ok(Some(name.to_owned()))
    }

    /// Told when the secret is not one that was handed over in a call.
    pub(crate) fn told(
        told: &Told<'_>,
        secret: Option<&SecretRef>,
    ) -> Option<SecretsManagerConfiguration> {
        let kept: Option<SecretsManagerConfiguration> = told.kept(MEMBER);
        let own = DeliveryStream::secret_name(&told.stream.name);
        let Some(secret) = secret.filter(|secret| secret.name != own) else {
            return kept.filter(|kept| kept.Enabled == Some(false));
        };
        let ends_so = |arn: &String| arn.ends_with(&format!(":secret:{}", secret.name));
        let (region, account) = (&told.identity.region, &told.identity.account);
        let arn = kept.as_ref().and_then(|kept| kept.SecretARN.clone()).filter(ends_so);
        Some(SecretsManagerConfiguration {
            SecretARN: Some(arn.unwrap_or_else(|| {
                format!("arn:aws:secretsmanager:{region}:{account}:secret:{}", secret.name)
            })),
            RoleARN: kept.and_then(|kept| kept.RoleARN),
            Enabled: Some(true),
        })
    }
}

/// The entry of a Secret, or a secret that was handed over.
pub(crate) fn entry(
    secret: Option<&String>,
    entry: &str,
    given: Option<&String>,
    key: &str,
    draft: &mut Draft<'_>,
) -> Option<SecretRef> {
    match (secret, given) {
        (Some(name), _) => {
            draft.stream.secrets.remove(key);
            Some(SecretRef { name: name.clone(), key: entry.to_owned() })
        }
        (None, Some(given)) => Some(draft.hide(key, given)),
        (None, None) => None,
    }
}

/// As Kubernetes has it: a DNS subdomain.
fn is_secret_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|first| is_inner(*first))
            && bytes.last().is_some_and(|last| is_inner(*last))
            && bytes.iter().all(|byte| is_inner(*byte) || *byte == b'-')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        for good in ["a", "splunk", "my-secret.v2", "0"] {
            assert!(is_secret_name(good), "{good}");
        }
        for bad in ["", "Splunk", "a/b", "-a", "a-", "a..b", "splunk-AbCdEf", &"a".repeat(254)] {
            assert!(!is_secret_name(bad), "{bad}");
        }
    }
}
