use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

mod hostile;

/// What `program` makes of `data`, each value in brackets, or why it does not.
fn run(program: &str, data: &[u8]) -> String {
    let program = match Program::new(program) {
        Ok(program) => program,
        Err(error) => return format!("refused: {error}"),
    };
    let run = || {
        let mut text = String::new();
        let result = program.run(data, |value| {
            let mut out = Out::new(1 << 10);
            write_record(&value, &mut out)?;
            text.push_str(&format!("<{}>", String::from_utf8_lossy(&out.into_bytes())));
            if text.len() < 1 << 12 { Ok(()) } else { Err("enough".to_owned()) }
        });
        match result {
            Ok(()) => text,
            Err(error) => format!("{text} failed: {error}").trim_start().to_owned(),
        }
    };
    on_deep_stack(run).unwrap()
}

fn check(program: &str, data: &str, expect: Expect) {
    expect.assert_eq(&run(program, data.as_bytes()));
}

#[test]
fn each_value_is_a_record() {
    check(
        ".",
        r#" {"a": [1, 2.50, "x"], "b": null} "#,
        expect![[r#"<{"a":[1,2.50,"x"],"b":null}>"#]],
    );
    check(".[]", "[1,[],{}]", expect!["<1><[]><{}>"]);
    check("select(.keep)", r#"{"keep":false}"#, expect![""]);
    check(
        r#"{id, year: (.time | strftime("%Y"))}"#,
        r#"{"id":7,"time":1700000000}"#,
        expect![[r#"<{"id":7,"year":"2023"}>"#]],
    );
}

#[test]
fn a_string_is_a_record_as_it_stands() {
    check(
        r#""\(.a);\(.b)""#,
        r#"{"a":"x\ny","b":1}"#,
        expect![[r#"
        <x
        y;1>"#]],
    );
    check("[.a]", r#"{"a":"x\ny\u0007\ud83d\ude00"}"#, expect![[r#"<["x\ny\u0007😀"]>"#]]);
    check("tojson", r#"{"a":"b"}"#, expect![[r#"<{"a":"b"}>"#]]);
}

#[test]
fn what_the_interpreter_lacks_is_added() {
    check("@csv", r#"["a\"b", 1.5, true, null, ""]"#, expect![[r#"<"a""b",1.5,true,,"">"#]]);
    check("@tsv", r#"["a\tb\\", 1.5, false, null]"#, expect![[r#"<a\tb\\	1.5	false	>"#]]);
    check("@csv", "[[1]]", expect![[r#"failed: "array cannot be in a row of csv""#]]);
    check(".[] | IN(1, 3), IN(.; 2, 3)", "[1,2]", expect!["<true><false><false><true>"]);
    check(
        "INDEX(.id)",
        r#"[{"id":1},{"id":"x"}]"#,
        expect![[r#"<{"1":{"id":1},"x":{"id":"x"}}>"#]],
    );
    check(
        "[leaf_paths], (65 | ascii), (0 | date)",
        r#"{"a":[1]}"#,
        expect![[r#"<[["a",0]]><A><1970-01-01T00:00:00Z>"#]],
    );
}

#[test]
fn numbers_keep_their_digits_and_calculated_ones_are_written_as_in_jq() {
    check(
        ".[]",
        "[12345678901234567890123, 1.10, 1e3, -0.0]",
        expect!["<12345678901234567890123><1.10><1e3><-0.0>"],
    );
    check(".[] / 2", "[1, 2, 1e300]", expect!["<0.5><1><5e+299>"]);
    check(
        "nan, [infinite], -infinite",
        "0",
        expect!["<null><[1.7976931348623157e+308]><-1.7976931348623157e+308>"],
    );
}

/// As the library of jq writes them; what is JSON is in the first column.
#[test]
fn numbers_are_texts_as_in_jq() {
    let table = [
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("100", "100"),
        ("1e5", "100000"),
        ("1e17", "1e+17"),
        ("1e300", "1e+300"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("-0.0", "-0"),
        ("12345678901234567890", "12345678901234567000"),
        ("1.5e-7", "1.5e-07"),
        ("-123456789.125", "-123456789.125"),
        ("1e1000", "1.7976931348623157e+308"),
    ];
    for (json, text) in table {
        assert_eq!(number_text(json.parse().unwrap()), text, "{json}");
    }
}

#[test]
fn an_error_says_what_is_wrong() {
    check(".a.b", r#"{"a":1}"#, expect![[r#"failed: cannot index 1 with "b""#]]);
    check("1, error(\"no\"), 2", "0", expect![[r#"<1> failed: "no""#]]);
    let long = format!("\"{}\"", "x".repeat(1_000));
    let message = format!("failed: \"{}...", "x".repeat(MESSAGE_BYTES_MAX - 1));
    assert_eq!(run("error", long.as_bytes()), message);
}

#[test]
fn a_program_that_cannot_run_is_refused() {
    check("{a", "0", expect!["refused: expected closing brace at byte 2"]);
    check("foo(1)", "0", expect!["refused: undefined filter: foo"]);
    check("$ENV.HOME", "0", expect!["refused: undefined variable: $ENV"]);
    check(
        r#"import "a" as $a; $a"#,
        "0",
        expect!["refused: import: there are no files to import from"],
    );
    check(
        r#"include "a"; 1"#,
        "0",
        expect!["refused: include and import: there are no files to take from"],
    );
    check("\"open", "0", expect!["refused: expected closing quote at byte 5"]);
    check(&"-".repeat(65_536), "0", expect!["refused: has more than 16384 words and signs"]);
}

#[test]
fn what_is_not_made_of_the_record_is_not_there() {
    for name in ["now", "env", "halt", "halt_error", "debug", "stderr", "input", "localtime"] {
        assert_eq!(run(name, b"0"), format!("refused: undefined filter: {name}"));
    }
}

#[test]
fn a_program_that_runs_on_is_stopped() {
    let steps = "failed: the program takes too many steps";
    let nested = "failed: the program makes values that are nested too deep";
    // Each term is counted for more the deeper it is, so which of the two comes first is a matter of how
    // this is built.
    let deep = "failed: the program recurses too deep";
    let table = [
        ("def f: f; f", steps),
        ("def f: try error catch f; f", deep),
        ("try (def f: f; f) catch 1", steps),
        ("[range(infinite)]", steps),
        ("last(range(0; 1; 0))", steps),
        ("[repeat(1)] | length", steps),
        ("until(false; [.])", nested),
        ("def f: [[[[[[[[[[.]]]]]]]]]] | f; f", nested),
        ("reduce range(1e9) as $i (0; . + $i)", steps),
        ("def f: [f]; f", deep),
        ("def f: 1 + f; f", deep),
    ];
    for (program, message) in table {
        let made = run(program, b"0");
        assert!(made == message || message == deep && made == steps, "{program}: {made}");
    }
    check("first(repeat(1)), [limit(3; range(infinite))]", "0", expect!["<1><[0,1,2]>"]);
    check(
        "[range(5)], [range(1; 10; 4)], [range(3; 0; -1)], [range(0)]",
        "0",
        expect!["<[0,1,2,3,4]><[1,5,9]><[3,2,1]><[]>"],
    );
}

#[test]
fn what_a_program_gives_has_a_bound() {
    check(r#"[range(600) | 10]"#, "0", expect!["failed: the program gives too much"]);
    check(
        "reduce range(300) as $i (0; [.])",
        "0",
        expect!["failed: the program gives JSON nested deeper than 256 levels"],
    );
    check(
        "{(1,null): 2}",
        "0",
        expect!["failed: the program gives an object with a key that is no string"],
    );
    check("[tobytes]", "\"a\"", expect!["failed: the program gives bytes inside of JSON"]);
}

#[test]
fn a_record_is_one_json_value_that_has_bounds() {
    check(
        ".",
        "",
        expect!["failed: the record is not one JSON value: byte offset 0: value expected"],
    );
    check(
        ".",
        "{} {}",
        expect!["failed: the record is not one JSON value: byte offset 3: end of file expected"],
    );
    check(
        ".",
        "{\"a\":}",
        expect!["failed: the record is not one JSON value: byte offset 5: value expected"],
    );
    check("length", &format!("{}{}", "[".repeat(256), "]".repeat(256)), expect!["<1>"]);
    check(
        "length",
        &format!("{}{}", "[".repeat(257), "]".repeat(257)),
        expect!["failed: JSON that is nested deeper than 256 levels"],
    );
    check("length", &format!("\"{}\"", "[".repeat(1_000)), expect!["<1000>"]);
    check("length", &format!(r#""\"{}""#, "[".repeat(1_000)), expect!["<1001>"]);
    check(".", &"1".repeat(401), expect!["failed: a number of more than 400 digits"]);
    check("[fromjson]", "\"[1,{\\\"a\\\":2}]\"", expect![[r#"<[[1,{"a":2}]]>"#]]);
    check(
        "[\"[\" * 1000 | fromjson]",
        "0",
        expect![[r#"failed: "JSON that is nested deeper than 256 levels""#]],
    );
}

proptest! {
    #[test]
    fn no_record_breaks_the_reader(data in "[\\[\\]{}\",:0-9a-ftrue\\\\# \n-]{0,64}") {
        let _ = parse(data.as_bytes());
    }

    #[test]
    fn a_number_is_read_back_from_its_text(number in any::<f64>().prop_filter("finite", |it| it.is_finite())) {
        prop_assert_eq!(number_text(number).parse::<f64>().unwrap().to_bits(), number.to_bits());
    }
}
