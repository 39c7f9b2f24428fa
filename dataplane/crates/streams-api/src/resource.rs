//! ARNs: which resource a request means.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Encoding, codec};
use memchr::memmem;
use model::{ConsumerName, StreamName, UnixMillis};
use serde::Deserialize;

use crate::api::Identity;
use crate::errors::invalid_argument;

const STREAM_PATTERN: &str = r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+";
const CONSUMER_PATTERN: &str =
    r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+";
const RESOURCE_PATTERN: &str = r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+";
const ARN_CHARS_MAX: usize = 2048;

/// A resource, as its ARN names it. Its region and account are not compared with ours: where there is
/// one account, a client that made an ARN up means the stream of that name; where there are several,
/// [`account_meant`] has led here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arn {
    pub(crate) resource: Resource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Stream(StreamName),
    Consumer(ConsumerId),
    /// A channel or a queue: there are none here.
    Other,
}

/// A registered consumer: with the second it was registered in, because another one may have had its
/// name before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConsumerId {
    pub(crate) stream: StreamName,
    pub(crate) name: ConsumerName,
    pub(crate) created_seconds: u64,
}

/// The members of requests that hold ARNs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    #[serde(rename = "StreamARN")]
    stream: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer: Option<String>,
    #[serde(rename = "ResourceARN")]
    resource: Option<String>,
}

/// The account whose stream a request is about, when it names one by an ARN. What is wrong with the
/// request is for its operation to say.
#[must_use]
pub fn account_meant(encoding: Encoding, body: &[u8]) -> Option<String> {
    // Almost all requests name streams without their accounts, and need not be read twice.
    memmem::find(body, b"arn:aws")?;
    let named: Named = codec::decode(encoding, body).ok()?;
    let arn = named.stream.or(named.consumer).or(named.resource)?;
    split(&arn).map(|(account, _)| account.to_owned())
}

/// The account and the resource of an ARN of Kinesis.
fn split(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let (prefix, partition, service) = (next()?, next()?, next()?);
    let (_region, account, resource) = (next()?, next()?, next()?);
    let fits = prefix == "arn"
        && partition.starts_with("aws")
        && service == "kinesis"
        && account.len() == 12
        && account.bytes().all(|digit| digit.is_ascii_digit());
    fits.then_some((account, resource))
}

impl Arn {
    fn parse(text: &str) -> Option<Arn> {
        let (_, resource) = split(text)?;
        Resource::parse(resource).map(|resource| Arn { resource })
    }

    /// A stream's ARN in the member of this name.
    pub(crate) fn check_stream(
        checks: &mut Violations,
        path: &str,
        text: Option<&str>,
    ) -> Option<StreamName> {
        let found = Self::check(checks, path, text, STREAM_PATTERN, |resource| {
            matches!(resource, Resource::Stream(_))
        });
        match found?.resource {
            Resource::Stream(name) => Some(name),
            _ => None,
        }
    }

    /// A consumer's ARN in the member of this name.
    pub(crate) fn check_consumer(
        checks: &mut Violations,
        path: &str,
        text: Option<&str>,
    ) -> Option<ConsumerId> {
        let found = Self::check(checks, path, text, CONSUMER_PATTERN, |resource| {
            matches!(resource, Resource::Consumer(_))
        });
        match found?.resource {
            Resource::Consumer(consumer) => Some(consumer),
            _ => None,
        }
    }

    /// The ARN of any resource in the member `ResourceARN`.
    pub(crate) fn check_resource(checks: &mut Violations, text: Option<&str>) -> Option<Arn> {
        checks.required("resourceARN", text);
        Self::check(checks, "resourceARN", text, RESOURCE_PATTERN, |_| true)
    }

    /// The ARN that [`check_resource`](Self::check_resource) found, when nothing was wrong.
    pub(crate) fn found(checks: Violations, arn: Option<Arn>) -> Result<Arn, ApiError> {
        checks.finish()?;
        arn.ok_or_else(|| invalid_argument("ResourceARN is required."))
    }

    fn check(
        checks: &mut Violations,
        path: &str,
        text: Option<&str>,
        pattern: &str,
        is_meant: impl Fn(&Resource) -> bool,
    ) -> Option<Arn> {
        checks.length(path, text, 1..=ARN_CHARS_MAX);
        let arn = text.and_then(Arn::parse).filter(|arn| is_meant(&arn.resource));
        checks.pattern(path, text, pattern, arn.is_some());
        arn
    }
}

impl Resource {
    fn parse(text: &str) -> Option<Resource> {
        let (kind, name) = text.split_once('/')?;
        match kind {
            "channel" | "queue" => return Some(Resource::Other),
            "stream" => {}
            _ => return None,
        }
        match name.split_once('/') {
            None => name.parse().ok().map(Resource::Stream),
            Some((stream, rest)) => {
                let (name, seconds) = rest.strip_prefix("consumer/")?.split_once(':')?;
                Some(Resource::Consumer(ConsumerId {
                    stream: stream.parse().ok()?,
                    name: name.parse().ok()?,
                    created_seconds: seconds.parse().ok()?,
                }))
            }
        }
    }
}

impl Identity {
    pub(crate) fn stream_arn(&self, name: &StreamName) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/{name}", self.region, self.account)
    }

    pub(crate) fn consumer_arn(
        &self,
        stream: &StreamName,
        name: &ConsumerName,
        created: UnixMillis,
    ) -> String {
        format!("{}/consumer/{name}:{}", self.stream_arn(stream), created.as_seconds())
    }
}

impl ConsumerId {
    pub(crate) fn arn(&self, identity: &Identity) -> String {
        let created = UnixMillis(self.created_seconds.saturating_mul(1_000));
        identity.consumer_arn(&self.stream, &self.name, created)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_name_streams_and_consumers() {
        let check = |text: &str, want: &str| {
            let got = match Arn::parse(text).map(|arn| arn.resource) {
                None => "nothing".to_owned(),
                Some(Resource::Other) => "other".to_owned(),
                Some(Resource::Stream(name)) => format!("stream {name}"),
                Some(Resource::Consumer(consumer)) => {
                    let ConsumerId { stream, name, created_seconds } = consumer;
                    format!("consumer {name} of {stream} at {created_seconds}")
                }
            };
            assert_eq!(got, want, "{text}");
        };
        const OURS: &str = "arn:aws:kinesis:us-east-1:000000000000:";
        let of = |resource: &str| format!("{OURS}{resource}");
        check(&of("stream/clicks"), "stream clicks");
        check("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a.b", "stream a.b");
        check(&of("stream/a/consumer/b:17"), "consumer b of a at 17");
        check(&of("queue/x"), "other");
        check(&of("channel/x-1"), "other");
        for bad in ["stream/", "stream/a b", "stream/a/consumer/b", "stream/a/consumer/b:", "x/a"] {
            check(&of(bad), "nothing");
        }
        check("arn:aws:kinesis:us-east-1:12345:stream/a", "nothing");
        check("arn:aws:s3:::stream/a", "nothing");
        check("", "nothing");
    }

    #[test]
    fn an_arn_says_whose_stream_is_meant() {
        let check = |body: &str, want: Option<&str>| {
            assert_eq!(account_meant(Encoding::Json, body.as_bytes()).as_deref(), want, "{body}");
        };
        let named = |member: &str, arn: &str| format!(r#"{{"Limit":1,"{member}":"{arn}"}}"#);
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks";
        for member in ["StreamARN", "ConsumerARN", "ResourceARN"] {
            check(&named(member, arn), Some("123456789012"));
        }
        check(&named("StreamARN", "arn:aws:s3:::bucket"), None);
        check(&named("StreamName", arn), None);
        check(&named("StreamName", "clicks"), None);
        check("arn:aws", None);
        check("", None);
        let cbor = [&b"\xa1\x69StreamARN\x78\x34"[..], arn.as_bytes()].concat();
        let meant = account_meant(Encoding::Cbor, &cbor);
        assert_eq!(meant.as_deref(), Some("123456789012"));
    }

    #[test]
    fn a_consumers_arn_comes_back() {
        let identity = Identity { region: "eu-west-1".into(), account: "123456789012".into() };
        let (stream, name) = ("clicks".parse().unwrap(), "fraud".parse().unwrap());
        let arn = identity.consumer_arn(&stream, &name, UnixMillis(1_700_000_000_999));
        let consumer = ConsumerId { stream, name, created_seconds: 1_700_000_000 };
        assert_eq!(consumer.arn(&identity), arn);
        assert_eq!(Arn::parse(&arn).map(|arn| arn.resource), Some(Resource::Consumer(consumer)));
    }
}
