//! Data Firehose, as AWS's service model 2015-08-04 has it: one file for each operation.
