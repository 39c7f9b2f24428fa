//! What the service model says of texts: their lengths and patterns.
//!
//! Where the model names hosts of AWS or takes HTTPS only, what the resource takes is taken here too:
//! a search engine, a collector or a database of one's own has no such name.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use regex_lite::Regex;

use crate::shape::{Checks, Rule};

/// A kind of text.
pub(crate) struct Text {
    chars: RangeInclusive<usize>,
    /// As AWS shows it; none takes every text.
    pattern: &'static str,
    test: Test,
    is_secret: bool,
}

enum Test {
    None,
    Pattern(OnceLock<Regex>),
    /// For what the pattern's language has and ours has not.
    Function(fn(&str) -> bool),
}

impl Text {
    const fn any(least: usize, most: usize) -> Text {
        Text { chars: least..=most, pattern: "", test: Test::None, is_secret: false }
    }

    const fn like(least: usize, most: usize, pattern: &'static str) -> Text {
        let test = Test::Pattern(OnceLock::new());
        Text { chars: least..=most, pattern, test, is_secret: false }
    }

    const fn such(
        least: usize,
        most: usize,
        pattern: &'static str,
        test: fn(&str) -> bool,
    ) -> Text {
        let test = Test::Function(test);
        Text { chars: least..=most, pattern, test, is_secret: false }
    }

    /// As [`like`](Self::like), or as [`any`](Self::any) without a pattern.
    const fn secret(least: usize, most: usize, pattern: &'static str) -> Text {
        let test = if pattern.is_empty() { Test::None } else { Test::Pattern(OnceLock::new()) };
        Text { chars: least..=most, pattern, test, is_secret: true }
    }

    fn matches(&self, text: &str) -> bool {
        match &self.test {
            Test::None => true,
            Test::Function(test) => test(text),
            Test::Pattern(compiled) => {
                let whole = || format!("^(?:{})$", self.pattern);
                let compile = || Regex::new(&whole()).expect("a test compiles all patterns");
                compiled.get_or_init(compile).is_match(text)
            }
        }
    }
}

impl Rule<String> for Text {
    fn check(&self, checks: &mut Checks, path: &str, text: &String) {
        let violations = &mut checks.violations;
        match self.is_secret {
            true => violations.secret_length(path, text, self.chars.clone()),
            false => violations.length(path, Some(text), self.chars.clone()),
        }
        // What is empty or endless needs no second complaint.
        let fits = text.len().div_ceil(4) <= *self.chars.end()
            && self.chars.contains(&text.chars().count());
        if !fits || self.matches(text) {
            return;
        }
        match self.is_secret {
            true => violations.secret_pattern(path, self.pattern, false),
            false => violations.pattern(path, Some(text), self.pattern, false),
        }
    }
}

macro_rules! texts {
    ($($name:ident = $text:expr;)*) => {
        $(pub(crate) static $name: Text = $text;)*

        #[cfg(test)]
        const ALL: &[&Text] = &[$(&$name),*];
    };
}

const ROLE: &str = r"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+";
const PRINTABLE: &str = ".*";
const NO_WHITESPACE: &str = r"^\S+$";
const NOT_BLANK_PATTERN: &str = r"^(?!\s*$).+";
const URL: &str = "https?://.*";

texts! {
    NAME = Text::such(1, 64, "[a-zA-Z0-9_.-]+", |text| text.parse::<model::StreamName>().is_ok());
    VERSION_ID = Text::like(1, 50, "[0-9]+");
    DESTINATION_ID = Text::like(1, 100, "[a-zA-Z0-9-]+");
    TAG_KEY = Text::such(1, 128, r"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$", |text| {
        !text.starts_with("aws:") && text.chars().all(is_of_tags)
    });
    TAG_VALUE = Text::such(0, 256, r"^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$", |text| {
        text.chars().all(is_of_tags)
    });
    SSE_KEY_ARN = Text::like(
        1, 512, r"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:key/[a-zA-Z_0-9+=,.@\-_/]+",
    );
    STREAM_ARN = Text::like(
        1, 512, r"arn:.*:kinesis:[a-zA-Z0-9\-]+:\d{12}:stream/[a-zA-Z0-9_.-]+",
    );

    ROLE_ARN = Text::like(1, 512, ROLE);
    LOG_GROUP = Text::like(0, 512, r"[\.\-_/#A-Za-z0-9]*");
    LOG_STREAM = Text::like(0, 512, "[^:*]*");
    NOT_BLANK = Text::such(1, 1024, NOT_BLANK_PATTERN, is_not_blank);
    WORD = Text::like(1, 1024, NO_WHITESPACE);
    SECRET_ARN = Text::like(
        1, 2048, r"arn:.*:secretsmanager:[a-zA-Z0-9\-]+:\d{12}:secret:[a-zA-Z0-9\-/_+=.@!]+",
    );

    BUCKET_ARN = Text::like(1, 2048, r"arn:.*:s3:::[\w\.\-]{1,255}");
    PREFIX = Text::like(0, 1024, PRINTABLE);
    BUCKET_KEY_ARN = Text::like(
        1, 512, r"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+",
    );
    FILE_EXTENSION = Text::like(0, 128, r"^$|\.[0-9a-z!\-_.*'()]+");
    TIME_ZONE = Text::like(0, 50, "^$|[a-zA-Z/_]+");
    PARAMETER = Text::such(1, 5120, NOT_BLANK_PATTERN, is_not_blank);

    JDBC_URL = Text::like(1, 512, "jdbc:(redshift|postgresql)://.*");
    TABLE_NAME = Text::like(1, 512, PRINTABLE);
    COPY_TEXT = Text::like(0, 10240, PRINTABLE);
    USERNAME = Text::secret(1, 512, PRINTABLE);
    PASSWORD = Text::secret(6, 512, PRINTABLE);

    DOMAIN_ARN = Text::like(
        1, 512, r"arn:.*:es:[a-zA-Z0-9\-]+:\d{12}:domain/[a-z][-0-9a-z]{2,27}",
    );
    ENDPOINT = Text::like(1, 512, URL);
    INDEX_NAME = Text::like(1, 80, PRINTABLE);
    TYPE_NAME = Text::like(0, 100, PRINTABLE);

    HEC_ENDPOINT = Text::like(0, 2048, PRINTABLE);
    HEC_TOKEN = Text::secret(0, 2048, PRINTABLE);

    HTTP_URL = Text::like(1, 1000, URL);
    HTTP_NAME = Text::such(1, 256, NOT_BLANK_PATTERN, is_not_blank);
    ACCESS_KEY = Text::secret(0, 4096, PRINTABLE);
    ATTRIBUTE_NAME = Text::such(1, 256, NOT_BLANK_PATTERN, is_not_blank);
    ATTRIBUTE_VALUE = Text::like(0, 1024, PRINTABLE);

    ACCOUNT_URL = Text::any(1, 2048);
    PRIVATE_KEY = Text::secret(
        256, 4096, r"^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/]{2}==|[A-Za-z0-9+\/]{3}=)?$",
    );
    PASSPHRASE = Text::secret(7, 255, "");
    SNOWFLAKE_NAME = Text::any(1, 255);
    VPCE_ID = Text::like(
        47, 255, r"([a-zA-Z0-9\-\_]+\.){2,3}vpce\.[a-zA-Z0-9\-]*\.vpce-svc\-[a-zA-Z0-9\-]{17}$",
    );

    CATALOG_ARN = Text::like(
        1, 512, r"arn:.*:glue:.*:\d{12}:catalog(?:(/[a-z0-9_-]+){1,2})?",
    );
    WAREHOUSE = Text::like(1, 2048, r"s3:\/\/.*");
    TABLE_PART = Text::like(1, 255, r"[a-zA-Z0-9\.\_]+");
}

fn is_not_blank(text: &str) -> bool {
    !text.contains('\n') && text.contains(|c: char| !c.is_whitespace())
}

/// Letters, numbers, separators and some signs.
fn is_of_tags(c: char) -> bool {
    let is_separator = c.is_whitespace() && !c.is_control();
    c.is_alphabetic() || c.is_numeric() || is_separator || "_.:/=+-@%".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_compile() {
        for text in ALL {
            text.matches("x");
        }
    }

    #[test]
    fn patterns_are_those_of_the_model() {
        let check = |text: &Text, good: &[&str], bad: &[&str]| {
            let matches = |it: &&&str| text.matches(it);
            assert_eq!(good.iter().filter(matches).count(), good.len(), "{good:?}");
            assert_eq!(bad.iter().filter(matches).count(), 0, "{bad:?}");
        };
        check(&NAME, &["clicks", "A_b-c.9"], &["a b", "..", "a/b", "ä"]);
        check(
            &ROLE_ARN,
            &["arn:aws:iam::000000000000:role/firehose", "arn:aws-cn:iam::123456789012:role/a/b"],
            &["arn:aws:iam::1:role/x", "xarn:aws:iam::000000000000:role/x", "role"],
        );
        check(&BUCKET_ARN, &["arn:aws:s3:::b", "arn:aws:s3:::a.b-c"], &["b", "arn:aws:s3:::a/b"]);
        check(&TAG_KEY, &["team", "a b", "ключ", "a:b"], &["aws:x", "a\tb", "a#"]);
        check(&FILE_EXTENSION, &["", ".json.gz"], &["json", ".JSON"]);
        check(&NOT_BLANK, &[" x"], &["  ", "\n", "a\nb"]);
        check(&JDBC_URL, &["jdbc:postgresql://db:5432/x"], &["postgresql://db/x"]);
        check(&ENDPOINT, &["http://search:9200", "https://x"], &["search:9200", "ftp://x"]);
        check(&CATALOG_ARN, &["arn:aws:glue:r:000000000000:catalog/s3tablescatalog/b"], &["x"]);
    }
}
