-- What delivery systems said, each thing once. `content` is the normalized report; a deploy is a function of its
-- reports (services/deploy_normalizer/domain/deploy.py), so they may come in any order.
CREATE TABLE report (
    tenant_id   text        NOT NULL,
    deploy_id   text        NOT NULL,
    event       text        NOT NULL,
    status      text        NOT NULL,
    reported_at timestamptz NOT NULL,
    content     jsonb       NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, deploy_id, event, status, reported_at)
);

CREATE TABLE deploy (
    tenant_id   text        NOT NULL,
    id          text        NOT NULL,
    provider    text        NOT NULL CHECK (provider IN ('github', 'argocd')),
    service     text        NOT NULL CHECK (service <> ''),
    environment text        NOT NULL,
    version     text        NOT NULL,
    revision    text        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('pending', 'in_progress', 'failed', 'succeeded', 'inactive')),
    event       text        NOT NULL,
    repository  text        NOT NULL,
    actor       text        NOT NULL,
    url         text        NOT NULL,
    description text        NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz CHECK (finished_at >= started_at),
    updated_at  timestamptz NOT NULL,
    -- Until when it may have changed something: with started_at, the window it touches.
    touched_until timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(finished_at, updated_at)) STORED,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX deploy_touched ON deploy (tenant_id, touched_until);
CREATE INDEX deploy_service ON deploy (tenant_id, service, started_at DESC, id DESC);

ALTER TABLE report ENABLE ROW LEVEL SECURITY;
ALTER TABLE report FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON report
    USING (tenant_id = current_setting('app.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('app.tenant_id', true));

ALTER TABLE deploy ENABLE ROW LEVEL SECURITY;
ALTER TABLE deploy FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON deploy
    USING (tenant_id = current_setting('app.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('app.tenant_id', true));
