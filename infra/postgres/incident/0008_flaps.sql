-- How often an incident's alerts fired again soon after all had ended; and the incidents of a group, the latest first.
ALTER TABLE incident ADD COLUMN flaps integer NOT NULL DEFAULT 0;
CREATE INDEX incident_group ON incident (tenant_id, md5(group_key), id DESC) WHERE group_key <> '';
