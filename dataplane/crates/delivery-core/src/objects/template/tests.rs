use expect_test::{Expect, expect};
use model::{Offset, ShardId};
use proptest::prelude::*;

use super::super::id::PartitionKeys;
use super::*;

/// 2018-08-27T10:30:00Z, the time of AWS's examples.
const ARRIVAL: UnixMillis = UnixMillis(1_535_365_800_000);

fn keys() -> PartitionKeys {
    let pairs = [("customer", "42"), ("empty", ""), ("line", "a\nb"), ("dots", ".."), ("ä", "ü")];
    let from_query = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let long = ("long".to_owned(), "x".repeat(PREFIX_CHARS_MAX + 1));
    PartitionKeys {
        from_query,
        from_lambda: [("kind".to_owned(), "click".to_owned()), long].into(),
    }
}

fn evaluate(
    template: Result<Template, TemplateError>,
    output: Option<ErrorOutputType>,
) -> Result<String, String> {
    let keys = keys();
    let id = ObjectId {
        stream_uid: 1,
        recipe: 1,
        version: 1,
        shard: ShardId(0),
        first_offset: Offset(0),
        part: 0,
        keys: &keys,
    };
    let template = template.map_err(|error| error.to_string())?;
    template.evaluate(&id, ARRIVAL, &Zone::UTC, output).map_err(|error| error.to_string())
}

#[test]
fn prefixes_of_objects_end_with_the_time_unless_they_have_one() {
    let check = |prefix: &str, want: Expect| {
        want.assert_eq(&evaluate(Template::of_objects(Some(prefix)), None).unwrap_or_else(|it| it));
    };
    check("", expect!["2018/08/27/10/"]);
    check("myFirehosePrefix/", expect!["myFirehosePrefix/2018/08/27/10/"]);
    check("!{timestamp:yyyy/MM/dd}", expect!["2018/08/27"]);
    check(
        "a/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/",
        expect!["a/year=2018/month=08/day=27/hour=10/"],
    );
    check("dt=!{timestamp:yyyy'-'MM'-'dd}/h=!{timestamp:HH}/", expect!["dt=2018-08-27/h=10/"]);
    check("!{timestamp:'it''s'}/", expect!["it's/"]);
    check(
        "!{firehose:random-string}/!{firehose:random-string}/",
        expect!["c45ac46e3d2/59504f8b96c/2018/08/27/10/"],
    );
    check(
        "c=!{partitionKeyFromQuery:customer}/k=!{partitionKeyFromLambda:kind}/",
        expect!["c=42/k=click/2018/08/27/10/"],
    );
    check("!{partitionKeyFromQuery:ä}/", expect!["ü/2018/08/27/10/"]);
    check("a!b}c{d!!", expect!["a!b}c{d!!2018/08/27/10/"]);
    check("!!{timestamp:yy}}", expect!["!18}"]);
}

#[test]
fn prefixes_of_refused_records_tell_why() {
    let output = Some(ErrorOutputType::ProcessingFailed);
    let check = |prefix: Option<&str>, fallback: &str, want: Expect| {
        let template = Template::of_errors(prefix, fallback);
        want.assert_eq(&evaluate(template, output).unwrap_or_else(|it| it));
    };
    check(
        Some("myFirehoseFailures/!{firehose:error-output-type}/"),
        "",
        expect!["myFirehoseFailures/processing-failed/"],
    );
    check(
        Some("a/!{timestamp:'year='yyyy'/month='MM'/day='dd}/!{firehose:error-output-type}"),
        "",
        expect!["a/year=2018/month=08/day=27/processing-failed"],
    );
    check(None, "myFirehosePrefix/", expect!["myFirehosePrefix/processing-failed/2018/08/27/10/"]);
    check(None, "", expect!["processing-failed/2018/08/27/10/"]);
    check(Some("errors/"), "data/", expect!["errors/processing-failed/2018/08/27/10/"]);
    check(
        Some("e/!{timestamp:yyyy}/"),
        "",
        expect!["character 1: there are expressions but not !{firehose:error-output-type}; add it"],
    );
    check(
        Some("é/!{firehose:error-output-type}/!{partitionKeyFromQuery:customer}"),
        "",
        expect!["character 33: partition keys are not known of refused records; remove them"],
    );
}

/// A line for each prefix, with what it is refused for.
fn check(prefixes: &[&str], refusal: impl Fn(&str) -> String, want: Expect) {
    let lines: Vec<_> = prefixes.iter().map(|it| format!("{it} => {}\n", refusal(it))).collect();
    want.assert_eq(&lines.concat());
}

#[test]
fn refusals_say_where_and_what_to_do() {
    let prefixes = [
        "é/!{timestamp:yyyy",
        "!{!{timestamp:yyyy}}",
        "!{timestamp:yyyy!{firehose:random-string}",
        "ab!{}",
        "!{timestamp:}",
        "!{timestamp}",
        "!{firehose:region}",
        "!{ timestamp:yyyy}",
        "!{partitionKeyFromQuery:}",
        "a/!{timestamp:yyyy}/!{timestamp:MMT}",
        "!{timestamp:yyyy'}'}",
        "x!{firehose:random-string}!{firehose:error-output-type}",
        "../",
        "!{timestamp:yyyy}/./!{timestamp:MM}",
    ];
    let refusal = |prefix: &str| Template::of_objects(Some(prefix)).unwrap_err().to_string();
    check(
        &prefixes,
        refusal,
        expect![[r#"
        é/!{timestamp:yyyy => character 3: the expression has no end; add a '}'
        !{!{timestamp:yyyy}} => character 1: the expression has no end; add a '}'
        !{timestamp:yyyy!{firehose:random-string} => character 1: the expression has no end; add a '}'
        ab!{} => character 3: !{} means nothing; use timestamp:FORMAT, firehose:random-string, firehose:error-output-type, partitionKeyFromQuery:KEY or partitionKeyFromLambda:KEY
        !{timestamp:} => character 1: !{timestamp:} means nothing; use timestamp:FORMAT, firehose:random-string, firehose:error-output-type, partitionKeyFromQuery:KEY or partitionKeyFromLambda:KEY
        !{timestamp} => character 1: !{timestamp} means nothing; use timestamp:FORMAT, firehose:random-string, firehose:error-output-type, partitionKeyFromQuery:KEY or partitionKeyFromLambda:KEY
        !{firehose:region} => character 1: !{firehose:region} means nothing; use timestamp:FORMAT, firehose:random-string, firehose:error-output-type, partitionKeyFromQuery:KEY or partitionKeyFromLambda:KEY
        !{ timestamp:yyyy} => character 1: !{ timestamp:yyyy} means nothing; use timestamp:FORMAT, firehose:random-string, firehose:error-output-type, partitionKeyFromQuery:KEY or partitionKeyFromLambda:KEY
        !{partitionKeyFromQuery:} => character 1: !{partitionKeyFromQuery:} means nothing; use timestamp:FORMAT, firehose:random-string, firehose:error-output-type, partitionKeyFromQuery:KEY or partitionKeyFromLambda:KEY
        a/!{timestamp:yyyy}/!{timestamp:MMT} => character 35: 'T' is no letter of times; put it into single quotes to mean itself
        !{timestamp:yyyy'}'} => character 17: the single quote has no end; add one, or write '' for the quote itself
        x!{firehose:random-string}!{firehose:error-output-type} => character 27: error-output-type is for errorOutputPrefix; remove it
        ../ => character 1: '.' or '..' stands between slashes; remove it
        !{timestamp:yyyy}/./!{timestamp:MM} => character 18: '.' or '..' stands between slashes; remove it
    "#]],
    );
    let refusal = Template::of_objects(Some(&"x".repeat(513))).unwrap_err();
    assert_eq!(refusal.problem, TemplateProblem::TooLong);
}

#[test]
fn dots_may_be_part_of_a_name() {
    for prefix in ["a./..b/", "v1.2/", ".../", "!{timestamp:yyyy}./x/", ".!{timestamp:yyyy}"] {
        let prefix = evaluate(Template::of_objects(Some(prefix)), None);
        assert!(prefix.is_ok(), "{prefix:?}");
    }
}

#[test]
fn objects_without_a_key_say_why() {
    let prefixes = [
        "!{partitionKeyFromQuery:region}/",
        "!{partitionKeyFromLambda:customer}/",
        "!{partitionKeyFromQuery:empty}/",
        "!{partitionKeyFromQuery:line}/",
        "a/!{partitionKeyFromQuery:dots}/",
        "!{partitionKeyFromLambda:long}/",
    ];
    let refusal = |prefix: &str| evaluate(Template::of_objects(Some(prefix)), None).unwrap_err();
    check(
        &prefixes,
        refusal,
        expect![[r#"
        !{partitionKeyFromQuery:region}/ => partition key region from the query: it is missing or empty
        !{partitionKeyFromLambda:customer}/ => partition key customer from the function: it is missing or empty
        !{partitionKeyFromQuery:empty}/ => partition key empty from the query: it is missing or empty
        !{partitionKeyFromQuery:line}/ => partition key line: it holds a control character
        a/!{partitionKeyFromQuery:dots}/ => prefix "a/../2018/08/27/10/": '.' or '..' stands between slashes
        !{partitionKeyFromLambda:long}/ => prefix of more than 512 characters once evaluated
    "#]],
    );
    let prefix = "x".repeat(500) + "/";
    let template = Template::of_objects(Some(&prefix));
    assert!(evaluate(template, None).unwrap_err().contains("512 characters"));
}

#[test]
fn a_prefix_tells_which_partition_keys_it_needs() {
    let text = "!{partitionKeyFromLambda:b}/x/!{partitionKeyFromQuery:a}/!{timestamp:yyyy}";
    let template = Template::of_objects(Some(text)).unwrap();
    let keys: Vec<_> = template.partition_keys().collect();
    assert_eq!(keys, [(KeySource::Lambda, "b"), (KeySource::Query, "a")]);
}

proptest! {
    #[test]
    fn any_text_is_a_prefix_or_refused(text in "\\PC{0,60}") {
        // Whether it is one does not matter.
        let _ = evaluate(Template::of_objects(Some(&text)), None);
        let _ = evaluate(Template::of_errors(Some(&text), ""), None);
    }

    #[test]
    fn the_same_object_has_the_same_prefix(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "a/", "!{timestamp:yyyy/MM/dd}", "!{firehose:random-string}", "!{timestamp:SSS A}",
            "!{partitionKeyFromQuery:customer}", "}", "!", "!{timestamp:b}",
        ]), 0..12),
    ) {
        let text = parts.concat();
        let first = evaluate(Template::of_objects(Some(&text)), None);
        prop_assert_eq!(&first, &evaluate(Template::of_objects(Some(&text)), None));
        prop_assert_eq!(first.is_err(), text.contains("!{timestamp:b}"));
    }

    #[test]
    fn what_the_operator_takes_parses(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "a/", "!{timestamp:yyyy/MM/dd}", "!{firehose:random-string}", "}", "!", "{", "!{", ":",
            "!{partitionKeyFromQuery:k}", "!{partitionKeyFromLambda:k}", "timestamp", "firehose",
            "!{firehose:error-output-type}", "partitionKeyFromQuery:k", "!{timestamp:}",
        ]), 0..12),
    ) {
        let text = parts.concat();
        prop_assert_eq!(Template::parse(&text).is_ok(), is_taken_by_the_operator(&text), "{}", text);
    }
}

/// The rule of the operator, which sees no meaning in patterns of times: here they are all good
/// ones, or hold a brace.
fn is_taken_by_the_operator(prefix: &str) -> bool {
    prefix.split("!{").skip(1).all(|rest| {
        let Some((inside, _)) = rest.split_once('}') else { return false };
        let (namespace, value) = inside.split_once(':').unwrap_or((inside, ""));
        match namespace {
            "timestamp" => Pattern::parse(value).is_ok() && !value.is_empty(),
            "partitionKeyFromQuery" | "partitionKeyFromLambda" => !value.is_empty(),
            "firehose" => matches!(value, "random-string" | "error-output-type"),
            _ => false,
        }
    })
}
