import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/** The Kinesis Producer Library: Produce STREAM COUNT. Puts that many small records, aggregated. */
public class Produce {
    public static void main(String[] args) throws Exception {
        String stream = args[0];
        int count = Integer.parseInt(args[1]);
        URI endpoint = URI.create(System.getenv("AWS_ENDPOINT_URL_KINESIS"));
        KinesisProducer producer = new KinesisProducer(new KinesisProducerConfiguration()
                .setKinesisEndpoint(endpoint.getHost())
                .setKinesisPort(endpoint.getPort())
                .setStsEndpoint(endpoint.getHost())
                .setStsPort(endpoint.getPort())
                // The daemon speaks TLS only, and to a certificate of our own.
                .setVerifyCertificate(false)
                .setRegion(System.getenv("AWS_REGION"))
                .setMetricsLevel("none")
                .setAggregationEnabled(true)
                .setRecordMaxBufferedTime(500));
        List<Future<UserRecordResult>> puts = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            ByteBuffer data = ByteBuffer.wrap(("kpl-" + number).getBytes(StandardCharsets.UTF_8));
            puts.add(producer.addUserRecord(stream, "key-" + number % 50, data));
        }
        producer.flush();
        for (Future<UserRecordResult> put : puts) {
            UserRecordResult result = put.get(60, TimeUnit.SECONDS);
            if (!result.isSuccessful()) {
                throw new IllegalStateException("not put: " + result.getAttempts());
            }
        }
        System.out.println("ok: " + count + " records");
        producer.destroy();
        System.exit(0);
    }
}
