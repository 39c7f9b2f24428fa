//! Redshift's COPY: the command, and the manifest that tells it which objects to load.
//!
//! Names are quoted and texts escaped here. The options come from the resource as they are and end
//! the command, so what could end it early, or begin another, is refused.

use std::fmt;

use operator_api::delivery_stream::{CopyCommand, ObjectCompression, RedshiftDestination};
use serde::Serialize;

/// What a table of Redshift may have.
const COLUMNS_MAX: usize = 1_600;
/// Redshift's limit for names.
const NAME_BYTES_MAX: usize = 127;
/// Database, schema, table.
const NAME_PARTS_MAX: usize = 3;

/// How Redshift gets at the bucket.
#[derive(Clone, Copy)]
pub enum CopyCredentials<'a> {
    /// A role of the cluster, or `default`.
    IamRole(&'a str),
    /// An access key.
    AccessKey {
        /// Its id.
        id: &'a str,
        /// The secret.
        secret: &'a str,
        /// The session token of a temporary key.
        session_token: Option<&'a str>,
    },
    /// The options say it, or what is loaded from asks for none.
    InOptions,
}

impl fmt::Debug for CopyCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyCredentials::IamRole(role) => f.debug_tuple("IamRole").field(role).finish(),
            CopyCredentials::AccessKey { id, .. } => {
                f.debug_struct("AccessKey").field("id", id).finish_non_exhaustive()
            }
            CopyCredentials::InOptions => f.write_str("InOptions"),
        }
    }
}

/// Why a COPY cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// Not a table's name.
    #[error("dataTableName: {0}")]
    Table(NameProblem),
    /// Not names of columns.
    #[error("dataTableColumns: {0}")]
    Columns(NameProblem),
    /// Something in the options.
    #[error("copyOptions: {0}")]
    Options(OptionsProblem),
    /// The objects are compressed in a way that COPY does not read.
    #[error("objects are {0:?}; COPY reads UNCOMPRESSED, GZIP and ZSTD")]
    Compression(ObjectCompression),
    /// The key of the manifest, or what gives access, holds what is a sign of its own inside
    /// quotes.
    #[error("{what} holds a backslash or a control character")]
    Text {
        /// Which text.
        what: &'static str,
    },
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// Not a letter, digit, underscore or dollar sign.
    #[error(
        "{0:?} is no name; put names of other characters than letters, digits and _ in double \
         quotes"
    )]
    NotAName(String),
    /// A double quote without its end.
    #[error("a double quote has no end; add one")]
    UnclosedQuote,
    /// More text than Redshift keeps.
    #[error("{0:?} is longer than {NAME_BYTES_MAX} bytes; shorten it")]
    TooLong(String),
    /// More than a database, a schema and a table.
    #[error("more than three names with dots between; write schema.table")]
    TooManyParts,
    /// More columns than a table has.
    #[error("more than {COLUMNS_MAX} columns; name fewer")]
    TooManyColumns,
}

/// What is wrong with the options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsProblem {
    /// It would begin another command.
    #[error("a ';' stands before the end; remove what follows")]
    Semicolon,
    /// It would hide what follows.
    #[error("'--' or '/*' begins a comment; remove it")]
    Comment,
    /// A quote without its end.
    #[error("a quote has no end; add one")]
    UnclosedQuote,
    /// A text in dollar signs, or a sign that COPY does not know.
    #[error("'{0}' stands outside of quotes; put it into single quotes")]
    Character(char),
    /// A backslash before a quote, which may or may not end the text.
    #[error("a backslash stands before a quote; write the quote twice instead")]
    Backslash,
    /// They say that objects are compressed, which they are not, or otherwise.
    #[error("{0} is not how objects are compressed; set s3.compression to it, or remove it")]
    Compression(&'static str),
}

/// A COPY of the objects that the manifest at `manifest_key` lists. It is all of a command, without
/// its semicolon.
///
/// # Errors
/// The resource asks for what is no COPY; the message says what to do.
pub fn copy_command(
    redshift: &RedshiftDestination,
    manifest_key: &str,
    credentials: CopyCredentials<'_>,
) -> Result<String, CopyError> {
    let CopyCommand { data_table_name, data_table_columns, copy_options } = &redshift.copy_command;
    let table = names(data_table_name, '.').map_err(CopyError::Table)?;
    if NAME_PARTS_MAX < table.len() {
        return Err(CopyError::Table(NameProblem::TooManyParts));
    }
    let mut command = format!("COPY {}", table.join("."));
    if let Some(columns) = data_table_columns {
        let columns = names(columns, ',').map_err(CopyError::Columns)?;
        command.push_str(&format!(" ({})", columns.join(", ")));
    }
    let url = format!("s3://{}/{manifest_key}", redshift.s3.bucket);
    command.push_str(&format!(" FROM {}", text("the key of the manifest", &url)?));
    push_credentials(credentials, &mut command)?;
    let options = Options::parse(copy_options.as_deref().unwrap_or_default());
    let options = options.map_err(CopyError::Options)?;
    let compression = redshift.s3.compression.unwrap_or(ObjectCompression::Uncompressed);
    push_compression(compression, &options, &mut command)?;
    if let Some(region) = &redshift.s3.region
        && !options.has("REGION")
    {
        command.push_str(&format!(" REGION {}", text("the region", region)?));
    }
    if !options.has("MANIFEST") {
        command.push_str(" MANIFEST");
    }
    if !options.text.is_empty() {
        command.push_str(&format!(" {}", options.text));
    }
    Ok(command)
}

fn push_credentials(
    credentials: CopyCredentials<'_>,
    command: &mut String,
) -> Result<(), CopyError> {
    match credentials {
        CopyCredentials::IamRole("default") => command.push_str(" IAM_ROLE default"),
        CopyCredentials::IamRole(role) => {
            command.push_str(&format!(" IAM_ROLE {}", text("the role", role)?));
        }
        CopyCredentials::AccessKey { id, secret, session_token } => {
            let id = text("the access key id", id)?;
            let secret = text("the secret access key", secret)?;
            command.push_str(&format!(" ACCESS_KEY_ID {id} SECRET_ACCESS_KEY {secret}"));
            if let Some(token) = session_token {
                command.push_str(&format!(" SESSION_TOKEN {}", text("the session token", token)?));
            }
        }
        CopyCredentials::InOptions => {}
    }
    Ok(())
}

/// COPY is told how objects are compressed, unless the options do; they must not say otherwise.
fn push_compression(
    compression: ObjectCompression,
    options: &Options<'_>,
    command: &mut String,
) -> Result<(), CopyError> {
    let wanted = match compression {
        ObjectCompression::Uncompressed => None,
        ObjectCompression::Gzip => Some("GZIP"),
        ObjectCompression::Zstd => Some("ZSTD"),
        other => return Err(CopyError::Compression(other)),
    };
    for word in ["GZIP", "ZSTD", "BZIP2", "LZOP"] {
        if options.has(word) && wanted != Some(word) {
            return Err(CopyError::Options(OptionsProblem::Compression(word)));
        }
    }
    if let Some(word) = wanted.filter(|word| !options.has(word)) {
        command.push_str(&format!(" {word}"));
    }
    Ok(())
}

/// Whether options of COPY say how Redshift gets at the bucket.
#[must_use]
pub fn grants_access(copy_options: &str) -> bool {
    let words = ["IAM_ROLE", "CREDENTIALS", "ACCESS_KEY_ID"];
    Options::parse(copy_options).is_ok_and(|options| words.iter().any(|word| options.has(word)))
}

/// A text in single quotes. Releases differ on what a backslash means there.
fn text(what: &'static str, text: &str) -> Result<String, CopyError> {
    if text.chars().any(|char| char == '\\' || char.is_control()) {
        return Err(CopyError::Text { what });
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

/// Names with `separator` between, each in double quotes. One that was not quoted means the same in
/// lower case, as in SQL.
fn names(list: &str, separator: char) -> Result<Vec<String>, NameProblem> {
    let mut names = Vec::new();
    let mut rest = list;
    loop {
        let (name, after) = name(rest.trim_start(), separator)?;
        if NAME_BYTES_MAX < name.len() {
            return Err(NameProblem::TooLong(name));
        }
        if names.len() == COLUMNS_MAX {
            return Err(NameProblem::TooManyColumns);
        }
        names.push(format!("\"{}\"", name.replace('"', "\"\"")));
        match after {
            Some(after) => rest = after,
            None => return Ok(names),
        }
    }
}

/// The first name of a list, and what follows the separator after it.
fn name(list: &str, separator: char) -> Result<(String, Option<&str>), NameProblem> {
    let Some(mut rest) = list.strip_prefix('"') else {
        let (name, after) = match list.split_once(separator) {
            Some((name, after)) => (name.trim_end(), Some(after)),
            None => (list.trim_end(), None),
        };
        let is_inner = |char: char| char.is_alphanumeric() || matches!(char, '_' | '$');
        let begins = name.starts_with(|char: char| char.is_alphabetic() || char == '_');
        if !begins || !name.chars().all(is_inner) {
            return Err(NameProblem::NotAName(name.to_owned()));
        }
        return Ok((name.to_ascii_lowercase(), after));
    };
    let mut name = String::new();
    let after = loop {
        let (part, after) = rest.split_once('"').ok_or(NameProblem::UnclosedQuote)?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => break after.trim_start(),
        }
    };
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(NameProblem::NotAName(name));
    }
    match after.strip_prefix(separator) {
        Some(after) => Ok((name, Some(after))),
        None if after.is_empty() => Ok((name, None)),
        None => Err(NameProblem::NotAName(after.to_owned())),
    }
}

/// What follows in the command, with the words outside of quotes, in capitals.
struct Options<'a> {
    text: &'a str,
    words: Vec<String>,
}

impl<'a> Options<'a> {
    fn parse(text: &'a str) -> Result<Options<'a>, OptionsProblem> {
        let text = text.trim().trim_end_matches(|char: char| char == ';' || char.is_whitespace());
        let mut words = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = match first {
                '\'' | '"' => after_quoted(&rest[1..], first)?,
                ';' => return Err(OptionsProblem::Semicolon),
                '-' if rest.starts_with("--") => return Err(OptionsProblem::Comment),
                '/' if rest.starts_with("/*") => return Err(OptionsProblem::Comment),
                '_' | 'a'..='z' | 'A'..='Z' | '0'..='9' => {
                    let is_outside = |char: char| !char.is_ascii_alphanumeric() && char != '_';
                    let end = rest.find(is_outside).unwrap_or(rest.len());
                    words.push(rest[..end].to_ascii_uppercase());
                    &rest[end..]
                }
                // The signs of column lists, numbers and region names.
                '(' | ')' | ',' | '.' | '=' | '-' | '+' | '/' | ':' => &rest[1..],
                space if space.is_ascii_whitespace() => &rest[1..],
                other => return Err(OptionsProblem::Character(other)),
            };
        }
        Ok(Options { text, words })
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }
}

/// What follows the quote that ends a text. Two quotes are one inside it.
fn after_quoted(text: &str, quote: char) -> Result<&str, OptionsProblem> {
    let mut rest = text;
    loop {
        let (inside, after) = rest.split_once(quote).ok_or(OptionsProblem::UnclosedQuote)?;
        let backslashes = inside.chars().rev().take_while(|char| *char == '\\').count();
        if backslashes % 2 == 1 {
            return Err(OptionsProblem::Backslash);
        }
        match after.strip_prefix(quote) {
            Some(after) => rest = after,
            None => return Ok(after),
        }
    }
}

#[derive(Serialize)]
struct Manifest {
    entries: Vec<ManifestEntry>,
}

#[derive(Serialize)]
struct ManifestEntry {
    url: String,
    mandatory: bool,
}

/// The manifest of objects in a bucket. All must be there: one that is not was not loaded.
#[must_use]
pub fn manifest<'a>(bucket: &str, keys: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let entry = |key: &str| ManifestEntry { url: format!("s3://{bucket}/{key}"), mandatory: true };
    let manifest = Manifest { entries: keys.into_iter().map(entry).collect() };
    serde_json::to_vec(&manifest).expect("texts are JSON")
}

#[cfg(test)]
mod tests;
