import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;

/**
 * What a Java program asks of ClickHouse, by its JDBC driver: {@code java Client.java URL [name=value ...]} prints what
 * each step found, a line each. Steps run in order on one connection, so that each shows that the one before left it
 * usable.
 */
public class Client {
    static final String SLOW = "SELECT sum(sleepEachRow(0.01)) FROM numbers(6000) SETTINGS max_block_size = 10";
    static final int ROWS = 5000;

    interface Step {
        Object run(Connection connection) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        for (int at = 1; at < arguments.length; at++) {
            String[] pair = arguments[at].split("=", 2);
            properties.setProperty(pair[0], pair[1]);
        }
        Map<String, Step> steps = new LinkedHashMap<>();
        steps.put("query", Client::query);
        steps.put("parameters", Client::parameters);
        steps.put("large", Client::large);
        steps.put("insert", Client::insert);
        steps.put("metadata", Client::metadata);
        steps.put("cancelled", connection -> cancelled(connection, arguments[0], properties));
        steps.put("error", connection -> code(() -> query(connection, "SELECT a FROM none")));
        steps.put("insert error", connection -> code(() -> query(connection, "INSERT INTO none VALUES (1)")));
        steps.put("late error", Client::late);
        steps.put("after", connection -> query(connection, "SELECT 1"));
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            for (Map.Entry<String, Step> step : steps.entrySet()) {
                System.out.println(step.getKey() + ": " + outcome(step.getValue(), connection));
            }
        }
    }

    static Object outcome(Step step, Connection connection) {
        try {
            return step.run(connection);
        } catch (Exception failure) {
            failure.printStackTrace();
            return "failed: " + failure;
        }
    }

    /** Returns the columns of the first row, or nothing where there are no rows. */
    static List<Object> query(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return statement.execute(sql) ? first(statement.getResultSet()) : List.of();
        }
    }

    static List<Object> first(ResultSet found) throws SQLException {
        List<Object> row = new ArrayList<>();
        if (found.next()) {
            for (int at = 1; at <= found.getMetaData().getColumnCount(); at++) {
                row.add(found.getObject(at));
            }
        }
        return row;
    }

    static Object query(Connection connection) throws SQLException {
        if (!connection.isValid(5)) {
            return "not valid";
        }
        return query(connection, "SELECT 42, 'łódź', map('k', 'v'), CAST(NULL AS Nullable(String)), currentDatabase()");
    }

    static Object parameters(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ? + 1, ?, ?")) {
            statement.setInt(1, 41);
            statement.setString(2, "it's\ta \\ tab");
            statement.setTimestamp(3, Timestamp.from(Instant.parse("2026-05-01T12:00:00.123Z")));
            List<Object> row = first(statement.executeQuery());
            return row.get(0) + " " + row.get(1);
        }
    }

    static Object large(Connection connection) throws SQLException {
        String sql = "SELECT number, toString(number) FROM numbers(300000) SETTINGS max_block_size = 7000";
        long count = 0;
        try (Statement statement = connection.createStatement(); ResultSet found = statement.executeQuery(sql)) {
            while (found.next()) {
                if (found.getLong(1) == count && found.getString(2).equals(String.valueOf(count))) {
                    count++;
                }
            }
        }
        return count;
    }

    static Object insert(Connection connection) throws SQLException {
        query(connection, "DROP TABLE IF EXISTS java_client SYNC");
        query(connection, "CREATE TABLE java_client (id UInt64, name LowCardinality(String), tags Array(String),"
            + " at DateTime64(3, 'UTC'), ratio Nullable(Float64)) ENGINE = MergeTree ORDER BY id");
        String sql = "INSERT INTO java_client (id, name, tags, at, ratio) VALUES (?, ?, ?, ?, ?)";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int id = 0; id < ROWS; id++) {
                statement.setLong(1, id);
                statement.setString(2, "n'" + id % 3);
                statement.setObject(3, new String[] {"a", "b"});
                statement.setTimestamp(4, Timestamp.from(Instant.parse("2026-05-01T12:00:00.123Z")));
                statement.setObject(5, id % 2 == 0 ? null : 0.5);
                statement.addBatch();
            }
            statement.executeBatch();
        }
        return query(connection, "SELECT count(), uniqExact(name), countIf(ratio = 0.5), toString(min(at)) FROM java_client");
    }

    static Object metadata(Connection connection) throws SQLException {
        List<String> columns = new ArrayList<>();
        try (ResultSet found = connection.getMetaData().getColumns(null, "default", "java_client", null)) {
            while (found.next()) {
                columns.add(found.getString("COLUMN_NAME") + " " + found.getString("TYPE_NAME"));
            }
        }
        return columns;
    }

    /** A query that would take a minute is cancelled from another thread; nothing of it may go on in the server. */
    static Object cancelled(Connection connection, String url, Properties properties) throws Exception {
        try (Connection own = DriverManager.getConnection(url, properties); Statement statement = own.createStatement()) {
            CompletableFuture<Object> asked = CompletableFuture.supplyAsync(() -> {
                try {
                    return "ended with " + first(statement.executeQuery(SLOW));
                } catch (SQLException failure) {
                    return failure.getErrorCode();
                }
            });
            boolean began = until(connection, 1);
            statement.cancel();
            return List.of(began, until(connection, 0), asked.get());
        }
    }

    static boolean until(Connection connection, int wanted) throws SQLException {
        String sql = "SELECT count() FROM system.processes WHERE query LIKE '%sum(sleepEachRow%' AND query NOT LIKE '%system%'";
        for (long end = System.nanoTime() + 20_000_000_000L; System.nanoTime() < end;) {
            if (String.valueOf(query(connection, sql).get(0)).equals(String.valueOf(wanted))) {
                return true;
            }
        }
        return false;
    }

    interface Action {
        Object run() throws Exception;
    }

    static Object code(Action action) throws Exception {
        try {
            return "no error but " + action.run();
        } catch (SQLException failure) {
            return failure.getErrorCode() + " " + failure.getMessage().contains("none");
        }
    }

    /** An error after the first rows have been read. */
    static Object late(Connection connection) throws Exception {
        String sql = "SELECT throwIf(number = 900000, 'none of that'), rand64() FROM numbers(1000000) SETTINGS max_block_size = 10000";
        try (Statement statement = connection.createStatement()) {
            ResultSet found = statement.executeQuery(sql);
            long count = 0;
            while (found.next()) {
                count++;
            }
            return "taken for whole after " + count;
        } catch (SQLException failure) {
            return "noticed";
        }
    }
}
