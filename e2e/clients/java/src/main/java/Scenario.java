// The scenario of the SDK clients. It stops at the first thing that is not as expected.
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.reactivestreams.Subscriber;
import org.reactivestreams.Subscription;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.EncryptionType;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.KinesisException;
import software.amazon.awssdk.services.kinesis.model.PutRecordResponse;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamDescriptionSummary;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEventStream;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;
import software.amazon.awssdk.services.kinesis.model.Tag;
import software.amazon.awssdk.services.kinesis.waiters.KinesisWaiter;

class Scenario {
    /** A record as sent, with what the server answered for it. */
    private record Put(SdkBytes data, String key, String sequenceNumber) {}

    /** What was read of a shard, and its children if it was read to its end. */
    private record Read(List<Record> records, List<ChildShard> children) {}

    private final KinesisClient kinesis;
    /** Only the async client can subscribe; null without one. */
    private final KinesisAsyncClient subscribing;

    private final String name;
    private final KinesisWaiter waiter;

    Scenario(KinesisClient kinesis, KinesisAsyncClient subscribing, String name) {
        this.kinesis = kinesis;
        this.subscribing = subscribing;
        this.name = name;
        this.waiter = KinesisWaiter.builder()
                .client(kinesis)
                .overrideConfiguration(o -> o.backoffStrategyV2(retry -> Duration.ofMillis(100))
                        .maxAttempts(600)
                        .waitTimeout(Duration.ofMinutes(1)))
                .build();
    }

    void run() throws Exception {
        String arn = create();
        Map<String, List<Put>> puts = putAndRead();
        refusals();
        reshard(puts.get(shardId(0)));
        if (subscribing != null) {
            subscribe(arn);
        }
        encrypt();
        tagsAndDelete();
    }

    private String create() {
        kinesis.createStream(r -> r.streamName(name).shardCount(2));
        untilActive();
        StreamDescriptionSummary summary = describe();
        expect(summary.openShardCount() == 2 && summary.retentionPeriodHours() == 24, summary);
        expectRecent(summary.streamCreationTimestamp());
        return summary.streamARN();
    }

    /** Gives the records of each shard. */
    private Map<String, List<Put>> putAndRead() throws Exception {
        Instant started = Instant.now();
        Map<String, List<Put>> puts = new HashMap<>();
        SdkBytes data = SdkBytes.fromByteArray(new byte[] {0, -1, 10, -56});
        PutRecordResponse one = kinesis.putRecord(r -> r.streamName(name).data(data).partitionKey("é"));
        puts.computeIfAbsent(one.shardId(), shard -> new ArrayList<>()).add(new Put(data, "é", one.sequenceNumber()));

        List<PutRecordsRequestEntry> entries = new ArrayList<>();
        for (int n = 0; n < 20; n++) {
            SdkBytes text = SdkBytes.fromUtf8String("record " + n);
            entries.add(PutRecordsRequestEntry.builder().data(text).partitionKey("key " + n % 7).build());
        }
        PutRecordsResponse reply = kinesis.putRecords(r -> r.streamName(name).records(entries));
        expect(reply.failedRecordCount() == 0 && reply.records().size() == 20, reply);
        for (int n = 0; n < 20; n++) {
            puts.computeIfAbsent(reply.records().get(n).shardId(), shard -> new ArrayList<>())
                    .add(new Put(entries.get(n).data(), entries.get(n).partitionKey(),
                            reply.records().get(n).sequenceNumber()));
        }
        expect(puts.size() == 2, "both shards were put to");

        // A mistaken unit would make any time the start or the end, so a time after the puts must give none of them.
        Thread.sleep(20);
        Instant after = Instant.now();
        puts.forEach((shard, wanted) -> {
            List<Record> records = read(shard, ShardIteratorType.TRIM_HORIZON, null).records();
            expectSame(records, wanted);
            for (Record record : records) {
                expectRecent(record.approximateArrivalTimestamp());
                expect(record.encryptionType() != EncryptionType.KMS, record);
            }
            expectSame(read(shard, ShardIteratorType.AT_TIMESTAMP, started).records(), wanted);
            expectSame(read(shard, ShardIteratorType.AT_TIMESTAMP, after).records(), List.of());
        });
        return puts;
    }

    private void refusals() {
        try {
            kinesis.describeStream(r -> r.streamName("missing"));
            expect(false, "ResourceNotFoundException wanted");
        } catch (ResourceNotFoundException error) {
            String message = error.awsErrorDetails().errorMessage();
            expect(message != null && !message.isEmpty(), error);
            expect(error.requestId() != null && !error.requestId().isEmpty(), error);
        }
        try {
            kinesis.putRecord(r -> r.streamName("").data(SdkBytes.fromUtf8String("x")).partitionKey("k"));
            expect(false, "ValidationException wanted");
        } catch (KinesisException error) {
            expect(error.awsErrorDetails().errorCode().equals("ValidationException"), error);
        }
    }

    private void reshard(List<Put> inFirst) {
        kinesis.splitShard(r -> r.streamName(name).shardToSplit(shardId(0)).newStartingHashKey("1000"));
        untilActive();
        expect(openShards().size() == 3, openShards());
        kinesis.updateShardCount(
                r -> r.streamName(name).targetShardCount(2).scalingType(ScalingType.UNIFORM_SCALING));
        untilActive();
        expect(openShards().size() == 2, openShards());

        List<Shard> shards = kinesis.listShards(r -> r.streamName(name)).shards();
        List<String> listed = shards.stream().map(Shard::shardId).toList();
        for (Shard shard : shards.subList(2, shards.size())) {
            expect(shard.parentShardId() != null && listed.contains(shard.parentShardId()), shard);
        }

        Read first = read(shardId(0), ShardIteratorType.TRIM_HORIZON, null);
        expectSame(first.records(), inFirst);
        expect(first.children().stream().map(ChildShard::shardId).toList().equals(List.of(shardId(2), shardId(3))),
                first.children());
        for (ChildShard child : first.children()) {
            expect(child.parentShards().equals(List.of(shardId(0))), child);
        }
    }

    private void subscribe(String arn) throws Exception {
        String consumer = kinesis.registerStreamConsumer(r -> r.streamARN(arn).consumerName("reader"))
                .consumer().consumerARN();
        // The SDK has no waiter for consumers.
        while (kinesis.describeStreamConsumer(r -> r.consumerARN(consumer)).consumerDescription().consumerStatus()
                != ConsumerStatus.ACTIVE) {
            Thread.sleep(100);
        }

        Shard shard = openShards().get(0);
        Events events = new Events();
        subscribing.subscribeToShard(
                r -> r.consumerARN(consumer).shardId(shard.shardId())
                        .startingPosition(p -> p.type(ShardIteratorType.LATEST)),
                SubscribeToShardResponseHandler.builder()
                        .onResponse(response -> events.queue.add("subscribed"))
                        .onError(events.queue::add)
                        .subscriber(() -> events)
                        .build());
        // LATEST is where the shard is when the subscription is answered.
        Object subscribed = events.next();
        expect("subscribed".equals(subscribed), subscribed);
        List<Put> wanted = new ArrayList<>();
        for (int n = 0; n < 5; n++) {
            wanted.add(putTo(shard, "pushed " + n));
        }
        List<Record> records = new ArrayList<>();
        while (records.size() < wanted.size()) {
            Object next = events.next();
            if (next instanceof SubscribeToShardEvent event) {
                expect(event.continuationSequenceNumber() != null, event);
                records.addAll(event.records());
            } else {
                expect(false, next);
            }
        }
        expectSame(records, wanted);
        events.subscription.cancel();

        kinesis.deregisterStreamConsumer(r -> r.consumerARN(consumer));
        try {
            while (true) {
                kinesis.describeStreamConsumer(r -> r.consumerARN(consumer));
                Thread.sleep(100);
            }
        } catch (ResourceNotFoundException gone) {
            // As it should be.
        }
    }

    /** Queues events, and how they ended if they did. */
    private static class Events implements Subscriber<SubscribeToShardEventStream> {
        final BlockingQueue<Object> queue = new LinkedBlockingQueue<>();
        volatile Subscription subscription;

        Object next() throws InterruptedException {
            return Objects.requireNonNull(queue.poll(1, TimeUnit.MINUTES), "no event for a minute");
        }

        @Override
        public void onSubscribe(Subscription subscription) {
            this.subscription = subscription;
            subscription.request(Long.MAX_VALUE);
        }

        @Override
        public void onNext(SubscribeToShardEventStream event) {
            queue.add(event);
        }

        @Override
        public void onError(Throwable error) {
            queue.add(error);
        }

        @Override
        public void onComplete() {
            queue.add("complete");
        }
    }

    private void encrypt() {
        String key = "alias/aws/kinesis";
        kinesis.startStreamEncryption(r -> r.streamName(name).encryptionType(EncryptionType.KMS).keyId(key));
        untilActive();
        StreamDescriptionSummary summary = describe();
        expect(summary.encryptionType() == EncryptionType.KMS && key.equals(summary.keyId()), summary);
        Shard shard = openShards().get(0);
        Put encrypted = putTo(shard, "encrypted");
        List<Record> records = last(shard, 1);
        expectSame(records, List.of(encrypted));
        expect(records.get(0).encryptionType() == EncryptionType.KMS, records);

        kinesis.stopStreamEncryption(r -> r.streamName(name).encryptionType(EncryptionType.KMS).keyId(key));
        untilActive();
        expect(describe().encryptionType() == EncryptionType.NONE, describe());
        Put plain = putTo(shard, "plain");
        // What was put encrypted says so, also after encryption has stopped.
        records = last(shard, 2);
        expectSame(records, List.of(encrypted, plain));
        expect(records.get(0).encryptionType() == EncryptionType.KMS, records);
        expect(records.get(1).encryptionType() != EncryptionType.KMS, records);
    }

    private List<Record> last(Shard shard, int count) {
        List<Record> records = read(shard.shardId(), ShardIteratorType.TRIM_HORIZON, null).records();
        return records.subList(Math.max(records.size() - count, 0), records.size());
    }

    private void tagsAndDelete() {
        kinesis.addTagsToStream(r -> r.streamName(name).tags(Map.of("team", "data", "empty", "")));
        List<Tag> tags = kinesis.listTagsForStream(r -> r.streamName(name)).tags();
        expect(tags.equals(List.of(
                Tag.builder().key("empty").value("").build(),
                Tag.builder().key("team").value("data").build())), tags);
        kinesis.deleteStream(r -> r.streamName(name).enforceConsumerDeletion(true));
        waiter.waitUntilStreamNotExists(r -> r.streamName(name));
    }

    private void untilActive() {
        waiter.waitUntilStreamExists(r -> r.streamName(name));
    }

    private StreamDescriptionSummary describe() {
        return kinesis.describeStreamSummary(r -> r.streamName(name)).streamDescriptionSummary();
    }

    private List<Shard> openShards() {
        return kinesis.listShards(r -> r.streamName(name).shardFilter(f -> f.type(ShardFilterType.AT_LATEST))).shards();
    }

    /** Puts to this shard, whatever the partition key. */
    private Put putTo(Shard shard, String text) {
        SdkBytes data = SdkBytes.fromUtf8String(text);
        PutRecordResponse reply = kinesis.putRecord(r -> r.streamName(name).data(data).partitionKey("k")
                .explicitHashKey(shard.hashKeyRange().startingHashKey()));
        expect(reply.shardId().equals(shard.shardId()), reply);
        return new Put(data, "k", reply.sequenceNumber());
    }

    /** All records of a shard to its tip, or to its end with its children. */
    private Read read(String shard, ShardIteratorType type, Instant timestamp) {
        boolean open = openShards().stream().anyMatch(s -> s.shardId().equals(shard));
        String iterator = kinesis.getShardIterator(
                r -> r.streamName(name).shardId(shard).shardIteratorType(type).timestamp(timestamp)).shardIterator();
        List<Record> records = new ArrayList<>();
        while (true) {
            String from = iterator;
            GetRecordsResponse reply = kinesis.getRecords(r -> r.shardIterator(from));
            records.addAll(reply.records());
            iterator = reply.nextShardIterator();
            // A closed shard has no next iterator; only then are there children.
            if (iterator == null) {
                return new Read(records, reply.childShards());
            }
            expect(reply.childShards().isEmpty(), reply.childShards());
            if (open && reply.millisBehindLatest() == 0) {
                return new Read(records, List.of());
            }
        }
    }

    private static String shardId(int n) {
        return String.format("shardId-%012d", n);
    }

    private static void expectSame(List<Record> records, List<Put> wanted) {
        List<Put> found =
                records.stream().map(r -> new Put(r.data(), r.partitionKey(), r.sequenceNumber())).toList();
        expect(found.equals(wanted), found + ", wanted " + wanted);
    }

    private static void expectRecent(Instant time) {
        expect(Duration.between(time, Instant.now()).abs().toSeconds() < 60, time);
    }

    private static void expect(boolean holds, Object found) {
        if (!holds) {
            throw new AssertionError("not as expected: " + found);
        }
    }
}
