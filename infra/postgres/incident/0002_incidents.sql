-- Incidents and what happened in them. Owned by incident_service.
CREATE TABLE incident (
    tenant_id       text        NOT NULL,
    id              uuid        NOT NULL,                 -- version 7: sorts by opening
    title           text        NOT NULL,
    status          text        NOT NULL CHECK (status IN ('open', 'acknowledged', 'resolved')),
    severity        smallint    NOT NULL CHECK (severity BETWEEN 0 AND 3),
    services        text[]      NOT NULL,
    group_key       text        NOT NULL,                 -- empty when opened by hand
    alerts          jsonb       NOT NULL,                 -- fingerprint -> still firing
    started_at      timestamptz NOT NULL,
    opened_at       timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text        NOT NULL,
    resolved_at     timestamptz,
    resolved_by     text        NOT NULL,
    version         bigint      NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK ((status = 'resolved') = (resolved_at IS NOT NULL))
);

-- One unresolved incident per alert group. Hashed, since a group key may be longer than an index entry.
CREATE UNIQUE INDEX incident_unresolved_group ON incident (tenant_id, md5(group_key))
    WHERE status <> 'resolved' AND group_key <> '';
CREATE INDEX incident_status ON incident (tenant_id, status, id DESC);

CREATE TABLE timeline (
    tenant_id   text        NOT NULL,
    incident_id uuid        NOT NULL,
    number      bigint      GENERATED ALWAYS AS IDENTITY, -- in the order written, per incident
    id          uuid        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('alert', 'state_change', 'note', 'deploy', 'hypothesis')),
    occurred_at timestamptz NOT NULL,
    actor       text        NOT NULL,
    source      text        NOT NULL,
    text        text        NOT NULL,
    url         text        NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, number),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, id)
);

CREATE TABLE analysis (
    tenant_id     text        NOT NULL,
    incident_id   uuid        NOT NULL,
    version       integer     NOT NULL,
    cause_service text        NOT NULL,                   -- empty when no cause was named
    cause_kind    text        NOT NULL,
    event         bytea       NOT NULL,                   -- HypothesesPublished as received
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, incident_id, version),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, id)
);

-- History is not edited, whoever asks.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER timeline_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON timeline
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER analysis_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON analysis
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A transaction sees and writes its own tenant only, also for the owner of the tables.
ALTER TABLE incident ENABLE ROW LEVEL SECURITY;
ALTER TABLE incident FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON incident USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE timeline ENABLE ROW LEVEL SECURITY;
ALTER TABLE timeline FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON timeline USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE analysis ENABLE ROW LEVEL SECURITY;
ALTER TABLE analysis FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON analysis USING (tenant_id = current_setting('app.tenant_id', true));
