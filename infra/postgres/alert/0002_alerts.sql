-- Alerts as last received. A row whose alert has left its group (grouped = false) is kept for a while, so that a late
-- version still joins the episode it belongs to.
CREATE TABLE alert (
    tenant_id          text        NOT NULL,
    fingerprint        text        NOT NULL,
    group_id           text        NOT NULL,
    grouped            boolean     NOT NULL DEFAULT true,
    labels             jsonb       NOT NULL,
    annotations        jsonb       NOT NULL,
    starts_at          timestamptz NOT NULL,
    ends_at            timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    ends_at_is_timeout boolean     NOT NULL,
    generator_url      text        NOT NULL,
    source             text        NOT NULL,
    service            text        NOT NULL,
    PRIMARY KEY (tenant_id, fingerprint)
);
CREATE INDEX alert_members ON alert (tenant_id, group_id) WHERE grouped;
CREATE INDEX alert_ended ON alert (tenant_id, ends_at) WHERE NOT grouped;

-- Groups of alerts that fire together, and when each is looked at next. `group_id` is a hash of `group_key`, which can
-- be longer than an index allows.
CREATE TABLE alert_group (
    tenant_id     text        NOT NULL,
    group_id      text        NOT NULL,
    group_key     text        NOT NULL,
    group_labels  jsonb       NOT NULL,
    next_flush_at timestamptz NOT NULL,
    flushed       boolean     NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, group_id)
);
CREATE INDEX alert_group_due ON alert_group (tenant_id, next_flush_at);

-- What was last told of each group, as fingerprints; outlives the group.
CREATE TABLE notification_log (
    tenant_id   text        NOT NULL,
    group_id    text        NOT NULL,
    firing      text[]      NOT NULL,
    resolved    text[]      NOT NULL,
    notified_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, group_id)
);

ALTER TABLE alert ENABLE ROW LEVEL SECURITY;
ALTER TABLE alert FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON alert USING (tenant_id = current_setting('app.tenant_id', true));

ALTER TABLE alert_group ENABLE ROW LEVEL SECURITY;
ALTER TABLE alert_group FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON alert_group USING (tenant_id = current_setting('app.tenant_id', true));

ALTER TABLE notification_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notification_log USING (tenant_id = current_setting('app.tenant_id', true));
