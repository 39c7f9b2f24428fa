//! From calls to delivery streams and back: what all shapes have in common.

use aws_protocol::ApiError;
use delivery_catalog::DeliveryStream;
use operator_api::delivery_stream::DeliveryStreamSpec;
use operator_api::pods::SecretRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::Identity;
use crate::errors::invalid_argument;
use crate::shape::shapes;
use crate::shape::{Anything, Within};
use crate::texts::{LOG_GROUP, LOG_STREAM};

/// A delivery stream that a call is making or changing. Members that a call leaves out leave it as it
/// is, also in what AWS has no words for.
pub(crate) struct Draft<'a> {
    pub(crate) stream: &'a mut DeliveryStream,
    pub(crate) identity: &'a Identity,
    /// The destination's member in CreateDeliveryStream.
    pub(crate) base: &'static str,
}

/// A delivery stream that is described.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) stream: &'a DeliveryStream,
    pub(crate) identity: &'a Identity,
    /// The destination's member in CreateDeliveryStream.
    pub(crate) base: &'static str,
}

impl Draft<'_> {
    pub(crate) fn spec(&mut self) -> &mut DeliveryStreamSpec {
        &mut self.stream.spec
    }

    /// Keeps what means nothing here, when it is given.
    pub(crate) fn keep(&mut self, member: &str, given: Option<&impl Serialize>) {
        let value = given.and_then(|given| serde_json::to_string(given).ok());
        if let Some(value) = value {
            self.stream.aws_only.insert(format!("{}.{member}", self.base), value);
        }
    }

    /// Forgets what [`keep`](Self::keep) kept.
    pub(crate) fn forget(&mut self, member: &str) {
        self.stream.aws_only.remove(&format!("{}.{member}", self.base));
    }

    /// Puts a secret where secrets of calls are.
    pub(crate) fn hide(&mut self, key: &str, secret: &str) -> SecretRef {
        self.stream.secrets.insert(key.to_owned(), secret.to_owned());
        SecretRef { name: DeliveryStream::secret_name(&self.stream.name), key: key.to_owned() }
    }
}

impl Told<'_> {
    pub(crate) fn spec(&self) -> &DeliveryStreamSpec {
        &self.stream.spec
    }

    /// What a call said that means nothing here.
    pub(crate) fn kept<T: DeserializeOwned>(&self, member: &str) -> Option<T> {
        let value = self.stream.aws_only.get(&format!("{}.{member}", self.base))?;
        serde_json::from_str(value).ok()
    }
}

/// Sets what is given.
pub(crate) fn set<T: Clone>(target: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        target.clone_from(given);
    }
}

/// Sets what is given; an empty text is none.
pub(crate) fn set_text(target: &mut Option<String>, given: Option<&String>) {
    if let Some(given) = given {
        *target = Some(given.clone()).filter(|text| !text.is_empty());
    }
}

/// Sets the value of ours that AWS calls so.
pub(crate) fn set_named<T: DeserializeOwned>(
    target: &mut Option<T>,
    given: Option<&String>,
) -> Result<(), ApiError> {
    if let Some(name) = given {
        *target = Some(named(name)?);
    }
    Ok(())
}

/// The value of ours that AWS calls so.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, ApiError> {
    serde_json::from_value(Value::from(name))
        .map_err(|_| invalid_argument(format!("{name} is not supported.")))
}

/// What AWS calls it.
pub(crate) fn name_of(value: &impl Serialize) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => Some(name),
        _ => None,
    }
}

/// A number whose range has been checked.
pub(crate) fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

shapes! {
    /// How long delivery is retried.
    RetryOptions {
        DurationInSeconds: i64, Never, Within(0..=7200);
    }

    /// Where AWS would log to.
    CloudWatchLoggingOptions {
        Enabled: bool, Never, Anything;
        LogGroupName: String, Never, LOG_GROUP;
        LogStreamName: String, Never, LOG_STREAM;
    }
}

impl RetryOptions {
    pub(crate) fn apply(given: Option<&RetryOptions>, draft: &mut Draft<'_>) {
        if let Some(seconds) = given.and_then(|given| given.DurationInSeconds) {
            draft.spec().retry_duration_seconds = Some(small(seconds));
        }
    }

    pub(crate) fn told(told: &Told<'_>, default: u32) -> Option<RetryOptions> {
        let seconds = told.spec().retry_duration_seconds.unwrap_or(default);
        Some(RetryOptions { DurationInSeconds: Some(i64::from(seconds)) })
    }
}

impl CloudWatchLoggingOptions {
    /// Keeps them: errors are in our own log.
    pub(crate) fn apply(
        given: Option<&CloudWatchLoggingOptions>,
        member: &str,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let Some(options) = given else { return Ok(()) };
        let is_named = options.LogGroupName.is_some() && options.LogStreamName.is_some();
        if options.Enabled == Some(true) && !is_named {
            return Err(invalid_argument(
                "LogGroupName and LogStreamName are required when CloudWatch logging is enabled.",
            ));
        }
        draft.keep(member, Some(options));
        Ok(())
    }

    pub(crate) fn told(told: &Told<'_>, member: &str) -> Option<CloudWatchLoggingOptions> {
        let off = || CloudWatchLoggingOptions { Enabled: Some(false), ..Default::default() };
        Some(told.kept(member).unwrap_or_else(off))
    }
}
