//! Naming a stream: by name, by ARN, or by both when they agree.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use model::StreamName;

use crate::api::{Api, Identity};
use crate::errors::{invalid_argument, stream_not_found};
use crate::resource::Arn;

pub(crate) const NAME_PATTERN: &str = "[a-zA-Z0-9_.-]+";

/// A stream as a request names it, its members already checked against the model.
#[derive(Debug)]
pub(crate) struct StreamRef {
    by_name: Option<StreamName>,
    by_arn: Option<StreamName>,
}

impl StreamRef {
    /// Checks `StreamName` and `StreamARN`.
    pub(crate) fn check(
        checks: &mut Violations,
        name: Option<&str>,
        arn: Option<&str>,
    ) -> StreamRef {
        checks.length("streamName", name, 1..=128);
        let by_name = name.and_then(|name| name.parse().ok());
        if name.is_some_and(|name| (1..=128).contains(&name.chars().count())) {
            checks.pattern("streamName", name, NAME_PATTERN, by_name.is_some());
        }
        let by_arn = Arn::check_stream(checks, "streamARN", arn);
        StreamRef { by_name, by_arn }
    }

    /// The one name. Callers of another account mean a stream of their own unless they give an ARN,
    /// and they have none here.
    pub(crate) fn resolve_for(self, api: &Api) -> Result<StreamName, ApiError> {
        let is_arn = self.by_arn.is_some();
        let name = self.resolve()?;
        match api.other_account().filter(|_| !is_arn) {
            None => Ok(name),
            Some(account) => {
                let identity = Identity { account: account.to_owned(), ..api.identity().clone() };
                Err(stream_not_found(&name, &identity))
            }
        }
    }

    /// The one name.
    pub(crate) fn resolve(self) -> Result<StreamName, ApiError> {
        match (self.by_name, self.by_arn) {
            (Some(name), Some(arn)) if name != arn => {
                Err(invalid_argument("StreamName and StreamARN name different streams."))
            }
            (Some(name), _) | (None, Some(name)) => Ok(name),
            (None, None) => Err(invalid_argument("Either StreamName or StreamARN is required.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: Option<&str>, arn: Option<&str>, want: &str) {
        let mut checks = Violations::new();
        let stream = StreamRef::check(&mut checks, name, arn);
        let resolved = checks.finish().and_then(|()| stream.resolve());
        let got = resolved.map_or_else(|error| error.to_string(), |name| name.to_string());
        assert!(got.starts_with(want), "{got}");
    }

    #[test]
    fn a_stream_is_named_by_name_or_arn() {
        const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
        check(Some("clicks"), None, "clicks");
        check(None, Some(ARN), "clicks");
        check(Some("clicks"), Some(ARN), "clicks");
        check(Some("other"), Some(ARN), "InvalidArgumentException: StreamName and StreamARN");
        check(None, None, "InvalidArgumentException: Either StreamName or StreamARN");
        check(Some(""), None, "ValidationException: 1 validation error detected: Value ''");
        check(Some("a/b"), None, "ValidationException: 1 validation error detected: Value 'a/b'");
        check(None, Some("arn:aws:s3:::x"), "ValidationException: 1 validation error detected");
    }
}
