-- Since when there is no data of an alert that goes on as far as anybody knows: fingerprint -> instant.
ALTER TABLE incident ADD COLUMN silent jsonb NOT NULL DEFAULT '{}';

-- The alerts of an incident as last told, in their own words.
CREATE TABLE incident_alert (
    tenant_id     text        NOT NULL,
    incident_id   uuid        NOT NULL,
    name          text        NOT NULL,                  -- fingerprint; marked when it came by a merge
    alert_name    text        NOT NULL,
    service       text        NOT NULL,
    severity      smallint    NOT NULL CHECK (severity BETWEEN 0 AND 3),
    state         text        NOT NULL CHECK (state IN ('firing', 'no_data', 'resolved')),
    starts_at     timestamptz NOT NULL,
    ended_at      timestamptz,
    no_data_since timestamptz,
    updated_at    timestamptz NOT NULL,
    labels        jsonb       NOT NULL,
    annotations   jsonb       NOT NULL,
    generator_url text        NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, name),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, id)
);
ALTER TABLE incident_alert ENABLE ROW LEVEL SECURITY;
ALTER TABLE incident_alert FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON incident_alert USING (tenant_id = current_setting('app.tenant_id', true));
