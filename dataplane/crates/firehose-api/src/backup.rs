//! Which records are backed up, in the words of each destination.

use aws_protocol::ApiError;
use operator_api::delivery_stream::{Backup, BackupMode, S3Destination};

use crate::destination::S3;
use crate::draft::{Draft, Told};
use crate::errors::invalid_argument;

/// What a destination calls the two modes: what it refused, and all records.
pub(crate) struct Modes(pub(crate) &'static [&'static str; 2]);

pub(crate) const DOCUMENTS: Modes = Modes(&["FailedDocumentsOnly", "AllDocuments"]);
pub(crate) const EVENTS: Modes = Modes(&["FailedEventsOnly", "AllEvents"]);
pub(crate) const DATA: Modes = Modes(&["FailedDataOnly", "AllData"]);
/// Of destinations that are buckets themselves, or have one on the way.
pub(crate) const BUCKETS: Modes = Modes(&["Disabled", "Enabled"]);

pub(crate) fn is_all(backup: Option<&Backup>) -> bool {
    backup.is_some_and(|backup| backup.mode == Some(BackupMode::AllRecords))
}

impl Modes {
    /// Sets the mode; `rest` is what it is when not all records are backed up.
    pub(crate) fn apply(
        &self,
        given: Option<&String>,
        rest: BackupMode,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let [_, all] = self.0;
        let Some(name) = given else { return Ok(()) };
        let backup = draft.spec().backup.get_or_insert_default();
        let was_all = is_all(Some(backup));
        match (was_all, name == all) {
            (true, false) => {
                let what = format!("S3BackupMode cannot be changed from {all} to {name}.");
                return Err(invalid_argument(what));
            }
            (_, true) => backup.mode = Some(BackupMode::AllRecords),
            (false, false) => backup.mode = Some(rest),
        }
        Ok(())
    }

    pub(crate) fn told(&self, told: &Told<'_>) -> Option<String> {
        let [failed, all] = self.0;
        let name = if is_all(told.spec().backup.as_ref()) { all } else { failed };
        Some((*name).to_owned())
    }
}

/// Sets the bucket that backups are put into.
pub(crate) fn apply_bucket(
    given: Option<&S3>,
    member: &str,
    draft: &mut Draft<'_>,
) -> Result<(), ApiError> {
    let Some(s3) = given else { return Ok(()) };
    let mut bucket = backup_bucket(draft);
    s3.apply(member, &mut bucket, draft)?;
    draft.keep(&format!("{member}.BufferingHints"), s3.BufferingHints.as_ref());
    draft.spec().backup.get_or_insert_default().s3 = Some(bucket);
    Ok(())
}

fn backup_bucket(draft: &mut Draft<'_>) -> S3Destination {
    draft.spec().backup.as_mut().and_then(|backup| backup.s3.take()).unwrap_or_default()
}

/// The bucket that backups are put into.
pub(crate) fn told_bucket(told: &Told<'_>, member: &str) -> Option<S3> {
    let bucket = told.spec().backup.as_ref()?.s3.as_ref()?;
    let hints = told.kept(&format!("{member}.BufferingHints"));
    Some(S3::told(told, member, bucket, hints))
}
