-- Tenants, API keys and the audit log (libs/access). Changed by the owner only: `python -m scripts.create_tenant` and
-- `python -m scripts.access_keys`. Services connect as incidentscope_service, which owns nothing: it reads tenants and
-- keys, and adds to the audit log.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'incidentscope_service') THEN
        CREATE ROLE incidentscope_service NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN -- roles belong to the server: another database's migration was first
    NULL;
END
$$;

CREATE TABLE tenant (
    id         text        PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Only the SHA-256 of a key is kept; keys are 256 random bits.
CREATE TABLE api_key (
    tenant_id           text        NOT NULL REFERENCES tenant (id),
    id                  text        NOT NULL UNIQUE,
    digest              text        NOT NULL UNIQUE CHECK (digest ~ '^[0-9a-f]{64}$'),
    name                text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    role                text        NOT NULL CHECK (role IN ('viewer', 'responder', 'admin', 'service')),
    scopes              text[]      NOT NULL,              -- empty: all its role allows
    requests_per_second real        CHECK (requests_per_second >= 0), -- at each process; 0 unbounded, null the role's usual
    created_at          timestamptz NOT NULL DEFAULT now(),
    expires_at          timestamptz,
    revoked_at          timestamptz,
    replaces            text        REFERENCES api_key (id),
    PRIMARY KEY (tenant_id, id),
    CHECK (role <> 'service' OR cardinality(scopes) > 0)
);

CREATE TABLE audit (
    number    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text        NOT NULL,
    at        timestamptz NOT NULL,
    service   text        NOT NULL,                        -- which door, or `cli`
    actor     text        NOT NULL,                        -- empty: anonymous, or named by a trusted header
    key_id    text        NOT NULL,
    role      text        NOT NULL,
    action    text        NOT NULL,                        -- the full name of the rpc, or what was done
    subject   text        NOT NULL,                        -- the id it was done to
    outcome   text        NOT NULL,                        -- a gRPC status name
    reason    text        NOT NULL
);
CREATE INDEX audit_at ON audit (tenant_id, at DESC);

-- Every process keeps tenants and keys in memory and reads them again when told.
CREATE FUNCTION tell_doors() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('access', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER tenant_told AFTER INSERT OR UPDATE OR DELETE ON tenant
    FOR EACH STATEMENT EXECUTE FUNCTION tell_doors();
CREATE TRIGGER api_key_told AFTER INSERT OR UPDATE OR DELETE ON api_key
    FOR EACH STATEMENT EXECUTE FUNCTION tell_doors();

-- History is not edited, whoever asks.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A door must find a key before it knows the tenant, so it reads all of them; it changes none.
ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
CREATE POLICY doors ON tenant FOR SELECT TO incidentscope_service USING (true);
ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY doors ON api_key FOR SELECT TO incidentscope_service USING (true);
ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit USING (tenant_id = current_setting('app.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('app.tenant_id', true));

GRANT USAGE ON SCHEMA access TO incidentscope_service;
GRANT SELECT ON tenant, api_key TO incidentscope_service;
GRANT SELECT, INSERT (tenant_id, at, service, actor, key_id, role, action, subject, outcome, reason)
    ON audit TO incidentscope_service; -- the number, and so the order of arrival, is the server's to say
