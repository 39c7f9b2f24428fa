import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.*;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * A worker of the Kinesis Client Library: Worker STREAM APPLICATION ID polling|fanout. Prints a line for each
 * record it processes, and for each lease it starts, ends and loses.
 */
public class Worker {
    public static void main(String[] args) throws Exception {
        String stream = args[0], application = args[1], id = args[2], mode = args[3];
        KinesisAsyncClient kinesis =
                KinesisClientUtil.createKinesisAsyncClient(KinesisAsyncClient.builder());
        DynamoDbAsyncClient dynamo = DynamoDbAsyncClient.create();
        // Nothing is measured: a call would fail at once.
        CloudWatchAsyncClient cloudWatch =
                CloudWatchAsyncClient.builder().endpointOverride(URI.create("http://127.0.0.1:9")).build();
        ConfigsBuilder configs = new ConfigsBuilder(
                stream, application, kinesis, dynamo, cloudWatch, id, Processor::new);

        RetrievalSpecificConfig how = mode.equals("fanout")
                ? new FanOutConfig(kinesis).streamName(stream).applicationName(application)
                : new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(250);
        var oldest = InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        var retrieval = configs.retrievalConfig().retrievalSpecificConfig(how);
        // Leases go round in seconds, so that a test takes a minute.
        var leases = configs.leaseManagementConfig()
                .failoverTimeMillis(6_000)
                .leaseAssignmentIntervalMillis(3_000L)
                .shardSyncIntervalMillis(2_000)
                .billingMode(BillingMode.PAY_PER_REQUEST)
                .initialPositionInStream(oldest);
        leases.gracefulLeaseHandoffConfig().isGracefulLeaseHandoffEnabled(false);
        leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
        var coordinator = configs.coordinatorConfig()
                .parentShardPollIntervalMillis(500)
                .shardConsumerDispatchPollIntervalMillis(100);
        Scheduler scheduler = new Scheduler(
                configs.checkpointConfig(), coordinator, leases, configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()), configs.processorConfig(),
                retrieval.initialPositionInStreamExtended(oldest));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                scheduler.startGracefulShutdown().get(20, TimeUnit.SECONDS);
            } catch (Exception e) {
                System.err.println("no graceful shutdown: " + e);
            }
        }));
        scheduler.run();
    }

    static class Processor implements ShardRecordProcessor {
        private String shard;

        public void initialize(InitializationInput input) {
            shard = input.shardId();
            say("start " + shard);
        }

        public void processRecords(ProcessRecordsInput input) {
            StringBuilder lines = new StringBuilder();
            for (KinesisClientRecord record : input.records()) {
                String data = StandardCharsets.UTF_8.decode(record.data()).toString();
                lines.append(String.format("record %s %s %d %s %s%n", shard, record.sequenceNumber(),
                        record.subSequenceNumber(), record.partitionKey(), data));
            }
            synchronized (System.out) {
                System.out.print(lines);
                System.out.flush();
            }
            checkpoint(input.checkpointer());
        }

        public void leaseLost(LeaseLostInput input) {
            say("lost " + shard);
        }

        public void shardEnded(ShardEndedInput input) {
            say("end " + shard);
            checkpoint(input.checkpointer());
        }

        public void shutdownRequested(ShutdownRequestedInput input) {
            checkpoint(input.checkpointer());
        }

        private void checkpoint(software.amazon.kinesis.processor.RecordProcessorCheckpointer checkpointer) {
            try {
                checkpointer.checkpoint();
            } catch (Exception e) {
                // The lease has gone to another worker, which reads these records again.
                System.err.println("no checkpoint of " + shard + ": " + e);
            }
        }

        private static void say(String line) {
            synchronized (System.out) {
                System.out.println(line);
                System.out.flush();
            }
        }
    }
}
