// Runs the scenario through KinesisClient, then through KinesisAsyncClient with SubscribeToShard,
// with nothing set but the endpoint, region and credentials of the environment.
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.services.firehose.FirehoseClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;

public class Main {
    public static void main(String[] arguments) throws Exception {
        // Nothing here may hang.
        Thread watchdog = new Thread(() -> {
            try {
                Thread.sleep(120_000);
            } catch (InterruptedException done) {
                return;
            }
            System.err.println("not done after two minutes");
            System.exit(1);
        });
        watchdog.setDaemon(true);
        watchdog.start();

        try (KinesisClient kinesis = KinesisClient.create()) {
            new Scenario(kinesis, null, "sdk-java-sync").run();
        }
        System.out.println("ok: java sync");
        try (KinesisAsyncClient kinesis = KinesisAsyncClient.create()) {
            new Scenario(joining(kinesis), kinesis, "sdk-java-async").run();
        }
        System.out.println("ok: java async");
        try (FirehoseClient firehose = FirehoseClient.create()) {
            new Delivery(firehose, "sdk-java").run();
        }
        System.out.println("ok: java firehose");
    }

    /** The async client as a sync one, waiting for each reply, so that the scenario is written once. */
    private static KinesisClient joining(KinesisAsyncClient async) {
        return (KinesisClient) Proxy.newProxyInstance(
                Main.class.getClassLoader(), new Class<?>[] {KinesisClient.class}, (proxy, method, arguments) -> {
                    try {
                        Object reply = KinesisAsyncClient.class
                                .getMethod(method.getName(), method.getParameterTypes())
                                .invoke(async, arguments);
                        return reply instanceof CompletableFuture<?> future
                                ? future.orTimeout(1, TimeUnit.MINUTES).join()
                                : reply;
                    } catch (InvocationTargetException | CompletionException error) {
                        throw error.getCause();
                    }
                });
    }
}
