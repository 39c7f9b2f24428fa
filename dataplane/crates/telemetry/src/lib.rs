//! Logs, metrics and health of a Leat process.
