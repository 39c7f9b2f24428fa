//! The shape of an answer.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::super::jq::number_text;
use super::super::{TableMetadata, TableOperation};
use super::RECORDS_MAX;

#[derive(Deserialize)]
pub(super) struct Answer {
    /// None of them is an answer, too: each record is missing in it.
    #[serde(default)]
    pub(super) records: Records,
}

/// Records whose number has a bound: `{}` is much larger here than there.
#[derive(Default)]
pub(super) struct Records(pub(super) Vec<Record>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(default)]
    pub(super) record_id: Option<String>,
    #[serde(default)]
    pub(super) result: Option<String>,
    #[serde(default)]
    pub(super) data: Option<String>,
    #[serde(default)]
    pub(super) metadata: Option<SaidMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SaidMetadata {
    #[serde(default)]
    pub(super) partition_keys: Option<BTreeMap<String, Scalar>>,
    #[serde(default)]
    pub(super) otf_metadata: Option<OtfMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OtfMetadata {
    #[serde(default)]
    destination_database_name: Option<String>,
    #[serde(default)]
    destination_table_name: Option<String>,
    #[serde(default)]
    operation: Option<String>,
}

impl OtfMetadata {
    /// # Errors
    /// A sentence: there is no such operation.
    pub(super) fn decode(self) -> Result<TableMetadata, String> {
        let parse = |text| {
            let operation = TableOperation::parse(text);
            operation.ok_or_else(|| "The operation must be insert, update or delete.".to_owned())
        };
        let operation = self.operation.as_deref().map(parse).transpose()?;
        Ok(TableMetadata {
            database: self.destination_database_name,
            table: self.destination_table_name,
            operation,
        })
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Records;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {RECORDS_MAX} records")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Records::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut records = Vec::new();
                while let Some(record) = access.next_element()? {
                    if records.len() == RECORDS_MAX {
                        return Err(A::Error::invalid_length(RECORDS_MAX + 1, &self));
                    }
                    records.push(record);
                }
                Ok(Records(records))
            }
        }
        deserializer.deserialize_any(Bounded)
    }
}

/// A text, or what is written as one; null is none.
pub(super) struct Scalar(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a boolean")
            }

            fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(Some(number_text(value))))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_owned())))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
