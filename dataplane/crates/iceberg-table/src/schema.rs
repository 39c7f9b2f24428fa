//! Schemas, as catalogs write them in JSON.

use serde_json::{Map, Value as Json, json};

/// How deep types may be nested: readers of files recurse as deep.
const DEPTH_MAX: usize = 16;
/// Fields of a schema, those inside of others among them.
const FIELDS_MAX: usize = 10_000;
/// A fixed value longer than this is no value.
const FIXED_BYTES_MAX: u32 = 1 << 20;

/// The columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// What tells it from the table's other schemas.
    pub id: i32,
    /// The columns.
    pub fields: Vec<Field>,
    /// As it was written, for those who keep it beside their files.
    pub json: Json,
}

/// A column, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What tells it from all others of the table, for ever.
    pub id: i32,
    /// Its name, of today. Inside lists and maps: `element`, `key`, `value`.
    pub name: String,
    /// Whether there is no null in it.
    pub is_required: bool,
    /// What it holds.
    pub type_: Type,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// true or false.
    Boolean,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// 32 bits.
    Float,
    /// 64 bits.
    Double,
    /// A number of so many digits, so many of them behind the point.
    Decimal {
        /// All of them.
        precision: u8,
        /// Those behind the point.
        scale: u8,
    },
    /// A day.
    Date,
    /// A time of day, to the microsecond.
    Time,
    /// A day and a time, to the microsecond, of no zone.
    Timestamp,
    /// The same, of UTC.
    TimestampTz,
    /// Text.
    String,
    /// A UUID.
    Uuid,
    /// So many bytes.
    Fixed(u32),
    /// Bytes.
    Binary,
    /// Fields by name.
    Struct(Vec<Field>),
    /// Its element.
    List(Box<Field>),
    /// Its key and its value.
    Map(Box<(Field, Field)>),
}

/// A schema that rows cannot be written by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is not what the specification says.
    #[error("{at}: expected {expected}")]
    Malformed {
        /// Where, by names.
        at: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A type that is not written here.
    #[error("column {at} is of type {type_}, which this version does not write")]
    Type {
        /// Where, by names.
        at: String,
        /// Which.
        type_: String,
    },
    /// There is too much of it.
    #[error("{at}: nested deeper than {DEPTH_MAX} levels, or more than {FIELDS_MAX} fields in all")]
    TooLarge {
        /// Where, by names.
        at: String,
    },
}

impl Schema {
    /// Reads one.
    ///
    /// # Errors
    /// Rows cannot be written by it.
    pub fn parse(json: Json) -> Result<Schema, SchemaError> {
        let mut parser = Parser { fields_left: FIELDS_MAX };
        let id = json.get("schema-id").and_then(Json::as_i64).unwrap_or(0);
        let id = i32::try_from(id).map_err(|_| malformed("schema-id", "a number of 32 bits"))?;
        let fields = parser.fields(&json, "", 1)?;
        Ok(Schema { id, fields, json })
    }

    /// The fields by which its rows are told apart, if it says so.
    #[must_use]
    pub fn identifier_field_ids(&self) -> Vec<i32> {
        let ids = self.json.get("identifier-field-ids").and_then(Json::as_array);
        let id = |id: &Json| id.as_i64().and_then(|id| i32::try_from(id).ok());
        ids.into_iter().flatten().filter_map(id).collect()
    }

    /// The plain field of that id, and the way to it: the index of a field in each struct. `None` when there
    /// is none, or it is in a list or a map.
    #[must_use]
    pub fn find(&self, id: i32) -> Option<(&Field, Vec<usize>)> {
        fn find<'a>(fields: &'a [Field], id: i32, way: &mut Vec<usize>) -> Option<&'a Field> {
            for (index, field) in fields.iter().enumerate() {
                way.push(index);
                match &field.type_ {
                    Type::Struct(inner) => {
                        if let Some(found) = find(inner, id, way) {
                            return Some(found);
                        }
                    }
                    Type::List(_) | Type::Map(_) => {}
                    _ if field.id == id => return Some(field),
                    _ => {}
                }
                way.pop();
            }
            None
        }
        let mut way = Vec::new();
        let field = find(&self.fields, id, &mut way)?;
        Some((field, way))
    }
}

impl Type {
    fn primitive(text: &str) -> Option<Type> {
        Some(match text {
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "date" => Type::Date,
            "time" => Type::Time,
            "timestamp" => Type::Timestamp,
            "timestamptz" => Type::TimestampTz,
            "string" => Type::String,
            "uuid" => Type::Uuid,
            "binary" => Type::Binary,
            _ => return Type::measured(text),
        })
    }

    /// Those with numbers: `decimal(9, 2)`, `fixed[16]`.
    fn measured(text: &str) -> Option<Type> {
        if let Some(length) = text.strip_prefix("fixed[").and_then(|rest| rest.strip_suffix(']')) {
            let length = length.trim().parse().ok()?;
            return (1..=FIXED_BYTES_MAX).contains(&length).then_some(Type::Fixed(length));
        }
        let numbers = text.strip_prefix("decimal(")?.strip_suffix(')')?;
        let (precision, scale) = numbers.split_once(',')?;
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        let is_sound = (1..=38).contains(&precision) && scale <= precision;
        is_sound.then_some(Type::Decimal { precision, scale })
    }

    /// As in schemas. Nested types are written in a form of their own.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Type::Boolean => "boolean".to_owned(),
            Type::Int => "int".to_owned(),
            Type::Long => "long".to_owned(),
            Type::Float => "float".to_owned(),
            Type::Double => "double".to_owned(),
            Type::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
            Type::Date => "date".to_owned(),
            Type::Time => "time".to_owned(),
            Type::Timestamp => "timestamp".to_owned(),
            Type::TimestampTz => "timestamptz".to_owned(),
            Type::String => "string".to_owned(),
            Type::Uuid => "uuid".to_owned(),
            Type::Fixed(length) => format!("fixed[{length}]"),
            Type::Binary => "binary".to_owned(),
            Type::Struct(_) => "struct".to_owned(),
            Type::List(_) => "list".to_owned(),
            Type::Map(_) => "map".to_owned(),
        }
    }

    /// The form that [`Schema::parse`] reads.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Type::Struct(fields) => {
                let fields: Vec<Json> = fields.iter().map(Field::to_json).collect();
                json!({"type": "struct", "fields": fields})
            }
            Type::List(element) => json!({
                "type": "list",
                "element-id": element.id,
                "element-required": element.is_required,
                "element": element.type_.to_json(),
            }),
            Type::Map(entry) => json!({
                "type": "map",
                "key-id": entry.0.id,
                "key": entry.0.type_.to_json(),
                "value-id": entry.1.id,
                "value-required": entry.1.is_required,
                "value": entry.1.type_.to_json(),
            }),
            plain => Json::String(plain.name()),
        }
    }
}

impl Field {
    pub(crate) fn to_json(&self) -> Json {
        let Field { id, name, is_required, type_ } = self;
        json!({"id": id, "name": name, "required": is_required, "type": type_.to_json()})
    }
}

struct Parser {
    fields_left: usize,
}

impl Parser {
    fn fields(&mut self, of: &Json, at: &str, depth: usize) -> Result<Vec<Field>, SchemaError> {
        let fields = of.get("fields").and_then(Json::as_array);
        let fields = fields.ok_or_else(|| malformed(at, "fields"))?;
        fields.iter().map(|field| self.field(field, at, depth)).collect()
    }

    fn field(&mut self, json: &Json, outer: &str, depth: usize) -> Result<Field, SchemaError> {
        let name = json.get("name").and_then(Json::as_str);
        let name = name.ok_or_else(|| malformed(outer, "a field's name"))?;
        let at = if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") };
        let is_required = json.get("required").and_then(Json::as_bool).unwrap_or(false);
        self.part(json, ["id", "type"], (name, is_required), &at, depth)
    }

    /// A field whose id and type are kept by these names.
    fn part(
        &mut self,
        json: &Json,
        [id, type_]: [&'static str; 2],
        (name, is_required): (&str, bool),
        at: &str,
        depth: usize,
    ) -> Result<Field, SchemaError> {
        let left = self.fields_left.checked_sub(1);
        self.fields_left = left.ok_or_else(|| SchemaError::TooLarge { at: at.to_owned() })?;
        let number = json.get(id).and_then(Json::as_i64).and_then(|id| i32::try_from(id).ok());
        let id = number.ok_or_else(|| malformed(at, "an id"))?;
        let type_ = json.get(type_).ok_or_else(|| malformed(at, "a type"))?;
        let type_ = self.type_(type_, at, depth)?;
        Ok(Field { id, name: name.to_owned(), is_required, type_ })
    }

    fn type_(&mut self, json: &Json, at: &str, depth: usize) -> Result<Type, SchemaError> {
        if DEPTH_MAX < depth {
            return Err(SchemaError::TooLarge { at: at.to_owned() });
        }
        let unknown = |text: &str| SchemaError::Type { at: at.to_owned(), type_: text.to_owned() };
        if let Some(text) = json.as_str() {
            return Type::primitive(text).ok_or_else(|| unknown(text));
        }
        let nested = json.as_object().ok_or_else(|| malformed(at, "a type"))?;
        let required = |of: &Map<String, Json>, name: &str| {
            of.get(name).and_then(Json::as_bool).unwrap_or(false)
        };
        match nested.get("type").and_then(Json::as_str) {
            Some("struct") => Ok(Type::Struct(self.fields(json, at, depth + 1)?)),
            Some("list") => {
                let element = ("element", required(nested, "element-required"));
                let names = ["element-id", "element"];
                Ok(Type::List(Box::new(self.part(json, names, element, at, depth + 1)?)))
            }
            Some("map") => {
                let value = ("value", required(nested, "value-required"));
                let key = self.part(json, ["key-id", "key"], ("key", true), at, depth + 1)?;
                if matches!(key.type_, Type::Struct(_) | Type::List(_) | Type::Map(_)) {
                    return Err(unknown("map with keys that are nested"));
                }
                let value = self.part(json, ["value-id", "value"], value, at, depth + 1)?;
                Ok(Type::Map(Box::new((key, value))))
            }
            Some(other) => Err(unknown(other)),
            None => Err(malformed(at, "a type")),
        }
    }
}

fn malformed(at: &str, expected: &'static str) -> SchemaError {
    let at = if at.is_empty() { "schema" } else { at }.to_owned();
    SchemaError::Malformed { at, expected }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(fields: &str, want: Expect) {
        let text = format!(r#"{{"type":"struct","schema-id":3,"fields":[{fields}]}}"#);
        let found = match Schema::parse(serde_json::from_str(&text).unwrap()) {
            Ok(schema) => {
                assert_eq!(schema.id, 3);
                Type::Struct(schema.fields).to_json()["fields"].to_string()
            }
            Err(error) => error.to_string(),
        };
        want.assert_eq(&found);
    }

    fn field(type_: &str) -> String {
        format!(r#"{{"id":1,"name":"a","required":true,"type":{type_}}}"#)
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        for plain in [
            "boolean",
            "int",
            "long",
            "float",
            "double",
            "decimal(38, 10)",
            "date",
            "time",
            "timestamp",
            "timestamptz",
            "string",
            "uuid",
            "fixed[3]",
            "binary",
        ] {
            let text = field(&format!("{plain:?}"));
            let json: Json = serde_json::from_str(&format!(r#"{{"fields":[{text}]}}"#)).unwrap();
            let schema = Schema::parse(json.clone()).unwrap();
            assert_eq!(Type::Struct(schema.fields).to_json()["fields"], json["fields"], "{plain}");
        }
        check(
            &field(
                r#"{"type":"map","key-id":2,"key":"string","value-id":3,"value-required":false,"value":
                {"type":"list","element-id":4,"element-required":true,"element":
                {"type":"struct","fields":[{"id":5,"name":"b","required":false,"type":"int"}]}}}"#,
            ),
            expect![[
                r#"[{"id":1,"name":"a","required":true,"type":{"key":"string","key-id":2,"type":"map","value":{"element":{"fields":[{"id":5,"name":"b","required":false,"type":"int"}],"type":"struct"},"element-id":4,"element-required":true,"type":"list"},"value-id":3,"value-required":false}}]"#
            ]],
        );
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        check(
            &field(r#""timestamp_ns""#),
            expect!["column a is of type timestamp_ns, which this version does not write"],
        );
        check(
            &field(r#""fixed[0]""#),
            expect!["column a is of type fixed[0], which this version does not write"],
        );
        check(
            &field(r#""decimal(39,1)""#),
            expect!["column a is of type decimal(39,1), which this version does not write"],
        );
        check(
            &field(r#"{"type":"variant"}"#),
            expect!["column a is of type variant, which this version does not write"],
        );
        check(&field("7"), expect!["a: expected a type"]);
        check(r#"{"id":1,"type":"int"}"#, expect!["schema: expected a field's name"]);
        check(r#"{"id":"x","name":"a","type":"int"}"#, expect!["a: expected an id"]);
        let list = r#"{"type":"list","element-id":2,"element-required":true,"element":"#;
        let deep = list.repeat(20) + "\"int\"" + &"}".repeat(20);
        check(
            &field(&deep),
            expect!["a: nested deeper than 16 levels, or more than 10000 fields in all"],
        );
    }

    #[test]
    fn fields_in_structs_are_found_by_their_ids() {
        let text = r#"{"fields":[{"id":1,"name":"a","type":"int"},{"id":2,"name":"s","type":{"type":"struct","fields":
            [{"id":3,"name":"b","type":"int"},{"id":4,"name":"c","type":"long"}]}}]}"#;
        let schema = Schema::parse(serde_json::from_str(text).unwrap()).unwrap();
        let find = |id| schema.find(id).map(|(field, way)| (field.name.clone(), way));
        assert_eq!(find(1), Some(("a".to_owned(), vec![0])));
        assert_eq!(find(4), Some(("c".to_owned(), vec![1, 1])));
        assert_eq!(find(2), None);
    }
}
