//! Records as JSON into Parquet and ORC files.
