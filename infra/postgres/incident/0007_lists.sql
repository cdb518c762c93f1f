-- Lists of incidents in each order they can be asked for, and the notes that a search looks through.
CREATE INDEX incident_opened ON incident (tenant_id, opened_at DESC, id DESC);
CREATE INDEX incident_changed ON incident (tenant_id, changed_at DESC, id DESC);
CREATE INDEX incident_severity ON incident (tenant_id, severity DESC, id DESC);
CREATE INDEX timeline_note ON timeline (tenant_id, incident_id) WHERE kind = 'note';
