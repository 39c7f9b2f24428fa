//! Rows that are added to a table, and rows that are taken out of it: manifests, a list of them, and what a
//! catalog is asked for.
//!
//! The catalog is asked for the new snapshot only if the table is still in the state that it was made for.
//! So of those who commit at the same time one succeeds; the others make a list of manifests anew, and
//! ask again. With the snapshot go properties of the table, which are there when it is, and not before.
//!
//! Deletes say what rows are equal to, not where they are, and nothing is read to write them. They count for
//! what came with snapshots before theirs, whoever made those, and not for what is added with them. So a
//! delta means the same after whatever it is committed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::manifest::{
    Content, DataFile, Files, ManifestError, ManifestFile, manifest, read_list, write_list,
};
use crate::metadata::{TableError, TableMetadata};
use crate::schema::Schema;
use crate::value::Value;

/// Files that are committed together.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// The schema they are written by.
    pub schema: &'a Schema,
    /// The files, by what they hold. There are some of each.
    pub added: &'a [Files<'a>],
    /// What the snapshot is told from others by. A catalog has it once only.
    pub snapshot_id: i64,
    /// What the snapshot says of itself, beside how much was added.
    pub summary: &'a BTreeMap<String, String>,
    /// Properties that the table has from then on.
    pub properties: &'a BTreeMap<String, String>,
}

impl Delta<'_> {
    /// The manifests of the files, one of each kind, which are the same whatever happens to the table.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn manifests(&self) -> Result<Vec<Vec<u8>>, ManifestError> {
        self.added.iter().map(|files| manifest(self.schema, self.snapshot_id, *files)).collect()
    }

    /// The list of manifests of the new snapshot: those of the table's current one, of which `current` is
    /// the list, and those of the files, which are there by these names and of these lengths.
    ///
    /// # Errors
    /// The current one cannot be read.
    pub fn manifest_list(
        &self,
        table: &TableMetadata,
        current: Option<&[u8]>,
        manifests: &[(String, usize)],
    ) -> Result<Vec<u8>, ManifestError> {
        let sequence_number = table.last_sequence_number.saturating_add(1);
        let of = (self.snapshot_id, sequence_number);
        let added = manifests.iter().zip(self.added);
        let mut all: Vec<_> = added
            .map(|((path, length), files)| ManifestFile::added((path, *length), of, *files))
            .collect();
        all.extend(current.map(read_list).transpose()?.unwrap_or_default());
        let parent = table.current().ok().flatten().map(|parent| parent.snapshot_id);
        let parent = parent.map_or("null".to_owned(), |id| id.to_string());
        let about = BTreeMap::from([
            ("snapshot-id", self.snapshot_id.to_string()),
            ("parent-snapshot-id", parent),
            ("sequence-number", sequence_number.to_string()),
            ("format-version", "2".to_owned()),
        ]);
        write_list(&all, &about)
    }

    /// What a catalog is asked for, at this time: the snapshot whose list of manifests is there by this name.
    ///
    /// # Errors
    /// The table's metadata contradicts itself.
    pub fn request(
        &self,
        table: &TableMetadata,
        list: &str,
        now_millis: i64,
    ) -> Result<Json, TableError> {
        let parent = table.current()?;
        let parent_id = parent.map(|parent| parent.snapshot_id);
        let mut snapshot = json!({
            "snapshot-id": self.snapshot_id,
            "sequence-number": table.last_sequence_number.saturating_add(1),
            // Clocks differ; a table's does not go back.
            "timestamp-ms": now_millis.max(table.last_updated_ms),
            "manifest-list": list,
            "summary": self.summary(parent.map(|parent| &parent.summary)),
            "schema-id": self.schema.id,
        });
        if let Some(id) = parent_id {
            snapshot["parent-snapshot-id"] = json!(id);
        }
        let id = self.snapshot_id;
        Ok(json!({
            "requirements": [
                {"type": "assert-table-uuid", "uuid": table.table_uuid},
                {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": parent_id},
            ],
            "updates": [
                {"action": "add-snapshot", "snapshot": snapshot},
                {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": id},
                {"action": "set-properties", "updates": self.properties},
            ],
        }))
    }

    fn summary(&self, before: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
        let files = |of: fn(&Content) -> bool| {
            let fitting = self.added.iter().filter(move |files| of(files.content));
            fitting.flat_map(|files| files.files)
        };
        let rows = || files(|content| *content == Content::Rows);
        let deletes = || files(|content| *content != Content::Rows);
        let sum = |of: fn(&DataFile) -> u64, files: &mut dyn Iterator<Item = &DataFile>| {
            files.map(of).sum::<u64>()
        };
        let partitions: BTreeSet<Vec<Option<Vec<u8>>>> = rows()
            .map(|file| file.partition.iter().map(|part| part.as_ref().map(Value::key)).collect())
            .collect();
        let (row_files, delete_files) = (sum(|_| 1, &mut rows()), sum(|_| 1, &mut deletes()));
        let operation = match (row_files, delete_files) {
            (_, 0) => "append",
            (0, _) => "delete",
            _ => "overwrite",
        };
        let mut summary = self.summary.clone();
        let mut say = |name: &str, value: String| summary.insert(name.to_owned(), value);
        say("operation", operation.to_owned());
        say("changed-partition-count", partitions.len().to_string());
        if 0 < delete_files {
            say("added-equality-delete-files", delete_files.to_string());
        }
        let all = &mut rows().chain(deletes());
        let added = [
            ("records", sum(|file| file.rows, &mut rows())),
            ("data-files", row_files),
            ("files-size", sum(|file| file.bytes, all)),
            ("delete-files", delete_files),
            ("position-deletes", 0),
            ("equality-deletes", sum(|file| file.rows, &mut deletes())),
        ];
        for (name, count) in added {
            // Of deletes nothing is said where there are none.
            if 0 < count || !name.contains("delete") {
                say(&format!("added-{name}"), count.to_string());
            }
            let total = format!("total-{name}");
            let before = match before {
                None => Some(0),
                Some(before) => before.get(&total).and_then(|text| text.parse::<u64>().ok()),
            };
            // What the snapshot before does not say cannot be added to.
            if let Some(before) = before {
                say(&total, before.saturating_add(count).to_string());
            }
        }
        summary
    }
}

#[cfg(test)]
mod tests;
