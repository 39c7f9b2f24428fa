//! Reading everything back: each record exactly once.

use std::fmt;

use anyhow::Context;
use futures_util::future::try_join_all;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;

use super::number_of;
use crate::args::BenchArgs;
use crate::client::Client;

/// What reading back found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Checked {
    put: u64,
    read: u64,
    missing: u64,
    repeated: u64,
    foreign: u64,
}

impl Checked {
    pub(super) fn is_right(&self) -> bool {
        self.missing == 0 && self.repeated == 0
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { put, read, missing, repeated, foreign } = self;
        write!(
            f,
            "check: {put} put, {read} read back, {missing} missing, {repeated} repeated, {foreign} of others"
        )
    }
}

/// An iterator at the present end of each open shard.
pub(super) async fn tips(client: &Client, stream: &str) -> anyhow::Result<Vec<String>> {
    let mut iterators = Vec::new();
    let mut request = json!({"StreamName": stream, "ShardFilter": {"Type": "AT_LATEST"}});
    loop {
        let reply = client.call("ListShards", &request).await?;
        for shard in reply["Shards"].as_array().context("ListShards has no Shards")? {
            let request = json!({
                "StreamName": stream,
                "ShardId": shard["ShardId"],
                "ShardIteratorType": "LATEST",
            });
            let reply = client.call("GetShardIterator", &request).await?;
            let iterator = reply["ShardIterator"].as_str();
            iterators.push(iterator.context("GetShardIterator has no ShardIterator")?.to_owned());
        }
        match reply["NextToken"].as_str() {
            Some(token) => request = json!({"NextToken": token}),
            None => return Ok(iterators),
        }
    }
}

/// Reads from the iterators to the tip. Iterators are good for five minutes: so is a run.
pub(super) async fn read_back(
    client: &Client,
    args: &BenchArgs,
    starts: Vec<String>,
    progress: &ProgressBar,
) -> anyhow::Result<Checked> {
    let shards = starts.into_iter().map(|start| read_shard(client, start, progress));
    let mut seen = vec![false; usize::try_from(args.records)?];
    let mut checked = Checked { put: args.records, ..Checked::default() };
    for number in try_join_all(shards).await?.into_iter().flatten() {
        checked.read += 1;
        match seen.get_mut(usize::try_from(number)?) {
            None => checked.foreign += 1,
            Some(seen) if *seen => checked.repeated += 1,
            Some(seen) => *seen = true,
        }
    }
    checked.missing = seen.iter().filter(|seen| !**seen).count() as u64;
    Ok(checked)
}

async fn read_shard(
    client: &Client,
    start: String,
    progress: &ProgressBar,
) -> anyhow::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut iterator = Some(start);
    while let Some(current) = iterator {
        let reply = client.call("GetRecords", &json!({"ShardIterator": current})).await?;
        let records = reply["Records"].as_array().context("GetRecords has no Records")?;
        for record in records {
            let data = record["Data"].as_str().context("a record has no Data")?;
            numbers.push(number_of(&base64_simd::STANDARD.decode_to_vec(data)?)?);
        }
        progress.inc(records.len() as u64);
        let caught_up = records.is_empty() && reply["MillisBehindLatest"] == 0;
        iterator = reply["NextShardIterator"].as_str().filter(|_| !caught_up).map(str::to_owned);
    }
    Ok(numbers)
}
