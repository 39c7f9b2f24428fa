// A delivery stream's life through FirehoseClient: create, put, describe, change, tag, encrypt, delete. Nothing is
// delivered: its bucket is nowhere.
import java.util.List;
import java.util.stream.IntStream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.firehose.FirehoseClient;
import software.amazon.awssdk.services.firehose.model.*;
import software.amazon.awssdk.services.firehose.model.Record;

class Delivery {
    private static final String ROLE = "arn:aws:iam::000000000000:role/delivery";

    private final FirehoseClient firehose;
    private final String name;

    Delivery(FirehoseClient firehose, String name) {
        this.firehose = firehose;
        this.name = name;
    }

    void run() throws InterruptedException {
        String arn = firehose.createDeliveryStream(create -> create.deliveryStreamName(name)
                .deliveryStreamType(DeliveryStreamType.DIRECT_PUT)
                .extendedS3DestinationConfiguration(s3 -> s3.roleARN(ROLE)
                        .bucketARN("arn:aws:s3:::nowhere")
                        .prefix("clicks/")
                        .compressionFormat(CompressionFormat.GZIP)
                        .bufferingHints(hints -> hints.sizeInMBs(1).intervalInSeconds(900)))).deliveryStreamARN();
        equal(arn.endsWith(":deliverystream/" + name), true);
        waitFor(DeliveryStreamStatus.ACTIVE);

        equal(firehose.putRecord(put -> put.deliveryStreamName(name).record(record("one"))).recordId().isEmpty(), false);
        List<Record> records = IntStream.range(0, 500).mapToObj(n -> record("number " + n)).toList();
        PutRecordBatchResponse batch =
                firehose.putRecordBatch(put -> put.deliveryStreamName(name).records(records));
        equal(batch.failedPutCount(), 0);
        equal(batch.requestResponses().size(), 500);

        DeliveryStreamDescription before = described();
        equal(before.destinations().get(0).extendedS3DestinationDescription().compressionFormat(), CompressionFormat.GZIP);
        String destination = before.destinations().get(0).destinationId();
        firehose.updateDestination(update -> update.deliveryStreamName(name)
                .currentDeliveryStreamVersionId(before.versionId())
                .destinationId(destination)
                .extendedS3DestinationUpdate(s3 -> s3.prefix("visits/")));
        equal(described().destinations().get(0).extendedS3DestinationDescription().prefix(), "visits/");
        refused(ConcurrentModificationException.class, () -> firehose.updateDestination(update -> update
                .deliveryStreamName(name).currentDeliveryStreamVersionId(before.versionId()).destinationId(destination)
                .extendedS3DestinationUpdate(s3 -> s3.prefix("late/"))));

        firehose.tagDeliveryStream(tag -> tag.deliveryStreamName(name).tags(t -> t.key("team").value("data")));
        equal(firehose.listTagsForDeliveryStream(list -> list.deliveryStreamName(name)).tags().size(), 1);
        firehose.startDeliveryStreamEncryption(start -> start.deliveryStreamName(name)
                .deliveryStreamEncryptionConfigurationInput(input -> input.keyType(KeyType.AWS_OWNED_CMK)));
        equal(firehose.listDeliveryStreams().deliveryStreamNames().contains(name), true);
        firehose.deleteDeliveryStream(delete -> delete.deliveryStreamName(name).allowForceDelete(true));
        for (int look = 0; look < 300 && firehose.listDeliveryStreams().deliveryStreamNames().contains(name); look++) {
            Thread.sleep(100);
        }
        refused(ResourceNotFoundException.class, this::described);
    }

    private DeliveryStreamDescription described() {
        return firehose.describeDeliveryStream(describe -> describe.deliveryStreamName(name)).deliveryStreamDescription();
    }

    private void waitFor(DeliveryStreamStatus status) throws InterruptedException {
        for (int look = 0; look < 300 && described().deliveryStreamStatus() != status; look++) {
            Thread.sleep(100);
        }
        equal(described().deliveryStreamStatus(), status);
    }

    private static Record record(String text) {
        return Record.builder().data(SdkBytes.fromUtf8String(text + "\n")).build();
    }

    private static void equal(Object found, Object wanted) {
        if (!wanted.equals(found)) {
            throw new AssertionError(wanted + " wanted, found " + found);
        }
    }

    private static void refused(Class<? extends FirehoseException> wanted, Runnable call) {
        try {
            call.run();
        } catch (FirehoseException error) {
            equal(error.getClass(), wanted);
            return;
        }
        throw new AssertionError("not refused: " + wanted);
    }
}
