//! The definitions are those in `crds/`, and such that an API server takes them.

use std::path::Path;

use serde_json::{Map, Value};

use super::*;

#[test]
fn generated_definitions_are_those_in_crds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    // Helm installs those that are in the chart.
    let files = crds().into_iter().flat_map(|(name, yaml)| {
        ["crds", "charts/leat/crds"]
            .map(|directory| (root.join(directory).join(&name), yaml.clone()))
    });
    for (file, yaml) in files {
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, &yaml).unwrap();
        }
        let stored = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(stored == yaml, "{} is stale: run with UPDATE_EXPECT=1", file.display());
    }
}

/// Shows each node of all schemas to `look`, with where it is; reports what that returns.
fn check(look: impl Fn(&str, &Map<String, Value>) -> Option<String>) {
    let mut broken = Vec::new();
    for definition in definitions() {
        let definition = serde_json::to_value(&definition).unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        visit(kind, schema, &mut |path, node| {
            broken.extend(look(path, node).map(|what| format!("{path}: {what}")));
        });
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn visit(path: &str, node: &Value, look: &mut impl FnMut(&str, &Map<String, Value>)) {
    let node = node.as_object().unwrap_or_else(|| panic!("{path} is no schema: {node}"));
    look(path, node);
    for (name, inner) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        visit(&format!("{path}.{name}"), inner, look);
    }
    node.get("items").into_iter().for_each(|inner| visit(&format!("{path}[]"), inner, look));
    let entries = node.get("additionalProperties").filter(|inner| inner.is_object());
    entries.into_iter().for_each(|inner| visit(&format!("{path}{{}}"), inner, look));
}

#[test]
fn what_may_be_null_may_be_left_out() {
    check(|_, node| {
        let required = node.get("required")?.as_array()?;
        let is_nullable = |name: &&Value| {
            let path = format!("/properties/{}/nullable", name.as_str().unwrap_or_default());
            Value::from(node.clone()).pointer(&path) == Some(&Value::Bool(true))
        };
        required.iter().find(is_nullable).map(|name| format!("requires {name}, an option"))
    });
}

#[test]
fn schemas_are_structural() {
    check(|path, node| {
        let is_typed = node.contains_key("type")
            || node.contains_key("x-kubernetes-int-or-string")
            || node.contains_key("x-kubernetes-preserve-unknown-fields");
        let entries = node.get("additionalProperties");
        if !is_typed {
            Some("has no type".to_owned())
        } else if entries.is_some_and(|entries| !entries.is_object()) {
            Some("has additionalProperties that are no schema".to_owned())
        } else if entries.is_some() && node.contains_key("properties") {
            Some("has properties and additionalProperties".to_owned())
        } else if path.ends_with("[]") && node.contains_key("nullable") {
            Some("is an item that may be null".to_owned())
        } else {
            // What a structural schema may hold only in part or not at all.
            let mut keys = vec!["$ref", "definitions", "anyOf", "oneOf", "allOf", "not"];
            // Defaults are the code's, so that a new version can choose better ones.
            if path.contains(".spec") {
                keys.push("default");
            }
            keys.iter().find(|key| node.contains_key(**key)).map(|key| format!("has {key}"))
        }
    });
}

#[test]
fn all_fields_are_explained() {
    check(|path, node| {
        // Items and entries are explained by their list, the head of a resource by Kubernetes.
        let is_field = path.contains(".spec.") && !path.ends_with(['[', ']', '{', '}']);
        let is_explained =
            node.get("description").is_some_and(|text| !text.as_str().unwrap().is_empty());
        (is_field && !is_explained).then(|| "has no description".to_owned())
    });
}

/// An API server multiplies the cost of a rule by how often it may run.
#[test]
fn what_rules_run_over_is_bounded() {
    check(|path, node| {
        // Those of pods are Kubernetes' own and have no rules; the rules of Stream look at presence
        // only, which costs the same for any length.
        let is_ours =
            path.contains(".spec.") && !path.contains(".pods.") && !path.starts_with("Stream.");
        let is_list = node.get("type").is_some_and(|kind| kind == "array");
        (is_ours && is_list && !node.contains_key("maxItems")).then(|| "has no maxItems".to_owned())
    });
}

#[test]
fn rules_name_fields_that_exist_and_say_what_to_do() {
    check(|_, node| {
        let rules = node.get("x-kubernetes-validations")?.as_array().unwrap();
        rules.iter().find_map(|rule| {
            let text = rule["rule"].as_str().unwrap();
            let is_name = |c: char| c.is_ascii_alphanumeric();
            let named = text.replace("oldSelf.", "self.");
            let fields = named.split("self.").skip(1);
            let mut fields = fields.map(|rest| rest.split(|c| !is_name(c)).next().unwrap());
            let unknown =
                fields.find(|field| !node["properties"].as_object().unwrap().contains_key(*field));
            let message = rule["message"].as_str().unwrap_or_default();
            unknown
                .map(|field| format!("a rule names {field}, which it has not"))
                .or(message.is_empty().then(|| format!("no message for {text}")))
        })
    });
}
