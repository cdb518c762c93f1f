-- What people found about hypotheses, and what makes a past incident comparable with another.
ALTER TABLE analysis
    ADD COLUMN cause_confidence double precision NOT NULL DEFAULT 0 CHECK (cause_confidence BETWEEN 0 AND 1),
    ADD COLUMN cause            text             NOT NULL DEFAULT '',  -- in words; empty when no cause was named
    ADD COLUMN evidence_kinds   text[]           NOT NULL DEFAULT '{}', -- of the first hypothesis
    ADD COLUMN signatures       text[]           NOT NULL DEFAULT '{}'; -- log shapes among its evidence

CREATE TABLE hypothesis_feedback (
    tenant_id        text             NOT NULL,
    id               uuid             NOT NULL,          -- version 7: sorts by time
    incident_id      uuid             NOT NULL,
    analysis_version integer          NOT NULL,
    rank             integer          NOT NULL CHECK (rank >= 0), -- 0 when no hypothesis was judged
    verdict          text             NOT NULL CHECK (verdict IN ('confirmed', 'rejected', 'real_cause')),
    service          text             NOT NULL,          -- of the hypothesis judged
    cause_kind       text             NOT NULL,
    confidence       double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    statement        text             NOT NULL,          -- the hypothesis in words, as it was judged
    real_service     text             NOT NULL,
    real_cause       text             NOT NULL,
    note             text             NOT NULL,
    actor            text             NOT NULL CHECK (actor <> ''),
    given_at         timestamptz      NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, incident_id, analysis_version) REFERENCES analysis (tenant_id, incident_id, version),
    CHECK ((verdict = 'real_cause') = (real_cause <> '')),
    CHECK (rank > 0 OR verdict = 'real_cause')
);
CREATE INDEX hypothesis_feedback_incident ON hypothesis_feedback (tenant_id, incident_id, id DESC);

CREATE TRIGGER hypothesis_feedback_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON hypothesis_feedback
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE hypothesis_feedback ENABLE ROW LEVEL SECURITY;
ALTER TABLE hypothesis_feedback FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON hypothesis_feedback USING (tenant_id = current_setting('app.tenant_id', true));
