//! Reading everything back: each record exactly once.

use std::collections::BTreeSet;
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
            let shard = shard["ShardId"].as_str().context("a shard without an id")?;
            iterators.push(iterator(client, stream, shard, "LATEST").await?);
        }
        match reply["NextToken"].as_str() {
            Some(token) => request = json!({"NextToken": token}),
            None => return Ok(iterators),
        }
    }
}

/// Reads from the iterators to the tip, on into the shards that those were split and merged into.
/// Iterators are good for five minutes: so is a run.
pub(super) async fn read_back(
    client: &Client,
    args: &BenchArgs,
    starts: Vec<String>,
    progress: &ProgressBar,
) -> anyhow::Result<Checked> {
    let mut seen = vec![false; usize::try_from(args.records)?];
    let mut checked = Checked { put: args.records, ..Checked::default() };
    let mut iterators = starts;
    let mut known = BTreeSet::new();
    while !iterators.is_empty() {
        let shards = iterators.drain(..).map(|start| read_shard(client, start, progress));
        let mut children = BTreeSet::new();
        for (numbers, of_shard) in try_join_all(shards).await? {
            for number in numbers {
                checked.read += 1;
                match seen.get_mut(usize::try_from(number)?) {
                    None => checked.foreign += 1,
                    Some(seen) if *seen => checked.repeated += 1,
                    Some(seen) => *seen = true,
                }
            }
            children.extend(of_shard);
        }
        // A merged shard is the child of two.
        for child in children.into_iter().filter(|child| known.insert(child.clone())) {
            iterators.push(iterator(client, &args.stream, &child, "TRIM_HORIZON").await?);
        }
    }
    checked.missing = seen.iter().filter(|seen| !**seen).count() as u64;
    Ok(checked)
}

async fn iterator(
    client: &Client,
    stream: &str,
    shard: &str,
    kind: &str,
) -> anyhow::Result<String> {
    let request = json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": kind});
    let reply = client.call("GetShardIterator", &request).await?;
    let iterator = reply["ShardIterator"].as_str();
    Ok(iterator.context("GetShardIterator has no ShardIterator")?.to_owned())
}

/// The numbers of a shard's records, and the shards that it was split or merged into.
async fn read_shard(
    client: &Client,
    start: String,
    progress: &ProgressBar,
) -> anyhow::Result<(Vec<u64>, Vec<String>)> {
    let mut children = Vec::new();
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
        let shards = reply["ChildShards"].as_array().into_iter().flatten();
        children.extend(shards.filter_map(|child| Some(child["ShardId"].as_str()?.to_owned())));
        let caught_up = records.is_empty() && reply["MillisBehindLatest"] == 0;
        iterator = reply["NextShardIterator"].as_str().filter(|_| !caught_up).map(str::to_owned);
    }
    Ok((numbers, children))
}
