-- The whole life of an incident: mitigation, closing, merging, roles; tasks, links, updates to people outside,
-- postmortems; and what makes a repeated write harmless.
ALTER TABLE incident DROP CONSTRAINT incident_status_check, DROP CONSTRAINT incident_check;
ALTER TABLE incident
    ADD COLUMN priority          smallint    NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 5),
    ADD COLUMN summary           text        NOT NULL DEFAULT '',
    ADD COLUMN bridge_url        text        NOT NULL DEFAULT '',
    ADD COLUMN commander         text        NOT NULL DEFAULT '',
    ADD COLUMN scribe            text        NOT NULL DEFAULT '',
    ADD COLUMN communications    text        NOT NULL DEFAULT '',
    ADD COLUMN mitigated_at      timestamptz,
    ADD COLUMN mitigated_by      text        NOT NULL DEFAULT '',
    ADD COLUMN closed_at         timestamptz,
    ADD COLUMN closed_by         text        NOT NULL DEFAULT '',
    ADD COLUMN merged_into       uuid,
    ADD COLUMN public            boolean     NOT NULL DEFAULT false,
    ADD COLUMN public_title      text        NOT NULL DEFAULT '',
    ADD COLUMN postmortem_due_at timestamptz,
    ADD COLUMN changed_at        timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT incident_status_check
        CHECK (status IN ('open', 'acknowledged', 'mitigated', 'resolved', 'closed')),
    ADD CONSTRAINT incident_resolved_check CHECK ((status IN ('resolved', 'closed')) = (resolved_at IS NOT NULL)),
    ADD CONSTRAINT incident_closed_check CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
    ADD CONSTRAINT incident_merged_check CHECK (merged_into IS NULL OR status = 'closed'),
    ADD CONSTRAINT incident_merged_into_fkey FOREIGN KEY (tenant_id, merged_into) REFERENCES incident (tenant_id, id);
DROP INDEX incident_unresolved_group;
CREATE UNIQUE INDEX incident_unresolved_group ON incident (tenant_id, md5(group_key))
    WHERE status IN ('open', 'acknowledged', 'mitigated') AND group_key <> '';
-- A merged incident's alert group feeds the incident it went on in.
CREATE INDEX incident_merged_group ON incident (tenant_id, md5(group_key)) WHERE merged_into IS NOT NULL;
CREATE INDEX incident_public ON incident (tenant_id, id DESC) WHERE public;

ALTER TABLE timeline DROP CONSTRAINT timeline_kind_check;
ALTER TABLE timeline ADD CONSTRAINT timeline_kind_check CHECK (kind IN (
    'alert', 'state_change', 'note', 'deploy', 'hypothesis', 'ingest', 'route', 'page', 'acknowledgement',
    'postmortem', 'role', 'task', 'link', 'status_update', 'update'));

CREATE TABLE role_assignment (
    tenant_id    text        NOT NULL,
    incident_id  uuid        NOT NULL,
    number       bigint      GENERATED ALWAYS AS IDENTITY,
    role         text        NOT NULL CHECK (role IN ('commander', 'scribe', 'communications')),
    person       text        NOT NULL CHECK (person <> ''),
    assigned_by  text        NOT NULL,
    assumed_at   timestamptz NOT NULL,
    renounced_at timestamptz,
    PRIMARY KEY (tenant_id, incident_id, number),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, id)
);
CREATE UNIQUE INDEX role_assignment_holder ON role_assignment (tenant_id, incident_id, role) WHERE renounced_at IS NULL;

CREATE TABLE link (
    tenant_id   text        NOT NULL,
    incident_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    title       text        NOT NULL,
    url         text        NOT NULL,
    added_by    text        NOT NULL,
    added_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, id)
);

CREATE TABLE task (
    tenant_id   text        NOT NULL,
    id          uuid        NOT NULL,
    incident_id uuid        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('task', 'action_item')),
    title       text        NOT NULL,
    owner       text        NOT NULL,
    due_at      timestamptz,
    status      text        NOT NULL CHECK (status IN ('open', 'done', 'cancelled')),
    created_by  text        NOT NULL,
    created_at  timestamptz NOT NULL,
    finished_at timestamptz,
    version     bigint      NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, id),
    CHECK ((status = 'open') = (finished_at IS NULL))
);
CREATE INDEX task_incident ON task (tenant_id, incident_id, id);
CREATE INDEX task_open ON task (tenant_id, due_at) WHERE status = 'open';

CREATE TABLE status_update (
    tenant_id   text        NOT NULL,
    incident_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('investigating', 'identified', 'monitoring', 'resolved')),
    message     text        NOT NULL,
    public      boolean     NOT NULL,
    posted_by   text        NOT NULL,
    posted_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, id)
);

CREATE TABLE postmortem (
    tenant_id     text        NOT NULL,
    incident_id   uuid        NOT NULL,
    status        text        NOT NULL CHECK (status IN ('draft', 'published', 'archived')),
    what_happened text        NOT NULL,
    cause         text        NOT NULL,
    impact        text        NOT NULL,
    mitigations   text        NOT NULL,
    follow_ups    text        NOT NULL,
    drafted_at    timestamptz NOT NULL,
    updated_by    text        NOT NULL,
    updated_at    timestamptz NOT NULL,
    published_at  timestamptz,
    archived_at   timestamptz,
    version       bigint      NOT NULL,
    PRIMARY KEY (tenant_id, incident_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, id)
);

CREATE TABLE message_template (
    tenant_id  text        NOT NULL,
    channel    text        NOT NULL CHECK (channel IN ('slack', 'email', 'status_page')),
    subject    text        NOT NULL,
    body       text        NOT NULL,
    updated_by text        NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, channel)
);

-- Answers to writes that came with an idempotency key, given again when the write is repeated.
CREATE TABLE idempotency_key (
    tenant_id    text        NOT NULL,
    key          text        NOT NULL,
    method       text        NOT NULL,
    request_hash bytea       NOT NULL,
    response     bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_key_created_at ON idempotency_key (tenant_id, created_at);

-- What falls due when. A row goes when its subject is done, or was reported.
CREATE TABLE due (
    tenant_id   text        NOT NULL,
    incident_id uuid        NOT NULL,
    subject     uuid        NOT NULL,                     -- a task, or the incident for its postmortem
    kind        text        NOT NULL CHECK (kind IN ('task', 'postmortem')),
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, subject)
);
CREATE INDEX due_at ON due (tenant_id, due_at);

CREATE TRIGGER status_update_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON status_update
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE role_assignment ENABLE ROW LEVEL SECURITY;
ALTER TABLE role_assignment FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON role_assignment USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE link ENABLE ROW LEVEL SECURITY;
ALTER TABLE link FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON link USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE task ENABLE ROW LEVEL SECURITY;
ALTER TABLE task FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON task USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE status_update ENABLE ROW LEVEL SECURITY;
ALTER TABLE status_update FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON status_update USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE postmortem ENABLE ROW LEVEL SECURITY;
ALTER TABLE postmortem FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON postmortem USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE message_template ENABLE ROW LEVEL SECURITY;
ALTER TABLE message_template FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON message_template USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE idempotency_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_key USING (tenant_id = current_setting('app.tenant_id', true));
ALTER TABLE due ENABLE ROW LEVEL SECURITY;
ALTER TABLE due FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON due USING (tenant_id = current_setting('app.tenant_id', true));
