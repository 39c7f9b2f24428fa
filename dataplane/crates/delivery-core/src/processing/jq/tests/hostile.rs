//! Programs that are written to take the process down, or records that make them do it.

use std::sync::Mutex;

use super::*;

const STOPPED: &str = "stopped";

/// What a program is stopped by. Which it is first may differ with how this is built.
const STOPS: [&str; 5] = [
    "failed: the program makes a string that is too long",
    "failed: the program makes values that are nested too deep",
    "failed: the program recurses too deep",
    "failed: the program takes too many steps",
    "failed: the program takes too much memory",
];

/// A program may take much, and several at one time more than is there for the tests.
static ALONE: Mutex<()> = Mutex::new(());

fn all(table: &[(&str, &str)]) {
    let _alone = ALONE.lock();
    let mut wrong = Vec::new();
    for (program, result) in table {
        let made = run(program, br#"{"count":100000000000,"a":"xyz"}"#);
        if *result == STOPPED {
            if !STOPS.contains(&&*made) {
                wrong.push(format!("{program}: {made}"));
            }
        } else if made != *result {
            wrong.push(format!("{program}: {made}, not {result}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_step_does_not_take_all_memory() {
    all(&[
        (r#""x" * 100000000000"#, STOPPED),
        (r#""x" * .count"#, STOPPED),
        (r#"try ("x" * .count) catch 1"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; . + .)"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; "\(.)\(.)")"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; . + .)"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; .[] |= (., .))"#, STOPPED),
        (r#"[] | .[1000000000] = 1"#, r#"failed: "index 1000000000 out of bounds""#),
        (r#"0 | strftime("%255Y" * 1000000)"#, r#"failed: "strftime: the format is too long""#),
        (r#""a" | [match("()" * 500)]"#, r#"failed: "invalid regex: it has more than 64 groups""#),
        (r#"reduce range(900) as $i ([]; [., .]) | walk(.)"#, STOPPED),
        (r#"try error("x" * 10000000) catch length"#, "<10000000>"),
        (r#"try ("x" * 10000000 - 1) catch length"#, "<1021>"),
    ]);
}

#[test]
fn strings_stay_small() {
    all(&[
        (r#""x" * 100000000000"#, STOPPED),
        (r#""x" * .count"#, STOPPED),
        (r#".count * .a"#, STOPPED),
        (r#""x" * 1e30"#, r#"failed: cannot calculate "x" * 1e30"#),
        (r#""x" * 1000000000000000000000000"#, STOPPED),
        (r#"("" * 100000000000) | length"#, "<0>"),
        (r#"try ("x" * .count) catch 1"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; . + .)"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; "\(.)\(.)")"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; [., .] | join(","))"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; [., .] | add)"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; [., .] | @csv)"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; [., .] | @sh)"#, STOPPED),
        (r#"reduce range(60) as $i ("'"; @sh)"#, STOPPED),
        (r#"reduce range(60) as $i ("<"; @html) | length"#, "<240>"),
        (r#"reduce range(60) as $i ("%"; @uri) | length"#, "<121>"),
        (r#"reduce range(60) as $i ("x"; @base64)"#, STOPPED),
        (r#"reduce range(60) as $i ("\""; tojson)"#, STOPPED),
        (r#"reduce range(60) as $i ("\""; [.] | tojson)"#, STOPPED),
        (r#"reduce range(60) as $i ("\""; @json)"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; gsub("x"; "xx"))"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; explode | . + . | implode)"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; .[0:0] = .)"#, STOPPED),
        (r#"reduce range(60) as $i ("x"; [., .] | tobytes)"#, STOPPED),
        (r#""x" * 30000000 | [limit(100; repeat(. + "y"))] | length"#, STOPPED),
        (r#""x" * 30000000 | explode | length"#, STOPPED),
        (r#""x" * 30000000 | . / "" | length"#, STOPPED),
        (r#""x," * 10000000 | split(",") | length"#, STOPPED),
        (r#""x" * 30000000 | [match("x"; "g")] | length"#, STOPPED),
        (r#""\u0000" * 30000000 | tojson | length"#, STOPPED),
        (r#""\u0000" * 30000000 | tobytes | tostring | tojson | length"#, STOPPED),
        (r#"0 | strftime("%255Y" * 1000000)"#, r#"failed: "strftime: the format is too long""#),
        (r#"0 | strftime("%255Y" * 800) | length"#, "<16000>"),
        (
            r#"0 | unguarded_strftime("%255Y" * 8)"#,
            "refused: holds unguarded_, which is not for programs",
        ),
        (r#""x" * 30000000 | [splits("x")] | length"#, STOPPED),
        (
            r#""x" * 30000000 | ascii_downcase | ltrimstr("x") | rtrimstr("x") | length"#,
            "<29999998>",
        ),
        (r#"def f: ("x" * 1000000) as $x | f; f"#, STOPPED),
        (r#"def f($x): f($x + "x" * 1000000); f("")"#, STOPPED),
        (r#"[range(1000000) | "x" * 10000 | .[0:1]] | length"#, STOPPED),
        (r#"[range(1000000) | "x" * 10000] | length"#, STOPPED),
        (r#"{} | reduce range(1000000) as $i (.; . + {"\($i)": ("x" * 1000)}) | length"#, STOPPED),
    ]);
}

#[test]
fn arrays_and_objects_stay_small() {
    all(&[
        (r#"reduce range(60) as $i ([0]; [.[], .[]])"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; . + .)"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; [., .] | add)"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; [., .] | flatten)"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; .[0:0] = .)"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; .[1:] += .)"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; .[] |= (., .))"#, STOPPED),
        (r#"null | .[1000000000] = 1"#, "failed: cannot use null as iterable (array or object)"),
        (r#"[] | .[1000000000] = 1"#, r#"failed: "index 1000000000 out of bounds""#),
        (r#"[] | setpath([1000000000]; 1)"#, r#"failed: "index 1000000000 out of bounds""#),
        (r#"[] | .[-1000000000] = 1"#, r#"failed: "index -1000000000 out of bounds""#),
        (r#"[] | .[1e30:] = [1] | length"#, "failed: cannot use 1e30 as integer"),
        (
            r#"[[range(100)], [range(100)], [range(100)], [range(100)]] | [combinations] | length"#,
            STOPPED,
        ),
        (r#"[0, 1] | [combinations(60)] | length"#, STOPPED),
        (r#"[range(3000) | [range(3000)]] | transpose | length"#, STOPPED),
        (r#"[limit(100000000; repeat(0))] | length"#, STOPPED),
        (r#"[range(1000)] | [.[] as $a | .[] as $b | .[] as $c | 0] | length"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; [paths])"#, STOPPED),
        (r#"reduce range(60) as $i ({a: 1}; {a: ., b: .}) | [..] | length"#, STOPPED),
        (r#"reduce range(60) as $i ({a: 1}; {a: ., b: .}) | [paths] | length"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; [., .]) | flatten | length"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; [., .]) | [getpath(paths)] | length"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; [., .]) | walk(.) | length"#, STOPPED),
        (r#"reduce range(60) as $i ([0]; [., .]) | (.. |= .) | length"#, STOPPED),
        (r#"[range(200000)] | def f: .[] as $x | [f]; f"#, STOPPED),
        (r#"[range(200000)] | def f: first(.[]) as $x | . + [0] | [., f]; f"#, STOPPED),
        (r#"[range(200000)] | map({a: .}) | group_by(.a) | length"#, STOPPED),
        (r#"[range(100000)] | sort_by([., [range(3)]]) | length"#, STOPPED),
        (r#"reduce range(200000) as $i ({}; .["\($i)"] = $i) | to_entries | length"#, STOPPED),
        (r#"[range(100000)] | reduce .[] as $i (.; [.[], $i]) | length"#, STOPPED),
        (r#"[range(60000)] | . as $x | reduce range(1000) as $i ([]; . + $x) | length"#, STOPPED),
        (r#"[range(60000)] | [limit(10000; repeat(.[1:]))] | length"#, STOPPED),
        (r#"[range(60000)] | [limit(10000; repeat(reverse))] | length"#, STOPPED),
        (
            r#""[0]" | [limit(1000; repeat("[" + "0," * 500000 + "0]" | fromjson))] | length"#,
            STOPPED,
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
        ("tojson | length", STOPPED),
        ("tostring | length", STOPPED),
        ("\"\\(.)\" | length", STOPPED),
        ("@csv", "failed: \"array cannot be in a row of csv\""),
        ("@base64 | length", STOPPED),
        ("try (. + 1) catch length", "<1021>"),
        ("{(.): 1} | length", STOPPED),
        ("sort | length", STOPPED),
        ("unique | length", STOPPED),
        ("group_by(.) | length", STOPPED),
        ("min", STOPPED),
        ("contains([[[0]]])", "<false>"),
        ("index(1)", "<null>"),
        ("indices([1])", "<[]>"),
        ("tobytes", STOPPED),
        ("[flatten] | length", STOPPED),
        ("last(..)", STOPPED),
        ("[paths] | length", STOPPED),
        (". - .", STOPPED),
        (".[0] < .[1]", STOPPED),
        ("[.[] == .[]]", "<[true,true,true,true]>"),
        ("(. | tojson | fromjson) == .", STOPPED),
        (". as $x | REBUILT | . == $x", STOPPED),
        ("{a: .} * {a: .} | length", "<1>"),
        ("bsearch(.)", "<-3>"),
        (".", "failed: the program gives JSON nested deeper than 256 levels"),
    ];
    let programs = table
        .map(|(rest, result)| (format!("{SHARED} | {}", rest.replace("REBUILT", SHARED)), result));
    all(&programs.each_ref().map(|(program, result)| (&**program, *result)));
}

#[test]
fn values_do_not_nest_without_end() {
    all(&[
        ("reduce range(200000) as $i (0; [.]) | tojson", STOPPED),
        ("reduce range(200000) as $i (0; {a: .}) | tojson", STOPPED),
        ("reduce range(200000) as $i (0; {(tojson): .}) | tojson", STOPPED),
        ("reduce range(200000) as $i (0; [.])", STOPPED),
        ("reduce range(200000) as $i (null; {} + {a: .})", STOPPED),
        ("reduce range(200000) as $i ([0]; .[0] = .)", STOPPED),
        ("reduce range(200000) as $i ([0]; .[0] |= [.])", STOPPED),
        ("reduce range(200000) as $i ({a: 0}; .a = .)", STOPPED),
        ("reduce range(200000) as $i ({a: 0}; .a |= {b: .})", STOPPED),
        ("reduce range(200000) as $i ([0]; .[0:1] = [.])", STOPPED),
        ("reduce range(200000) as $i ([0]; map([.]))", STOPPED),
        ("reduce range(200000) as $i ([0]; [[.]] | .[0])", STOPPED),
        ("reduce range(200000) as $i ([0]; [.] + [])", STOPPED),
        ("reduce range(200000) as $i ({}; {a: .} * {})", STOPPED),
        ("reduce range(200000) as $i ([]; group_by(.) | [.])", STOPPED),
        ("reduce range(200000) as $i ([]; to_entries)", STOPPED),
        ("reduce range(900) as $i (0; [.]) | tojson | length", "<1801>"),
        ("reduce range(10000) as $i ([]; [.] | .[0]) | length", "<0>"),
        ("reduce range(900) as $i (0; [.]) | [limit(5; ..)] | length", "<5>"),
        ("reduce range(200) as $i (0; [.]) | (reduce range(200) as $i (.; .[0]))", "<0>"),
    ]);
}

#[test]
fn the_interpreter_itself_ends() {
    all(&[
        ("def f(g): f(g | .); f(.)", STOPPED),
        ("def f(g): f(g | g); f(.)", STOPPED),
        ("def f(g): g, f(g | .); last(f(.))", STOPPED),
        ("def f($x): f([$x]); f(0)", STOPPED),
        ("def f($a): f($a + 1) as $b | $b; f(0)", STOPPED),
        ("def f: . as $x | f; f", STOPPED),
        ("def f: . as $x | (f | $x); f", STOPPED),
        ("def f: label $x | f; f", STOPPED),
        ("def f: try f catch .; f", STOPPED),
        ("def f: reduce f as $x (0; .); f", STOPPED),
        ("def f: first(f); f", STOPPED),
        ("def f: (f // f); f", STOPPED),
        ("def f: .[f]; f", STOPPED),
        ("0 | def f: f |= .; f", "failed: invalid path expression with input 0"),
        ("0 | def f: (., f) |= .; f", "failed: invalid path expression with input 0"),
        ("[path(repeat(.a?))] | length", STOPPED),
        ("null | [path(repeat(.a))] | length", STOPPED),
        ("null | last(path(repeat(.a))) | length", STOPPED),
        ("null | path(def f: .a | f; f)", STOPPED),
        ("null | [limit(1000; path(repeat(.a)))] | length", "<1000>"),
        ("reduce range(1000000) as $i (0; ., .)", STOPPED),
        ("last(foreach range(1000000) as $i (0; ., .))", STOPPED),
        ("def f: reduce range(2) as $i (.; ., f); [limit(3; f)] | length", "<3>"),
        ("[recurse(.)] | length", STOPPED),
        ("[recurse(., .)] | length", STOPPED),
        ("last(recurse(., .))", STOPPED),
        ("[repeat(repeat(.))] | length", STOPPED),
        ("[.[]?, ..] | last(recurse([.[]?, .]))", STOPPED),
        ("def f: def g: f; g; f", STOPPED),
        ("def f(a; b): f(b; a | b); f(.; .)", STOPPED),
        ("limit(infinite; repeat(0)) | empty", STOPPED),
        ("skip(100000000; repeat(0))", STOPPED),
        ("\"abc\" | [splits(\"\")] | length", "<5>"),
        (
            "null | .[0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3] | empty",
            STOPPED,
        ),
        (
            "last(null | .[0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3][0,1,2,3])",
            STOPPED,
        ),
    ]);
}

#[test]
fn numbers_and_patterns_stay_small() {
    const TOO_LARGE: &str = r#"failed: "invalid regex: compiled regex exceeded size limit""#;
    all(&[
        ("reduce range(60) as $i (10; . * .)", "<1.7976931348623157e+308>"),
        ("reduce range(100000) as $i (2; . * 10)", "<1.7976931348623157e+308>"),
        ("[jn(2000000000; 1999999999)]", r#"failed: "jn: the order is too large""#),
        ("[yn(2000000000; 1999999999)]", r#"failed: "yn: the order is too large""#),
        ("[jn(2; 1)] | length", "<1>"),
        (
            "def f: (\"1\" * 400 | tonumber) as $x | $x * $x; [limit(1000000; repeat(f))] | length",
            STOPPED,
        ),
        ("[ldexp(1; 2000000000)]", "<[1.7976931348623157e+308]>"),
        (r#""a" | [match("(a{1000}){1000}"; "g")]"#, TOO_LARGE),
        (r#""a" | [match("a{100000}"; "g")]"#, TOO_LARGE),
        (r#""a" | [match("(" * 49 + ")" * 49; "g")] | length"#, "<2>"),
        (
            r#""a" | [match("(" * 500 + ")" * 500; "g")]"#,
            r#"failed: "invalid regex: pattern has too much nesting""#,
        ),
        (
            r#""a" | [match("()" * 500; "g")]"#,
            r#"failed: "invalid regex: it has more than 64 groups""#,
        ),
        (r#""a" * 100 | [match("(a*)" * 60; "g")] | length"#, "<1>"),
        (r#""aaaa" | [match("(a|aa)+$"; "g")] | length"#, "<1>"),
        (r#"[range(1000000) | tostring | test("a{500}\(.)")] | length"#, STOPPED),
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
        let made = run(program, rows.as_bytes());
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
fn nothing_else_grows_without_end() {
    let rep = |part: &str, times: usize| part.repeat(times);
    let table = [
        format!("null | [limit(1; .{})]", rep("[0,0]", 1000)),
        format!("null | [limit(1; .{})]", rep("[0,0]", 3200)),
        format!("null | last(.{})", rep("[0,0]", 3200)),
        format!("null | .{}", rep("[0]", 5000)),
        format!("null | .{} = 1", rep("[0,0]", 3000)),
        format!("null | [path(.{})]", rep("[0,0]", 3000)),
        format!("def f: null | .{} | f; f", rep("[0]", 3000)),
        format!("def f: null | [.{}[f]]; f", rep("[0,0]", 3000)),
        format!("[{}] | length", vec!["{a:1}"; 2500].join(",")),
        format!("[range(60)] | [{}] | length", vec![".[]"; 3000].join(",")),
        format!("{{{}}}", vec!["(1,2|tostring):(1,2)"; 1000].join(",")),
        format!("{} | length", vec!["[.,.]"; 3000].join("|")),
        format!("0{}", rep(" as $x | 0", 3000)),
        format!("reduce range(400) as $i (0; {} | 0)", vec![". as $x"; 1000].join("|")),
        format!("def f: {} f; f", rep(". as $x | ", 2000)),
        format!("def f: {} [f]; f", rep(". as $x | ", 2000)),
        format!("def f: null | .{} | f; f", rep("[0,0]", 1000)),
        format!("def f: null | .{} | f; f", rep("[0,0]", 100)),
        format!("def f: null | .{} | f; f", rep("[0,0]", 30)),
        format!("def f: [.{} | f]; null | f", rep("[0,0]", 300)),
        format!("def f: null | .{} | f; f", rep("[.[]?,0:1,0]", 300)),
        format!("def f: null | ({}) | f; f", vec![".[0,0]"; 300].join("|")),
        format!("def f: null | ({}) | f; f", vec!["."; 3000].join(",")),
        format!("def f: null | ({}) | f; f", vec![".+."; 1000].join("+")),
        format!("def f: null | [{}, f]; f", vec![".a"; 1000].join("//")),
        "def f($n): if $n == 0 then repeat(0) else try f($n-1) catch . end; last(f(1000))".to_owned(),
        "def f($n): if $n == 0 then [range(10000)] | repeat(.[]) else try f($n-1) catch . end; last(f(5000))".to_owned(),
        "def f: if length > 5000 then . else . + [0] | f | . end; [] | f | length".to_owned(),
        "[range(1000)] | def f: .[] |= f; f".to_owned(),
        "[range(300)] | def f: (.[] |= .) | [f, f]; f".to_owned(),
        "[range(100000)] | def f: sort_by(f); f".to_owned(),
        "[range(100000)] | def f: sort_by(.) as $x | group_by(f); f".to_owned(),
        "[range(100000)] | def f: [.[], 0] | min_by(f); f".to_owned(),
        "[range(100000)] | def f: first(.[]|. as $x|$x) as $y | [range(100000)] | f | $y; f".to_owned(),
        "[limit(1000000; repeat(1|tostring))] | length".to_owned(),
        "[range(400000) | -(10000000000000000000000000000000000000000 + .) ] | length".to_owned(),
        "[range(300000) | [.]] | length".to_owned(),
        "[range(200000) | {a:.}] | length".to_owned(),
        "def f(a;b;c;d;e): f(a|b;b|c;c|d;d|e;e|a); f(.;.;.;.;.)".to_owned(),
        "def f(a): def g: a; f(g|g); f(.)".to_owned(),
        "reduce range(300000) as [$a,$b] (.; .)".to_owned(),
        "last(foreach (range(300000)|[.,.]) as [$a,$b] (0; .+1; [$a,$b]))".to_owned(),
        "[foreach range(200000) as $i (0; .+1; [$i,.])] | length".to_owned(),
        "[range(100000)|tostring] | [paths] | length".to_owned(),
        "def f: (.,.) | f; f".to_owned(),
        "def f: (f,f) | .; f".to_owned(),
        "def f: [.[]?,.]|(.,f); last(limit(100000;f))".to_owned(),
        "def f($n): if $n == 0 then range(1000000) else try f($n-1) catch . end; last(f(5000))".to_owned(),
        "def f($n): if $n == 0 then repeat(0) else first(f($n-1)|try error catch 1) end; f(5000)".to_owned(),
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
    let _alone = ALONE.lock();
    for program in table {
        let begun = std::time::Instant::now();
        let result = run(&program, b"0");
        let program: String = program.chars().take(90).collect();
        assert!(begun.elapsed().as_secs() < 120, "{program}: {:?}", begun.elapsed());
        let memory = memory_bytes();
        assert!(memory < 768 << 20, "{program}: {memory} bytes");
        assert!(!result.is_empty(), "{program}");
    }
}

/// What is made step by step is freed by recursion, here after as many steps as there can be.
#[test]
fn what_the_interpreter_made_is_freed() {
    let _alone = ALONE.lock();
    let record = format!("\"{}\"", "x".repeat(4 << 20));
    let table = [
        "def f(g): f(g | .); f(.)",
        "def f(g): f(g | g); f(.)",
        "def f(a): def g: a; f(g | g); f(.)",
        "def f(a;b;c;d;e): f(a|b;b|c;c|d;d|e;e|a); f(.;.;.;.;.)",
        "def f: . as $x | f; f",
        "def f: label $x | f; f",
        "null | [path(repeat(.a))] | length",
        "null | last(path(repeat(.a))) | length",
        "null | last(path(def f: .[0] | f; f))",
        "reduce range(10000000) as $i (0; ., .)",
        "def f($x; g): f(1; $x | g); f(0; .)",
        "def f(g): try f(g, .) catch .; f(.)",
    ];
    for program in table {
        let made = run(program, record.as_bytes());
        assert!(STOPS.contains(&&*made), "{program}: {made}");
    }
}

/// The most that this process has held since it was last asked.
fn memory_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|it| it.trim().trim_end_matches(" kB").parse::<usize>().ok());
    // It is counted anew from here; where that cannot be done, the most is the most of all.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    kib.unwrap_or(0) << 10
}
