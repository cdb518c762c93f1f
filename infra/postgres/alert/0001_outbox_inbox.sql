-- Events on their way to Kafka (libs/storage/outbox.py). The identity must keep its default cache of 1: ids cached
-- by a session would leave commit order.
CREATE TABLE outbox (
    lane       smallint    NOT NULL CHECK (lane BETWEEN 0 AND 15),
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    topic      text        NOT NULL,
    key        bytea       NOT NULL,
    headers    jsonb       NOT NULL,
    value      bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (lane, id)
);

-- Ids start at the microsecond of creation: positions kept in Kafka from an earlier, wiped database lie behind them.
SELECT setval(pg_get_serial_sequence('outbox', 'id'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

-- Events already acted on (libs/storage/inbox.py).
CREATE TABLE inbox (
    consumer    text        NOT NULL,
    ce_id       text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, ce_id)
);
CREATE INDEX inbox_received_at ON inbox (received_at);
