//! What a request is: its service, its operation, and how its body is encoded.
//!
//! Services of the JSON kind are told apart by `X-Amz-Target`, all on path `/`. Services of the
//! REST kind will be told apart by path, here.

use http::{HeaderMap, Method, StatusCode, header};

use crate::codec::Encoding;
use crate::error::{ApiError, ErrorCode};

/// The services there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Kinesis Data Streams.
    Streams,
    /// Data Firehose.
    Firehose,
}

impl Service {
    /// By what name clients sign requests for it.
    #[must_use]
    pub fn signing_name(self) -> &'static str {
        match self {
            Service::Streams => "kinesis",
            Service::Firehose => "firehose",
        }
    }

    /// Whether its clients may encode requests so.
    #[must_use]
    pub fn takes(self, encoding: Encoding) -> bool {
        match (self, encoding) {
            (_, Encoding::Json) | (Service::Streams, Encoding::Cbor) => true,
            (Service::Firehose, Encoding::Cbor) => false,
        }
    }
}

/// The prefixes of `X-Amz-Target`.
const TARGETS: [(&str, Service); 2] =
    [("Kinesis_20131202", Service::Streams), ("Firehose_20150804", Service::Firehose)];

/// A request that can be looked at further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Who is called.
    pub service: Service,
    /// The operation's name as the client wrote it; it may not exist.
    pub operation: &'a str,
    /// How body and reply are encoded.
    pub encoding: Encoding,
}

/// What to make of a request's first lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dispatch<'a> {
    /// A call of an operation.
    Call(Call<'a>),
    /// A browser asking whether it may.
    Preflight,
    /// Nothing we serve.
    Refused(Refusal),
}

/// A refusal, encoded as the client can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// In the encoding of the request.
    Api(ApiError, Encoding),
    /// The request's content type is none of ours: AWS answers in XML.
    Xml {
        /// The HTTP status.
        status: StatusCode,
        /// The error's name.
        name: &'static str,
        /// Its text.
        message: &'static str,
    },
}

impl Refusal {
    /// The body of the XML form.
    #[must_use]
    pub fn xml_body(name: &str, message: &str) -> String {
        format!("<{name}>\n  <Message>{message}</Message>\n</{name}>\n")
    }
}

/// Looks at method, path and headers.
#[must_use]
pub fn dispatch<'a>(method: &Method, path: &str, headers: &'a HeaderMap) -> Dispatch<'a> {
    if method == Method::OPTIONS && headers.contains_key(header::ORIGIN) {
        return Dispatch::Preflight;
    }
    let refuse_xml =
        |status, name, message| Dispatch::Refused(Refusal::Xml { status, name, message });
    if method != Method::POST || path != "/" {
        return refuse_xml(
            StatusCode::FORBIDDEN,
            "AccessDeniedException",
            "Unable to determine service/operation name to be authorized",
        );
    }
    let refuse_content_type = || {
        refuse_xml(
            StatusCode::NOT_FOUND,
            "UnknownOperationException",
            "The content type is not one of this service: application/x-amz-json-1.1",
        )
    };
    let Some(encoding) = text(headers, header::CONTENT_TYPE.as_str()).and_then(Encoding::parse)
    else {
        return refuse_content_type();
    };
    let target = text(headers, "x-amz-target").unwrap_or_default();
    let known = target.split_once('.').and_then(|(prefix, operation)| {
        let (_, service) = TARGETS.iter().find(|(known, _)| *known == prefix)?;
        Some(Call { service: *service, operation, encoding })
    });
    match known {
        Some(call) if call.service.takes(encoding) => Dispatch::Call(call),
        Some(_) => refuse_content_type(),
        None => {
            let error = ApiError::new(ErrorCode::UnknownOperationException, "");
            Dispatch::Refused(Refusal::Api(error, encoding))
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Headers a reply to a browser needs, as AWS sends them.
pub const CORS_HEADERS: [(&str, &str); 2] = [
    ("access-control-allow-origin", "*"),
    (
        "access-control-expose-headers",
        "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date",
    ),
];

/// How long a browser may remember the answer to a preflight, in seconds.
pub const PREFLIGHT_MAX_AGE_SECONDS: &str = "172800";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(method: &Method, path: &str, headers: &[(&'static str, &'static str)], want: &str) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        let got = match dispatch(method, path, &headers) {
            Dispatch::Call(call) => format!("{:?} {}", call.service, call.operation),
            Dispatch::Preflight => "preflight".to_owned(),
            Dispatch::Refused(Refusal::Api(error, _)) => error.code.name().to_owned(),
            Dispatch::Refused(Refusal::Xml { status, .. }) => format!("xml {status}"),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn requests_are_told_apart() {
        const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
        let target = ("x-amz-target", "Kinesis_20131202.PutRecord");
        const CBOR: (&str, &str) = ("content-type", "application/x-amz-cbor-1.1");
        check(&Method::POST, "/", &[JSON, target], "Streams PutRecord");
        check(&Method::POST, "/", &[CBOR, target], "Streams PutRecord");
        let firehose = ("x-amz-target", "Firehose_20150804.PutRecord");
        check(&Method::POST, "/", &[JSON, firehose], "Firehose PutRecord");
        check(&Method::POST, "/", &[CBOR, firehose], "xml 404 Not Found");
        let unknown = ("x-amz-target", "Nobody_20131202.PutRecord");
        check(&Method::POST, "/", &[JSON, unknown], "UnknownOperationException");
        check(&Method::POST, "/", &[JSON], "UnknownOperationException");
        check(&Method::POST, "/", &[target], "xml 404 Not Found");
        check(&Method::POST, "/", &[("content-type", "text/plain"), target], "xml 404 Not Found");
        check(&Method::GET, "/", &[JSON, target], "xml 403 Forbidden");
        check(&Method::POST, "/x", &[JSON, target], "xml 403 Forbidden");
        check(&Method::OPTIONS, "/", &[("origin", "http://a")], "preflight");
    }
}
