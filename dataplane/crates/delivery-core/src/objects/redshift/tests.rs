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
    let role = CopyCredentials::IamRole("arn:aws:iam::1:role/copy");
    copy_command(redshift, "manifests/1", role).unwrap_or_else(|error| error.to_string())
}

#[test]
fn names_are_quoted() {
    let check = |table: &str, columns: Option<&str>, want: Expect| {
        want.assert_eq(&copy(&redshift(table, columns, None)));
    };
    check(
        "clicks",
        None,
        expect![[
            r#"COPY "clicks" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST"#
        ]],
    );
    check(
        "Public.Clicks",
        Some("id, \"Camel\" ,At"),
        expect![[
            r#"COPY "public"."clicks" ("id", "Camel", "at") FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST"#
        ]],
    );
    check(
        "\"a.b\".\"say \"\"hi\"\"\"",
        None,
        expect![[
            r#"COPY "a.b"."say ""hi""" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST"#
        ]],
    );
    check(
        "dev.public.größe$1",
        None,
        expect![[
            r#"COPY "dev"."public"."größe$1" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST"#
        ]],
    );
    check(
        "clicks; DROP TABLE clicks",
        None,
        expect![[
            r#"dataTableName: "clicks; DROP TABLE clicks" is no name; put names of other characters than letters, digits and _ in double quotes"#
        ]],
    );
    check(
        "a.b.c.d",
        None,
        expect!["dataTableName: more than three names with dots between; write schema.table"],
    );
    check(
        "a.",
        None,
        expect![[
            r#"dataTableName: "" is no name; put names of other characters than letters, digits and _ in double quotes"#
        ]],
    );
    check("\"a", None, expect!["dataTableName: a double quote has no end; add one"]);
    check(
        "\"a\" b",
        None,
        expect![[
            r#"dataTableName: "b" is no name; put names of other characters than letters, digits and _ in double quotes"#
        ]],
    );
    check(
        "\"\"",
        None,
        expect![[
            r#"dataTableName: "" is no name; put names of other characters than letters, digits and _ in double quotes"#
        ]],
    );
    check(
        "1a",
        None,
        expect![[
            r#"dataTableName: "1a" is no name; put names of other characters than letters, digits and _ in double quotes"#
        ]],
    );
    check(
        "t",
        Some("a,,b"),
        expect![[
            r#"dataTableColumns: "" is no name; put names of other characters than letters, digits and _ in double quotes"#
        ]],
    );
    check(
        "t",
        Some("a) FROM 's3://other/' --"),
        expect![[
            r#"dataTableColumns: "a) FROM 's3://other/' --" is no name; put names of other characters than letters, digits and _ in double quotes"#
        ]],
    );
    check(
        &"t".repeat(128),
        None,
        expect![[
            r#"dataTableName: "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt" is longer than 127 bytes; shorten it"#
        ]],
    );
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
    let check = |options: &str, want: Expect| {
        want.assert_eq(&copy(&redshift("t", None, Some(options))));
    };
    check(
        "JSON 'auto'",
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST JSON 'auto'"#
        ]],
    );
    check(
        "delimiter '\\t' lzop;",
        expect![
            "copyOptions: LZOP is not how objects are compressed; set s3.compression to it, or remove it"
        ],
    );
    check(
        "delimiter '|' escape ; ",
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST delimiter '|' escape"#
        ]],
    );
    check(
        "fixedwidth 'venueid:3,venuename:25'",
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST fixedwidth 'venueid:3,venuename:25'"#
        ]],
    );
    check(
        "JSON 's3://mybucket/jsonpaths.txt' manifest",
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' JSON 's3://mybucket/jsonpaths.txt' manifest"#
        ]],
    );
    check(
        "DELIMITER ';' NULL AS '--' region 'eu-west-1'",
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST DELIMITER ';' NULL AS '--' region 'eu-west-1'"#
        ]],
    );
    check(
        "DELIMITER '''' CSV QUOTE AS '\"'",
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST DELIMITER '''' CSV QUOTE AS '"'"#
        ]],
    );
    check(
        "CSV; DROP TABLE t",
        expect!["copyOptions: a ';' stands before the end; remove what follows"],
    );
    check("CSV -- and so on", expect!["copyOptions: '--' or '/*' begins a comment; remove it"]);
    check("CSV /* ' */", expect!["copyOptions: '--' or '/*' begins a comment; remove it"]);
    check("CSV NULL 'a", expect!["copyOptions: a quote has no end; add one"]);
    check(
        "CSV NULL '\\'; DROP TABLE t; --'",
        expect!["copyOptions: a backslash stands before a quote; write the quote twice instead"],
    );
    check(
        "DELIMITER '\\\\'",
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST DELIMITER '\\'"#
        ]],
    );
    check(
        "CSV NULL $$a$$",
        expect!["copyOptions: '$' stands outside of quotes; put it into single quotes"],
    );
    check(
        "GZIP",
        expect![
            "copyOptions: GZIP is not how objects are compressed; set s3.compression to it, or remove it"
        ],
    );
    check("CSV é", expect!["copyOptions: 'é' stands outside of quotes; put it into single quotes"]);
}

#[test]
fn copy_is_told_how_objects_are_compressed() {
    let check = |compression, options: Option<&str>, want: Expect| {
        let mut redshift = redshift("t", None, options);
        redshift.s3.compression = Some(compression);
        want.assert_eq(&copy(&redshift));
    };
    check(
        ObjectCompression::Gzip,
        None,
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' GZIP MANIFEST"#
        ]],
    );
    check(
        ObjectCompression::Gzip,
        Some("CSV gzip"),
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' MANIFEST CSV gzip"#
        ]],
    );
    check(
        ObjectCompression::Gzip,
        Some("NULL 'gzip'"),
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' GZIP MANIFEST NULL 'gzip'"#
        ]],
    );
    check(
        ObjectCompression::Zstd,
        None,
        expect![[
            r#"COPY "t" FROM 's3://lake/manifests/1' IAM_ROLE 'arn:aws:iam::1:role/copy' ZSTD MANIFEST"#
        ]],
    );
    check(
        ObjectCompression::Gzip,
        Some("LZOP"),
        expect![
            "copyOptions: LZOP is not how objects are compressed; set s3.compression to it, or remove it"
        ],
    );
    check(
        ObjectCompression::Snappy,
        None,
        expect!["objects are Snappy; COPY reads UNCOMPRESSED, GZIP and ZSTD"],
    );
}

#[test]
fn credentials_are_quoted_and_kept_out_of_logs() {
    let check = |credentials, want: Expect| {
        let mut redshift = redshift("t", None, None);
        redshift.s3.region = Some("eu-west-1".to_owned());
        let command = copy_command(&redshift, "it's/1", credentials);
        want.assert_eq(&command.unwrap_or_else(|error| error.to_string()));
    };
    let key = CopyCredentials::AccessKey { id: "AKIA", secret: "s'e/c+r", session_token: None };
    check(
        key,
        expect![[
            r#"COPY "t" FROM 's3://lake/it''s/1' ACCESS_KEY_ID 'AKIA' SECRET_ACCESS_KEY 's''e/c+r' REGION 'eu-west-1' MANIFEST"#
        ]],
    );
    assert!(!format!("{key:?}").contains("s'e"));
    let temporary =
        CopyCredentials::AccessKey { id: "ASIA", secret: "s", session_token: Some("t=") };
    check(
        temporary,
        expect![[
            r#"COPY "t" FROM 's3://lake/it''s/1' ACCESS_KEY_ID 'ASIA' SECRET_ACCESS_KEY 's' SESSION_TOKEN 't=' REGION 'eu-west-1' MANIFEST"#
        ]],
    );
    check(
        CopyCredentials::IamRole("default"),
        expect![[
            r#"COPY "t" FROM 's3://lake/it''s/1' IAM_ROLE default REGION 'eu-west-1' MANIFEST"#
        ]],
    );
    check(
        CopyCredentials::InOptions,
        expect![[r#"COPY "t" FROM 's3://lake/it''s/1' REGION 'eu-west-1' MANIFEST"#]],
    );
    check(
        CopyCredentials::IamRole("a\\'"),
        expect!["the role holds a backslash or a control character"],
    );
}

#[test]
fn a_manifest_lists_objects() {
    let manifest = manifest("lake", ["a/1.gz", "a/\"2\".gz"]);
    expect![[r#"{"entries":[{"url":"s3://lake/a/1.gz","mandatory":true},{"url":"s3://lake/a/\"2\".gz","mandatory":true}]}"#]].assert_eq(&String::from_utf8(manifest).unwrap());
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
    let mut chars = command.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, '\'' | '"') => quote = Some(char),
            (None, ';' | '$') => return false,
            (Some(_), '\\') if backslash_escapes => drop(chars.next()),
            (Some(open), char) if open == char => quote = None,
            _ => {}
        }
    }
    quote.is_none()
}
