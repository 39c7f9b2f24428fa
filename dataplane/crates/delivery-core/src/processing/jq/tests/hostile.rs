//! Programs that are written to take the process down, or records that make them do it.

use super::*;

const MEMORY: &str = "failed: the program takes too much memory";
const STRING: &str = "failed: the program makes a string that is too long";
const DEPTH: &str = "failed: the program makes values that are nested too deep";
const STEPS: &str = "failed: the program takes too many steps";
const RECURSION: &str = "failed: the program recurses too deep";

fn all(table: &[(&str, &str)]) {
    for (program, message) in table {
        let begun = std::time::Instant::now();
        let result = run(program, b"{\"count\":100000000000,\"a\":\"xyz\"}");
        let result = if result.len() < 300 { result } else { result[..300].to_owned() };
        println!("{:?} {program} => {result}", begun.elapsed());
        if std::env::var_os("SURVEY").is_none() {
            assert_eq!(&result, message, "{program}");
        }
    }
}

#[test]
fn strings_stay_small() {
    all(&[
        (r#""x" * 100000000000"#, STRING),
        (r#""x" * .count"#, STRING),
        (r#".count * .a"#, STRING),
        (r#""x" * 1e30"#, r#"failed: cannot calculate "x" * 1e30"#),
        (r#""x" * 1000000000000000000000000"#, STRING),
        (r#"("" * 100000000000) | length"#, "<0>"),
        (r#"try ("x" * .count) catch 1"#, STRING),
        (r#"reduce range(60) as $i ("x"; . + .)"#, STRING),
        (r#"reduce range(60) as $i ("x"; "\(.)\(.)")"#, STRING),
        (r#"reduce range(60) as $i ("x"; [., .] | join(","))"#, STRING),
        (r#"reduce range(60) as $i ("x"; [., .] | add)"#, STRING),
        (r#"reduce range(60) as $i ("x"; [., .] | @csv)"#, STRING),
        (r#"reduce range(60) as $i ("x"; [., .] | @sh)"#, STRING),
        (r#"reduce range(60) as $i ("'"; @sh)"#, STRING),
        (r#"reduce range(60) as $i ("<"; @html)"#, STRING),
        (r#"reduce range(60) as $i ("%"; @uri)"#, STRING),
        (r#"reduce range(60) as $i ("x"; @base64)"#, STRING),
        (r#"reduce range(60) as $i ("\""; tojson)"#, STRING),
        (r#"reduce range(60) as $i ("\""; [.] | tojson)"#, STRING),
        (r#"reduce range(60) as $i ("\""; @json)"#, STRING),
        (r#"reduce range(60) as $i ("x"; gsub("x"; "xx"))"#, STRING),
        (r#"reduce range(60) as $i ("x"; explode | . + . | implode)"#, STRING),
        (r#"reduce range(60) as $i ("x"; .[0:0] = .)"#, STRING),
        (r#"reduce range(60) as $i ("x"; [., .] | tobytes)"#, STRING),
        (r#""x" * 30000000 | [limit(100; repeat(. + "y"))] | length"#, MEMORY),
        (r#""x" * 30000000 | explode | length"#, MEMORY),
        (r#""x" * 30000000 | . / "" | length"#, MEMORY),
        (r#""x," * 10000000 | split(",") | length"#, MEMORY),
        (r#""x" * 30000000 | [match("x"; "g")] | length"#, MEMORY),
        (r#""\u0000" * 30000000 | tojson | length"#, STRING),
        (r#""\u0000" * 30000000 | tobytes | tostring | tojson | length"#, STRING),
        (r#"0 | strftime("%255Y" * 1000000)"#, r#"failed: "strftime: the format is too long""#),
        (r#"0 | strftime("%255Y" * 800) | length"#, "<204000>"),
        (
            r#"0 | unguarded_strftime("%255Y" * 8)"#,
            "refused: holds unguarded_, which is not for programs",
        ),
        (r#""x" * 30000000 | [splits("x")] | length"#, MEMORY),
        (
            r#""x" * 30000000 | ascii_downcase | ltrimstr("x") | rtrimstr("x") | length"#,
            "<29999998>",
        ),
        (r#"def f: ("x" * 1000000) as $x | f; f"#, STEPS),
        (r#"def f($x): f($x + "x" * 1000000); f("")"#, STRING),
        (r#"[range(1000000) | "x" * 10000 | .[0:1]] | length"#, STEPS),
        (r#"[range(1000000) | "x" * 10000] | length"#, MEMORY),
        (r#"{} | reduce range(1000000) as $i (.; . + {"\($i)": ("x" * 1000)}) | length"#, MEMORY),
    ]);
}

#[test]
fn arrays_and_objects_stay_small() {
    all(&[
        (r#"reduce range(60) as $i ([0]; [.[], .[]])"#, MEMORY),
        (r#"reduce range(60) as $i ([0]; . + .)"#, MEMORY),
        (r#"reduce range(60) as $i ([0]; [., .] | add)"#, MEMORY),
        (r#"reduce range(60) as $i ([0]; [., .] | flatten)"#, MEMORY),
        (r#"reduce range(60) as $i ([0]; .[0:0] = .)"#, MEMORY),
        (r#"reduce range(60) as $i ([0]; .[1:] += .)"#, MEMORY),
        (r#"reduce range(60) as $i ([0]; .[] |= (., .))"#, MEMORY),
        (r#"null | .[1000000000] = 1"#, "failed: cannot use null as iterable (array or object)"),
        (r#"[] | .[1000000000] = 1"#, r#"failed: "index 1000000000 out of bounds""#),
        (r#"[] | setpath([1000000000]; 1)"#, r#"failed: "index 1000000000 out of bounds""#),
        (r#"[] | .[-1000000000] = 1"#, r#"failed: "index -1000000000 out of bounds""#),
        (r#"[] | .[1e30:] = [1] | length"#, "failed: cannot use 1e30 as integer"),
        (
            r#"[[range(100)], [range(100)], [range(100)], [range(100)]] | [combinations] | length"#,
            STEPS,
        ),
        (r#"[0, 1] | [combinations(60)] | length"#, STEPS),
        (r#"[range(3000) | [range(3000)]] | transpose | length"#, STEPS),
        (r#"[limit(100000000; repeat(0))] | length"#, STEPS),
        (r#"[range(1000)] | [.[] as $a | .[] as $b | .[] as $c | 0] | length"#, STEPS),
        (r#"reduce range(60) as $i ([0]; [paths])"#, "<[[0,0]]>"),
        (r#"reduce range(60) as $i ({a: 1}; {a: ., b: .}) | [..] | length"#, MEMORY),
        (r#"reduce range(60) as $i ({a: 1}; {a: ., b: .}) | [paths] | length"#, MEMORY),
        (r#"reduce range(60) as $i ([0]; [., .]) | flatten | length"#, STEPS),
        (r#"reduce range(60) as $i ([0]; [., .]) | [getpath(paths)] | length"#, STEPS),
        (r#"reduce range(60) as $i ([0]; [., .]) | walk(.) | length"#, STEPS),
        (r#"reduce range(60) as $i ([0]; [., .]) | (.. |= .) | length"#, STEPS),
        (r#"[range(200000)] | def f: .[] as $x | [f]; f"#, RECURSION),
        (r#"[range(200000)] | def f: first(.[]) as $x | . + [0] | [., f]; f"#, MEMORY),
        (r#"[range(200000)] | map({a: .}) | group_by(.a) | length"#, STEPS),
        (r#"[range(100000)] | sort_by([., [range(3)]]) | length"#, STEPS),
        (r#"reduce range(200000) as $i ({}; .["\($i)"] = $i) | to_entries | length"#, STEPS),
        (r#"[range(100000)] | reduce .[] as $i (.; [.[], $i]) | length"#, STEPS),
        (r#"[range(60000)] | . as $x | reduce range(1000) as $i ([]; . + $x) | length"#, MEMORY),
        (r#"[range(60000)] | [limit(10000; repeat(.[1:]))] | length"#, MEMORY),
        (r#"[range(60000)] | [limit(10000; repeat(reverse))] | length"#, MEMORY),
        (
            r#""[0]" | [limit(1000; repeat("[" + "0," * 500000 + "0]" | fromjson))] | length"#,
            MEMORY,
        ),
        (
            r#""[" + "0," * 2000000 + "0]" | fromjson"#,
            r#"failed: "JSON of more than 1048576 values""#,
        ),
    ]);
}

#[test]
fn what_shares_itself_is_work() {
    const SHARED: &str = "reduce range(900) as $i ([]; [., .])";
    let table = [
        (". == .", "<true>"),
        ("tojson | length", STRING),
        ("tostring | length", STRING),
        ("\"\\(.)\" | length", STRING),
        ("@csv", "failed: \"array cannot be in a row of csv\""),
        ("@base64 | length", STRING),
        ("error", "failed: DISPLAY"),
        ("try (. + 1) catch length", "<1023>"),
        ("{(.): 1} | length", STEPS),
        ("sort | length", STEPS),
        ("unique | length", STEPS),
        ("group_by(.) | length", STEPS),
        ("min", STEPS),
        ("contains([[[0]]])", STEPS),
        ("index(1)", "<null>"),
        ("indices([1])", "<[]>"),
        ("tobytes", STEPS),
        ("[flatten] | length", STEPS),
        ("last(..)", STEPS),
        ("[paths] | length", MEMORY),
        (". - .", STEPS),
        (".[0] < .[1]", STEPS),
        ("[.[] == .[]]", "<[true,true,true,true]>"),
        ("(. | tojson | fromjson) == .", STRING),
        (". as $x | REBUILT | . == $x", STEPS),
        ("{a: .} * {a: .} | length", "<1>"),
        ("bsearch(.)", STEPS),
        ("strftime(\"\")", "failed: TIME"),
        (".", "failed: the program gives JSON nested deeper than 256 levels"),
    ];
    for (rest, message) in table {
        let program = format!("{SHARED} | {}", rest.replace("REBUILT", SHARED));
        let begun = std::time::Instant::now();
        let result = run(&program, b"0");
        let result = if result.len() < 300 { result } else { result[..300].to_owned() };
        println!("{:?} {rest} => {result}", begun.elapsed());
        if std::env::var_os("SURVEY").is_none() {
            assert_eq!(result, message, "{rest}");
        }
    }
}

#[test]
fn values_do_not_nest_without_end() {
    all(&[
        ("reduce range(200000) as $i (0; [.]) | tojson", DEPTH),
        ("reduce range(200000) as $i (0; {a: .}) | tojson", DEPTH),
        ("reduce range(200000) as $i (0; {(tojson): .}) | tojson", STRING),
        ("reduce range(200000) as $i (0; [.])", DEPTH),
        ("reduce range(200000) as $i (null; {} + {a: .})", DEPTH),
        ("reduce range(200000) as $i ([0]; .[0] = .)", DEPTH),
        ("reduce range(200000) as $i ([0]; .[0] |= [.])", DEPTH),
        ("reduce range(200000) as $i ({a: 0}; .a = .)", DEPTH),
        ("reduce range(200000) as $i ({a: 0}; .a |= {b: .})", DEPTH),
        ("reduce range(200000) as $i ([0]; .[0:1] = [.])", DEPTH),
        ("reduce range(200000) as $i ([0]; map([.]))", DEPTH),
        ("reduce range(200000) as $i ([0]; [[.]] | .[0])", DEPTH),
        ("reduce range(200000) as $i ([0]; [.] + [])", DEPTH),
        ("reduce range(200000) as $i ({}; {a: .} * {})", DEPTH),
        ("reduce range(200000) as $i ([]; group_by(.) | [.])", DEPTH),
        ("reduce range(200000) as $i ([]; to_entries)", "failed: TO_ENTRIES"),
        ("reduce range(900) as $i (0; [.]) | tojson | length", "<1801>"),
        ("reduce range(10000) as $i ([]; [.] | .[0]) | length", "<0>"),
        ("reduce range(900) as $i (0; [.]) | [limit(5; ..)] | length", "<5>"),
        ("reduce range(200) as $i (0; [.]) | (reduce range(200) as $i (.; .[0]))", "<0>"),
    ]);
}

#[test]
fn the_interpreter_itself_ends() {
    all(&[
        ("def f(g): f(g | .); f(.)", STEPS),
        ("def f(g): f(g | g); f(.)", STEPS),
        ("def f(g): g, f(g | .); last(f(.))", STEPS),
        ("def f($x): f([$x]); f(0)", DEPTH),
        ("def f($a): f($a + 1) as $b | $b; f(0)", RECURSION),
        ("def f: . as $x | f; f", STEPS),
        ("def f: . as $x | (f | $x); f", RECURSION),
        ("def f: label $x | f; f", STEPS),
        ("def f: try f catch .; f", RECURSION),
        ("def f: reduce f as $x (0; .); f", RECURSION),
        ("def f: first(f); f", RECURSION),
        ("def f: (f // f); f", RECURSION),
        ("def f: .[f]; f", RECURSION),
        ("def f: f |= .; f", RECURSION),
        ("def f: (., f) |= .; f", RECURSION),
        ("[path(repeat(.a?))] | length", STEPS),
        ("null | [path(repeat(.a))] | length", MEMORY),
        ("null | last(path(repeat(.a))) | length", STEPS),
        ("null | path(def f: .a | f; f)", STEPS),
        ("null | [limit(1000; path(repeat(.a)))] | length", "<1000>"),
        ("reduce range(1000000) as $i (0; ., .)", STEPS),
        ("last(foreach range(1000000) as $i (0; ., .))", STEPS),
        ("def f: reduce range(2) as $i (.; ., f); f", RECURSION),
        ("[recurse(.)] | length", STEPS),
        ("[recurse(., .)] | length", STEPS),
        ("last(recurse(., .))", STEPS),
        ("[repeat(repeat(.))] | length", STEPS),
        ("[.[]?, ..] | last(recurse([.[]?, .]))", STEPS),
        ("def f: def g: f; g; f", STEPS),
        ("def f(a; b): f(b; a | b); f(.; .)", STEPS),
        ("limit(infinite; repeat(0)) | empty", STEPS),
        ("skip(100000000; repeat(0))", STEPS),
        ("\"abc\" | [splits(\"\")] | length", "failed: SPLITS"),
        (
            "null | .[0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3] | empty",
            STEPS,
        ),
        (
            "last(null | .[0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3])",
            STEPS,
        ),
    ]);
}

#[test]
fn numbers_and_patterns_stay_small() {
    all(&[
        ("reduce range(60) as $i (10; . * .)", "<1.7976931348623157e+308>"),
        ("reduce range(100000) as $i (2; . * 10)", "<1.7976931348623157e+308>"),
        ("[jn(2000000000; 1999999999)]", r#"failed: "jn: the order is too large""#),
        ("[yn(2000000000; 1999999999)]", r#"failed: "yn: the order is too large""#),
        ("[jn(2; 1)] | length", "<1>"),
        (
            "def f: (\"1\" * 400 | tonumber) as $x | $x * $x; [limit(1000000; repeat(f))] | length",
            STEPS,
        ),
        ("[ldexp(1; 2000000000)]", "<[1.7976931348623157e+308]>"),
        (r#""a" | [match("(a{1000}){1000}"; "g")]"#, "failed: REGEX"),
        (r#""a" | [match("a{100000}"; "g")]"#, "failed: REGEX"),
        (r#""a" | [match("(" * 49 + ")" * 49; "g")]"#, "failed: REGEX"),
        (r#""a" | [match("(" * 500 + ")" * 500; "g")]"#, "failed: REGEX"),
        (r#""a" | [match("()" * 500; "g")]"#, "failed: REGEX"),
        (r#""a" * 100 | [match("(a*)" * 60; "g")] | length"#, "failed: REGEX"),
        (r#""aaaa" | [match("(a|aa)+$"; "g")] | length"#, "<1>"),
        (r#"[range(1000000) | tostring | test("a{500}\(.)")] | length"#, "failed: REGEX"),
        (r#""a" * 100000 | test("(a*)*b")"#, "<false>"),
        (
            r#""é€a" * 2 | [match("(a)|(€)"; "g") | .offset, (.captures | map(.offset))]"#,
            "<[1,[1],2,[2],4,[4],5,[5]]>",
        ),
    ]);
}

#[test]
fn a_large_record_is_gone_through() {
    let rows =
        format!("[{}]", vec![r#"{"id":1,"name":"x\ty","tags":["a","b"]}"#; 25_000].join(","));
    let table = [
        ("length", "<25000>"),
        ("map(.id) | add", "<25000>"),
        ("map(.name |= ascii_upcase) | length", "<25000>"),
        ("tojson | fromjson | length", "<25000>"),
        ("map(.name | ascii_upcase) | join(\"\\n\") | length", "<99999>"),
        ("group_by(.id) | length", "<1>"),
        ("[.[] | select(.name | test(\"x\"))] | length", "<25000>"),
        ("reduce .[] as $it (0; . + $it.id)", "<25000>"),
        ("[..] | length", "<150001>"),
    ];
    for (program, result) in table {
        let begun = std::time::Instant::now();
        let made = run(program, rows.as_bytes());
        println!("{:?} {program} => {made}", begun.elapsed());
        assert_eq!(made, result, "{program}");
    }
    let deep = format!("[{}]", vec!["[]"; 340_000].join(","));
    assert_eq!(run("length", deep.as_bytes()), "<340000>");
    let objects = format!("[{}]", vec!["{}"; 340_000].join(","));
    assert_eq!(run("length", objects.as_bytes()), "<340000>");
    let fields: Vec<String> = (0..80_000).map(|n| format!("\"{n}\":{n}")).collect();
    assert_eq!(run("length", format!("{{{}}}", fields.join(",")).as_bytes()), "<80000>");
}

#[test]
fn attempts_by_hand() {
    let rep = |part: &str, times: usize| part.repeat(times);
    let table = [
        format!("null | [limit(1; .{})]", rep("[0,0]", 3200)),
        "def f(a;b;c;d;e): f(a|b;b|c;c|d;d|e;e|a); f(.;.;.;.;.)".to_owned(),
        "def f($n): if $n == 0 then range(1000000) else try f($n-1) catch . end; last(f(5000))".to_owned(),
        "def f: if length > 5000 then . else . + [0] | f | . end; [] | f | length".to_owned(),
        "\"a\" * 1000000 | [range(1000)] as $x | [$x[] as $i | test(\"a{90}b\")] | length".to_owned(),
        "\"a\" * 20000 | [match(\"a+b|a\"; \"g\")] | length".to_owned(),
        "\"a\" * 1000 | [range(20000) as $i | test(\"a{500}b|\\($i)\")] | length".to_owned(),
        "\"x\" * 30000000 | [range(1000) as $i | contains(\"y\")] | length".to_owned(),
        "\"x\" * 30000000 | [range(1000) as $i | length] | length".to_owned(),
        "\"x\" * 30000000 | [range(1000) as $i | @base64 | 1] | length".to_owned(),
        "\"x\" * 30000000 | [range(1000) as $i | @uri | 1] | length".to_owned(),
        "[range(1000000)] | sort | length".to_owned(),
        "[range(100000) as $i | 1e1000] | sort | length".to_owned(),
        "[\"x\" * 30000000, \"x\" * 30000000] | try error catch length".to_owned(),
        "(\"x\" * 30000000) | try error([., .]) catch length".to_owned(),
        "\"\\u0001\" * 30000000 | error".to_owned(),
        "[\"1\" * 300 | tonumber | range(.; infinite)] | length".to_owned(),
        "\"aé\" * 1000000 | until(length == 0; .[1:])".to_owned(),
        "[range(1000) as $i | \"a,b\" * 10000 / \",\"] | length".to_owned(),
        "reduce range(100000) as $i ({}; .[$i|tostring] = (.[$i-1|tostring] | [.])) | length".to_owned(),
        "reduce range(500) as $i ({}; {(tojson[0:100]): ., b: .}) | keys | length".to_owned(),
        "reduce range(500) as $i ({}; {a: ., b: .}) | . * . * . * . | length".to_owned(),
        "reduce range(500) as $i ({}; {a: ., b: .}) | del(..) | length".to_owned(),
        "reduce range(500) as $i ({}; {a: ., b: .}) | with_entries(.) | to_entries | from_entries | length".to_owned(),
        "reduce range(500) as $i ({}; {a: ., b: .}) | [leaf_paths] | length".to_owned(),
        "reduce range(500) as $i ({}; {a: ., b: .}) | walk(if type == \"object\" then . else . end) | length".to_owned(),
    ];
    for program in table {
        let begun = std::time::Instant::now();
        let result = run(&program, b"0");
        let rss = std::fs::read_to_string("/proc/self/status").unwrap();
        let rss = rss.lines().find(|it| it.starts_with("VmHWM")).unwrap().to_owned();
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let program: String = program.chars().take(90).collect();
        let result: String = result.chars().take(90).collect();
        println!("{:?} {rss} {program} => {result}", begun.elapsed());
    }
}
