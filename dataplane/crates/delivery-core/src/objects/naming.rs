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
    version: u64,
    zone: Zone,
    /// The prefix as written where it has no expressions: what paths of manifests begin with.
    plain_prefix: String,
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
        let moment = Moment::new(arrival, &self.zone);
        let seed = Seed::of(id, "");
        let prefix = self.prefix.value(&Evaluation { id, seed, moment: &moment, output: None })?;
        self.complete(prefix, &moment, seed, &self.extension)
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
        self.complete(prefix, &moment, seed, self.error_extension)
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
        self.complete(prefix, &moment, Seed::of(id, folder), "")
    }

    fn complete(
        &self,
        mut key: String,
        moment: &Moment,
        seed: Seed,
        extension: &str,
    ) -> Result<String, KeyError> {
        let Naming { stream, version, .. } = self;
        let local = moment.local.strftime("%Y-%m-%d-%H-%M-%S");
        key.push_str(&format!("{stream}-{version}-{local}-{}{extension}", seed.uuid()));
        let bytes = key.len();
        if bytes <= KEY_BYTES_MAX { Ok(key) } else { Err(KeyError::KeyTooLong { bytes }) }
    }
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
