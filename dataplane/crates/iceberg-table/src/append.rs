//! Files appended to a table: a manifest, a list of manifests, and what a catalog is asked for.
//!
//! The catalog is asked for the new snapshot only if the table is still in the state that it was made for.
//! So of those who append at the same time one succeeds; the others make a list of manifests anew, and
//! ask again. With the snapshot go properties of the table, which are there when it is, and not before.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::manifest::{DataFile, ManifestError, ManifestFile, manifest, read_list, write_list};
use crate::metadata::{TableError, TableMetadata};
use crate::schema::Schema;
use crate::transform::PartitionSpec;

/// Files that are appended together.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// The schema they are written by.
    pub schema: &'a Schema,
    /// How their rows are parted.
    pub spec: &'a PartitionSpec,
    /// The files, which are there.
    pub files: &'a [DataFile],
    /// What the snapshot is told from others by. A catalog has it once only.
    pub snapshot_id: i64,
    /// What the snapshot says of itself, beside how much was added.
    pub summary: &'a BTreeMap<String, String>,
    /// Properties that the table has from then on.
    pub properties: &'a BTreeMap<String, String>,
}

impl Append<'_> {
    /// The manifest of the files, which is the same whatever happens to the table.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn manifest(&self) -> Result<Vec<u8>, ManifestError> {
        manifest(self.schema, self.spec, self.snapshot_id, self.files)
    }

    /// The list of manifests of the new snapshot: those of the table's current one, of which `current` is
    /// the list, and that of the files, which is there by this name and of this length.
    ///
    /// # Errors
    /// The current one cannot be read.
    pub fn manifest_list(
        &self,
        table: &TableMetadata,
        current: Option<&[u8]>,
        (path, length): (&str, usize),
    ) -> Result<Vec<u8>, ManifestError> {
        let sequence_number = table.last_sequence_number + 1;
        let of = (self.spec, self.snapshot_id, sequence_number);
        let mut manifests = vec![ManifestFile::added(path, length, of, self.files)];
        manifests.extend(current.map(read_list).transpose()?.unwrap_or_default());
        let parent = table.current().ok().flatten().map(|parent| parent.snapshot_id);
        let parent = parent.map_or("null".to_owned(), |id| id.to_string());
        let about = BTreeMap::from([
            ("snapshot-id", self.snapshot_id.to_string()),
            ("parent-snapshot-id", parent),
            ("sequence-number", sequence_number.to_string()),
            ("format-version", "2".to_owned()),
        ]);
        write_list(&manifests, &about)
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
            "sequence-number": table.last_sequence_number + 1,
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
        let mut partitions: Vec<_> = self.files.iter().map(|file| &file.partition).collect();
        partitions.dedup();
        let mut summary = self.summary.clone();
        let mut say = |name: &str, value: String| summary.insert(name.to_owned(), value);
        say("operation", "append".to_owned());
        say("changed-partition-count", partitions.len().to_string());
        let sum = |of: fn(&DataFile) -> u64| self.files.iter().map(of).sum::<u64>();
        let added = [
            ("records", "added-records", sum(|file| file.rows)),
            ("data-files", "added-data-files", sum(|_| 1)),
            ("files-size", "added-files-size", sum(|file| file.bytes)),
            ("delete-files", "", 0),
            ("position-deletes", "", 0),
            ("equality-deletes", "", 0),
        ];
        for (name, added_name, count) in added {
            if !added_name.is_empty() {
                say(added_name, count.to_string());
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
