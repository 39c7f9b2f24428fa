import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedWriter;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.rest.RESTCatalog;
import org.apache.iceberg.types.Types.NestedField;

/** Apache Iceberg's own reader: the rows of a table, each as a line of JSON. Columns that are null are left out. */
class Read {
    public static void main(String[] args) throws Exception {
        String catalogAt = args[0], s3At = args[1], name = args[2];
        Map<String, String> properties = Map.of(
            "uri", catalogAt,
            "io-impl", "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint", s3At,
            "s3.path-style-access", "true",
            "s3.access-key-id", "leatkey",
            "s3.secret-access-key", "leatsecret",
            "client.region", "us-east-1");
        ObjectMapper json = new ObjectMapper();
        OutputStreamWriter utf8 = new OutputStreamWriter(System.out, StandardCharsets.UTF_8);
        try (RESTCatalog catalog = new RESTCatalog(); PrintWriter out = new PrintWriter(new BufferedWriter(utf8))) {
            catalog.initialize("rest", properties);
            Table table = catalog.loadTable(TableIdentifier.parse(name));
            try (var rows = IcebergGenerics.read(table).build()) {
                for (Record row : rows) {
                    out.println(json.writeValueAsString(plain(row)));
                }
            }
        }
    }

    /** What JSON has words for; the rest as Java writes it. */
    private static Object plain(Object value) {
        if (value instanceof Record row) {
            Map<String, Object> members = new LinkedHashMap<>();
            for (NestedField field : row.struct().fields()) {
                Object member = row.getField(field.name());
                if (member != null) {
                    members.put(field.name(), plain(member));
                }
            }
            return members;
        }
        if (value instanceof List<?> values) {
            return values.stream().map(Read::plain).collect(Collectors.toList());
        }
        return value == null || value instanceof Number || value instanceof Boolean ? value : value.toString();
    }
}
