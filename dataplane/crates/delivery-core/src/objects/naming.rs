//! Keys of objects: the evaluated prefix, then
//! `<stream>-<version>-<yyyy>-<MM>-<dd>-<HH>-<mm>-<ss>-<uuid><extension>`.

use model::UnixMillis;
use operator_api::delivery_stream::{FormatConversion, ObjectCompression, Objects};

use super::id::{ObjectId, Seed};
use super::refused::ErrorOutputType;
use super::template::{Evaluation, KeyError, Template, TemplateError};
use super::time::{Moment, Zone};

/// The longest key in bytes: that of S3, Google Cloud Storage and Azure.
pub const KEY_BYTES_MAX: usize = 1_024;

/// How a delivery stream names objects in one bucket, made once for each version of it.
#[derive(Clone, Debug)]
pub struct Naming {
    stream: String,
    /// What tells this version's objects; a window that an earlier one began is named by that.
    version: u64,
    zone: Zone,
    /// The prefix as written where it has no expressions: what paths of manifests begin with.
    plain_prefix: String,
    folder: String,
    prefix: Template,
    error_prefix: Template,
    extension: String,
    error_extension: &'static str,
}

/// Why objects cannot be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// The prefix of objects.
    #[error("parse prefix")]
    Prefix(#[source] TemplateError),
    /// The prefix of refused records.
    #[error("parse errorOutputPrefix")]
    ErrorOutputPrefix(#[source] TemplateError),
    /// No errorOutputPrefix where prefix has expressions.
    #[error("errorOutputPrefix is required where prefix has expressions; set it")]
    NoErrorOutputPrefix,
    /// No such time zone.
    #[error("customTimeZone {name} is not known; use a name as in Europe/Berlin")]
    UnknownTimeZone {
        /// Its name.
        name: String,
    },
}

impl Naming {
    /// Reads what a bucket's configuration says of names. `stream` is the delivery stream's name,
    /// and `version` counts its configurations from 1.
    ///
    /// # Errors
    /// Something in the configuration has no meaning; the message says where and what to do.
    pub fn new(
        stream: &str,
        version: u64,
        objects: &Objects<'_>,
        conversion: Option<&FormatConversion>,
    ) -> Result<Naming, NamingError> {
        let written = objects.prefix.unwrap_or_default();
        let has_expressions =
            Template::parse(written).map_err(NamingError::Prefix)?.has_expressions();
        if has_expressions && objects.error_output_prefix.is_none() {
            return Err(NamingError::NoErrorOutputPrefix);
        }
        let plain_prefix = if has_expressions { "" } else { written };
        let zone = match objects.custom_time_zone {
            Some(name) => Zone::named(name)
                .ok_or_else(|| NamingError::UnknownTimeZone { name: name.to_owned() })?,
            None => Zone::UTC,
        };
        let compression = objects.compression.unwrap_or(ObjectCompression::Uncompressed);
        let default = match conversion {
            Some(conversion) => format_extension(conversion),
            None => compression_extension(compression),
        };
        Ok(Naming {
            stream: stream.to_owned(),
            version,
            zone,
            plain_prefix: plain_prefix.to_owned(),
            folder: folder(written).to_owned(),
            prefix: Template::of_objects(objects.prefix).map_err(NamingError::Prefix)?,
            error_prefix: Template::of_errors(objects.error_output_prefix, plain_prefix)
                .map_err(NamingError::ErrorOutputPrefix)?,
            extension: objects.file_extension.unwrap_or(default).to_owned(),
            error_extension: compression_extension(compression),
        })
    }

    /// The key of an object whose oldest record arrived at `arrival`.
    ///
    /// # Errors
    /// The object has no key, now or when tried again: its records count as refused.
    pub fn key(&self, id: &ObjectId<'_>, arrival: UnixMillis) -> Result<String, KeyError> {
        self.records_key(id, arrival, "")
    }

    /// The key of an object with copies of source records: of the same place as one with what became of
    /// them, and perhaps beside it.
    ///
    /// # Errors
    /// There is no such key, now or when tried again.
    pub fn copies_key(&self, id: &ObjectId<'_>, arrival: UnixMillis) -> Result<String, KeyError> {
        self.records_key(id, arrival, "copies")
    }

    fn records_key(
        &self,
        id: &ObjectId<'_>,
        arrival: UnixMillis,
        purpose: &str,
    ) -> Result<String, KeyError> {
        let moment = Moment::new(arrival, &self.zone);
        let seed = Seed::of(id, purpose);
        let prefix = self.prefix.value(&Evaluation { id, seed, moment: &moment, output: None })?;
        self.complete(prefix, id.version, &moment, seed, &self.extension)
    }

    /// The key of an object about records that were refused, the oldest of which arrived at
    /// `arrival`. It is compressed as other objects are, and named for that alone. `below` follows
    /// the prefix: the errorOutputPrefix of a table, else nothing.
    ///
    /// # Errors
    /// There is no such key, now or when tried again.
    pub fn error_key(
        &self,
        id: &ObjectId<'_>,
        arrival: UnixMillis,
        output: ErrorOutputType,
        below: &str,
    ) -> Result<String, KeyError> {
        let moment = Moment::new(arrival, &self.zone);
        let seed = Seed::of(id, output.name());
        let of = Evaluation { id, seed, moment: &moment, output: Some(output) };
        let mut prefix = self.error_prefix.value(&of)?;
        prefix.push_str(below);
        self.complete(prefix, id.version, &moment, seed, self.error_extension)
    }

    /// The key of the manifest that Redshift loads: below `manifests/`, or below
    /// `errors/manifests/` once loading was given up.
    ///
    /// # Errors
    /// There is no such key, now or when tried again.
    pub fn manifest_key(
        &self,
        id: &ObjectId<'_>,
        arrival: UnixMillis,
        purpose: ManifestUse,
    ) -> Result<String, KeyError> {
        let moment = Moment::new(arrival, &self.zone);
        let folder = match purpose {
            ManifestUse::Load => "manifests/",
            ManifestUse::Failed => "errors/manifests/",
        };
        let local = moment.local.strftime("%Y/%m/%d/%H/");
        let prefix = format!("{}{folder}{local}", self.plain_prefix);
        self.complete(prefix, id.version, &moment, Seed::of(id, folder), "")
    }

    /// The folder that all objects are in: what the prefix begins with before its first expression, up
    /// to the last slash; empty if there is none.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Takes the key of an object with records apart; `None` for one that this delivery stream, as it is
    /// now, does not name so.
    #[must_use]
    pub fn parse<'a>(&self, key: &'a str) -> Option<Written<'a>> {
        let folder_bytes = key.rfind('/').map_or(0, |at| at + 1);
        let (folder, name) = key.split_at(folder_bytes);
        let name = name.strip_suffix(self.extension.as_str())?;
        let extension = &key[key.len() - self.extension.len()..];
        let (before, uuid) = name.split_at_checked(name.len().checked_sub(UUID_CHARS)?)?;
        let rest = before.strip_prefix(self.stream.as_str())?.strip_prefix('-')?;
        let moment = rest.strip_prefix(&format!("{}-", self.version))?.strip_suffix('-')?;
        let has_shape = is_shaped(moment, MOMENT_SHAPE) && is_shaped(uuid, UUID_SHAPE);
        let before = &key[..folder_bytes + before.len()];
        has_shape.then_some(Written { folder, before, extension })
    }

    fn complete(
        &self,
        mut key: String,
        version: u64,
        moment: &Moment,
        seed: Seed,
        extension: &str,
    ) -> Result<String, KeyError> {
        let (stream, uuid) = (&self.stream, seed.uuid());
        let local = moment.local.strftime("%Y-%m-%d-%H-%M-%S");
        key.push_str(&format!("{stream}-{version}-{local}-{uuid}{extension}"));
        let bytes = key.len();
        if bytes <= KEY_BYTES_MAX { Ok(key) } else { Err(KeyError::KeyTooLong { bytes }) }
    }
}

/// The key of an object, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// What comes before its name, with the slash.
    pub folder: &'a str,
    /// What comes before the part that looks random.
    before: &'a str,
    extension: &'a str,
}

impl Written<'_> {
    /// The same with another part that looks random.
    #[must_use]
    pub fn renamed(&self, uuid: &str) -> String {
        [self.before, uuid, self.extension].concat()
    }
}

/// Digits are `0`, hexadecimal ones `x`.
const MOMENT_SHAPE: &[u8] = b"0000-00-00-00-00-00";
const UUID_SHAPE: &[u8] = b"xxxxxxxx-xxxx-8xxx-xxxx-xxxxxxxxxxxx";
const UUID_CHARS: usize = UUID_SHAPE.len();

fn is_shaped(text: &str, shape: &[u8]) -> bool {
    let is_like = |(byte, like): (u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        like => byte == *like,
    };
    text.len() == shape.len() && text.bytes().zip(shape).all(is_like)
}

/// What all keys of a prefix begin with, up to a slash.
fn folder(prefix: &str) -> &str {
    let (fixed, _) = prefix.split_once("!{").unwrap_or((prefix, ""));
    &fixed[..fixed.rfind('/').map_or(0, |at| at + 1)]
}

/// What a manifest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestUse {
    /// COPY reads it.
    Load,
    /// People read it, to load by hand what could not be loaded.
    Failed,
}

fn format_extension(conversion: &FormatConversion) -> &'static str {
    let is_orc = conversion.output.as_ref().is_some_and(|output| output.orc.is_some());
    if is_orc { ".orc" } else { ".parquet" }
}

fn compression_extension(compression: ObjectCompression) -> &'static str {
    match compression {
        ObjectCompression::Uncompressed => "",
        ObjectCompression::Gzip => ".gz",
        ObjectCompression::Zip => ".zip",
        // Hadoop knows its codec by this ending.
        ObjectCompression::Snappy | ObjectCompression::HadoopSnappy => ".snappy",
        ObjectCompression::Zstd => ".zst",
    }
}

#[cfg(test)]
mod tests;
