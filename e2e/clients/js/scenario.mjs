// The scenario of the SDK clients through AWS SDK for JavaScript v3, with nothing set but the
// endpoint, region and credentials of the environment. It stops at the first thing not as expected.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Kinesis,
  ResourceNotFoundException,
  waitUntilStreamExists,
  waitUntilStreamNotExists,
} from "@aws-sdk/client-kinesis";

const StreamName = "sdk-js";
const kinesis = new Kinesis();
const waiting = { client: kinesis, minDelay: 1, maxDelay: 1, maxWaitTime: 60 };
const shardId = (n) => `shardId-${String(n).padStart(12, "0")}`;
const bytes = (text) => new TextEncoder().encode(text);

// Nothing here may hang.
setTimeout(() => {
  console.error("not done after two minutes");
  process.exit(1);
}, 120_000).unref();

const arn = await create();
const puts = await putAndRead();
await refusals();
await reshard(puts.get(shardId(0)));
await subscribe();
await encrypt();
await tagsAndDelete();
kinesis.destroy();
console.log("ok: js");

async function create() {
  await kinesis.createStream({ StreamName, ShardCount: 2 });
  await untilActive();
  const summary = await describe();
  assert.equal(summary.OpenShardCount, 2);
  assert.equal(summary.RetentionPeriodHours, 24);
  assertRecent(summary.StreamCreationTimestamp);
  return summary.StreamARN;
}

/** Gives the records of each shard. */
async function putAndRead() {
  const started = new Date();
  const one = { Data: new Uint8Array([0, 255, 10, 200]), PartitionKey: "é" };
  const reply = await kinesis.putRecord({ StreamName, ...one });
  const puts = new Map([[reply.ShardId, [{ ...one, SequenceNumber: reply.SequenceNumber }]]]);

  const Records = Array.from({ length: 20 }, (_, n) => ({ Data: bytes(`record ${n}`), PartitionKey: `key ${n % 7}` }));
  const replies = await kinesis.putRecords({ StreamName, Records });
  assert.equal(replies.FailedRecordCount, 0);
  assert.equal(replies.Records.length, 20);
  replies.Records.forEach(({ ShardId, SequenceNumber }, n) => {
    puts.set(ShardId, [...(puts.get(ShardId) ?? []), { ...Records[n], SequenceNumber }]);
  });
  assert.equal(puts.size, 2, "both shards were put to");

  // A mistaken unit would make any time the start or the end, so a time after the puts must give none of them.
  await sleep(20);
  const after = new Date();
  for (const [shard, wanted] of puts) {
    const { records } = await read(shard, "TRIM_HORIZON");
    assertSame(records, wanted);
    for (const record of records) {
      assertRecent(record.ApproximateArrivalTimestamp);
      assert.notEqual(record.EncryptionType, "KMS");
    }
    assertSame((await read(shard, "AT_TIMESTAMP", started)).records, wanted);
    assertSame((await read(shard, "AT_TIMESTAMP", after)).records, []);
  }
  return puts;
}

async function refusals() {
  await assert.rejects(kinesis.describeStream({ StreamName: "missing" }), (error) => {
    assert(error instanceof ResourceNotFoundException, error);
    assert(error.message && error.message !== "UnknownError", "a message");
    assert(error.$metadata.requestId, "a request id");
    return true;
  });
  const empty = { StreamName: "", Data: bytes("x"), PartitionKey: "k" };
  await assert.rejects(kinesis.putRecord(empty), { name: "ValidationException" });
}

async function reshard(inFirst) {
  await kinesis.splitShard({ StreamName, ShardToSplit: shardId(0), NewStartingHashKey: "1000" });
  await untilActive();
  assert.equal((await openShards()).length, 3);
  await kinesis.updateShardCount({ StreamName, TargetShardCount: 2, ScalingType: "UNIFORM_SCALING" });
  await untilActive();
  assert.equal((await openShards()).length, 2);

  const { Shards } = await kinesis.listShards({ StreamName });
  const listed = Shards.map((shard) => shard.ShardId);
  for (const shard of Shards.slice(2)) {
    assert(listed.includes(shard.ParentShardId), `the parent of ${shard.ShardId} is listed`);
  }

  const { records, children } = await read(shardId(0), "TRIM_HORIZON");
  assertSame(records, inFirst);
  assert.deepEqual(children.map((child) => child.ShardId), [shardId(2), shardId(3)]);
  for (const child of children) assert.deepEqual(child.ParentShards, [shardId(0)]);
}

async function subscribe() {
  const { Consumer } = await kinesis.registerStreamConsumer({ StreamARN: arn, ConsumerName: "reader" });
  const { ConsumerARN } = Consumer;
  const status = async () => (await kinesis.describeStreamConsumer({ ConsumerARN })).ConsumerDescription.ConsumerStatus;
  // The SDK has no waiter for consumers.
  while ((await status()) !== "ACTIVE") await sleep(100);

  const [shard] = await openShards();
  const { EventStream } = await kinesis.subscribeToShard({
    ConsumerARN,
    ShardId: shard.ShardId,
    StartingPosition: { Type: "LATEST" },
  });
  const wanted = [];
  for (let n = 0; n < 5; n++) wanted.push(await putTo(shard, `pushed ${n}`));
  const records = [];
  // Leaving the loop closes the subscription.
  for await (const { SubscribeToShardEvent: event } of EventStream) {
    assert(event.ContinuationSequenceNumber, "a continuation");
    records.push(...event.Records);
    if (records.length >= wanted.length) break;
  }
  assertSame(records, wanted);

  await kinesis.deregisterStreamConsumer({ ConsumerARN });
  const gone = (error) => {
    if (error instanceof ResourceNotFoundException) return "gone";
    throw error;
  };
  while ((await status().catch(gone)) !== "gone") await sleep(100);
}

async function encrypt() {
  const encryption = { StreamName, EncryptionType: "KMS", KeyId: "alias/aws/kinesis" };
  await kinesis.startStreamEncryption(encryption);
  await untilActive();
  const summary = await describe();
  assert.equal(summary.EncryptionType, "KMS");
  assert.equal(summary.KeyId, encryption.KeyId);
  const [shard] = await openShards();
  const last = async (count) => (await read(shard.ShardId, "TRIM_HORIZON")).records.slice(-count);
  const encrypted = await putTo(shard, "encrypted");
  let records = await last(1);
  assertSame(records, [encrypted]);
  assert.equal(records[0].EncryptionType, "KMS");

  await kinesis.stopStreamEncryption(encryption);
  await untilActive();
  assert.equal((await describe()).EncryptionType, "NONE");
  const plain = await putTo(shard, "plain");
  // What was put encrypted says so, also after encryption has stopped.
  records = await last(2);
  assertSame(records, [encrypted, plain]);
  assert.equal(records[0].EncryptionType, "KMS");
  assert.notEqual(records[1].EncryptionType, "KMS");
}

async function tagsAndDelete() {
  await kinesis.addTagsToStream({ StreamName, Tags: { team: "data", empty: "" } });
  const { Tags } = await kinesis.listTagsForStream({ StreamName });
  assert.deepEqual(Tags, [{ Key: "empty", Value: "" }, { Key: "team", Value: "data" }]);
  await kinesis.deleteStream({ StreamName, EnforceConsumerDeletion: true });
  await waitUntilStreamNotExists(waiting, { StreamName });
}

function untilActive() {
  return waitUntilStreamExists(waiting, { StreamName });
}

async function describe() {
  return (await kinesis.describeStreamSummary({ StreamName })).StreamDescriptionSummary;
}

async function openShards() {
  return (await kinesis.listShards({ StreamName, ShardFilter: { Type: "AT_LATEST" } })).Shards;
}

/** Puts to this shard, whatever the partition key. */
async function putTo(shard, text) {
  const record = { Data: bytes(text), PartitionKey: "k" };
  const ExplicitHashKey = shard.HashKeyRange.StartingHashKey;
  const { ShardId, SequenceNumber } = await kinesis.putRecord({ StreamName, ...record, ExplicitHashKey });
  assert.equal(ShardId, shard.ShardId);
  return { ...record, SequenceNumber };
}

/** All records of a shard to its tip, or to its end with its children. */
async function read(ShardId, ShardIteratorType, Timestamp) {
  const open = (await openShards()).some((shard) => shard.ShardId === ShardId);
  let { ShardIterator } = await kinesis.getShardIterator({ StreamName, ShardId, ShardIteratorType, Timestamp });
  const records = [];
  for (;;) {
    const reply = await kinesis.getRecords({ ShardIterator });
    records.push(...reply.Records);
    ShardIterator = reply.NextShardIterator;
    // A closed shard has no next iterator; only then are there children.
    if (!ShardIterator) return { records, children: reply.ChildShards };
    assert.equal(reply.ChildShards, undefined);
    if (open && reply.MillisBehindLatest === 0) return { records };
  }
}

function assertSame(records, wanted) {
  const plain = ({ Data, PartitionKey, SequenceNumber }) => ({ Data: [...Data], PartitionKey, SequenceNumber });
  assert.deepEqual(records.map(plain), wanted.map(plain));
}

function assertRecent(date) {
  assert(date instanceof Date && Math.abs(Date.now() - date) < 60_000, `recent: ${date}`);
}
