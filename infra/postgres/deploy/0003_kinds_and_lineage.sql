-- More senders, other kinds of change than deploys, and where a deploy's revision was before.
ALTER TABLE deploy DROP CONSTRAINT deploy_provider_check;
ALTER TABLE deploy ADD CONSTRAINT deploy_provider_check
    CHECK (provider IN ('github', 'argocd', 'gitlab', 'generic'));

ALTER TABLE deploy
    ADD COLUMN kind text NOT NULL DEFAULT 'deploy'
        CHECK (kind IN ('deploy', 'code_change', 'release', 'ci_outcome', 'configuration')),
    ADD COLUMN succeeded_at timestamptz,
    ADD COLUMN movement text NOT NULL DEFAULT 'unknown'
        CHECK (movement IN ('unknown', 'new', 'redeploy', 'rollback', 'promotion')),
    ADD COLUMN previous_id text NOT NULL DEFAULT '',
    ADD COLUMN source_id text NOT NULL DEFAULT '';

-- What is superseded now has run only if it was once said to have succeeded. Row-level security is forced, also for
-- the owner this migration may run as; it is lifted for the update, within the migration's transaction.
ALTER TABLE deploy NO FORCE ROW LEVEL SECURITY;
ALTER TABLE report NO FORCE ROW LEVEL SECURITY;
UPDATE deploy SET succeeded_at = (
    SELECT max(reported_at) FROM report r
    WHERE r.tenant_id = deploy.tenant_id AND r.deploy_id = deploy.id AND r.status = 'succeeded');
ALTER TABLE deploy FORCE ROW LEVEL SECURITY;
ALTER TABLE report FORCE ROW LEVEL SECURITY;

-- Authentic deliveries that could not be read: an event nobody knows yet, or a field that is not as it should be.
-- They are kept so that nothing is lost; `times` counts repetitions.
CREATE TABLE unread_delivery (
    tenant_id   text        NOT NULL,
    provider    text        NOT NULL,
    delivery    text        NOT NULL,
    event       text        NOT NULL,
    reason      text        NOT NULL,
    problem     text        NOT NULL,
    body        bytea       NOT NULL,
    times       integer     NOT NULL DEFAULT 1 CHECK (times > 0),
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, provider, delivery)
);
CREATE INDEX unread_delivery_received_at ON unread_delivery (received_at);

ALTER TABLE unread_delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE unread_delivery FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON unread_delivery
    USING (tenant_id = current_setting('app.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('app.tenant_id', true));
