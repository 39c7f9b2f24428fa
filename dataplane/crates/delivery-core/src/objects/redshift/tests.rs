use expect_test::{Expect, expect};
use operator_api::delivery_stream::S3Destination;
use proptest::prelude::*;

use super::*;

fn redshift(table: &str, columns: Option<&str>, options: Option<&str>) -> RedshiftDestination {
    RedshiftDestination {
        copy_command: CopyCommand {
            data_table_name: table.to_owned(),
            data_table_columns: columns.map(str::to_owned),
            copy_options: options.map(str::to_owned),
        },
        s3: S3Destination { bucket: "lake".to_owned(), ..S3Destination::default() },
        ..RedshiftDestination::default()
    }
}

fn copy(redshift: &RedshiftDestination) -> String {
    let command = copy_command(redshift, "m", CopyCredentials::InOptions);
    command.unwrap_or_else(|error| error.to_string())
}

/// A line for each text: the command it makes, or why it makes none.
fn check(texts: &[&str], redshift: impl Fn(&str) -> RedshiftDestination, want: Expect) {
    let line = |text: &&str| format!("{text} => {}\n", copy(&redshift(text)));
    want.assert_eq(&texts.iter().map(line).collect::<String>());
}

#[test]
fn names_are_quoted() {
    let tables = [
        "clicks",
        "Public.Clicks",
        r#""a.b"."say ""hi""""#,
        "dev.public.größe$1",
        "clicks; DROP TABLE clicks",
        "a.b.c.d",
        "a.",
        r#""a"#,
        r#""a" b"#,
        r#""""#,
        "1a",
    ];
    check(
        &tables,
        |table| redshift(table, None, None),
        expect![[r#"
        clicks => COPY "clicks" FROM 's3://lake/m' MANIFEST
        Public.Clicks => COPY "public"."clicks" FROM 's3://lake/m' MANIFEST
        "a.b"."say ""hi""" => COPY "a.b"."say ""hi""" FROM 's3://lake/m' MANIFEST
        dev.public.größe$1 => COPY "dev"."public"."größe$1" FROM 's3://lake/m' MANIFEST
        clicks; DROP TABLE clicks => dataTableName: "clicks; DROP TABLE clicks" is no name; put names of other characters than letters, digits and _ in double quotes
        a.b.c.d => dataTableName: more than three names with dots between; write schema.table
        a. => dataTableName: "" is no name; put names of other characters than letters, digits and _ in double quotes
        "a => dataTableName: a double quote has no end; add one
        "a" b => dataTableName: "b" is no name; put names of other characters than letters, digits and _ in double quotes
        "" => dataTableName: "" is no name; put names of other characters than letters, digits and _ in double quotes
        1a => dataTableName: "1a" is no name; put names of other characters than letters, digits and _ in double quotes
    "#]],
    );
    let columns = [r#"id, "Camel" ,At"#, "a,,b", "a) FROM 's3://other/' --"];
    check(
        &columns,
        |columns| redshift("t", Some(columns), None),
        expect![[r#"
        id, "Camel" ,At => COPY "t" ("id", "Camel", "at") FROM 's3://lake/m' MANIFEST
        a,,b => dataTableColumns: "" is no name; put names of other characters than letters, digits and _ in double quotes
        a) FROM 's3://other/' -- => dataTableColumns: "a) FROM 's3://other/' --" is no name; put names of other characters than letters, digits and _ in double quotes
    "#]],
    );
    let refusal = copy(&redshift(&"t".repeat(128), None, None));
    assert!(refusal.ends_with("is longer than 127 bytes; shorten it"), "{refusal}");
    assert!(copy(&redshift(&"t".repeat(127), None, None)).starts_with("COPY"));
}

#[test]
fn a_table_has_no_more_than_1600_columns() {
    let columns = |count| vec!["c"; count].join(",");
    assert!(copy(&redshift("t", Some(&columns(1_600)), None)).starts_with("COPY"));
    let refusal = copy(&redshift("t", Some(&columns(1_601)), None));
    assert_eq!(refusal, "dataTableColumns: more than 1600 columns; name fewer");
}

#[test]
fn options_are_passed_on_unless_they_could_do_more() {
    let options = [
        "JSON 'auto'",
        r"delimiter '\t' lzop;",
        "delimiter '|' escape ; ",
        "fixedwidth 'venueid:3,venuename:25'",
        "JSON 's3://mybucket/jsonpaths.txt' manifest",
        "DELIMITER ';' NULL AS '--'",
        r#"DELIMITER '''' CSV QUOTE AS '"'"#,
        "CSV; DROP TABLE t",
        "CSV -- and so on",
        "CSV /* ' */",
        "CSV NULL 'a",
        r"CSV NULL '\'; DROP TABLE t; --'",
        r"DELIMITER '\\'",
        "CSV NULL $$a$$",
        "GZIP",
        "CSV é",
    ];
    check(
        &options,
        |options| redshift("t", None, Some(options)),
        expect![[r#"
        JSON 'auto' => COPY "t" FROM 's3://lake/m' MANIFEST JSON 'auto'
        delimiter '\t' lzop; => copyOptions: LZOP is not how objects are compressed; set s3.compression to it, or remove it
        delimiter '|' escape ;  => COPY "t" FROM 's3://lake/m' MANIFEST delimiter '|' escape
        fixedwidth 'venueid:3,venuename:25' => COPY "t" FROM 's3://lake/m' MANIFEST fixedwidth 'venueid:3,venuename:25'
        JSON 's3://mybucket/jsonpaths.txt' manifest => COPY "t" FROM 's3://lake/m' JSON 's3://mybucket/jsonpaths.txt' manifest
        DELIMITER ';' NULL AS '--' => COPY "t" FROM 's3://lake/m' MANIFEST DELIMITER ';' NULL AS '--'
        DELIMITER '''' CSV QUOTE AS '"' => COPY "t" FROM 's3://lake/m' MANIFEST DELIMITER '''' CSV QUOTE AS '"'
        CSV; DROP TABLE t => copyOptions: a ';' stands before the end; remove what follows
        CSV -- and so on => copyOptions: '--' or '/*' begins a comment; remove it
        CSV /* ' */ => copyOptions: '--' or '/*' begins a comment; remove it
        CSV NULL 'a => copyOptions: a quote has no end; add one
        CSV NULL '\'; DROP TABLE t; --' => copyOptions: a backslash stands before a quote; write the quote twice instead
        DELIMITER '\\' => COPY "t" FROM 's3://lake/m' MANIFEST DELIMITER '\\'
        CSV NULL $$a$$ => copyOptions: '$' stands outside of quotes; put it into single quotes
        GZIP => copyOptions: GZIP is not how objects are compressed; set s3.compression to it, or remove it
        CSV é => copyOptions: 'é' stands outside of quotes; put it into single quotes
    "#]],
    );
}

#[test]
fn copy_is_told_how_objects_are_compressed() {
    let compressed = |compression| {
        move |options: &str| {
            let mut redshift = redshift("t", None, Some(options));
            redshift.s3.compression = Some(compression);
            redshift
        }
    };
    let options = ["CSV", "CSV gzip", "NULL 'gzip'", "LZOP"];
    check(
        &options,
        compressed(ObjectCompression::Gzip),
        expect![[r#"
            CSV => COPY "t" FROM 's3://lake/m' GZIP MANIFEST CSV
            CSV gzip => COPY "t" FROM 's3://lake/m' MANIFEST CSV gzip
            NULL 'gzip' => COPY "t" FROM 's3://lake/m' GZIP MANIFEST NULL 'gzip'
            LZOP => copyOptions: LZOP is not how objects are compressed; set s3.compression to it, or remove it
        "#]],
    );
    check(
        &["CSV"],
        compressed(ObjectCompression::Zstd),
        expect![[r#"
            CSV => COPY "t" FROM 's3://lake/m' ZSTD MANIFEST CSV
        "#]],
    );
    check(
        &["CSV"],
        compressed(ObjectCompression::Snappy),
        expect![[r#"
            CSV => objects are Snappy; COPY reads UNCOMPRESSED, GZIP and ZSTD
        "#]],
    );
}

#[test]
fn copy_is_told_the_region_unless_the_options_do() {
    let in_region = |options: &str| {
        let mut redshift = redshift("t", None, Some(options));
        redshift.s3.region = Some("eu-west-1".to_owned());
        redshift
    };
    check(
        &["CSV", "CSV region 'us-east-1'"],
        in_region,
        expect![[r#"
        CSV => COPY "t" FROM 's3://lake/m' REGION 'eu-west-1' MANIFEST CSV
        CSV region 'us-east-1' => COPY "t" FROM 's3://lake/m' MANIFEST CSV region 'us-east-1'
    "#]],
    );
}

#[test]
fn credentials_are_quoted_and_kept_out_of_logs() {
    let check = |credentials, want: Expect| {
        let command = copy_command(&redshift("t", None, None), "it's/1", credentials);
        want.assert_eq(&command.unwrap_or_else(|error| error.to_string()));
    };
    let key = CopyCredentials::AccessKey { id: "AKIA", secret: "s'/+", session_token: None };
    check(
        key,
        expect![[
            r#"COPY "t" FROM 's3://lake/it''s/1' ACCESS_KEY_ID 'AKIA' SECRET_ACCESS_KEY 's''/+' MANIFEST"#
        ]],
    );
    assert!(!format!("{key:?}").contains("s'"));
    let temporary = CopyCredentials::AccessKey { id: "A", secret: "s", session_token: Some("t=") };
    check(
        temporary,
        expect![[
            r#"COPY "t" FROM 's3://lake/it''s/1' ACCESS_KEY_ID 'A' SECRET_ACCESS_KEY 's' SESSION_TOKEN 't=' MANIFEST"#
        ]],
    );
    check(
        CopyCredentials::IamRole("arn:aws:iam::1:role/copy"),
        expect![[
            r#"COPY "t" FROM 's3://lake/it''s/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST"#
        ]],
    );
    check(
        CopyCredentials::IamRole("default"),
        expect![[r#"COPY "t" FROM 's3://lake/it''s/1' IAM_ROLE default MANIFEST"#]],
    );
    check(
        CopyCredentials::IamRole("a\\'"),
        expect!["the role holds a backslash or a control character"],
    );
}

#[test]
fn a_manifest_lists_objects() {
    let manifest = String::from_utf8(manifest("b", ["1.gz", "a/\"2\".gz"])).unwrap();
    let entry = |url: &str| format!(r#"{{"url":"s3://b/{url}","mandatory":true}}"#);
    let entries = [entry("1.gz"), entry(r#"a/\"2\".gz"#)].join(",");
    assert_eq!(manifest, format!(r#"{{"entries":[{entries}]}}"#));
}

proptest! {
    #[test]
    fn any_text_makes_a_command_or_is_refused(
        table in "\\PC{0,20}", columns in "\\PC{0,20}", options in "\\PC{0,40}",
    ) {
        copy(&redshift(&table, Some(&columns), Some(&options)));
    }

    /// Under either meaning of a backslash, no quote is open at the end and no semicolon outside.
    #[test]
    fn a_command_is_one_command(
        table in "[a\". ;'\\-]{0,12}", options in "[aA ;'\"\\\\/*\\-$(),]{0,16}",
    ) {
        let redshift = redshift(&table, None, Some(&options));
        if let Ok(command) = copy_command(&redshift, "m", CopyCredentials::InOptions) {
            prop_assert!(is_one_command(&command, false), "{}", command);
            prop_assert!(is_one_command(&command, true), "{}", command);
        }
    }
}

fn is_one_command(command: &str, backslash_escapes: bool) -> bool {
    let mut quote = None;
    let mut outside = String::new();
    let mut chars = command.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, '\'' | '"') => {
                quote = Some(char);
                outside.push(' ');
            }
            (None, char) => outside.push(char),
            (Some(_), '\\') if backslash_escapes => drop(chars.next()),
            (Some(open), char) if open == char => quote = None,
            _ => {}
        }
    }
    quote.is_none() && [";", "$", "--", "/*"].iter().all(|sign| !outside.contains(sign))
}

#[test]
fn options_may_say_how_redshift_gets_at_the_bucket() {
    for (options, want) in [
        ("", false),
        ("JSON 'auto'", false),
        ("JSON 'IAM_ROLE'", false),
        ("iam_role default JSON 'auto'", true),
        ("CREDENTIALS AS 'aws_iam_role=arn:aws:iam::1:role/copy'", true),
        ("ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b'", true),
        ("IAM_ROLE 'no end", false),
    ] {
        assert_eq!(grants_access(options), want, "{options}");
    }
}
