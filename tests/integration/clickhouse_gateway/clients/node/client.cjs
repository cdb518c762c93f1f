// What a Node program asks of ClickHouse, by @clickhouse/client: `node client.cjs <URL> <compressed: yes|no>` prints
// what each step found as JSON. Steps run in order on one client, so that each shows that the one before left it usable.
"use strict";
const { createClient, ClickHouseError } = require("@clickhouse/client");

const SLOW = "SELECT sum(sleepEachRow(0.01)) FROM numbers(6000) SETTINGS max_block_size = 10";
const TABLE = `CREATE TABLE node_client (
  id UInt64, name LowCardinality(String), attributes Map(LowCardinality(String), String), tags Array(String),
  at DateTime64(9, 'UTC'), ratio Nullable(Float64)
) ENGINE = MergeTree ORDER BY id`;
const ROWS = 5000;

async function rowsOf(client, query, rest = {}) {
  return (await client.query({ query, format: "JSONCompactEachRow", ...rest })).json();
}

// Resolves to the code of the server's error; any other outcome is told in words.
async function codeOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error instanceof ClickHouseError ? [Number(error.code), error.message.includes("none")] : `not ClickHouse's: ${error}`;
  }
  return "no error";
}

async function until(client, query, wanted) {
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    const [[found]] = await rowsOf(client, query);
    if (Number(found) === wanted) return true;
  }
  return false;
}

const steps = {
  async query(client) {
    const { success } = await client.ping({ select: true });
    const [row] = await rowsOf(client, "SELECT 42, 'łódź', map('k', 'v'), CAST(NULL AS Nullable(String)), currentDatabase()");
    return [success, ...row];
  },

  async parameters(client) {
    const query = "SELECT {n:UInt8} + 1, {s:String}, {l:Array(String)}";
    const query_params = { n: 41, s: "it's\ta tab", l: ["a", "b'c"] };
    return (await rowsOf(client, query, { query_params, clickhouse_settings: { max_threads: 2 } }))[0];
  },

  async large(client) {
    const query = "SELECT number, toString(number) FROM numbers(300000) SETTINGS max_block_size = 7000";
    const found = await client.query({ query, format: "JSONCompactEachRow" });
    let count = 0;
    for await (const rows of found.stream()) {
      for (const row of rows) {
        const [number, text] = row.json();
        if (Number(number) === count && text === String(count)) count++;
      }
    }
    return count;
  },

  async insert(client) {
    await client.command({ query: "DROP TABLE IF EXISTS node_client SYNC" });
    await client.command({ query: TABLE });
    const values = Array.from({ length: ROWS }, (_, id) => ({
      id, name: `n${id % 3}`, attributes: { "http.route": `/${id % 7}`, empty: "" }, tags: ["a", "b"],
      at: "2026-05-01 12:00:00.123456789", ratio: id % 2 ? 0.5 : null,
    }));
    const { summary } = await client.insert({ table: "node_client", values, format: "JSONEachRow" });
    const sums = "SELECT count(), uniqExact(attributes['http.route']), countIf(ratio = 0.5), min(at) FROM node_client";
    return [summary.written_rows, ...(await rowsOf(client, sums))[0].map(String)];
  },

  // A query that would take a minute is given up by its caller; nothing of it may go on in the server.
  async cancelled(client) {
    const running = `SELECT count() FROM system.processes WHERE query LIKE '${SLOW.slice(0, 40)}%'`;
    const controller = new AbortController();
    const asked = client.query({ query: SLOW, abort_signal: controller.signal }).then(
      () => "not cancelled",
      (error) => error.message,
    );
    const began = await until(client, running, 1);
    controller.abort();
    return [began, await asked, await until(client, running, 0)];
  },

  // The other way: a second request kills it by its id.
  async killed(client) {
    const query_id = "node-query-to-kill";
    const asked = codeOf(client.query({ query: SLOW, query_id }));
    const began = await until(client, `SELECT count() FROM system.processes WHERE query LIKE '${SLOW.slice(0, 40)}%'`, 1);
    await client.command({ query: `KILL QUERY WHERE query_id = '${query_id}' SYNC` });
    return [began, ...(await asked)];
  },

  error: (client) => codeOf(client.query({ query: "SELECT a FROM none" })),

  "insert error": (client) => codeOf(client.insert({ table: "none", values: [{ a: 1 }], format: "JSONEachRow" })),

  async "late error"(client) {
    const query = "SELECT throwIf(number = 900000, 'none of that') FROM numbers(1000000) SETTINGS max_block_size = 10000";
    return codeOf((async () => (await client.query({ query, format: "JSONCompactEachRow" })).json())());
  },

  async after(client) {
    return (await rowsOf(client, "SELECT 1"))[0][0];
  },
};

async function main(url, compressed) {
  const compression = { request: compressed === "yes", response: compressed === "yes" };
  const client = createClient({ url, compression, request_timeout: 60_000, log: { level: 127 } });
  const found = {};
  for (const [name, step] of Object.entries(steps)) {
    found[name] = await step(client).catch((error) => `failed: ${error.stack}`);
  }
  await client.close();
  console.log(JSON.stringify(found));
}

main(...process.argv.slice(2));
