// What a Go program asks of ClickHouse, by clickhouse-go: `clickhouse <DSN>` prints what each step found as JSON.
//
// The DSN says which protocol and compression. Steps run in order on one pool of connections, so that each also shows
// that the one before has left it usable.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const (
	patience = 30 * time.Second
	slow     = "SELECT sum(sleepEachRow(0.01)) FROM numbers(6000) SETTINGS max_block_size = 10"
	table    = `CREATE TABLE go_client (
		id UInt64, name LowCardinality(String), attributes Map(LowCardinality(String), String), tags Array(String),
		at DateTime64(9, 'UTC'), started DateTime('Asia/Tokyo'), ratio Nullable(Float64)
	) ENGINE = MergeTree ORDER BY id`
	rows = 5000
)

type step struct {
	name string
	run  func(context.Context, driver.Conn) (any, error)
}

var steps = []step{
	{"query", query}, {"empty", empty}, {"parameters", parameters}, {"large", large}, {"insert", insert},
	{"statement", statement}, {"cancelled", cancelled}, {"error", refused}, {"insert error", refusedInsert},
	{"late error", late}, {"after", after},
}

func main() {
	options, err := clickhouse.ParseDSN(os.Args[1])
	if err != nil {
		panic(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		panic(err)
	}
	found := map[string]any{}
	for _, step := range steps {
		ctx, done := context.WithTimeout(context.Background(), patience)
		value, err := step.run(ctx, conn)
		if err != nil {
			value = "failed: " + err.Error()
		}
		found[step.name] = value
		done()
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		panic(err)
	}
}

func query(ctx context.Context, conn driver.Conn) (any, error) {
	if err := conn.Ping(ctx); err != nil {
		return nil, err
	}
	var number uint64
	var text string
	var attributes map[string]string
	var nothing *string
	var at time.Time
	row := conn.QueryRow(ctx, `SELECT toUInt64(42), 'łódź', map('k', 'v'), CAST(NULL AS Nullable(String)),
		toDateTime('2026-05-01 12:00:00', 'Asia/Tokyo')`)
	err := row.Scan(&number, &text, &attributes, &nothing, &at)
	return []any{number, text, attributes, nothing, at.Format(time.RFC3339)}, err
}

func empty(ctx context.Context, conn driver.Conn) (any, error) {
	found, err := conn.Query(ctx, "SELECT number, 'x' AS text FROM numbers(0)")
	if err != nil {
		return nil, err
	}
	defer found.Close()
	return found.Next(), found.Err()
}

func parameters(ctx context.Context, conn driver.Conn) (any, error) {
	var number uint16
	var text string
	row := conn.QueryRow(ctx, "SELECT {n:UInt8} + 1, {s:String}",
		clickhouse.Named("n", 41), clickhouse.Named("s", "it's a\ttab"))
	err := row.Scan(&number, &text)
	return []any{number, text}, err
}

func large(ctx context.Context, conn driver.Conn) (any, error) {
	found, err := conn.Query(ctx, "SELECT number, toString(number) FROM numbers(300000) SETTINGS max_block_size = 7000")
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var count, number uint64
	var text string
	for found.Next() {
		if err := found.Scan(&number, &text); err != nil {
			return nil, err
		}
		if fmt.Sprint(number) == text && number == count {
			count++
		}
	}
	return count, found.Err()
}

func insert(ctx context.Context, conn driver.Conn) (any, error) {
	for _, sql := range []string{"DROP TABLE IF EXISTS go_client SYNC", table} {
		if err := conn.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO go_client")
	if err != nil {
		return nil, err
	}
	start := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	for at := range rows {
		var ratio *float64
		if at%2 == 0 {
			half := 0.5
			ratio = &half
		}
		attributes := map[string]string{"http.route": fmt.Sprintf("/%d", at%7), "empty": ""}
		err := batch.Append(uint64(at), fmt.Sprintf("n%d", at%3), attributes, []string{"a", "b"}, start, start, ratio)
		if err != nil {
			return nil, err
		}
		if at == rows/2 {
			if err := batch.Flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := batch.Send(); err != nil {
		return nil, err
	}
	var count, routes, halves uint64
	var first time.Time
	sum := "SELECT count(), uniqExact(attributes['http.route']), countIf(ratio = 0.5), min(at) FROM go_client"
	err = conn.QueryRow(ctx, sum).Scan(&count, &routes, &halves, &first)
	return []any{count, routes, halves, first.Format(time.RFC3339Nano)}, err
}

func statement(ctx context.Context, conn driver.Conn) (any, error) {
	sql := "INSERT INTO go_client (id, name) VALUES (?, ?)"
	if err := conn.Exec(ctx, sql, uint64(rows), "it's"); err != nil {
		return nil, err
	}
	if err := conn.AsyncInsert(ctx, sql, true, uint64(rows+1), "later"); err != nil {
		return nil, err
	}
	var names []string
	err := conn.QueryRow(ctx, "SELECT groupArray(toString(name)) FROM (SELECT name FROM go_client WHERE id >= ? ORDER BY id)",
		uint64(rows)).Scan(&names)
	return names, err
}

// A query that would take a minute is given up by its caller; nothing of it may go on in the server.
func cancelled(ctx context.Context, conn driver.Conn) (any, error) {
	short, done := context.WithTimeout(ctx, 700*time.Millisecond)
	defer done()
	var sum uint64
	err := conn.QueryRow(short, slow).Scan(&sum)
	if err == nil {
		return nil, errors.New("it was not cancelled")
	}
	for ctx.Err() == nil {
		var running uint64
		count := "SELECT count() FROM system.processes WHERE query LIKE ?"
		if err := conn.QueryRow(ctx, count, slow[:40]+"%").Scan(&running); err != nil {
			return nil, err
		}
		if running == 0 {
			return "stopped", nil
		}
	}
	return nil, errors.New("it still runs")
}

func code(err error) (any, error) {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return []any{exception.Code, strings.Contains(exception.Message, "none")}, nil
	}
	return nil, fmt.Errorf("not an exception of the server's: %w", err)
}

func refused(ctx context.Context, conn driver.Conn) (any, error) {
	var number uint64
	return code(conn.QueryRow(ctx, "SELECT a FROM none").Scan(&number))
}

func refusedInsert(ctx context.Context, conn driver.Conn) (any, error) {
	if err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS go_small (none UInt8, CONSTRAINT none CHECK none < 5) ENGINE = Memory"); err != nil {
		return nil, err
	}
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO go_small")
	if err != nil {
		return nil, err
	}
	if err := batch.Append(uint8(9)); err != nil {
		return nil, err
	}
	return code(batch.Send())
}

// An error after the first rows have been read.
func late(ctx context.Context, conn driver.Conn) (any, error) {
	sql := "SELECT throwIf(number = 900000, 'none of that') FROM numbers(1000000) SETTINGS max_block_size = 10000"
	found, err := conn.Query(ctx, sql)
	if err != nil {
		return code(err)
	}
	defer found.Close()
	for found.Next() {
	}
	return code(found.Err())
}

func after(ctx context.Context, conn driver.Conn) (any, error) {
	var number uint8
	err := conn.QueryRow(ctx, "SELECT 1").Scan(&number)
	return number, err
}
