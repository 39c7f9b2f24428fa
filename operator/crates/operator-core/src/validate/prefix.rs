//! Prefixes of object keys and the expressions in them, `!{namespace:value}`.

use operator_api::delivery_stream::{Objects, Processing};

use super::Refusals;

/// What a prefix may speak of besides time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// Whether records are partitioned.
    pub(super) is_partitioned: bool,
    /// Whether a query takes keys from records.
    pub(super) has_query: bool,
    /// Whether a function may name keys.
    pub(super) has_function: bool,
}

impl Keys {
    pub(super) fn of(is_partitioned: bool, processing: Option<&Processing>) -> Keys {
        let transform = processing.and_then(|processing| processing.transform.as_ref());
        Keys {
            is_partitioned,
            has_query: processing
                .is_some_and(|processing| processing.metadata_extraction.is_some()),
            has_function: transform.is_some_and(|it| it.lambda.is_some() || it.webhook.is_some()),
        }
    }
}

/// Refuses prefixes at `path` that make no keys.
pub(super) fn check(path: &str, objects: Objects<'_>, keys: Keys, refusals: &mut Refusals) {
    let prefix = format!("{path}.prefix");
    let error_prefix = format!("{path}.errorOutputPrefix");
    let found = expressions(&prefix, objects.prefix.unwrap_or_default(), refusals);
    let found_error =
        expressions(&error_prefix, objects.error_output_prefix.unwrap_or_default(), refusals);
    for expression in &found {
        check_key_expression(&prefix, *expression, keys, refusals);
    }
    for Expression { namespace, .. } in &found_error {
        let what = "partition keys are not known of refused records; remove them";
        refusals.refuse_if(namespace.starts_with("partitionKey"), &error_prefix, what);
    }
    let names_type = found_error.iter().any(|expression| expression.is_error_type());
    refusals.refuse_if(
        !found_error.is_empty() && !names_type,
        &error_prefix,
        "has expressions but not !{firehose:error-output-type}; add it",
    );
    refusals.refuse_if(
        !found.is_empty() && objects.error_output_prefix.is_none(),
        &error_prefix,
        "is required where prefix has expressions; set it",
    );
    let has_key = found.iter().any(|expression| expression.namespace.starts_with("partitionKey"));
    refusals.refuse_if(
        keys.is_partitioned && !has_key,
        &prefix,
        "names no partition key; add one, as in !{partitionKeyFromQuery:customer}",
    );
}

fn check_key_expression(
    path: &str,
    expression: Expression<'_>,
    keys: Keys,
    refusals: &mut Refusals,
) {
    let what = "error-output-type is for errorOutputPrefix; remove it";
    refusals.refuse_if(expression.is_error_type(), path, what);
    if !expression.namespace.starts_with("partitionKey") {
        return;
    }
    let what = "has partition keys; set spec.dynamicPartitioning.enabled";
    refusals.refuse_if(!keys.is_partitioned, path, what);
    let is_query = expression.namespace == "partitionKeyFromQuery";
    let what = "has keys from a query; set spec.processing.metadataExtraction";
    refusals.refuse_if(is_query && !keys.has_query, path, what);
    let what = "has keys from a function; set spec.processing.transform to lambda or webhook";
    refusals.refuse_if(!is_query && !keys.has_function, path, what);
}

#[derive(Clone, Copy)]
struct Expression<'a> {
    namespace: &'a str,
    value: &'a str,
}

impl Expression<'_> {
    fn is_error_type(&self) -> bool {
        self.namespace == "firehose" && self.value == "error-output-type"
    }
}

/// The expressions of a prefix; those that mean nothing are refused and left out.
fn expressions<'a>(path: &str, prefix: &'a str, refusals: &mut Refusals) -> Vec<Expression<'a>> {
    let mut found = Vec::new();
    for rest in prefix.split("!{").skip(1) {
        let Some((inside, _)) = rest.split_once('}') else {
            refusals.refuse(path.to_owned(), format!("!{{{rest} has no end; add a '}}'"));
            continue;
        };
        let (namespace, value) = inside.split_once(':').unwrap_or((inside, ""));
        let is_known = match namespace {
            "timestamp" | "partitionKeyFromQuery" | "partitionKeyFromLambda" => !value.is_empty(),
            "firehose" => matches!(value, "random-string" | "error-output-type"),
            _ => false,
        };
        if is_known {
            found.push(Expression { namespace, value });
        } else {
            let what = format!(
                "!{{{inside}}} means nothing; use timestamp:FORMAT, firehose:random-string, \
                 firehose:error-output-type, partitionKeyFromQuery:KEY or \
                 partitionKeyFromLambda:KEY"
            );
            refusals.refuse(path.to_owned(), what);
        }
    }
    found
}
