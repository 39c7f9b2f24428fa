//! What the schema of a definition says about single values: sizes, ranges, patterns.
//!
//! An API server checks them too, but files do not pass through one. Reading them from the schema
//! means that each bound is written once. Types, enumerations and required fields are not looked
//! at: a resource that was parsed has them right. Rules in CEL have their equals in the code beside,
//! but for those on what may not be changed, which need the resource as it was.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use regex_lite::Regex;
use serde::Serialize;
use serde_json::Value;

use super::Refusals;

/// The schema of a kind's spec.
pub(super) fn spec_schema(mut definition: CustomResourceDefinition) -> JSONSchemaProps {
    let schema = definition.spec.versions.remove(0).schema;
    let root = schema.and_then(|schema| schema.open_api_v3_schema);
    let spec = root.and_then(|root| root.properties?.remove("spec"));
    spec.expect("a definition of ours describes its spec")
}

/// Refuses every value of `spec` that is out of the bounds of `schema`.
pub(super) fn check(schema: &JSONSchemaProps, spec: &impl Serialize, refusals: &mut Refusals) {
    let spec = serde_json::to_value(spec).expect("a spec has a JSON form");
    check_value(schema, &spec, "spec", refusals);
}

fn check_value(schema: &JSONSchemaProps, value: &Value, path: &str, refusals: &mut Refusals) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            let is_within = schema.minimum.is_none_or(|min| min <= number)
                && schema.maximum.is_none_or(|max| number <= max);
            if !is_within {
                let what = format!("{number}; set {}", range(schema.minimum, schema.maximum));
                refusals.refuse(path.to_owned(), what);
            }
        }
        Value::String(text) => check_text(schema, text, path, refusals),
        Value::Array(items) => {
            check_count(items.len(), "items", schema.min_items, schema.max_items, path, refusals);
            if let Some(JSONSchemaPropsOrArray::Schema(inner)) = &schema.items {
                for (at, item) in items.iter().enumerate() {
                    check_value(inner, item, &format!("{path}[{at}]"), refusals);
                }
            }
        }
        Value::Object(fields) => {
            check_count(fields.len(), "entries", None, schema.max_properties, path, refusals);
            for (name, value) in fields {
                let property = schema.properties.as_ref().and_then(|all| all.get(name));
                let inner = property.or(match &schema.additional_properties {
                    Some(JSONSchemaPropsOrBool::Schema(inner)) => Some(inner),
                    _ => None,
                });
                if let Some(inner) = inner {
                    check_value(inner, value, &format!("{path}.{name}"), refusals);
                }
            }
        }
    }
}

fn check_text(schema: &JSONSchemaProps, text: &str, path: &str, refusals: &mut Refusals) {
    let length = text.chars().count();
    let (min, max) = (schema.min_length, schema.max_length);
    let before = refusals.count();
    check_count(length, "characters", min, max, path, refusals);
    // What is empty or endless needs no second complaint.
    if refusals.count() != before {
        return;
    }
    if let Some(pattern) = &schema.pattern {
        let matches = Regex::new(pattern).expect("a test compiles all patterns").is_match(text);
        if !matches {
            refusals.refuse(path.to_owned(), format!("{text:?}; write it as {pattern}"));
        }
    }
    if schema.format.as_deref() == Some("date-time")
        && serde_json::from_value::<Time>(Value::from(text)).is_err()
    {
        let what = format!("{text:?}; write a time as 2026-11-24T08:00:00Z");
        refusals.refuse(path.to_owned(), what);
    }
}

fn check_count(
    count: usize,
    unit: &str,
    min: Option<i64>,
    max: Option<i64>,
    path: &str,
    refusals: &mut Refusals,
) {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    if min.is_some_and(|min| count < min) || max.is_some_and(|max| max < count) {
        refusals.refuse(path.to_owned(), format!("{count} {unit}; use {}", range(min, max)));
    }
}

fn range(min: Option<impl ToString>, max: Option<impl ToString>) -> String {
    match (min.map(|min| min.to_string()), max.map(|max| max.to_string())) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => unreachable!("what has no bounds is within them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles all patterns; returns how many there are.
    fn check_patterns(schema: &JSONSchemaProps) -> usize {
        let own = schema.pattern.iter().map(|pattern| Regex::new(pattern).unwrap());
        let inner = schema.properties.iter().flatten().map(|(_, inner)| inner);
        let items = schema.items.iter().filter_map(|items| match items {
            JSONSchemaPropsOrArray::Schema(inner) => Some(&**inner),
            JSONSchemaPropsOrArray::Schemas(_) => None,
        });
        own.count() + inner.chain(items).map(check_patterns).sum::<usize>()
    }

    #[test]
    fn all_patterns_compile() {
        let schemas = operator_api::definitions().into_iter().map(spec_schema);
        let count: usize = schemas.map(|schema| check_patterns(&schema)).sum();
        assert!(20 < count, "only {count} patterns were found");
    }
}
