//! A record that stays behind, and why.

use bytes::Bytes;
use model::Origin;

use crate::objects::ErrorOutputType;

/// A record that could not be processed. One that makes several of which many fail is here once: its
/// error document carries all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What was put, before anything was done to it: the `rawData` of the error document. Of a
    /// record that was taken apart and not decompressed, the part.
    pub raw: Bytes,
    /// Where it came from.
    pub origin: Origin,
    /// What went wrong, as AWS calls it.
    pub code: FailureCode,
    /// What went wrong, for a person.
    pub message: String,
    /// How many records it made that failed.
    pub records: usize,
    /// How many times it was tried.
    pub attempts: u32,
}

/// Records that stay behind, each source record once for each run of its parts that fail.
#[derive(Debug, Default)]
pub struct Failures(Vec<Failed>);

impl Failures {
    /// One more.
    pub fn push(&mut self, failed: Failed) {
        push(&mut self.0, failed);
    }

    /// All of them.
    #[must_use]
    pub fn into_all(self) -> Vec<Failed> {
        self.0
    }
}

/// Adds `failed` unless what it was made of is in the last of `all` already.
pub(super) fn push(all: &mut Vec<Failed>, failed: Failed) {
    if let Some(last) = all.last_mut()
        && last.origin.shard == failed.origin.shard
        && last.origin.offset == failed.origin.offset
        && last.raw.as_ptr() == failed.raw.as_ptr()
        && last.raw.len() == failed.raw.len()
        && !last.raw.is_empty()
    {
        last.records += failed.records;
        last.attempts = last.attempts.max(failed.attempts);
        return;
    }
    all.push(failed);
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureCode {
    /// It is not what the decompression or the extraction of log messages expects.
    Decompression,
    /// It is not JSON objects one after the other.
    Deaggregation,
    /// The jq program failed on it.
    Jq,
    /// It has no partition keys, or none that can be in a key.
    MetadataExtraction,
    /// It is of one partition more than may be active.
    PartitionsExceeded,
    /// It is no JSON object, or none that can be read.
    ConversionParse,
    /// It does not fit the columns.
    ConversionMalformed,
    /// The function says that it could not process it.
    LambdaProcessingFailed,
    /// The function did not say what became of it.
    LambdaMissingRecordId,
    /// The function said more than once what became of it.
    LambdaDuplicatedRecordId,
    /// The function kept it and gave no data.
    LambdaInvalidReturnFormat,
    /// The function's answer is no JSON of the form that is asked for.
    LambdaJsonProcessing,
    /// The function failed, or its answer is of no use.
    LambdaFunction,
    /// The function may not be called.
    LambdaAccessDenied,
    /// There is no such function.
    LambdaNotFound,
    /// The function took too long.
    LambdaTimedOut,
    /// The function was called too often.
    LambdaThrottled,
    /// The function's service failed, or cannot be reached.
    LambdaUnavailable,
    /// It does not fit a call.
    LambdaTooLarge,
}

impl FailureCode {
    /// The `errorCode` of the error document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            // The full stop is AWS's.
            FailureCode::Decompression => "Decompression failed.",
            FailureCode::Deaggregation => "RecordDeAggregation.InvalidJson",
            FailureCode::Jq => "Jq.ProcessingFailed",
            FailureCode::MetadataExtraction => "DynamicPartitioning.MetadataExtractionFailed",
            FailureCode::ConversionParse => "DataFormatConversion.ParseError",
            FailureCode::ConversionMalformed => "DataFormatConversion.MalformedData",
            FailureCode::PartitionsExceeded => "DynamicPartitioning.ActivePartitionsLimitExceeded",
            FailureCode::LambdaProcessingFailed => "Lambda.ProcessingFailedStatus",
            FailureCode::LambdaMissingRecordId => "Lambda.MissingRecordId",
            FailureCode::LambdaDuplicatedRecordId => "Lambda.DuplicatedRecordId",
            FailureCode::LambdaInvalidReturnFormat => "Lambda.InvalidReturnFormat",
            FailureCode::LambdaJsonProcessing => "Lambda.JsonProcessingException",
            FailureCode::LambdaFunction => "Lambda.FunctionError",
            FailureCode::LambdaAccessDenied => "Lambda.InvokeAccessDenied",
            FailureCode::LambdaNotFound => "Lambda.ResourceNotFound",
            FailureCode::LambdaTimedOut => "Lambda.FunctionTimedOut",
            FailureCode::LambdaThrottled => "Lambda.InvokeLimitExceeded",
            FailureCode::LambdaUnavailable => "Lambda.InternalServerError",
            FailureCode::LambdaTooLarge => "Lambda.RequestTooLarge",
        }
    }

    /// The kind of object that the error document goes to.
    #[must_use]
    pub fn error_output_type(self) -> ErrorOutputType {
        match self {
            FailureCode::Decompression => ErrorOutputType::DecompressionFailed,
            FailureCode::ConversionParse | FailureCode::ConversionMalformed => {
                ErrorOutputType::FormatConversionFailed
            }
            _ => ErrorOutputType::ProcessingFailed,
        }
    }
}
