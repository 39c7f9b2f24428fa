//! What happens to records on their way: AWS's list of processors, and the parts of the resource.
//!
//! The resource has an order of its own; a call's does not matter. For Iceberg, what AWS calls metadata
//! extraction finds the table of a record.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use operator_api::delivery_stream::{
    Deaggregation, Decompression, IcebergRouting, LambdaTransform, MetadataExtraction, Processing,
    Transform,
};

use crate::draft::{Draft, Told, name_of, set_named};
use crate::errors::invalid_argument;
use crate::shape::{Anything, Each, Nested, OneOf, shapes};
use crate::texts::PARAMETER;

const MEMBER: &str = "ProcessingConfiguration";
const ROLE_MEMBER: &str = "ProcessingConfiguration.RoleArn";
const ROUTED: [&str; 3] = ["destinationDatabaseName", "destinationTableName", "operation"];

shapes! {
    /// As ProcessingConfiguration.
    ProcessingConfiguration {
        Enabled: bool, Never, Anything;
        Processors: Vec<Processor>, Never, Each(Nested);
    }

    /// As Processor.
    Processor {
        Type: String, Always, OneOf(&[
            "RecordDeAggregation", "Decompression", "CloudWatchLogProcessing", "Lambda",
            "MetadataExtraction", "AppendDelimiterToRecord",
        ]);
        Parameters: Vec<ProcessorParameter>, Never, Each(Nested);
    }

    /// As ProcessorParameter.
    ProcessorParameter {
        ParameterName: String, Always, OneOf(&[
            "LambdaArn", "NumberOfRetries", "MetadataExtractionQuery", "JsonParsingEngine",
            "RoleArn", "BufferSizeInMBs", "BufferIntervalInSeconds", "SubRecordType", "Delimiter",
            "CompressionFormat", "DataMessageExtraction",
        ]);
        ParameterValue: String, Always, PARAMETER;
    }
}

/// The parameters of one processor, each to be taken once.
struct Parameters<'a> {
    processor: &'a str,
    values: BTreeMap<&'a str, &'a String>,
}

impl<'a> Parameters<'a> {
    fn of(processor: &'a Processor) -> Result<Parameters<'a>, ApiError> {
        let kind = processor.Type.as_deref().unwrap_or_default();
        let mut values = BTreeMap::new();
        for parameter in processor.Parameters.iter().flatten() {
            let name = parameter.ParameterName.as_deref().unwrap_or_default();
            let Some(value) = &parameter.ParameterValue else { continue };
            if values.insert(name, value).is_some() {
                let what = format!("ProcessorParameter {name} is given twice for {kind}.");
                return Err(invalid_argument(what));
            }
        }
        Ok(Parameters { processor: kind, values })
    }

    fn take(&mut self, name: &str) -> Option<&'a String> {
        self.values.remove(name)
    }

    fn required(&mut self, name: &str) -> Result<String, ApiError> {
        let what = || format!("ProcessorParameter {name} is required for {}.", self.processor);
        self.values.remove(name).cloned().ok_or_else(|| invalid_argument(what()))
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.values.remove(name) else { return Ok(None) };
        let what = || format!("ProcessorParameter {name} of {} is {text}.", self.processor);
        text.parse().map(Some).map_err(|_| invalid_argument(what()))
    }

    fn finish(self) -> Result<(), ApiError> {
        match self.values.first_key_value() {
            None => Ok(()),
            Some((name, _)) => Err(invalid_argument(format!(
                "ProcessorParameter {name} is not supported for {}.",
                self.processor
            ))),
        }
    }
}

impl ProcessingConfiguration {
    pub(crate) fn apply(
        given: Option<&ProcessingConfiguration>,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let Some(configuration) = given else { return Ok(()) };
        let before = draft.spec().processing.take().unwrap_or_default();
        if let Some(iceberg) = &mut draft.spec().destination.iceberg {
            iceberg.routing = None;
        }
        if configuration.Enabled != Some(true) {
            // What is switched off is told again, and does nothing.
            draft.keep(MEMBER, Some(configuration));
            return Ok(());
        }
        draft.forget(MEMBER);
        let mut processing = Processing::default();
        let mut seen = Vec::new();
        for processor in configuration.Processors.iter().flatten() {
            let parameters = Parameters::of(processor)?;
            if seen.contains(&parameters.processor) {
                let what = format!("Processor {} is given twice.", parameters.processor);
                return Err(invalid_argument(what));
            }
            seen.push(parameters.processor);
            apply_processor(parameters, &before, &mut processing, draft)?;
        }
        // Programs have no words in the API, and stay unless a function takes their place.
        let programs = before.transform.filter(|transform| transform.lambda.is_none());
        processing.transform = processing.transform.or(programs);
        draft.spec().processing = Some(processing);
        Ok(())
    }

    pub(crate) fn told(told: &Told<'_>) -> Option<ProcessingConfiguration> {
        let iceberg = told.spec().destination.iceberg.as_ref();
        let routing = iceberg.and_then(|iceberg| iceberg.routing.as_ref());
        let processing = told.spec().processing.as_ref();
        if processing.is_none() && routing.is_none() {
            return told.kept(MEMBER);
        }
        let mut processors = processing.map(|it| processors(it, told)).unwrap_or_default();
        processors.extend(routing.map(|routing| {
            let query = ("MetadataExtractionQuery", Some(query_of(routing)));
            let engine = ("JsonParsingEngine", Some("JQ-1.6".to_owned()));
            processor("MetadataExtraction", [query, engine])
        }));
        Some(ProcessingConfiguration { Enabled: Some(true), Processors: Some(processors) })
    }
}

fn apply_processor(
    mut parameters: Parameters<'_>,
    before: &Processing,
    processing: &mut Processing,
    draft: &mut Draft<'_>,
) -> Result<(), ApiError> {
    match parameters.processor {
        "Decompression" => {
            let mut decompression = Decompression::default();
            set_named(&mut decompression.format, parameters.take("CompressionFormat"))?;
            processing.decompression = Some(decompression);
        }
        "CloudWatchLogProcessing" => {
            let extraction = parameters.parsed("DataMessageExtraction")?;
            processing.cloud_watch_log_extraction = Some(extraction.unwrap_or(false));
        }
        "RecordDeAggregation" => {
            let mut deaggregation = Deaggregation::default();
            let kind = parameters.required("SubRecordType")?.to_ascii_uppercase();
            set_named(&mut deaggregation.sub_record_type, Some(&kind))?;
            deaggregation.delimiter = parameters.take("Delimiter").cloned();
            processing.deaggregation = Some(deaggregation);
        }
        "Lambda" => {
            let known = before.transform.as_ref().and_then(|transform| transform.lambda.clone());
            let lambda = LambdaTransform {
                function_arn: parameters.required("LambdaArn")?,
                buffering_size_mib: parameters.parsed("BufferSizeInMBs")?,
                interval_seconds: parameters.parsed("BufferIntervalInSeconds")?,
                retries: parameters.parsed("NumberOfRetries")?,
                ..known.unwrap_or_default()
            };
            draft.forget(ROLE_MEMBER);
            draft.keep(ROLE_MEMBER, parameters.take("RoleArn"));
            processing.transform = Some(Transform { lambda: Some(lambda), ..Transform::default() });
        }
        "MetadataExtraction" => {
            let query = parameters.required("MetadataExtractionQuery")?;
            let mut engine = None;
            set_named(&mut engine, parameters.take("JsonParsingEngine"))?;
            match &mut draft.spec().destination.iceberg {
                Some(iceberg) => iceberg.routing = Some(routing_of(&query)?),
                None => processing.metadata_extraction = Some(MetadataExtraction { query, engine }),
            }
        }
        _ => {
            let delimiter = parameters.take("Delimiter").map(|text| unescaped(text));
            processing.append_delimiter = Some(delimiter.unwrap_or_else(|| "\n".to_owned()));
        }
    }
    parameters.finish()
}

fn processor<const N: usize>(kind: &str, parameters: [(&str, Option<String>); N]) -> Processor {
    let parameters = parameters.into_iter().filter_map(|(name, value)| {
        let parameter = |value| ProcessorParameter {
            ParameterName: Some(name.to_owned()),
            ParameterValue: Some(value),
        };
        value.map(parameter)
    });
    Processor { Type: Some(kind.to_owned()), Parameters: Some(parameters.collect()) }
}

/// As AWS has it; what runs programs has no name there.
fn processors(processing: &Processing, told: &Told<'_>) -> Vec<Processor> {
    let Processing {
        decompression,
        cloud_watch_log_extraction,
        deaggregation,
        transform,
        metadata_extraction,
        append_delimiter,
    } = processing;
    let text = |number: Option<u32>| number.map(|number| number.to_string());
    let decompression = decompression.as_ref().map(|it| {
        let format = it.format.and_then(|format| name_of(&format));
        let format = format.unwrap_or_else(|| "GZIP".to_owned());
        processor("Decompression", [("CompressionFormat", Some(format))])
    });
    let extraction = cloud_watch_log_extraction.map(|on| {
        processor("CloudWatchLogProcessing", [("DataMessageExtraction", Some(on.to_string()))])
    });
    let deaggregation = deaggregation.as_ref().map(|it| {
        let kind = it.sub_record_type.and_then(|kind| name_of(&kind));
        let kind = ("SubRecordType", Some(kind.unwrap_or_else(|| "JSON".to_owned())));
        processor("RecordDeAggregation", [kind, ("Delimiter", it.delimiter.clone())])
    });
    let lambda = transform.as_ref().and_then(|transform| transform.lambda.as_ref()).map(|it| {
        processor(
            "Lambda",
            [
                ("LambdaArn", Some(it.function_arn.clone())),
                ("NumberOfRetries", text(it.retries)),
                ("RoleArn", told.kept(ROLE_MEMBER)),
                ("BufferSizeInMBs", it.buffering_size_mib.map(|mib| mib.to_string())),
                ("BufferIntervalInSeconds", text(it.interval_seconds)),
            ],
        )
    });
    let extracted = metadata_extraction.as_ref().map(|it| {
        let engine = it.engine.and_then(|engine| name_of(&engine));
        let engine = ("JsonParsingEngine", Some(engine.unwrap_or_else(|| "JQ-1.6".to_owned())));
        let query = ("MetadataExtractionQuery", Some(it.query.clone()));
        processor("MetadataExtraction", [query, engine])
    });
    let delimiter = append_delimiter.as_ref().map(|delimiter| {
        processor("AppendDelimiterToRecord", [("Delimiter", Some(escaped(delimiter)))])
    });
    let all = [decompression, extraction, deaggregation, lambda, extracted, delimiter];
    all.into_iter().flatten().collect()
}

/// AWS has one query that makes an object, the resource a program for each of its keys.
fn routing_of(query: &str) -> Result<IcebergRouting, ApiError> {
    let [database, table, operation] = ROUTED.map(|key| {
        let is_made = query.contains(key);
        // A comment would end with the query, not at the bracket.
        let end = if query.contains('#') { "\n" } else { "" };
        is_made.then(|| format!("({query}{end}) | .{key}"))
    });
    if table.is_none() && database.is_none() && operation.is_none() {
        return Err(invalid_argument(format!(
            "MetadataExtractionQuery makes none of the keys {}.",
            ROUTED.join(", ")
        )));
    }
    Ok(IcebergRouting { database, table, operation })
}

fn query_of(routing: &IcebergRouting) -> String {
    let IcebergRouting { database, table, operation } = routing;
    let programs = ROUTED.into_iter().zip([database, table, operation]);
    let programs: Vec<(&str, &String)> =
        programs.filter_map(|(key, program)| Some((key, program.as_ref()?))).collect();
    let queries: Vec<Option<&str>> = programs.iter().map(|(key, it)| query_in(it, key)).collect();
    match queries.as_slice() {
        // All from one query: it is told as it came.
        [Some(first), rest @ ..] if rest.iter().all(|query| *query == Some(*first)) => {
            (*first).to_owned()
        }
        _ => {
            let keys: Vec<String> =
                programs.iter().map(|(key, program)| format!("{key}: ({program})")).collect();
            format!("{{{}}}", keys.join(", "))
        }
    }
}

/// The query that [`routing_of`] made the program from.
fn query_in<'a>(program: &'a str, key: &str) -> Option<&'a str> {
    let rest = program.strip_prefix('(')?.strip_suffix(&format!(") | .{key}"))?;
    Some(rest.strip_suffix('\n').unwrap_or(rest))
}

/// A delimiter as it is written in a call, which cannot be white space there: as in `\n`.
fn unescaped(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(next @ ('n' | 't' | 'r' | '\\'))) => {
                rest.next();
                found.push(match next {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    _ => '\\',
                });
            }
            _ => found.push(c),
        }
    }
    found
}

fn escaped(text: &str) -> String {
    let steps = [('\\', "\\\\"), ('\n', "\\n"), ('\t', "\\t"), ('\r', "\\r")];
    steps.iter().fold(text.to_owned(), |text, (c, written)| text.replace(*c, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_written_with_escapes() {
        for (written, meant) in [("\\n", "\n"), (",\\t", ",\t"), ("\\\\n", "\\n"), ("\\x", "\\x")] {
            assert_eq!(unescaped(written), meant);
            assert_eq!(unescaped(&escaped(meant)), meant);
        }
    }

    #[test]
    fn a_query_that_routes_comes_back() {
        let check = |query: &str| {
            let routing = routing_of(query).map_err(|error| error.message)?;
            assert_eq!(query_of(&routing), query);
            Ok::<_, String>(routing)
        };
        let routing =
            check("{destinationDatabaseName: .d, destinationTableName: .t} # so").unwrap();
        assert_eq!(routing.operation, None);
        assert!(routing.table.unwrap().ends_with("# so\n) | .destinationTableName"));
        check("{destinationTableName: .t, operation: .op}").unwrap();
        check("{customer: .c}").unwrap_err();
        let own = IcebergRouting { table: Some(".t".to_owned()), ..IcebergRouting::default() };
        assert_eq!(query_of(&own), "{destinationTableName: (.t)}");
    }
}
