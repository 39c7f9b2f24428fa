//! From JSON to column formats.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use operator_api::delivery_stream::{
    ConversionInput, ConversionOutput, ConversionSchema, FormatConversion, GlueTable, HiveJson,
    OpenXJson, Orc, Parquet,
};

use crate::draft::{Draft, Told, name_of, set_named, small};
use crate::errors::invalid_argument;
use crate::shape::{Anything, Each, Mapping, Nested, OneOf, Within, at_least, shapes};
use crate::texts::{NOT_BLANK, WORD};

const MEMBER: &str = "DataFormatConversionConfiguration";
const ROLE_MEMBER: &str = "DataFormatConversionConfiguration.RoleARN";
/// The smallest batch that AWS converts.
const BATCH_MIB_MIN: u32 = 64;
const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;

shapes! {
    /// As DataFormatConversionConfiguration.
    DataFormatConversion {
        SchemaConfiguration: SchemaConfiguration, Never, Nested;
        InputFormatConfiguration: InputFormatConfiguration, Never, Nested;
        OutputFormatConfiguration: OutputFormatConfiguration, Never, Nested;
        Enabled: bool, Never, Anything;
    }

    /// As SchemaConfiguration.
    SchemaConfiguration {
        RoleARN: String, Never, WORD;
        CatalogId: String, Never, WORD;
        DatabaseName: String, Never, WORD;
        TableName: String, Never, WORD;
        Region: String, Never, WORD;
        VersionId: String, Never, WORD;
    }

    /// As InputFormatConfiguration.
    InputFormatConfiguration {
        Deserializer: Deserializer, Never, Nested;
    }

    /// As Deserializer.
    Deserializer {
        OpenXJsonSerDe: OpenXJsonSerDe, Never, Nested;
        HiveJsonSerDe: HiveJsonSerDe, Never, Nested;
    }

    /// As OpenXJsonSerDe.
    OpenXJsonSerDe {
        ConvertDotsInJsonKeysToUnderscores: bool, Never, Anything;
        CaseInsensitive: bool, Never, Anything;
        ColumnToJsonKeyMappings: BTreeMap<String, String>, Never, Mapping(1..=1024);
    }

    /// As HiveJsonSerDe.
    HiveJsonSerDe {
        TimestampFormats: Vec<String>, Never, Each(&NOT_BLANK);
    }

    /// As OutputFormatConfiguration.
    OutputFormatConfiguration {
        Serializer: Serializer, Never, Nested;
    }

    /// As Serializer.
    Serializer {
        ParquetSerDe: ParquetSerDe, Never, Nested;
        OrcSerDe: OrcSerDe, Never, Nested;
    }

    /// As ParquetSerDe.
    ParquetSerDe {
        BlockSizeBytes: i64, Never, at_least(64 * MIB);
        PageSizeBytes: i64, Never, at_least(64 * KIB);
        Compression: String, Never, OneOf(&["UNCOMPRESSED", "GZIP", "SNAPPY"]);
        EnableDictionaryCompression: bool, Never, Anything;
        MaxPaddingBytes: i64, Never, at_least(0);
        WriterVersion: String, Never, OneOf(&["V1", "V2"]);
    }

    /// As OrcSerDe.
    OrcSerDe {
        StripeSizeBytes: i64, Never, at_least(8 * MIB);
        BlockSizeBytes: i64, Never, at_least(64 * MIB);
        RowIndexStride: i64, Never, at_least(1000);
        EnablePadding: bool, Never, Anything;
        PaddingTolerance: f64, Never, Within(0.0..=1.0);
        Compression: String, Never, OneOf(&["NONE", "ZLIB", "SNAPPY"]);
        BloomFilterColumns: Vec<String>, Never, Each(&WORD);
        BloomFilterFalsePositiveProbability: f64, Never, Within(0.0..=1.0);
        DictionaryKeyThreshold: f64, Never, Within(0.0..=1.0);
        FormatVersion: String, Never, OneOf(&["V0_11", "V0_12"]);
    }
}

/// Whole units, as many as hold so many bytes.
fn units(bytes: Option<i64>, unit: i64) -> Option<u32> {
    bytes.map(|bytes| small(bytes / unit + i64::from(bytes % unit != 0)))
}

fn bytes(units: Option<u32>, unit: i64) -> Option<i64> {
    units.map(|units| i64::from(units) * unit)
}

impl DataFormatConversion {
    pub(crate) fn apply(
        given: Option<&DataFormatConversion>,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let Some(given) = given else { return Ok(()) };
        let before = draft.spec().format_conversion.take();
        if given.Enabled == Some(false) {
            // What is switched off is told again, and does nothing.
            draft.keep(MEMBER, Some(given));
            return Ok(());
        }
        draft.forget(MEMBER);
        let DataFormatConversion {
            SchemaConfiguration: Some(schema),
            InputFormatConfiguration: Some(input),
            OutputFormatConfiguration: Some(output),
            ..
        } = given
        else {
            return Err(invalid_argument(
                "SchemaConfiguration, InputFormatConfiguration and OutputFormatConfiguration are required when data format conversion is enabled.",
            ));
        };
        draft.keep(ROLE_MEMBER, schema.RoleARN.as_ref());
        let known = before.and_then(|before| before.schema.glue);
        let glue = schema.glue(known.unwrap_or_default(), &draft.identity.region)?;
        draft.spec().format_conversion = Some(FormatConversion {
            input: input.Deserializer.as_ref().map(Deserializer::to_spec).transpose()?,
            output: output.Serializer.as_ref().map(Serializer::to_spec).transpose()?,
            schema: ConversionSchema { glue: Some(glue), ..ConversionSchema::default() },
        });
        Ok(())
    }

    /// AWS converts no small batches.
    pub(crate) fn check_batch(draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let spec = draft.spec();
        let mib = spec.buffering.as_ref().and_then(|buffering| buffering.size_mib);
        match mib {
            Some(mib) if spec.format_conversion.is_some() && mib < BATCH_MIB_MIN => {
                Err(invalid_argument(format!(
                    "BufferingHints.SizeInMBs must be at least {BATCH_MIB_MIN} when data format conversion is enabled."
                )))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn told(told: &Told<'_>) -> Option<DataFormatConversion> {
        let Some(conversion) = &told.spec().format_conversion else { return told.kept(MEMBER) };
        let input = conversion.input.clone().unwrap_or_default();
        let output = conversion.output.clone().unwrap_or_default();
        Some(DataFormatConversion {
            SchemaConfiguration: Some(SchemaConfiguration::told(told, &conversion.schema)),
            InputFormatConfiguration: Some(InputFormatConfiguration {
                Deserializer: Some(Deserializer::of(input)),
            }),
            OutputFormatConfiguration: Some(OutputFormatConfiguration {
                Serializer: Some(Serializer::of(output)),
            }),
            Enabled: Some(true),
        })
    }
}

impl SchemaConfiguration {
    fn glue(&self, known: GlueTable, region: &str) -> Result<GlueTable, ApiError> {
        let (Some(database), Some(table), Some(_)) =
            (&self.DatabaseName, &self.TableName, &self.RoleARN)
        else {
            return Err(invalid_argument(
                "SchemaConfiguration needs DatabaseName, TableName and RoleARN.",
            ));
        };
        Ok(GlueTable {
            database: database.clone(),
            table: table.clone(),
            region: self.Region.clone().unwrap_or_else(|| region.to_owned()),
            catalog_id: self.CatalogId.clone(),
            version_id: self.VersionId.clone(),
            ..known
        })
    }

    /// Columns that are described in the resource have no words in the API.
    fn told(told: &Told<'_>, schema: &ConversionSchema) -> SchemaConfiguration {
        let role = told.kept(ROLE_MEMBER);
        let glue = schema.glue.as_ref().map(|glue| SchemaConfiguration {
            RoleARN: role,
            CatalogId: glue.catalog_id.clone(),
            DatabaseName: Some(glue.database.clone()),
            TableName: Some(glue.table.clone()),
            Region: Some(glue.region.clone()),
            VersionId: Some(glue.version_id.clone().unwrap_or_else(|| "LATEST".to_owned())),
        });
        let iceberg = schema.iceberg.as_ref().map(|iceberg| SchemaConfiguration {
            DatabaseName: Some(iceberg.database.clone()),
            TableName: Some(iceberg.table.clone()),
            ..SchemaConfiguration::default()
        });
        glue.or(iceberg).unwrap_or_default()
    }
}

impl Deserializer {
    fn to_spec(&self) -> Result<ConversionInput, ApiError> {
        if self.OpenXJsonSerDe.is_some() && self.HiveJsonSerDe.is_some() {
            return Err(invalid_argument("Deserializer has OpenXJsonSerDe or HiveJsonSerDe."));
        }
        Ok(ConversionInput {
            open_x: self.OpenXJsonSerDe.as_ref().map(|open_x| OpenXJson {
                case_insensitive: open_x.CaseInsensitive,
                convert_dots_in_json_keys_to_underscores: open_x.ConvertDotsInJsonKeysToUnderscores,
                column_to_json_key_mappings: open_x.ColumnToJsonKeyMappings.clone(),
            }),
            hive: self
                .HiveJsonSerDe
                .as_ref()
                .map(|hive| HiveJson { timestamp_formats: hive.TimestampFormats.clone() }),
        })
    }

    fn of(input: ConversionInput) -> Deserializer {
        let ConversionInput { open_x, hive } = input;
        let hive = hive.map(|hive| HiveJsonSerDe { TimestampFormats: hive.timestamp_formats });
        let open_x = open_x.or_else(|| hive.is_none().then(OpenXJson::default));
        Deserializer {
            OpenXJsonSerDe: open_x.map(|open_x| OpenXJsonSerDe {
                ConvertDotsInJsonKeysToUnderscores: open_x.convert_dots_in_json_keys_to_underscores,
                CaseInsensitive: open_x.case_insensitive,
                ColumnToJsonKeyMappings: open_x.column_to_json_key_mappings,
            }),
            HiveJsonSerDe: hive,
        }
    }
}

impl Serializer {
    fn to_spec(&self) -> Result<ConversionOutput, ApiError> {
        if self.ParquetSerDe.is_some() && self.OrcSerDe.is_some() {
            return Err(invalid_argument("Serializer has ParquetSerDe or OrcSerDe."));
        }
        Ok(ConversionOutput {
            parquet: self.ParquetSerDe.as_ref().map(ParquetSerDe::to_spec).transpose()?,
            orc: self.OrcSerDe.as_ref().map(OrcSerDe::to_spec).transpose()?,
        })
    }

    fn of(output: ConversionOutput) -> Serializer {
        let ConversionOutput { parquet, orc } = output;
        let parquet = parquet.or_else(|| orc.is_none().then(Parquet::default));
        Serializer { ParquetSerDe: parquet.map(ParquetSerDe::of), OrcSerDe: orc.map(OrcSerDe::of) }
    }
}

impl ParquetSerDe {
    fn to_spec(&self) -> Result<Parquet, ApiError> {
        let mut parquet = Parquet {
            block_size_mib: units(self.BlockSizeBytes, MIB),
            page_size_kib: units(self.PageSizeBytes, KIB),
            enable_dictionary_compression: self.EnableDictionaryCompression,
            max_padding_bytes: units(self.MaxPaddingBytes, 1),
            ..Parquet::default()
        };
        set_named(&mut parquet.compression, self.Compression.as_ref())?;
        set_named(&mut parquet.writer_version, self.WriterVersion.as_ref())?;
        Ok(parquet)
    }

    fn of(parquet: Parquet) -> ParquetSerDe {
        ParquetSerDe {
            BlockSizeBytes: bytes(parquet.block_size_mib, MIB),
            PageSizeBytes: bytes(parquet.page_size_kib, KIB),
            Compression: parquet.compression.and_then(|it| name_of(&it)),
            EnableDictionaryCompression: parquet.enable_dictionary_compression,
            MaxPaddingBytes: bytes(parquet.max_padding_bytes, 1),
            WriterVersion: parquet.writer_version.and_then(|it| name_of(&it)),
        }
    }
}

impl OrcSerDe {
    fn to_spec(&self) -> Result<Orc, ApiError> {
        let mut orc = Orc {
            stripe_size_mib: units(self.StripeSizeBytes, MIB),
            block_size_mib: units(self.BlockSizeBytes, MIB),
            row_index_stride: units(self.RowIndexStride, 1),
            enable_padding: self.EnablePadding,
            padding_tolerance: self.PaddingTolerance,
            bloom_filter_columns: self.BloomFilterColumns.clone(),
            bloom_filter_false_positive_probability: self.BloomFilterFalsePositiveProbability,
            dictionary_key_threshold: self.DictionaryKeyThreshold,
            ..Orc::default()
        };
        set_named(&mut orc.compression, self.Compression.as_ref())?;
        set_named(&mut orc.format_version, self.FormatVersion.as_ref())?;
        Ok(orc)
    }

    fn of(orc: Orc) -> OrcSerDe {
        OrcSerDe {
            StripeSizeBytes: bytes(orc.stripe_size_mib, MIB),
            BlockSizeBytes: bytes(orc.block_size_mib, MIB),
            RowIndexStride: bytes(orc.row_index_stride, 1),
            EnablePadding: orc.enable_padding,
            PaddingTolerance: orc.padding_tolerance,
            Compression: orc.compression.and_then(|it| name_of(&it)),
            BloomFilterColumns: orc.bloom_filter_columns,
            BloomFilterFalsePositiveProbability: orc.bloom_filter_false_positive_probability,
            DictionaryKeyThreshold: orc.dictionary_key_threshold,
            FormatVersion: orc.format_version.and_then(|it| name_of(&it)),
        }
    }
}
