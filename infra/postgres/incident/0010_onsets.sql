-- The newest trouble of an incident: when it began and when that was told; and its title as its alerts make it.
ALTER TABLE incident ADD COLUMN made_title text NOT NULL DEFAULT '';
ALTER TABLE incident ADD COLUMN onset_at timestamptz;
ALTER TABLE incident ADD COLUMN onset_seen_at timestamptz;
